"""The window of a live session, driven by real keys on a real screen, with a clip as camera."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import timeline
from matters import HARD
from numpy.typing import NDArray
from screen import PATIENCE_S, Screen, screen, until

from autohair_video import Matter
from autohair_video.cli import run
from autohair_video.live.loop import Live
from autohair_video.live.settings import LiveOptions
from autohair_video.live.window import KEYS
from autohair_video.media.camera import Camera

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
RED, GREEN = (255, 0, 0), (0, 255, 0)
# Starts a session's window forty times, each in a process of its own until it is told by a line to end.
STARTER = """
import os, select, sys
from contextlib import closing
from autohair_video import Matter
from autohair_video.live.loop import Live
from autohair_video.live.settings import LiveOptions
from autohair_video.live.window import Window
from autohair_video.media.camera import Camera

camera = Camera(sys.argv[1], width=320, height=180, rate=30)
live = Live(camera, lambda _: Matter(device="cpu"), LiveOptions(320, 180))
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
    """Someone at the window of a program."""

    def __init__(self, display: Screen) -> None:
        self._display = display
        until(lambda: display.window("autohair-video"), "a window")
        self.window = display.window("autohair-video") or ""
        until(lambda: display.is_painted(self.window, width=320, height=180), "a painted window")

    def press(self, *keys: str) -> None:
        self._display.press(self.window, *keys)

    def corner_is(self, colour: tuple[int, int, int]) -> bool:
        """Whether the lower left corner, where nobody sits, has about that colour."""
        seen = self.picture()[-20:-4, 4:20].astype(int)
        return seen.size > 0 and bool((np.abs(seen - colour) < 12).all())

    def picture(self) -> NDArray[np.uint8]:
        return self._display.picture(self.window)


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


def test_the_window_shows_the_person_on_the_background_and_keys_change_it(
    display: Screen, tmp_path: Path
) -> None:
    def does(viewer: Viewer) -> None:
        until(lambda: viewer.corner_is(RED), "the red background")
        middle = viewer.picture()[140:170, 140:170].astype(int)
        assert np.abs(middle - RED).max(axis=2).min() > 40
        viewer.press("b")
        until(lambda: viewer.corner_is(GREEN), "the second background")
        viewer.press("m")
        until(lambda: viewer.corner_is((0, 0, 0)), "the matte")
        assert viewer.picture()[140:170, 140:170].min() > 240
        viewer.press("m")
        until(lambda: viewer.picture().shape[1] == 640, "two pictures side by side")
        viewer.press("m")
        until(lambda: viewer.picture().shape[1] == 320, "the trimap")
        viewer.press("m")
        until(lambda: viewer.picture()[-20:-4, 4:20].min() > 20, "the original")
        strip = viewer.picture()[60:100].mean()
        viewer.press("h")
        until(lambda: viewer.picture()[60:100].mean() < strip * 0.6, "the help")

    call = [*CALL, "--bg", "#00ff00", "--camera", str(SAMPLE), "-o", str(tmp_path)]
    assert _watch(display, call, does) == 0
    assert list(tmp_path.iterdir()) == []


def test_brackets_change_the_band(display: Screen) -> None:
    def unknown(viewer: Viewer) -> float:
        return float((np.abs(viewer.picture()[60:].astype(int) - 128).max(axis=2) < 4).mean())

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.corner_is(RED), "a picture")
        viewer.press("m", "m", "m")
        until(lambda: unknown(viewer) > 0.01, "the trimap")
        first = unknown(viewer)
        viewer.press(*["bracketright"] * 5)
        until(lambda: unknown(viewer) > 1.4 * first, "a wider band")
        viewer.press(*["bracketleft"] * 9)
        until(lambda: unknown(viewer) < 0.9 * first, "a narrower band")

    assert _watch(display, [*CALL, "--trimap", "fixed:1,5", "--camera", str(SAMPLE)], does) == 0


def test_every_key_is_in_the_help_and_does_what_it_says(tmp_path: Path) -> None:
    camera = Camera(str(SAMPLE), width=64, height=64, rate=30)
    live = Live(camera, lambda _: Matter(device="cpu", options=HARD), LiveOptions(64, 64, folder=tmp_path))
    assert [key.name for key in KEYS.values()] == ["q", "space", "b", "m", "[", "]", "t", "s", "r"]
    KEYS[ord("t")].press(live)
    assert not live.settings.smoothing
    KEYS[ord("t")].press(live)
    assert live.settings.smoothing
    KEYS[ord("q")].press(live)
    assert live.has_ended


def test_snapshots_and_clips_are_kept(display: Screen, tmp_path: Path) -> None:
    def files(extension: str) -> list[Path]:
        return [path for path in tmp_path.glob(f"*{extension}") if not path.name.startswith(".")]

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.corner_is(RED), "a picture")
        viewer.press("s")
        until(lambda: files(".png"), "a snapshot")
        viewer.press("r")
        until(lambda: list(tmp_path.glob(".*.mp4")), "a recording")
        seen: set[bytes] = set()
        until(lambda: seen.add(viewer.picture()[40:].tobytes()) or len(seen) > 4, "some pictures")
        viewer.press("r")
        until(lambda: files(".mp4"), "a clip")

    assert _watch(display, [*CALL, "--camera", str(SAMPLE), "-o", str(tmp_path)], does) == 0
    snapshot = cv2.imread(str(files(".png")[0]), cv2.IMREAD_UNCHANGED)
    assert snapshot.shape == (180, 320, 4)
    assert (snapshot[-5, 5, 3], snapshot[160, 155, 3]) == (0, 255)
    times = timeline(files(".mp4")[0])
    assert len(times) >= 2
    assert times[0][0] == 0


def test_space_freezes_and_the_frozen_picture_can_still_be_put_elsewhere(
    display: Screen, tmp_path: Path
) -> None:
    def person(viewer: Viewer) -> NDArray[np.uint8]:
        viewer.press("b")
        until(lambda: viewer.corner_is(GREEN), "the other background")
        seen = viewer.picture()[140:170, 140:170].copy()
        viewer.press("b")
        until(lambda: viewer.corner_is(RED), "the first background again")
        return seen

    def does(viewer: Viewer) -> None:
        until(lambda: viewer.corner_is(RED), "a picture")
        viewer.press("space")
        before = person(viewer)
        assert np.array_equal(before, person(viewer))
        viewer.press("space")
        until(lambda: not np.array_equal(before, viewer.picture()[140:170, 140:170]), "a moving picture")

    call = [*CALL, "--bg", "#00ff00", "--camera", str(SAMPLE)]
    assert _watch(display, call, does) == 0


def test_without_a_camera_the_window_stays_and_says_so(
    display: Screen, capfd: pytest.CaptureFixture[str]
) -> None:
    def does(viewer: Viewer) -> None:
        def says_so() -> bool:
            # before its first picture the window is grey all over
            seen = viewer.picture()
            return bool(seen[22:40].max() > 200 and not seen[60:].any())

        until(says_so, "a line about the camera, and nothing else")
        viewer.press("h")
        until(lambda: viewer.picture()[60:].max() > 200, "the help")

    assert _watch(display, [*CALL, "--camera", "63"], does) == 0
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "no camera /dev/video63" in err


def test_the_window_is_painted_at_every_start(display: Screen) -> None:
    """Without `_leave_events_to_qt` about one start in twenty leaves it black."""
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
def test_without_a_screen_that_answers_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("DISPLAY", name)
    assert run([*CALL, "--camera", str(SAMPLE)]) == 1
    err = capfd.readouterr().err
    assert "no screen" in err
    assert "--serve" in err
    assert err.count("\n") == 1
