"""OpenCV's window and its keys."""

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
    """A key of the window: its name, its help text and its action."""

    name: str
    help: str
    press: Callable[[LiveSession], object]


def _change(change: Callable[[Settings], Settings]) -> Callable[[LiveSession], None]:
    return lambda live: live.settings.change(change)


KEYS: Final = {
    ord("q"): Key("q", "quit", LiveSession.quit),
    ord(" "): Key("space", "freeze", _change(lambda s: replace(s, frozen=not s.frozen))),
    ord("b"): Key("b", "next background", lambda live: live.settings.next_background()),
    ord("m"): Key("m", "next view", _change(lambda s: replace(s, view=next_item(VIEWS, s.view)))),
    ord("["): Key("[", "narrower band", _change(narrow_band)),
    ord("]"): Key("]", "wider band", _change(widen_band)),
    ord("t"): Key("t", "smoothing on or off", _change(lambda s: replace(s, smoothing=not s.smoothing))),
    ord("s"): Key("s", "snapshot with alpha", LiveSession.snapshot),
    ord("r"): Key("r", "record on or off", lambda live: live.recorder.toggle()),
}
_HELP_KEY: Final = ord("h")


class Window:
    """The window of a session; created, frame and closed on the main thread.

    Raises:
        OutputError: this OpenCV has no windows.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self._latest: LatestSlot[RenderedFrame] = LatestSlot()
        live.viewers.append(self._latest.put)
        self._image = np.zeros((live.options.height, live.options.width, 3), np.uint8)
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
        """Show the newest frame, if there is one, and handle a pressed key."""
        frame = self._latest.take(0)
        if frame is not None:
            self._image = frame.image
        lines = self._lines()
        if frame is not None or lines != self._drawn:
            self._draw(lines)
        key = cv2.waitKey(_POLL_MS)
        if frame is not None:
            self._live.displayed(frame)
        self._press(key)
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._live.quit()

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()
        cv2.waitKey(1)

    def _lines(self) -> tuple[str, ...]:
        status = self._live.status()
        lines = [status_line(status, self._live.settings.current)]
        lines += [line for line in (status.camera_fault, status.notice) if line]
        if self._help:
            lines += [f"{key.name}   {key.help}" for key in KEYS.values()] + ["h   this help"]
        return tuple(lines)

    def _draw(self, lines: tuple[str, ...]) -> None:
        size = (self._image.shape[1], self._image.shape[0])
        if size != self._size:
            cv2.resizeWindow(TITLE, *size)
            self._size = size
        cv2.imshow(TITLE, draw_overlay_text(self._image, lines))
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
    """Check that there is an X display, without which Qt would abort the process.

    OpenCV's Qt build supports X only, which Wayland desktops provide too.

    Raises:
        OutputError: there is no display, or it does not answer.
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
    """Load the system's libX11-xcb before Qt's plugin loads the one bundled in OpenCV's wheels.

    Through libX11-xcb, Qt tells the system's libX11 that it reads the event queue itself, by writing a field
    of a private struct. If the bundled library's struct layout differs, another field is written, Xlib keeps
    taking events, and the window is not painted, misses keys or hangs at its start. Symbols that are
    already loaded take precedence over a plugin's own.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)
