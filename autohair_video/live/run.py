"""A whole session for the command line: camera, networks, sinks and the main thread's loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autohair_video.errors import OptionError
from autohair_video.live.session import LiveSession
from autohair_video.live.settings import LiveOptions
from autohair_video.live.stats import SessionStats, resident_bytes
from autohair_video.live.virtual_camera import VirtualCamera
from autohair_video.live.window import Window, check_display
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.camera import Camera
from autohair_video.options import Tier

if TYPE_CHECKING:
    from autohair_video.live.web.server import Server

_POLL_S: Final = 0.1
_MEMORY_SAMPLES: Final = 200


@dataclass(frozen=True)
class LiveSinks:
    """Where a session's frames are shown. ``serve``: HOST:PORT of the page in the browser."""

    window: bool = True
    virtual_camera: bool = False
    serve: str | None = None

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return self.window or self.virtual_camera or self.serve is not None


def run_live(
    source: str,
    *,
    load: Callable[[Tier], MattingPipeline],
    options: LiveOptions,
    sinks: LiveSinks,
    report: Callable[[str], None],
    seconds: float | None = None,
) -> SessionStats:
    """Run a session until the viewer quits, the time is over, or it is interrupted.

    Args:
        source: a camera's number, a device, a URL or a file.
        load: loads the networks of a tier; called once the source, the display and the presets are checked.
        options: fixed options.
        sinks: where the frames are shown.
        report: prints one line.
        seconds: end after this time; then no sink is needed, and a frame counts as displayed when it is
            rendered.

    Returns:
        The figures of the session.

    Raises:
        OptionError: a preset, a colour or an address is invalid, or there is no sink.
        InputError: a file is missing or unreadable.
        OutputError: there is no display, no virtual camera, no free port, or a recording cannot be finalized.
    """
    if seconds is None and not sinks.any:
        raise OptionError("nothing shows the frames: leave out --no-window, or give --serve")
    camera = Camera(source, width=options.width, height=options.height, rate=options.rate)
    if sinks.window:
        check_display()
    with ExitStack() as stack:
        live = LiveSession(camera, load, options)
        if not sinks.any:
            live.viewers.append(live.displayed)
        window = _open_sinks(live, sinks, stack, report)
        stack.enter_context(camera)
        stack.enter_context(live)
        timer = _RunTimer(seconds)
        with suppress(KeyboardInterrupt):
            _wait(live, window, report, timer)
    live.check_ended()  # raises an error of the last frame
    return live.stats(timer.memory_bytes)


def _open_sinks(
    live: LiveSession, sinks: LiveSinks, stack: ExitStack, report: Callable[[str], None]
) -> Window | None:
    if sinks.virtual_camera:
        report(f"virtual camera: {stack.enter_context(closing(VirtualCamera(live))).name}")
    if sinks.serve is not None:
        report(f"open {stack.enter_context(closing(_server(live, sinks.serve))).url}")
    return stack.enter_context(closing(Window(live))) if sinks.window else None


def _server(live: LiveSession, address: str) -> Server:
    try:
        from autohair_video.live.web.server import Server
    except ImportError as exc:
        raise OptionError(f"{exc.name} is missing: pip install 'autohair-video[live]'") from exc
    return Server(live, address)


class _RunTimer:
    """The time limit of a session; samples the process's memory where there is one."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds, self._started_s = seconds, time.monotonic()
        self.memory_bytes: list[int] = []

    def is_over(self) -> bool:
        """Whether the time is over; polled by the main loop."""
        if self._seconds is None:
            return False
        fraction = (time.monotonic() - self._started_s) / self._seconds
        held = resident_bytes() if fraction * _MEMORY_SAMPLES >= len(self.memory_bytes) else None
        if held is not None:
            self.memory_bytes.append(held)
        return fraction >= 1


def _wait(live: LiveSession, window: Window | None, report: Callable[[str], None], timer: _RunTimer) -> None:
    reported: str | None = None
    while not live.check_ended() and not timer.is_over():
        if window is None:
            live.wait(_POLL_S)
        else:
            window.show()
        fault = live.status().camera_fault
        if fault is not None and fault != reported:
            report(fault)
        reported = fault
