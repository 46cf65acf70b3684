"""A session in figures: rate, time from the camera to the display, and memory over time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from rich.table import Table

_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True)
class SessionStatus:
    """How a session does.

    ``fps``: pictures matted per second of late. ``latency_s``: median time from the camera to the
    display of late; None before the first display. ``dropped``: pictures of the camera passed over.
    ``quality`` of ``qualities``: the level, 1 being the coarsest. ``recorded_s``: length of the clip
    being recorded. ``trouble``: what is wrong with the camera. ``notice``: what has happened just now.
    """

    fps: float
    latency_s: float | None
    dropped: int
    quality: int
    qualities: int
    recorded_s: int | None
    trouble: str | None
    notice: str | None


@dataclass(frozen=True)
class SessionStats:
    """What a session came to.

    ``seconds``: from its first picture to its last. ``pictures``: matted in that time. ``dropped``: the
    camera's pictures passed over. ``latencies_s``: from the camera to the display, of each that was
    shown. ``quality`` of ``qualities``: the level at the end, 1 being the coarsest. ``memory_bytes``: what
    the process held, at even intervals; empty where the system does not tell.
    """

    seconds: float
    pictures: int
    dropped: int
    latencies_s: tuple[float, ...]
    quality: int
    qualities: int
    memory_bytes: tuple[int, ...] = ()

    @property
    def fps(self) -> float:
        """Pictures per second.

        >>> SessionStats(2.0, 61, 0, (), 5, 5).fps
        30.0
        """
        return (self.pictures - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def latency_s(self) -> tuple[float, float] | None:
        """Median and 95th percentile; None where fewer than two pictures were shown.

        >>> SessionStats(1.0, 3, 0, (1.0, 2.0, 3.0), 5, 5).latency_s
        (2.0, 2.9)
        """
        if len(self.latencies_s) < 2:
            return None
        cuts = quantiles(self.latencies_s, n=20, method="inclusive")
        return cuts[9], cuts[18]

    @property
    def memory_by_tenths(self) -> tuple[int, ...]:
        """Bytes at the beginning and after each tenth of the time, 11 figures; none where it is not known.

        >>> SessionStats(1.0, 9, 0, (), 5, 5, tuple(range(101))).memory_by_tenths
        (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
        """
        last = len(self.memory_bytes) - 1
        return tuple(self.memory_bytes[round(last * tenth / 10)] for tenth in range(11) if last >= 0)


def resident_bytes() -> int | None:
    """What this process holds in memory now; None where the system does not tell (all but Linux)."""
    if not _STATM.is_file():
        return None
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def as_table(measured: SessionStats) -> Table:
    """All figures, for a rich console."""
    table = Table("figure", "value", box=None)
    table.add_row("pictures matted", f"{measured.pictures} in {measured.seconds:.1f} s")
    table.add_row("rate", f"{measured.fps:.1f} fps")
    if measured.latency_s is not None:
        median_s, late_s = measured.latency_s
        latency = f"{1000 * median_s:.0f} ms median, {1000 * late_s:.0f} ms 95th percentile"
        table.add_row("camera to display", latency)
    table.add_row("dropped", str(measured.dropped))
    table.add_row("quality", f"{measured.quality} of {measured.qualities}")
    if measured.memory_bytes:
        sizes = " ".join(f"{size / 1e6:.0f}" for size in measured.memory_by_tenths)
        table.add_row("memory", f"{max(measured.memory_bytes) / 1e6:.0f} MB at most")
        table.add_row("by tenths of the time", f"{sizes} MB")
    return table


def as_figures(measured: SessionStats) -> dict[str, Any]:
    """All figures, for JSON; the keys name the units."""
    latency = measured.latency_s or (None, None)
    return {
        "seconds": measured.seconds,
        "pictures": measured.pictures,
        "fps": measured.fps,
        "latency_median_s": latency[0],
        "latency_p95_s": latency[1],
        "dropped": measured.dropped,
        "quality": measured.quality,
        "qualities": measured.qualities,
        "memory_by_tenths_bytes": measured.memory_by_tenths,
        "memory_most_bytes": max(measured.memory_bytes, default=None),
    }
