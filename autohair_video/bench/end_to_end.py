"""The whole job as a user runs it, and the codec baseline: the same clip decoded and encoded, no matting."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from autohair_video.bench.clip import BenchClip
from autohair_video.frames import FrameBatch
from autohair_video.jobs.runner import BATCH_FRAMES, process
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.presets import preset_named
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.runtime.profiling import peak_device_memory_bytes, peak_memory_bytes
from autohair_video.runtime.queues import BackgroundWorker, prefetch


@dataclass(frozen=True)
class EndToEndTime:
    """A job's wall-clock seconds, processor seconds of all threads, and peak memory in bytes."""

    frames: int
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int | None = None
    peak_device_memory_bytes: int | None = None

    @property
    def fps(self) -> float:
        """Frames per wall-clock second."""
        return self.frames / self.wall_s


def time_end_to_end(
    clip: BenchClip, out: Path, background: str, load: Callable[[], MattingPipeline], *, warm: bool = True
) -> EndToEndTime:
    """Times `process`, from its call to the finished file.

    ``warm``: one batch is matted before, so that one-time costs of the first batch (allocations, compiled
    graphs) do not count; they are negligible in a clip of some length.
    """
    pipeline = load()
    if warm:
        with ClipReader(clip.path, batch_size=BATCH_FRAMES[pipeline.device.type]) as reader:
            next(pipeline.frames(reader))
    started_s, cpu_started_s = time.perf_counter(), time.process_time()
    report = process(
        clip.path, out, background=background, end_s=clip.end_s, overwrite=True, pipeline=pipeline
    )
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_started_s
    return EndToEndTime(
        report.frames, wall_s, cpu_s, peak_memory_bytes(), peak_device_memory_bytes(pipeline.device)
    )


def time_codec_baseline(clip: BenchClip, out: Path) -> EndToEndTime:
    """Times decoding and encoding alone, with the queues and the encoder of the whole job."""
    frames = 0
    started_s, cpu_started_s = time.perf_counter(), time.process_time()
    with (
        ClipReader(clip.path, batch_size=BATCH_FRAMES["cpu"], end_s=clip.end_s) as reader,
        copy_writer(reader, clip.path, out) as writer,
        closing(prefetch(reader)) as batches,
        BackgroundWorker[FrameBatch](writer.write) as encoder,
    ):
        for batch in batches:
            encoder.put(batch)
            frames += len(batch)
    return EndToEndTime(frames, time.perf_counter() - started_s, time.process_time() - cpu_started_s)


def copy_writer(reader: ClipReader, source: Path, out: Path) -> ClipWriter:
    """The writer of a job: encodes a clip and copies its audio."""
    return ClipWriter(
        out,
        preset_named("h264"),
        reader.format,
        reader.time_base,
        copy_from=source,
        origin=reader.origin,
        until=reader.until,
        overwrite=True,
    )
