"""A screen without a monitor (Xvfb), its pixels, and hands on its keys (xdotool)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

PATIENCE_S = 60
T = TypeVar("T")


def until(condition: Callable[[], T], what: str) -> T:
    """Wait for something that another thread or program does; what the condition gave when it came true."""
    end_s = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not (given := condition()):
        assert time.monotonic() < end_s, f"in vain: {what}"
        pause.wait(0.02)
    return given


class Screen:
    """A running Xvfb."""

    def __init__(self, name: str, pixels: Path) -> None:
        self.name, self._pixels = name, pixels

    def window(self, title: str) -> str | None:
        """The window of that title."""
        found = self._xdotool("search", "--onlyvisible", "--name", f"^{title}$").split()
        return found[0] if found else None

    def press(self, window: str, key: str) -> None:
        """Press a key in a window."""
        self._xdotool("windowfocus", window, "key", key)

    def is_painted(self, window: str, *, width: int, height: int) -> bool:
        """Whether a window has that size and shows anything; before its first picture it is black or grey."""
        picture = self.picture(window)
        return picture.shape == (height, width, 3) and bool(picture.min() < picture.max())

    def picture(self, window: str) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: what can be seen of a window."""
        lines = self._xdotool("getwindowgeometry", "--shell", window).split()
        place = dict(line.split("=") for line in lines)
        x, y, width, height = (int(place[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
        return self._all()[y : y + height, x : x + width]

    def _all(self) -> NDArray[np.uint8]:
        data = self._pixels.read_bytes()
        # the XWD header: its own size, the picture's size, the bytes of a row, and a table of colours
        header = np.frombuffer(data, ">u4", 25)
        size, width, height, row, colours = (int(header[i]) for i in (0, 4, 5, 12, 19))
        rows = np.frombuffer(data, np.uint8, row * height, size + 12 * colours).reshape(height, row // 4, 4)
        return rows[:, :width, 2::-1]

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], capture_output=True, text=True, check=False)
        return done.stdout


@contextmanager
def screen(folder: Path) -> Iterator[Screen]:
    """A screen of 1024x640, which is DISPLAY meanwhile."""
    reading, writing = os.pipe()
    call = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x640x24", "-fbdir", str(folder)]
    server = subprocess.Popen(
        [*call, "-nolisten", "tcp", "-noreset"], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        name = f":{answer.readline().strip()}"
    before = os.environ.get("DISPLAY")
    os.environ["DISPLAY"] = name
    try:
        yield Screen(name, folder / "Xvfb_screen0")
    finally:
        if before is None:
            del os.environ["DISPLAY"]
        else:
            os.environ["DISPLAY"] = before
        server.terminate()
        server.wait()
