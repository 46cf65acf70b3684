"""What a job reports while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far a job is: frames done, and expected in all if that is known."""

    frames: int
    expected: int | None


@dataclass(frozen=True)
class Report:
    """What a job did: the files written, the frames in each, and one line for each thing to know."""

    outputs: tuple[Path, ...]
    frames: int
    notices: tuple[str, ...] = field(default=())


OnProgress = Callable[[Progress], None]
