"""The window of a live session, driven by real keys on a real screen, with a clip as camera."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from autohair_video import MattingPipeline
from autohair_video.cli import run
from autohair_video.live.session import LiveSession
from autohair_video.live.settings import LiveOptions
from autohair_video.live.window import KEYS
from autohair_video.media.camera import Camera
from tests.helpers.clips import timeline
from tests.helpers.options import HARD
from tests.helpers.xvfb import PATIENCE_S, Screen, screen, until

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"
# no unknown band: the matting network has nothing to do
CALL = [
    "live",
    "--no-adapt",
    "--size",
    "320x180",
    "--trimap",
    "fixed:0,0",
    "--device",
    "cpu",
    "--bg",
    "#ff0000",
]
Colour = tuple[int, int, int]
BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)
# The lower left corner, without a person; its colour in the sample; and the middle, where the person sits.
CORNER, ROOM, PERSON = np.s_[-20:-4, 4:20], (139, 137, 126), np.s_[140:170, 140:170]
# Starts a session's window forty times, each in a process of its own until a line on its input ends it.
STARTER = """
import os, select, sys
from contextlib import closing
from autohair_video import MattingPipeline
from autohair_video.live.session import LiveSession
from autohair_video.live.settings import LiveOptions, live_matting_options
from autohair_video.live.window import Window
from autohair_video.media.camera import Camera

camera = Camera(sys.argv[1], width=320, height=180, rate=30)
live = LiveSession(camera, lambda _: MattingPipeline(device="cpu"), LiveOptions(320, 180))
for _ in range(40):
    child = os.fork()
    if child == 0:
        with closing(Window(live)) as window:
            print("opened", flush=True)
            while not select.select([sys.stdin], [], [], 0)[0]:
                window.show()
        os._exit(0)
    sys.exit(1) if os.waitpid(child, 0)[1] else sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with screen(tmp_path_factory.mktemp("screen")) as shown:
        yield shown


class Viewer:
    """Someone at the window of a program.

    Of keys that come at once OpenCV gives the last only: see what one did before pressing the next.
    """

    def __init__(self, display: Screen) -> None:
        self._display = display
        self.window = until(lambda: display.window("autohair-video"), "a window") or ""
        until(lambda: display.is_painted(self.window, width=320, height=180), "a painted window")

    def press(self, key: str) -> None:
        self._display.press(self.window, key)

    def picture(self) -> NDArray[np.uint8]:
        return self._display.picture(self.window)

    def reads(self, words: str) -> bool:
        """Whether the words stand in the window, in letters of any size that it has."""
        seen = np.ascontiguousarray(self.picture().max(axis=2))
        return any(_stands_in(seen, words, size) for size in np.arange(0.3, 0.51, 0.02))

    def corner_is(self, colour: Colour) -> bool:
        """Whether the corner has about that colour."""
        seen = self.picture()
        return seen.shape == (180, 320, 3) and bool(_off(seen[CORNER], colour).max() < 20)

    def sees_person_on(self, colour: Colour) -> bool:
        """Whether the corner has about that colour, and the person nowhere."""
        return self.corner_is(colour) and bool(_off(self.picture()[PERSON], colour).min() > 40)

    def sees_matte(self) -> bool:
        """Whether the corner is black and the person white."""
        return self.corner_is(BLACK) and bool(self.picture()[PERSON].min() > 240)

    def unknown(self) -> float:
        """The fraction of the trimap that is unknown, below the words; NaN where it is no trimap."""
        seen = self.picture()
        if seen.shape != (180, 320, 3) or not np.isin(seen[60:], (0, 128, 255)).all():
            return math.nan
        return float((seen[60:] == 128).mean())

    def sees_movement(self) -> None:
        """Wait for several pictures."""
        seen: set[bytes] = set()
        until(lambda: seen.add(self.picture()[60:].tobytes()) or len(seen) > 8, "pictures that change")


def _off(seen: NDArray[np.uint8], colour: Colour) -> NDArray[np.int64]:
    return np.abs(seen.astype(int) - colour).max(axis=2)


def _stands_in(seen: NDArray[np.uint8], words: str, size: float) -> bool:
    (width, height), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    written = np.zeros((height + below, width), np.uint8)
    cv2.putText(written, words, (0, height), cv2.FONT_HERSHEY_SIMPLEX, size, 255, 1, cv2.LINE_AA)
    if seen.shape[0] < written.shape[0] or seen.shape[1] < written.shape[1]:
        return False
    return float(cv2.matchTemplate(seen, written, cv2.TM_CCOEFF_NORMED).max()) > 0.9


def _watch(display: Screen, arguments: list[str], does: Callable[[Viewer], None]) -> int:
    """Run the program, do something at its window, and quit it; its exit code."""
    program = subprocess.Popen([sys.executable, "-m", "autohair_video", *arguments])
    try:
        viewer = Viewer(display)
        does(viewer)
        viewer.press("q")
        return program.wait(timeout=PATIENCE_S)
    finally:
        program.kill()
        program.wait()


def test_window_composite_and_keys(display: Screen, tmp_path: Path) -> None:
    def both(viewer: Viewer) -> bool:
        seen = viewer.picture()
        if seen.shape != (180, 640, 3):
            return False
        left, right = seen[:, :320][CORNER], seen[:, 320:][CORNER]
        return bool(_off(left, ROOM).max() < 20 and _off(right, GREEN).max() < 20)

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.sees_person_on(RED), "the red background")
        viewer.press("b")
        until(lambda: viewer.sees_person_on(GREEN), "the second background")
        viewer.press("m")
        until(viewer.sees_matte, "the matte")
        viewer.press("m")
        until(lambda: both(viewer), "two pictures side by side")
        viewer.press("m")
        until(lambda: viewer.unknown() == 0, "the trimap")
        viewer.press("m")
        until(lambda: viewer.corner_is(ROOM), "the original")
        viewer.press("h")
        until(lambda: viewer.reads("next background"), "the help")

    call = [*CALL, "--bg", "#00ff00", "--camera", str(SAMPLE), "-o", str(tmp_path)]
    assert _watch(display, call, does) == 0
    assert list(tmp_path.iterdir()) == []


def test_brackets_change_band_width(display: Screen) -> None:
    def does(viewer: Viewer) -> None:
        def unknown(above: float, below: float) -> float:
            def between() -> float | None:
                share = viewer.unknown()
                return share if above < share < below else None

            return until(between, f"a band of {above:.3f} to {below:.3f}") or 0

        until(lambda: viewer.sees_person_on(RED), "a picture")
        viewer.press("space")
        until(lambda: viewer.reads("frozen"), "that it is frozen")
        for view in ("matte", "side", "trimap"):
            viewer.press("m")
            until(lambda view=view: viewer.reads(view), view)
        first = unknown(0, 1)
        viewer.press("bracketright")
        wider = unknown(1.1 * first, 1)
        viewer.press("bracketleft")
        unknown(0, 0.95 * wider)
        viewer.press("bracketleft")
        unknown(0, 0.9 * first)

    assert _watch(display, [*CALL, "--trimap", "fixed:1,5", "--camera", str(SAMPLE)], does) == 0


def test_key_table(tmp_path: Path) -> None:
    camera = Camera(str(SAMPLE), width=64, height=64, rate=30)
    live = LiveSession(
        camera, lambda _: MattingPipeline(device="cpu", options=HARD), LiveOptions(64, 64, folder=tmp_path)
    )
    assert [key.name for key in KEYS.values()] == ["q", "space", "b", "m", "[", "]", "t", "s", "r"]
    KEYS[ord("t")].press(live)
    assert not live.settings.current.smoothing
    KEYS[ord("t")].press(live)
    assert live.settings.current.smoothing
    KEYS[ord("q")].press(live)
    assert live.has_ended


def test_snapshot_and_recording_files(display: Screen, tmp_path: Path) -> None:
    def files(extension: str) -> list[Path]:
        return [path for path in tmp_path.glob(f"*{extension}") if not path.name.startswith(".")]

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.sees_person_on(RED), "a picture")
        viewer.press("s")
        until(lambda: files(".png"), "a snapshot")
        viewer.press("r")
        until(lambda: viewer.reads("REC"), "that it records")
        viewer.sees_movement()
        viewer.press("r")
        until(lambda: files(".mp4"), "a clip")

    assert _watch(display, [*CALL, "--camera", str(SAMPLE), "-o", str(tmp_path)], does) == 0
    snapshot = cv2.imread(str(files(".png")[0]), cv2.IMREAD_UNCHANGED)
    assert snapshot.shape == (180, 320, 4)
    assert (snapshot[-5, 5, 3], snapshot[160, 155, 3]) == (0, 255)
    times = timeline(files(".mp4")[0])
    assert len(times) >= 2
    assert times[0][0] == 0


def test_frozen_frame_can_change_background(display: Screen, tmp_path: Path) -> None:
    def person(viewer: Viewer) -> NDArray[np.uint8]:
        viewer.press("b")
        until(lambda: viewer.sees_person_on(GREEN), "the other background")
        seen = viewer.picture()[PERSON].copy()
        viewer.press("b")
        until(lambda: viewer.sees_person_on(RED), "the first background again")
        return seen

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.sees_person_on(RED), "a picture")
        viewer.press("space")
        until(lambda: viewer.reads("frozen"), "that it is frozen")
        before = person(viewer)
        assert np.array_equal(before, person(viewer))
        viewer.press("space")
        viewer.sees_movement()

    call = [*CALL, "--bg", "#00ff00", "--camera", str(SAMPLE)]
    assert _watch(display, call, does) == 0


def test_window_without_camera_reports_it(display: Screen, capfd: pytest.CaptureFixture[str]) -> None:
    def does(viewer: Viewer) -> None:
        def is_black() -> bool:
            return not viewer.picture()[60:].any()

        until(lambda: viewer.reads("there is no camera") and is_black(), "a line about the camera on black")
        viewer.press("h")
        until(lambda: viewer.reads("next background"), "the help")

    assert _watch(display, [*CALL, "--camera", "63"], does) == 0
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "no camera /dev/video63" in err


def test_window_is_painted_at_every_start(display: Screen) -> None:
    """Without `_preload_x11_xcb` about one start in twenty leaves it black."""
    program = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(SAMPLE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        for _ in range(40):
            assert program.stdout.readline() == "opened\n"
            Viewer(display)
            print(file=program.stdin, flush=True)
        assert program.wait(timeout=PATIENCE_S) == 0
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("name", ["", ":none"])
def test_missing_display_gives_one_error_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("DISPLAY", name)
    assert run([*CALL, "--camera", str(SAMPLE)]) == 1
    err = capfd.readouterr().err
    assert "no screen" in err
    assert "--serve" in err
    assert err.count("\n") == 1
