"""OpenCV's window, and the keys it takes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from autohair_video.errors import AutohairError, OutputError
from autohair_video.live.overlay import draw_overlay_text, status_line
from autohair_video.live.session import LiveSession, RenderedFrame
from autohair_video.live.settings import VIEWS, Settings, narrow_band, next_item, widen_band
from autohair_video.runtime.queues import LatestSlot

TITLE: Final = "autohair-video"
_POLL_MS: Final = 15


@dataclass(frozen=True)
class Key:
    """A key of the window: what it is called, what it does in words, and what it does."""

    name: str
    help: str
    press: Callable[[LiveSession], object]


def _change(change: Callable[[Settings], Settings]) -> Callable[[LiveSession], None]:
    return lambda live: live.change(change)


KEYS: Final = {
    ord("q"): Key("q", "quit", LiveSession.quit),
    ord(" "): Key("space", "freeze", _change(lambda s: replace(s, frozen=not s.frozen))),
    ord("b"): Key("b", "next background", LiveSession.next_background),
    ord("m"): Key("m", "next view", _change(lambda s: replace(s, view=next_item(VIEWS, s.view)))),
    ord("["): Key("[", "narrower band", _change(narrow_band)),
    ord("]"): Key("]", "wider band", _change(widen_band)),
    ord("t"): Key("t", "smoothing on or off", _change(lambda s: replace(s, smoothing=not s.smoothing))),
    ord("s"): Key("s", "snapshot with alpha", LiveSession.snapshot),
    ord("r"): Key("r", "record on or off", LiveSession.toggle_recording),
}
_HELP_KEY: Final = ord("h")


class Window:
    """The window of a session; to be made, shown and closed on the program's main thread.

    Raises:
        OutputError: this OpenCV has no windows.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self._newest: LatestSlot[RenderedFrame] = LatestSlot()
        live.viewers.append(self._newest.put)
        self._picture = np.zeros((live.options.height, live.options.width, 3), np.uint8)
        self._size = (0, 0)
        self._help = False
        self._drawn: tuple[str, ...] = ()
        _preload_x11_xcb()
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as exc:
            raise OutputError(
                "this OpenCV has no windows: pip uninstall opencv-python-headless, then "
                "pip install --force-reinstall opencv-python; or use --serve"
            ) from exc

    def show(self) -> None:
        """Show the newest picture, if there is one, and do what the key pressed says."""
        shown = self._newest.take(0)
        if shown is not None:
            self._picture = shown.picture
        lines = self._lines()
        if shown is not None or lines != self._drawn:
            self._draw(lines)
        key = cv2.waitKey(_POLL_MS)
        if shown is not None:
            self._live.displayed(shown)
        self._press(key)
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._live.quit()

    def close(self) -> None:
        """Take the window away."""
        cv2.destroyAllWindows()
        cv2.waitKey(1)

    def _lines(self) -> tuple[str, ...]:
        figures = self._live.figures()
        lines = [status_line(figures, self._live.settings)]
        lines += [line for line in (figures.camera_fault, figures.notice) if line]
        if self._help:
            lines += [f"{key.name}   {key.help}" for key in KEYS.values()] + ["h   this help"]
        return tuple(lines)

    def _draw(self, lines: tuple[str, ...]) -> None:
        size = (self._picture.shape[1], self._picture.shape[0])
        if size != self._size:
            cv2.resizeWindow(TITLE, *size)
            self._size = size
        cv2.imshow(TITLE, draw_overlay_text(self._picture, lines))
        self._drawn = lines

    def _press(self, code: int) -> None:
        if code == _HELP_KEY:
            self._help = not self._help
        key = KEYS.get(code)
        if key is None:
            return
        try:
            key.press(self._live)
        except AutohairError as exc:
            self._live.notify(str(exc))


def check_display() -> None:
    """Refuse a machine without a screen, where Qt would end the whole program.

    OpenCV's Qt knows X only, which Wayland's desktops offer too.

    Raises:
        OutputError: there is none, or it does not answer.
    """
    if sys.platform.startswith("linux") and not _x_display_opens():
        raise OutputError("no screen for a window: run it on a desktop, or use --serve 127.0.0.1:8000")


def _x_display_opens() -> bool:
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return bool(os.environ.get("DISPLAY"))
    x11.XOpenDisplay.restype, x11.XCloseDisplay.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if display is None:
        return False
    x11.XCloseDisplay(display)
    return True


def _preload_x11_xcb() -> None:
    """Keep Xlib from taking events that are meant for Qt.

    OpenCV's wheels bring a libX11-xcb of their own, by which Qt tells the system's libX11 that it reads the
    events itself. The two need not fit: the word is then written beside its place, Xlib takes events now
    and then, and the window is not painted, misses keys, or waits for ever at its start. Symbols that
    are there already go before a plugin's own, so the system's library is loaded first.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)
