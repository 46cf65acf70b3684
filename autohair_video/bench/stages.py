"""Time of each stage, run one after the other; a real job overlaps decoding, matting and encoding.

The encoder's own threads would slow the other stages down, so it is timed after them, on the clip that the
job has written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TypeVar

import torch

from autohair_video.bench.clip import BenchClip
from autohair_video.bench.end_to_end import copy_writer
from autohair_video.compositing.render import composite, open_background_planes
from autohair_video.frames import FrameBatch, Matte
from autohair_video.jobs.runner import BATCH_FRAMES
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.presets import codec_format, preset_named
from autohair_video.media.reader import ClipReader
from autohair_video.runtime.profiling import StageClock, StageTimer

T = TypeVar("T")


@dataclass(frozen=True)
class StageTime:
    """One stage: milliseconds a frame, for each batch, and over all frames (``mean_ms``)."""

    name: str
    mean_ms: float
    batches_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Of the batches."""
        return median(self.batches_ms)

    @property
    def spread_ms(self) -> tuple[float, float]:
        """Lower and upper quartile of the batches."""
        if len(self.batches_ms) == 1:
            return self.batches_ms[0], self.batches_ms[0]
        low, _, high = quantiles(self.batches_ms, n=4, method="inclusive")
        return low, high


class _StageTimes:
    """Accumulates a `StageTimer`'s seconds, batch by batch."""

    def __init__(self) -> None:
        self._frames = 0
        self._total_ms: dict[str, float] = {}
        self._batches_ms: dict[str, list[float]] = {}

    def add(self, seconds: dict[str, float], frames: int) -> None:
        """Add one batch; with 0 frames, work that belongs to the clip as a whole."""
        self._frames += frames
        for stage, spent_s in seconds.items():
            self._total_ms[stage] = self._total_ms.get(stage, 0.0) + 1000 * spent_s
            if frames:
                self._batches_ms.setdefault(stage, []).append(1000 * spent_s / frames)

    def stages(self) -> tuple[StageTime, ...]:
        """All stages, in the order in which a frame meets them."""
        return tuple(
            StageTime(stage, self._total_ms[stage] / self._frames, tuple(batches))
            for stage, batches in self._batches_ms.items()
        )


def time_matting(
    clip: BenchClip, background: str, load: Callable[[], MattingPipeline]
) -> tuple[StageTime, ...]:
    """Times all stages from decoding to the finished frames; nothing is written.

    One batch is matted beforehand as a warm-up. On an accelerator every stage waits for the kernels that it
    launched.
    """
    pipeline = load()
    size = BATCH_FRAMES[pipeline.device.type]
    with ClipReader(clip.path, batch_size=size) as reader:
        next(pipeline.frames(reader))
    pipeline.watch = watch = StageTimer(pipeline.device)
    times = _StageTimes()
    with ClipReader(clip.path, batch_size=size, end_s=clip.end_s) as reader:
        target = codec_format(preset_named("h264"), reader.format)
        with closing(open_background_planes(background, target)) as scene:
            for batch, matte in single_threaded_frames(pipeline, timed_stages(reader, watch, "decode")):
                result = composite(batch, matte, scene, target, watch=watch)
                with watch("download"):
                    result.to("cpu")
                times.add(watch.take(), len(batch))
    return times.stages()


def single_threaded_frames(
    pipeline: MattingPipeline, batches: Iterable[FrameBatch]
) -> Iterator[tuple[FrameBatch, Matte]]:
    """`MattingPipeline.frames` on a single thread, so that stages do not overlap."""
    state = None
    for batch in batches:
        done, state = pipeline.step(batch, state)
        yield from done
    if state is not None:
        yield from pipeline.flush(state)[0]


def time_encoder(clip: Path, out: Path) -> tuple[StageTime, ...]:
    """Times encoding alone; the mean includes the frames that the encoder delays until the end."""
    times, watch = _StageTimes(), StageTimer(torch.device("cpu"))
    with ClipReader(clip, batch_size=BATCH_FRAMES["cpu"]) as reader, ExitStack() as stack:
        writer = stack.enter_context(copy_writer(reader, clip, out))
        for batch in reader:
            with watch("encode"):
                writer.write(batch)
            times.add(watch.take(), len(batch))
        with watch("encode"):
            stack.close()
        times.add(watch.take(), 0)
    return times.stages()


def timed_stages(items: Iterable[T], watch: StageClock, stage: str) -> Iterator[T]:
    """The items; the time to produce each counts to ``stage``."""
    waiting = iter(items)
    while True:
        with watch(stage):
            item = next(waiting, None)
        if item is None:
            return
        yield item
