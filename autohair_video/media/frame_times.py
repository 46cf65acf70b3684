"""Begin and duration of decoded frames, in ticks of their stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from autohair_video.media.decode import DecodeDamage

DecodedFrame = tuple[VideoFrame, int]


class TimedFrame(NamedTuple):
    """A decoded frame, its pts and how long it is displayed, in ticks."""

    image: VideoFrame
    pts: int
    duration: int


@dataclass
class TimestampFixes:
    """Counts time stamps that did not rise from frame to frame and were replaced.

    ``wrong``, ``right``: those of the first such frame, in ticks. ``latest``: the latest wrong one.
    ``restarts``: how often all later frames were moved, as their clock started again.
    """

    count: int = 0
    wrong: int = 0
    right: int = 0
    latest: int = 0
    restarts: int = 0

    def add(self, wrong: int, right: int) -> None:
        """Note a frame whose time stamp was replaced."""
        if self.count == 0:
            self.wrong, self.right = wrong, right
        self.latest = max(self.latest, wrong)
        self.count += 1

    def notice(self, time_base: Fraction, begin_s: Fraction) -> str | None:
        """One line on what was done; None if nothing was."""
        lines = []
        if self.count:
            wrong_s, right_s = (float(tick * time_base - begin_s) for tick in (self.wrong, self.right))
            others = f", and those of {self.count - 1} more" if self.count > 1 else ""
            lines.append(
                f"a frame's time stamp of {wrong_s:.2f} s does not fit its neighbours: "
                f"{right_s:.2f} s was used{others}"
            )
        if self.restarts:
            lines.append("its time stamps start again: later frames follow the earlier ones")
        return "; ".join(lines) or None


def timed_frames(
    decoded: Iterator[DecodedFrame],
    stream: VideoStream,
    end: int | None,
    damage: Sequence[DecodeDamage],
    fixes: TimestampFixes,
) -> Iterator[TimedFrame]:
    """Frames with strictly rising pts, each lasting until the next.

    The last one lasts until ``end``, or as long as its packet says; so it does where there is ``damage`` and
    ``end`` is far. Frames without a pts follow each other at the stream's rate. Time stamps that do not
    rise are replaced, and counted in ``fixes``.
    """
    step = 1
    if stream.average_rate and stream.time_base:
        step = max(1, round(1 / (stream.average_rate * stream.time_base)))
    held: TimedFrame | None = None
    for frame in rising_frames(decoded, step, fixes):
        if held is not None:
            step = frame.pts - held.pts
            yield held._replace(duration=step)
        held = frame
    if held is not None:
        rest, usual = 0 if end is None else end - held.pts, held.duration or step
        breaks_off = bool(damage) and rest > 2 * usual
        yield held._replace(duration=rest if rest > 0 and not breaks_off else usual)


def rising_frames(
    decoded: Iterator[DecodedFrame], usual_step: int, fixes: TimestampFixes
) -> Iterator[TimedFrame]:
    """Frames with strictly rising pts and their packets' durations, looking two frames ahead."""
    mender = _Mender(usual_step, fixes)
    window: deque[DecodedFrame] = deque()
    for frame in decoded:
        window.append(frame)
        if len(window) == 3:
            yield mender.next(window)
    while window:
        yield mender.next(window)


class _Mender:
    """Replaces single wrong time stamps by what their neighbours say; follows a clock that starts again."""

    def __init__(self, usual_step: int, fixes: TimestampFixes) -> None:
        self._step, self._fixes = usual_step, fixes
        self._offset = 0
        self._last: int | None = None

    def next(self, window: deque[DecodedFrame]) -> TimedFrame:
        """The first frame of ``window``, which has the next two behind it, and is taken out of it."""
        times = [None if image.pts is None else image.pts + self._offset for image, _ in window]
        pts, following, second = (*times, None, None)[:3]
        image, duration = window.popleft()
        time = self._time(pts, following, second)
        if self._last is not None:
            self._step = time - self._last
        self._last = time
        self._untimed_step = duration or self._step
        return TimedFrame(image, time, duration)

    def _time(self, pts: int | None, following: int | None, second: int | None) -> int:
        last = self._last
        if pts is None:
            return 0 if last is None else last + self._untimed_step
        if last is not None and pts <= last:
            if following is not None and following <= last:
                # Not one frame but all that come are earlier: the clock started again.
                self._offset += last + self._step - pts
                self._fixes.restarts += 1
                return last + self._step
            return self._mended(pts, following, second)
        if following is None or following > pts:
            return pts
        # One of two is wrong: this one, unless the frame after both agrees with it.
        is_wrong = (last is None or following > last) and second is not None and second <= pts
        return self._mended(pts, following, second) if is_wrong else pts

    def _mended(self, wrong: int, following: int | None, second: int | None) -> int:
        """A time between the neighbours: one step after the last frame, or before the first."""
        if self._last is None:
            step = second - following if second is not None and following is not None else self._step
            right = (following or 0) - max(1, step)
        else:
            right = self._last + self._step
            if following is not None and right >= following:
                right = max(self._last + 1, (self._last + following) // 2)
        self._fixes.add(wrong, right)
        return right
