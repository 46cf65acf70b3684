"""The page of a live session in a real browser, and what it refuses."""

from __future__ import annotations

import http.client
import io
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, sync_playwright

from autohair_video import (
    MattingOptions,
    MattingPipeline,
    OptionError,
    OutputError,
    SegmentOptions,
    TrimapOptions,
)
from autohair_video.cli import run
from autohair_video.live.quality import levels_for
from autohair_video.live.session import LiveSession
from autohair_video.live.settings import LiveOptions, live_matting_options
from autohair_video.live.web.handlers import MAX_UPLOAD_BYTES
from autohair_video.live.web.server import Server
from autohair_video.media.camera import Camera
from tests.helpers.xvfb import until

SAMPLE = Path(__file__).parents[3] / "samples" / "portrait.mp4"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
# Where no person sits, and where the person does.
COLOURS = """() => {
    const image = document.getElementById("frame");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    if (!image.complete || !canvas.width) return null;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
    const colours = [at(8, canvas.height - 8), at(155, 160)];
    return colours.every((colour) => colour[3] === 255) ? colours.map((colour) => colour.slice(0, 3)) : null;
}"""


# Large enough a picture for the segmenter to be sure of the sample's person.
CLEAR = MattingOptions(segment=SegmentOptions(long_side_px=256))


class Session:
    """A live session that serves at an address, with a clip as camera, as long as its ``with`` lasts."""

    def __init__(self, folder: Path, address: str = "127.0.0.1:0") -> None:
        options = LiveOptions(
            width=320,
            height=180,
            backgrounds=("#ff0000", "#00ff00"),
            folder=folder,
            matting=replace(live_matting_options(), trimap=TrimapOptions(mode="fixed", erosion=0, size=0)),
            adapt=False,
        )
        self._stack = ExitStack()
        camera = Camera(str(SAMPLE), width=320, height=180, rate=30)
        self.live = LiveSession(
            camera, lambda tier: MattingPipeline(tier=tier, device="cpu", options=CLEAR), options
        )
        self.server = self._stack.enter_context(closing(Server(self.live, address)))
        self._stack.enter_context(camera)
        self._stack.enter_context(self.live)
        self.place = urlsplit(self.server.url)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of one request."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=60)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("out")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser, session: Session) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.set_default_timeout(60_000)
    page.goto(session.server.url)
    page.locator("#choices:enabled").wait_for()
    until(lambda: page.evaluate(COLOURS), "a picture")
    yield page
    page.close()


def _shows(page: Page, colour: tuple[int, int, int]) -> Callable[[], bool]:
    """Whether the live picture shows the person before about that colour."""

    def shows() -> bool:
        seen = page.evaluate(COLOURS)
        if seen is None:
            return False
        corner, person = np.abs(np.array(seen) - colour).max(axis=1)
        return bool(corner < 16 and person > 40)

    return shows


def _shows_matte(page: Page) -> bool:
    seen = page.evaluate(COLOURS)
    return seen is not None and max(seen[0]) < 16 and min(seen[1]) > 240


def test_page_shows_live_composite(page: Page, session: Session) -> None:
    page.locator("#background").select_option(label="#ff0000")
    until(_shows(page, RED), "the red background")
    page.locator("#background").select_option(label="#00ff00")
    until(_shows(page, GREEN), "the green background")
    first = page.locator("#frame").get_attribute("src")
    until(lambda: page.locator("#frame").get_attribute("src") != first, "another picture")
    page.get_by_label("matte").check()
    until(lambda: _shows_matte(page), "the matte")
    page.get_by_label("composite").check()
    until(_shows(page, GREEN), "the composite")
    assert "fps" in page.locator("#line").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_controls_disabled_until_state_arrives(browser: Browser, session: Session) -> None:
    page = browser.new_page()
    held: list[Route] = []
    page.route("**/state", lambda route: held.append(route))
    page.goto(session.server.url)
    until(lambda: page.locator("#upload").is_disabled() and held, "the page's first question")
    held[0].continue_()
    page.locator("#upload:enabled").wait_for()
    page.close()


def test_stale_state_does_not_override_choice(page: Page, session: Session) -> None:
    figures = page.locator("#line")
    held: list[Route] = []
    page.route("**/state", lambda route: held.append(route))
    before = until(lambda: figures.is_visible() and held, "a question")[0].fetch()
    page.get_by_label("matte").check()
    until(lambda: "matte" in figures.inner_text(), "the matte")
    held[0].fulfill(response=before)
    until(lambda: "composite" in figures.inner_text(), "the answer from before the choice")
    assert page.get_by_label("matte").is_checked()
    page.get_by_label("composite").check()
    until(lambda: session.live.settings.current.view == "composite", "the composite")


def test_keyboard_operation(page: Page, session: Session) -> None:
    page.locator("#band").focus()
    before = session.live.settings.current.band
    page.keyboard.press("ArrowRight")
    until(lambda: session.live.settings.current.band > before, "a wider band")
    page.locator("#smoothing").focus()
    page.keyboard.press("Space")
    until(lambda: not session.live.settings.current.smoothing, "smoothing off")
    focused = []
    for _ in range(12):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"frozen", "snapshot", "record"} <= set(focused)


def test_uploaded_image_becomes_background(page: Page, session: Session, tmp_path: Path) -> None:
    picture = tmp_path / "..%2f..%2fblue.png"
    cv2.imwrite(str(picture), np.full((90, 160, 3), BLUE[::-1], np.uint8))
    page.locator("#upload").set_input_files(picture)
    until(_shows(page, BLUE), "the uploaded background")
    assert not list(session.live.options.folder.rglob("*blue*"))
    kept = Path(session.live.settings.current.background)
    assert kept.name == "image 1.png"
    assert kept.parent.stat().st_mode & 0o077 == 0


def test_mpo_upload_is_accepted(session: Session) -> None:
    """Many are MPO: a JPEG with a second picture behind it."""
    first, second = (Image.new("RGB", (160, 90), colour) for colour in ("blue", "red"))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second])
    status, _ = session.ask("POST", "/background", file.getvalue())
    assert status == 200
    assert session.live.settings.current.background.endswith(".jpg")


def test_tier_choice(page: Page, session: Session) -> None:
    page.locator("#tier").select_option("best")
    until(lambda: session.live.status().qualities == len(levels_for("best")), "the best tier")
    until(lambda: "best" in page.locator("#line").inner_text(), "the status line")
    page.locator("#tier").select_option("fast")
    until(lambda: session.live.status().qualities == len(levels_for("fast")), "the fast tier")
    until(lambda: "best" not in page.locator("#line").inner_text(), "the status line again")


def test_uploads_of_wrong_type_or_size_are_refused(page: Page, session: Session, tmp_path: Path) -> None:
    message = page.locator("#message")
    wrong = tmp_path / "notes.png"
    wrong.write_text("no picture")
    page.locator("#upload").set_input_files(wrong)
    until(lambda: "no JPEG, PNG or WebP" in message.inner_text(), "a refusal of the type")
    session.live.notify("something else")
    until(lambda: "something else" in page.locator("#status").inner_text(), "what the program tells")
    assert "no JPEG, PNG or WebP" in message.inner_text()
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    page.locator("#upload").set_input_files(large)
    until(lambda: "20 MB is the most" in message.inner_text(), "a refusal of the size")
    headers = {"Content-Length": str(MAX_UPLOAD_BYTES + 1)}
    status, text = session.ask("POST", "/background", b"", headers)
    assert (status, b"20 MB is the most" in text) == (413, True)
    status, text = session.ask("POST", "/background", b"\0" * 100_000_000)
    assert (status, b"20 MB is the most" in text) == (413, True)
    cut = cv2.imencode(".png", np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    assert session.ask("POST", "/background", cut[: len(cut) // 2])[0] == 415


def test_snapshot_and_recording_downloads(page: Page, session: Session) -> None:
    page.get_by_role("button", name="Snapshot").click()
    link = page.locator("#files a").first
    with page.expect_download() as download:
        link.click()
    picture = cv2.imread(str(download.value.path()), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (180, 320, 4)
    page.get_by_role("button", name="Record").click()
    until(lambda: (session.live.status().recorded_s or 0) >= 1, "a second of recording")
    page.get_by_role("button", name=re.compile("Stop")).click()
    clip = page.locator("#files a", has_text=".mp4")
    clip.wait_for()
    assert session.ask("GET", f"/files/{clip.inner_text()}")[1][4:8] == b"ftyp"


@pytest.mark.parametrize(
    "path",
    [
        "/files/..%2f..%2f..%2fetc%2fpasswd",
        "/files/../../etc/passwd",
        "/../../../etc/passwd",
        "/page/page.js",
    ],
)
def test_path_traversal_is_refused(session: Session, path: str) -> None:
    status, body = session.ask("GET", path)
    assert status == 404
    assert b"root:" not in body


@pytest.mark.parametrize(
    "settings",
    [
        '{"background": "/etc/passwd"}',
        '{"background": "../x.png"}',
        '{"background": 99}',
        '{"background": true}',
        '{"band": 1000}',
        '{"band": NaN}',
        '{"view": "x"}',
        '{"tier": "huge"}',
        "[" * 9999,
        '{"folder": "/"}',
        "[]",
        "{",
        "\xff",
    ],
)
def test_unknown_settings_are_refused(session: Session, settings: str) -> None:
    before = session.live.settings
    assert session.ask("POST", "/settings", settings.encode("latin-1"))[0] == 422
    assert session.live.settings == before


def test_cross_origin_requests_are_refused(session: Session) -> None:
    own = f"127.0.0.1:{session.place.port}"
    assert session.ask("POST", "/record", headers={"Host": own, "Origin": "http://evil.example"})[0] == 403
    assert session.ask("GET", "/state", headers={"Host": "evil.example"})[0] == 403
    embedded = {"Host": own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert session.ask("GET", "/frame.jpg", headers=embedded)[0] == 403
    followed = {"Host": own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert session.ask("GET", "/", headers=followed)[0] == 200
    assert session.ask("GET", "/state", headers={"Host": own, "Origin": f"http://{own}"})[0] == 200
    assert session.live.status().recorded_s is None


def test_mjpeg_stream(session: Session) -> None:
    address = f"http://127.0.0.1:{session.place.port}/stream.mjpg"
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG)
    given, picture = capture.read()
    capture.release()
    assert given
    assert picture.shape == (180, 320, 3)


def test_remote_bind_requires_token(browser: Browser, tmp_path: Path) -> None:
    with Session(tmp_path, "0.0.0.0:0") as session:
        assert session.ask("GET", "/")[0] == 403
        assert session.ask("GET", "/frame.jpg")[0] == 403
        assert session.ask("POST", "/record?token=guess")[0] == 403
        status, text = session.ask("GET", "/state")
        assert (status, b"token" in text) == (403, True)
        until(lambda: session.ask("GET", f"/frame.jpg?{session.place.query}")[0] == 200, "a first picture")
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(session.server.url.replace(session.place.hostname or "", "127.0.0.1"))
        assert "token" not in page.url
        until(_shows(page, RED), "a picture")
        page.close()


def test_invalid_address_is_refused(session: Session) -> None:
    with pytest.raises(OptionError, match="HOST:PORT"):
        Server(session.live, "8000")
    with pytest.raises(OutputError, match="another port"):
        Server(session.live, f"127.0.0.1:{session.place.port}")


def test_command_serves_for_a_duration(capfd: pytest.CaptureFixture[str]) -> None:
    call = ["live", "--camera", str(SAMPLE), "--size", "160x90", "--trimap", "fixed:0,0", "--device", "cpu"]
    assert run([*call, "--serve", "127.0.0.1:0", "--measure", "1"]) == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/\n", err)
    assert "frames matted" in out
