"""Durations and times of encoded packets, as containers need them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from av.packet import Packet


class FixedRateGrid:
    """Rounds times to the grid of a container that only counts frames of one rate (AVI)."""

    def __init__(self, rate: Fraction, time_base: Fraction) -> None:
        self._step = time_base * rate
        self._begin: int | None = None
        self._last = -1

    def snap(self, pts: int) -> int | None:
        """The next frame's time, counted from the first and rounded to the grid; None if it is off a step."""
        self._begin = pts if self._begin is None else self._begin
        steps = (pts - self._begin) * self._step
        previous, self._last = self._last, round(steps)
        if previous >= self._last or abs(steps - self._last) > Fraction(1, 10):
            return None
        return round(self._last / self._step)


class PacketDurations:
    """Gives every packet the duration of its frame; counts in the encoder's ticks.

    ``end``: when the last frame ends, so far.
    """

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._begin: int | None = None
        self.end = 0
        self._first_dts: int | None = None

    def add(self, pts: int, duration: int) -> None:
        """Note a frame that is given to the encoder."""
        self._begin = pts if self._begin is None else self._begin
        self.end = pts + duration
        self._pending[pts] = duration

    def stamp(self, packets: Sequence[Packet[Any]]) -> None:
        """Set the durations of packets that came out of the encoder."""
        for packet in packets:
            if self._first_dts is None:
                self._first_dts = packet.dts
            if packet.pts is not None:
                packet.duration = self._pending.pop(packet.pts, 0)

    def is_first(self, packets: Sequence[Packet[Any]]) -> bool:
        """Whether no packet has come before these, which are in display order."""
        times = [packet.pts for packet in packets if packet.pts is not None]
        return self._first_dts is None and times == sorted(times)

    def complete(self, last: Packet[Any]) -> None:
        """`complete_track` for the packets that were stamped."""
        complete_track(last, begin_pts=self._begin, begin_dts=self._first_dts, end_pts=self.end)


def complete_track(last: Packet[Any], *, begin_pts: int | None, begin_dts: int | None, end_pts: int) -> None:
    """Extends the last packet of an MP4 track so that the track's length is that of its frames.

    That length is the sum of all durations in decoding order, in which another frame may be last than in
    display order. After a long first frame the sum is too long already: then the packet keeps its own
    duration. A last packet that is also the last frame displayed is never shortened.
    """
    if begin_pts is None or begin_dts is None or last.dts is None:
        return
    lacking = end_pts - begin_pts - (last.dts - begin_dts)
    own = last.duration or 0
    is_last_shown = last.pts is not None and last.pts + own == end_pts
    last.duration = max(lacking, own) if is_last_shown or lacking <= 0 else lacking
