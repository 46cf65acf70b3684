"""Messages while a job runs: on stderr, one line each."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from autohair_video.jobs.progress import OnProgress
    from autohair_video.jobs.progress import Progress as JobProgress

_WIDE = 160
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line on stderr."""
    _errors.print(" ".join(text.split()))


def print_table(table: RenderableType) -> None:
    """Print a table, or a group of them, on stdout, at full width where that is no terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)


@contextmanager
def progress_lines(count: int, *, quiet: bool) -> Iterator[Callable[[int, str], OnProgress]]:
    """A bar with frames, frames per second and time left, and one for all jobs if there are several.

    Yields what begins the bar of a job by its number, from 0, and name. Nothing is shown when quiet or
    not on a terminal.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=_errors,
        redirect_stdout=sys.stdout.isatty(),
        disable=quiet or not _errors.is_terminal,
    )
    jobs = bar.add_task("all", total=count, rate="", visible=count > 1)
    frames = bar.add_task("", total=None, rate="")

    def begin(number: int, name: str) -> OnProgress:
        began_s = time.monotonic()
        bar.update(jobs, completed=number)
        bar.reset(frames, description=name, total=None, rate="")

        def show(progress: JobProgress) -> None:
            rate = progress.frames / max(1e-6, time.monotonic() - began_s)
            bar.update(frames, completed=progress.frames, total=progress.expected, rate=f"{rate:.1f} fps")

        return show

    with bar:
        yield begin


@contextmanager
def stop_on_signal() -> Iterator[Event]:
    """An event that the first Ctrl-C, or SIGTERM, sets; the next one interrupts immediately."""
    stop = Event()

    def ask(number: int, frame: object) -> None:
        stop.set()
        for signal_number in _STOPPING:
            signal.signal(signal_number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in _STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def status_line(*, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A line that is rewritten by each call; nothing when quiet or not on a terminal."""
    if quiet or not _errors.is_terminal:
        yield lambda _: None
        return
    with _errors.status("") as status:
        yield status.update
