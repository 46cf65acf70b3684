"""A whole session: camera, networks, viewers and the loop of the program's main thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from rich.table import Table

from autohair_video.errors import OptionError
from autohair_video.live.loop import Live, Measured
from autohair_video.live.quality import LEVELS
from autohair_video.live.settings import LiveOptions
from autohair_video.live.virtual import VirtualCamera
from autohair_video.live.window import Window, check_screen
from autohair_video.media.camera import Camera
from autohair_video.pipeline import Matter

if TYPE_CHECKING:
    from autohair_video.live.server import Server

Say = Callable[[str], None]

_PATIENCE_S: Final = 0.1


@dataclass(frozen=True)
class Outlets:
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
    load: Callable[[], Matter],
    options: LiveOptions,
    outlets: Outlets,
    say: Say,
    seconds: float | None = None,
) -> Measured:
    """Show a camera's pictures matted until the viewer has enough, or interrupts.

    Args:
        source: a camera's number, a device, a URL or a file.
        load: makes the networks, once the camera's name and the screen have proved good.
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
        check_screen()
    with ExitStack() as stack:
        live = Live(camera, load(), options)
        if not outlets.any:
            live.viewers.append(live.displayed)
        window = _open(live, outlets, stack, say)
        stack.enter_context(camera)
        stack.enter_context(live)
        with suppress(KeyboardInterrupt):
            _wait(live, window, say, seconds)
    return live.measured()


def _open(live: Live, outlets: Outlets, stack: ExitStack, say: Say) -> Window | None:
    if outlets.virtual_camera:
        say(f"virtual camera: {stack.enter_context(closing(VirtualCamera(live))).name}")
    if outlets.serve is not None:
        say(f"open {stack.enter_context(closing(_server(live, outlets.serve))).url}")
    return stack.enter_context(closing(Window(live))) if outlets.window else None


def _server(live: Live, address: str) -> Server:
    try:
        from autohair_video.live.server import Server
    except ImportError as exc:
        raise OptionError(f"{exc.name} is missing: pip install 'autohair-video[live]'") from exc
    return Server(live, address)


def _wait(live: Live, window: Window | None, say: Say, seconds: float | None) -> None:
    until_s = math.inf if seconds is None else time.monotonic() + seconds
    said: str | None = None
    while not live.is_over() and time.monotonic() < until_s:
        if window is None:
            live.wait(_PATIENCE_S)
        else:
            window.show()
        trouble = live.figures().trouble
        if trouble is not None and trouble != said:
            say(trouble)
        said = trouble


def as_table(measured: Measured) -> Table:
    """Rate and latency of a session, for a rich console."""
    table = Table("figure", "value", box=None)
    table.add_row("pictures matted", f"{measured.pictures} in {measured.seconds:.1f} s")
    table.add_row("of late", f"{measured.last.fps:.1f} fps")
    if len(measured.latencies_s) > 1:
        cuts = quantiles(measured.latencies_s, n=20)
        latency = f"{1000 * cuts[9]:.0f} ms median, {1000 * cuts[18]:.0f} ms 95th percentile"
        table.add_row("camera to display", latency)
    table.add_row("dropped", str(measured.last.dropped))
    table.add_row("quality", f"{len(LEVELS) - measured.last.level} of {len(LEVELS)}")
    return table
