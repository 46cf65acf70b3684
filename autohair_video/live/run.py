"""A whole session: camera, networks, viewers and the loop of the program's main thread."""

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

Say = Callable[[str], None]

_PATIENCE_S: Final = 0.1
_MEMORY_SAMPLES: Final = 200


@dataclass(frozen=True)
class LiveSinks:
    """Who shows a session's pictures. ``serve``: HOST:PORT of a page in the browser."""

    window: bool = True
    virtual_camera: bool = False
    serve: str | None = None

    @property
    def any(self) -> bool:
        """Whether anyone does."""
        return self.window or self.virtual_camera or self.serve is not None


def run_live(
    source: str,
    *,
    load: Callable[[Tier], MattingPipeline],
    options: LiveOptions,
    outlets: LiveSinks,
    say: Say,
    seconds: float | None = None,
) -> SessionStats:
    """Show a camera's pictures matted until the viewer has enough, or interrupts.

    Args:
        source: a camera's number, a device, a URL or a file.
        load: makes the networks of a tier, once the camera's name and the screen have proved good.
        options: how to begin.
        outlets: who shows the pictures.
        say: prints one line.
        seconds: end by itself after so long; then nobody need show the pictures, and they count as
            displayed when they are drawn.

    Returns:
        What the session came to.

    Raises:
        OptionError: a preset, a colour or an address is none, or nobody shows the pictures.
        InputError: a file is missing or is none.
        OutputError: there is no screen, no virtual camera, no free port, or a clip cannot be finished.
    """
    if seconds is None and not outlets.any:
        raise OptionError("nobody shows the pictures: leave out --no-window, or give --serve")
    camera = Camera(source, width=options.width, height=options.height, rate=options.rate)
    if outlets.window:
        check_display()
    with ExitStack() as stack:
        live = LiveSession(camera, load, options)
        if not outlets.any:
            live.viewers.append(live.displayed)
        window = _open(live, outlets, stack, say)
        stack.enter_context(camera)
        stack.enter_context(live)
        span = _RunTimer(seconds)
        with suppress(KeyboardInterrupt):
            _wait(live, window, say, span)
    live.is_over()  # raises what the last picture failed with
    return live.measured(span.memory_bytes)


def _open(live: LiveSession, outlets: LiveSinks, stack: ExitStack, say: Say) -> Window | None:
    if outlets.virtual_camera:
        say(f"virtual camera: {stack.enter_context(closing(VirtualCamera(live))).name}")
    if outlets.serve is not None:
        say(f"open {stack.enter_context(closing(_server(live, outlets.serve))).url}")
    return stack.enter_context(closing(Window(live))) if outlets.window else None


def _server(live: LiveSession, address: str) -> Server:
    try:
        from autohair_video.live.web.server import Server
    except ImportError as exc:
        raise OptionError(f"{exc.name} is missing: pip install 'autohair-video[live]'") from exc
    return Server(live, address)


class _RunTimer:
    """How long a session runs, and the memory it holds meanwhile; without an end none is looked at."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds, self._began_s = seconds, time.monotonic()
        self.memory_bytes: list[int] = []

    def is_over(self) -> bool:
        """Whether the time has come; to be asked again and again."""
        if self._seconds is None:
            return False
        share = (time.monotonic() - self._began_s) / self._seconds
        held = resident_bytes() if share * _MEMORY_SAMPLES >= len(self.memory_bytes) else None
        if held is not None:
            self.memory_bytes.append(held)
        return share >= 1


def _wait(live: LiveSession, window: Window | None, say: Say, span: _RunTimer) -> None:
    said: str | None = None
    while not live.is_over() and not span.is_over():
        if window is None:
            live.wait(_PATIENCE_S)
        else:
            window.show()
        trouble = live.figures().trouble
        if trouble is not None and trouble != said:
            say(trouble)
        said = trouble
