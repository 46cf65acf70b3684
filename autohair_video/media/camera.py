"""Cameras through OpenCV: the newest image, reconnecting when the device fails.

A thread of its own reads the camera and keeps only the newest image, so that a slow consumer gets no
backlog. A camera that is absent, busy or unplugged is opened again and again,
ever less often; meanwhile `Camera.fault` says in one line what is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.media.image import silenced_opencv
from autohair_video.runtime.queues import LatestSlot

BgrImage = NDArray[np.uint8]

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0
# OpenCV's time limit for opening and reading a stream.
_STREAM_TIMEOUT_MS: Final = 5000
_JOIN_TIMEOUT_S: Final = 2.0
# Above this width most USB cameras reach their full rate with compressed images only.
_RAW_WIDTH_PX: Final = 640
# A fault (black or frozen images) is reported after this long: single ones are normal.
_FAULT_AFTER_S: Final = 2.0
_BLACK_LEVEL: Final = 20
# Every 8th row and column is checked for faults.
_STRIDE: Final = 8


@dataclass(frozen=True)
class CameraFrame:
    """One image of a camera: (H, W, 3) uint8 BGR.

    ``number`` counts all images read from the camera, including those that no consumer took. ``taken_s`` is
    `time.monotonic` when the camera had handed it over.
    """

    image: BgrImage
    number: int
    taken_s: float


class Camera:
    """A camera, a stream or a file, read on a thread from ``with`` to its end.

    A file plays at its own rate, again and again. ``frames_read`` counts the images so far.

    Args:
        source: a number, a device (``/dev/video0``), a URL or a file.
        width: what the camera is asked for, in pixels; it may give another size, and change it.
        height: likewise.
        rate: images per second that the camera is asked for.

    Raises:
        InputError: ``source`` is a file that is missing, or no video.
    """

    def __init__(self, source: str, *, width: int, height: int, rate: float) -> None:
        self.source = source
        self.fault: str | None = None
        self._asked = (width, height, rate)
        self._newest: LatestSlot[CameraFrame] = LatestSlot()
        self._stop = threading.Event()
        self.frames_read = 0
        self._health = _FrameHealthMonitor(source)
        if is_file(source):
            self._open().release()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def newest(self, timeout_s: float) -> CameraFrame | None:
        """The newest image, once; None if there is none within that time."""
        return self._newest.take(timeout_s)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # a camera that hangs holds its own thread only
        self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            before = self.frames_read
            try:
                self._read_until_it_ends()
            except InputError as exc:
                self.fault = f"{exc} (trying again)"
            except cv2.error:
                self.fault = f"{_called(self.source)} gives images that cannot be decoded (trying again)"
            if self.frames_read > before:
                pause_s = FIRST_PAUSE_S
            if self.frames_read == before or not is_file(self.source):
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _read_until_it_ends(self) -> None:
        capture = self._open()
        try:
            for picture in self._images(capture):
                now_s = time.monotonic()
                self.frames_read += 1
                self.fault = None if is_file(self.source) else self._health.check(picture, now_s)
                self._newest.put(CameraFrame(picture, self.frames_read, now_s))
        finally:
            capture.release()
        if not self._stop.is_set() and not is_file(self.source):
            raise InputError(f"{_called(self.source)} stopped giving images: is it unplugged?")

    def _images(self, capture: cv2.VideoCapture) -> Iterator[BgrImage]:
        paced, began_s = is_file(self.source), time.monotonic()
        while not self._stop.is_set():
            given, picture = capture.read()
            if not given or picture is None:
                return
            if paced:
                due_s = began_s + capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                self._stop.wait(max(0.0, due_s - time.monotonic()))
            yield np.asarray(picture, np.uint8)

    def _open(self) -> cv2.VideoCapture:
        with silenced_opencv():
            if is_device(self.source):
                capture = _open_device(self.source, *self._asked)
            else:
                capture = _open_stream(self.source)
        if not capture.isOpened():
            raise InputError(_why_closed(self.source))
        return capture


def is_device(source: str) -> bool:
    """Whether ``source`` names a camera of this machine.

    >>> is_device("0"), is_device("/dev/video2"), is_device("rtsp://host/1"), is_device("a.mp4")
    (True, True, False, False)
    """
    return source.isdecimal() or source.startswith("/dev/")


def is_file(source: str) -> bool:
    """Whether ``source`` names a file, and so neither a camera nor a URL."""
    return not is_device(source) and "://" not in source


def _open_device(source: str, width: int, height: int, rate: float) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(int(source)) if source.isdecimal() else cv2.VideoCapture(source)
    if width > _RAW_WIDTH_PX:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    capture.set(cv2.CAP_PROP_FPS, rate)
    # images queued in the driver are late already
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _open_stream(source: str) -> cv2.VideoCapture:
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _STREAM_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _STREAM_TIMEOUT_MS,
    ]
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)


def _called(source: str) -> str:
    return f"camera {source}" if is_device(source) else source


def _why_closed(source: str) -> str:
    if is_file(source):
        missing = not Path(source).is_file()
        return f"camera file {source} " + ("does not exist" if missing else "is not a video that can be read")
    if not is_device(source):
        return f"{source} cannot be reached, or sends no video"
    device = Path(f"/dev/video{source}" if source.isdecimal() else source)
    if not sys.platform.startswith("linux"):
        return f"camera {source} is absent, not allowed for this program, or used by another"
    if not device.exists():
        return f"there is no camera {device}: is it plugged in?"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"camera {device} may not be read by this user: join the group video and log in again"
    return f"camera {device} is used by another program, or is none: close that one, or name another"


class _FrameHealthMonitor:
    """Watches the images themselves for lasting faults: black ones, and ones that never change."""

    def __init__(self, source: str) -> None:
        self._called = _called(source)
        self._last: BgrImage | None = None
        self._good_s: dict[str, float] = {}

    def check(self, picture: BgrImage, now_s: float) -> str | None:
        """The fault that has lasted for a while; None without one."""
        sampled = picture[::_STRIDE, ::_STRIDE]
        faults = {
            "gives black images: is its lid closed?": int(sampled.max()) < _BLACK_LEVEL,
            "has given the same image for a while": (
                self._last is not None and np.array_equal(sampled, self._last)
            ),
        }
        self._last = sampled.copy()
        for text, present in faults.items():
            if not present:
                self._good_s[text] = now_s
        lasting = (t for t in faults if now_s - self._good_s.setdefault(t, now_s) > _FAULT_AFTER_S)
        found = next(lasting, None)
        return None if found is None else f"{self._called} {found}"
