"""Each stage by itself: one after the other, where a real job overlaps decoding, matting and encoding.

The encoder has threads of its own that would take their share of the other stages' time, so it runs
when those are done, on the clip that the job has written.
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
    """A stopwatch's seconds, batch by batch."""

    def __init__(self) -> None:
        self._frames = 0
        self._total_ms: dict[str, float] = {}
        self._batches_ms: dict[str, list[float]] = {}

    def add(self, seconds: dict[str, float], frames: int) -> None:
        """One batch; with 0 frames, work that belongs to the clip as a whole."""
        self._frames += frames
        for stage, spent_s in seconds.items():
            self._total_ms[stage] = self._total_ms.get(stage, 0.0) + 1000 * spent_s
            if frames:
                self._batches_ms.setdefault(stage, []).append(1000 * spent_s / frames)

    def stages(self) -> tuple[StageTime, ...]:
        """In the order in which a frame meets them."""
        return tuple(
            StageTime(stage, self._total_ms[stage] / self._frames, tuple(batches))
            for stage, batches in self._batches_ms.items()
        )


def time_matting(
    clip: BenchClip, background: str, load: Callable[[], MattingPipeline]
) -> tuple[StageTime, ...]:
    """Times all stages from decoding to the finished frames; nothing is written.

    A batch is matted beforehand that does not count. On an accelerator every stage waits for the work
    that it has queued.
    """
    matter = load()
    size = BATCH_FRAMES[matter.device.type]
    with ClipReader(clip.path, batch_size=size) as reader:
        next(matter.frames(reader))
    matter.watch = watch = StageTimer(matter.device)
    laps = _StageTimes()
    with ClipReader(clip.path, batch_size=size, end_s=clip.end_s) as reader:
        target = codec_format(preset_named("h264"), reader.format)
        with closing(open_background_planes(background, target)) as scene:
            for batch, matte in single_threaded_frames(matter, timed_stages(reader, watch, "decode")):
                result = composite(batch, matte, scene, target, watch=watch)
                with watch("download"):
                    result.to("cpu")
                laps.add(watch.take(), len(batch))
    return laps.stages()


def single_threaded_frames(
    matter: MattingPipeline, batches: Iterable[FrameBatch]
) -> Iterator[tuple[FrameBatch, Matte]]:
    """What `MattingPipeline.frames` gives, all on one thread, so that each stage's time is its own."""
    state = None
    for batch in batches:
        done, state = matter.step(batch, state)
        yield from done
    if state is not None:
        yield from matter.flush(state)[0]


def time_encoder(clip: Path, out: Path) -> tuple[StageTime, ...]:
    """Times encoding alone; the mean has the frames that the encoder holds back until the end."""
    laps, watch = _StageTimes(), StageTimer(torch.device("cpu"))
    with ClipReader(clip, batch_size=BATCH_FRAMES["cpu"]) as reader, ExitStack() as stack:
        writer = stack.enter_context(copy_writer(reader, clip, out))
        for batch in reader:
            with watch("encode"):
                writer.write(batch)
            laps.add(watch.take(), len(batch))
        with watch("encode"):
            stack.close()
        laps.add(watch.take(), 0)
    return laps.stages()


def timed_stages(items: Iterable[T], watch: StageClock, stage: str) -> Iterator[T]:
    """The items; what it takes to draw each counts to ``stage``."""
    waiting = iter(items)
    while True:
        with watch(stage):
            item = next(waiting, None)
        if item is None:
            return
        yield item
