"""Statistics of a session: frame rate, latency from camera to display, dropped frames, memory over time."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from rich.table import Table

_STATM: Final = Path("/proc/self/statm")
# The status line's rate and latency are those of the last frames, as many as one second has.
_RECENT_FRAMES: Final = 30
_MAX_LATENCIES: Final = 100_000
# The rate is 0 after so long without a frame; a notice stays for so long.
_STALE_S: Final = 2.0
_NOTICE_S: Final = 5.0


@dataclass(frozen=True)
class SessionStatus:
    """The present state of a session, for the status line.

    ``fps``: frames matted per second, recently. ``latency_s``: recent median time from camera to display;
    None before the first display. ``dropped``: camera frames that were skipped. ``quality`` of
    ``qualities``: the level, 1 being the coarsest. ``recorded_s``: length of the recording in progress.
    ``camera_fault``: what is wrong with the camera. ``notice``: a recent message.
    """

    fps: float
    latency_s: float | None
    dropped: int
    quality: int
    qualities: int
    recorded_s: int | None
    camera_fault: str | None
    notice: str | None


@dataclass(frozen=True)
class SessionStats:
    """Figures of a whole session.

    ``seconds``: from its first frame to its last. ``frames``: matted in that time. ``dropped``: camera
    frames that were skipped. ``latencies_s``: from camera to display, of each displayed frame.
    ``quality`` of ``qualities``: the final level, 1 being the coarsest. ``memory_bytes``: resident set of
    the process, sampled at even intervals; empty where the system does not report it.
    """

    seconds: float
    frames: int
    dropped: int
    latencies_s: tuple[float, ...]
    quality: int
    qualities: int
    memory_bytes: tuple[int, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second.

        >>> SessionStats(2.0, 61, 0, (), 5, 5).fps
        30.0
        """
        return (self.frames - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def latency_s(self) -> tuple[float, float] | None:
        """Median and 95th percentile; None where fewer than two frames were displayed.

        >>> SessionStats(1.0, 3, 0, (1.0, 2.0, 3.0), 5, 5).latency_s
        (2.0, 2.9)
        """
        if len(self.latencies_s) < 2:
            return None
        cuts = quantiles(self.latencies_s, n=20, method="inclusive")
        return cuts[9], cuts[18]

    @property
    def memory_by_tenths(self) -> tuple[int, ...]:
        """Bytes at the start and after each tenth of the time, 11 values; empty where unknown.

        >>> SessionStats(1.0, 9, 0, (), 5, 5, tuple(range(101))).memory_by_tenths
        (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
        """
        last = len(self.memory_bytes) - 1
        return tuple(self.memory_bytes[round(last * tenth / 10)] for tenth in range(11) if last >= 0)


class FrameCounter:
    """Counts matted, dropped and displayed frames; every method may be called from any thread.

    All attributes are read and written under one lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dropped = 0
        self._matted = 0
        self._number: int | None = None
        self._first_s: float | None = None
        self._recent_s: deque[float] = deque(maxlen=_RECENT_FRAMES)
        self._displayed = 0
        self._latencies_s: deque[float] = deque(maxlen=_MAX_LATENCIES)
        # a copy of the last ones: the status is read 60 times a second, when the other deque is long
        self._recent_latencies_s: deque[float] = deque(maxlen=_RECENT_FRAMES)

    def add_matted(self, number: int, now_s: float) -> None:
        """Count a matted frame by its camera number; the camera frames since the last one were dropped."""
        with self._lock:
            if self._number is not None:
                self._dropped += max(0, number - self._number - 1)
            self._number = number
            self._matted += 1
            self._first_s = now_s if self._first_s is None else self._first_s
            self._recent_s.append(now_s)

    def pause(self) -> None:
        """Do not count the camera frames up to the next matted one as dropped."""
        with self._lock:
            self._number = None

    def add_displayed(self, number: int, taken_s: float, now_s: float) -> None:
        """Count the first display of a frame that the camera gave at ``taken_s``."""
        with self._lock:
            if number > self._displayed:
                self._displayed = number
                self._latencies_s.append(now_s - taken_s)
                self._recent_latencies_s.append(now_s - taken_s)

    def fps(self, now_s: float) -> float:
        """Recent frames per second; 0 if the last one is more than two seconds old."""
        with self._lock:
            times_s = list(self._recent_s)
        if len(times_s) < 2 or now_s - times_s[-1] > _STALE_S:
            return 0.0
        return (len(times_s) - 1) / max(1e-6, times_s[-1] - times_s[0])

    def latency_s(self) -> float | None:
        """Recent median time from camera to display."""
        with self._lock:
            recent_s = list(self._recent_latencies_s)
        return median(recent_s) if recent_s else None

    @property
    def dropped(self) -> int:
        """Camera frames dropped so far."""
        return self._dropped

    def stats(self, *, quality: int, qualities: int, memory_bytes: tuple[int, ...]) -> SessionStats:
        """The figures so far."""
        with self._lock:
            seconds = 0.0 if self._first_s is None else self._recent_s[-1] - self._first_s
            latencies_s = tuple(self._latencies_s)
            return SessionStats(
                seconds, self._matted, self._dropped, latencies_s, quality, qualities, memory_bytes
            )


class Notice:
    """One message that is shown for some seconds; may be set and read from any thread.

    Text and end are one tuple, replaced as a whole, so that no lock is needed.
    """

    def __init__(self) -> None:
        self._until: tuple[str, float] = ("", 0.0)

    def set(self, text: str) -> None:
        """Show a message."""
        self._until = (text, time.monotonic() + _NOTICE_S)

    def text(self, now_s: float) -> str | None:
        """The message, while it is shown."""
        text, end_s = self._until
        return text if now_s < end_s else None


def resident_bytes() -> int | None:
    """Resident set of this process now; None where the system does not report it (all but Linux)."""
    if not _STATM.is_file():
        return None
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def as_table(stats: SessionStats) -> Table:
    """All figures, for a rich console."""
    table = Table("figure", "value", box=None)
    table.add_row("frames matted", f"{stats.frames} in {stats.seconds:.1f} s")
    table.add_row("rate", f"{stats.fps:.1f} fps")
    if stats.latency_s is not None:
        median_s, p95_s = stats.latency_s
        latency = f"{1000 * median_s:.0f} ms median, {1000 * p95_s:.0f} ms 95th percentile"
        table.add_row("camera to display", latency)
    table.add_row("dropped", str(stats.dropped))
    table.add_row("quality", f"{stats.quality} of {stats.qualities}")
    if stats.memory_bytes:
        sizes = " ".join(f"{size / 1e6:.0f}" for size in stats.memory_by_tenths)
        table.add_row("peak memory", f"{max(stats.memory_bytes) / 1e6:.0f} MB")
        table.add_row("memory by tenths of the time", f"{sizes} MB")
    return table


def as_json_dict(stats: SessionStats) -> dict[str, Any]:
    """All figures, for JSON; the keys name the units."""
    latency = stats.latency_s or (None, None)
    return {
        "seconds": stats.seconds,
        "frames": stats.frames,
        "fps": stats.fps,
        "latency_median_s": latency[0],
        "latency_p95_s": latency[1],
        "dropped": stats.dropped,
        "quality": stats.quality,
        "qualities": stats.qualities,
        "memory_by_tenths_bytes": stats.memory_by_tenths,
        "memory_peak_bytes": max(stats.memory_bytes, default=None),
    }
