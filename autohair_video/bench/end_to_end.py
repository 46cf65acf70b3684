"""The whole job as a user runs it, and its floor: the same clip decoded and encoded, no matting."""

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
    """What a job took: seconds on the clock, processor seconds of all threads, most bytes held."""

    frames: int
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int | None = None
    peak_device_memory_bytes: int | None = None

    @property
    def fps(self) -> float:
        """Frames per second on the clock."""
        return self.frames / self.wall_s


def time_end_to_end(
    clip: BenchClip, out: Path, background: str, load: Callable[[], MattingPipeline], *, warm: bool = True
) -> EndToEndTime:
    """Times `process`, from its call to the finished file.

    ``warm``: the networks are loaded and have matted one batch before; what they need for a first
    batch only (allocations, compiled graphs) is no share of a clip of some length.
    """
    matter = load()
    if warm:
        with ClipReader(clip.path, batch_size=BATCH_FRAMES[matter.device.type]) as reader:
            next(matter.frames(reader))
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    report = process(clip.path, out, background=background, end_s=clip.end_s, overwrite=True, pipeline=matter)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    return EndToEndTime(
        report.frames, wall_s, cpu_s, peak_memory_bytes(), peak_device_memory_bytes(matter.device)
    )


def time_codec_baseline(clip: BenchClip, out: Path) -> EndToEndTime:
    """Times decoding and encoding alone, with the queues and the encoder of the whole job."""
    frames = 0
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    with (
        ClipReader(clip.path, batch_size=BATCH_FRAMES["cpu"], end_s=clip.end_s) as reader,
        copy_writer(reader, clip.path, out) as writer,
        closing(prefetch(reader)) as batches,
        BackgroundWorker[FrameBatch](writer.write) as encoder,
    ):
        for batch in batches:
            encoder.put(batch)
            frames += len(batch)
    return EndToEndTime(frames, time.perf_counter() - began_s, time.process_time() - cpu_began_s)


def copy_writer(reader: ClipReader, source: Path, out: Path) -> ClipWriter:
    """What encodes a clip as the job does, sound and all."""
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
