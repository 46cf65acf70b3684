"""Begin and duration of decoded frames, in ticks of their stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from autohair_video.media.decode import DecodeDamage


class TimedFrame(NamedTuple):
    """A decoded frame, its pts and how long it is displayed, in ticks."""

    image: VideoFrame
    pts: int
    duration: int


def timed_frames(
    decoded: Iterator[tuple[VideoFrame, int]],
    stream: VideoStream,
    end: int | None,
    damage: Sequence[DecodeDamage],
) -> Iterator[TimedFrame]:
    """Frames with strictly rising pts, each lasting until the next.

    The last one lasts until ``end``, or as long as its packet says; so it does where there is ``damage`` and
    ``end`` is far. Frames without a pts follow each other at the stream's rate.
    """
    step = 1
    if stream.average_rate and stream.time_base:
        step = max(1, round(1 / (stream.average_rate * stream.time_base)))
    held: TimedFrame | None = None
    for image, duration in decoded:
        pts = image.pts
        if held is None:
            pts = 0 if pts is None else pts
        else:
            pts = held.pts + (held.duration or step) if pts is None else max(pts, held.pts + 1)
            step = pts - held.pts
            yield held._replace(duration=step)
        held = TimedFrame(image, pts, duration)
    if held is not None:
        rest, usual = 0 if end is None else end - held.pts, held.duration or step
        breaks_off = bool(damage) and rest > 2 * usual
        yield held._replace(duration=rest if rest > 0 and not breaks_off else usual)
