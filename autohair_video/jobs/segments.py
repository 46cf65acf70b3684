"""A clip's job in parts, which goes on where it was interrupted (see `resume`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any, Final

from autohair_video.errors import InputError, JobError, OutputError, StoppedError
from autohair_video.frames import FrameBatch
from autohair_video.jobs.checkpoint import JobCheckpoint, Segment
from autohair_video.jobs.sinks import Sink, SinkGroup, render_and_encode
from autohair_video.jobs.spec import JobSpec
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.matting.state import CarriedState
from autohair_video.media.atomic_output import partial_path, present_files
from autohair_video.media.concat import TailSpec, concat_segments
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.runtime.queues import BackgroundWorker, prefetch
from autohair_video.tracking.selection import SubjectPrompt

OnFrames = Callable[[int], None]

_USUAL_RATE: Final = Fraction(25)
# They are described otherwise, or change nothing in what the parts hold.
_PASSED_OVER: Final = ("source", "overwrite", "resume", "output_dir")


@dataclass(frozen=True)
class SegmentedJob:
    """A clip, its outputs, and the networks; ``reader`` is at the clip's beginning."""

    request: JobSpec
    sinks: Sequence[Sink]
    reader: ClipReader
    batch_frames: int
    pipeline: MattingPipeline
    subject: SubjectPrompt

    @property
    def part_frames(self) -> int:
        """Frames of a part: whole batches, so that the frames are batched alike in every run."""
        batches = round(Fraction(self.request.segment_s) * self.rate / self.batch_frames)
        return max(1, batches) * self.batch_frames

    @property
    def rate(self) -> Fraction:
        """Frames per second, which all parts must name alike to their encoders."""
        return self.reader.info.rate or _USUAL_RATE

    def description(self) -> dict[str, Any]:
        """What must be the same for the job to go on."""
        source = self.request.source
        stats = [file.stat() for file in source.files]
        asked = {f.name: str(getattr(self.request, f.name)) for f in fields(JobSpec)}
        return {
            "input": str(source),
            "content of the input": [[s.st_size, 0 if source.label else s.st_mtime_ns] for s in stats],
            "rate": str(self.rate),
            "networks or matting options": self.pipeline.fingerprint(),
            "length of parts": self.part_frames,
            **{name: value for name, value in asked.items() if name not in _PASSED_OVER},
        }


@dataclass
class _Progress:
    """Frames that are done, and the tick at which the last one ends."""

    frames: int = 0
    end: int = 0


def run_segmented(job: SegmentedJob, *, on_frames: OnFrames, stop: Event) -> tuple[int, list[str]]:
    """Does the parts that are missing, and joins them all to the outputs.

    Args:
        job: what is to be done.
        on_frames: called after each batch with the frames done so far, those of earlier runs included.
        stop: when it is set, the job ends after the batch it is at.

    Returns:
        The number of frames, and notices.

    Raises:
        JobError: as `stream.process`. The parts remain, and the same call goes on from them; what plays
            is kept as ``name.partial.ext``.
    """
    folder = JobCheckpoint(job.sinks[0].target.path, job.description())
    done = _Progress(sum(part.frames for part in folder.done), folder.done[-1].end if folder.done else 0)
    place = folder.done[-1].place if folder.done else None
    skipped = (
        0 if place is not None and job.reader.resume_from(place) else -(-done.frames // job.batch_frames)
    )
    with closing(prefetch(job.reader)) as batches:
        for _ in islice(batches, skipped):
            pass
        try:
            while (first := next(batches, None)) is not None:
                if stop.is_set():
                    raise StoppedError(f"stopped after {done.frames} frames")
                carried = folder.load_state()
                span = chain([first], islice(batches, job.part_frames // job.batch_frames - 1))
                folder.commit(_do_part(job, folder, span, carried, done, on_frames, stop), carried)
            notices = [line for part in folder.done for line in part.notices]
            kept, told = _finish(job, folder, done.end)
        except JobError as exc:
            raise _kept(job, folder, done.end, exc) from exc
    if job.reader.truncated is not None:
        # All that decodes is done: another call would find no more.
        raise InputError(f"{job.reader.truncated}; kept so far: {', '.join(str(path) for path in kept)}")
    return done.frames, list(dict.fromkeys(notices + told))


def _do_part(
    job: SegmentedJob,
    folder: JobCheckpoint,
    span: Iterable[FrameBatch],
    carried: CarriedState,
    done: _Progress,
    on_frames: OnFrames,
    stop: Event,
) -> Segment:
    files, before = _next_files(job, folder), done.frames
    notices: list[str] = []
    with ExitStack() as stack:
        opened = [stack.enter_context(_writer(job, *pair)) for pair in zip(job.sinks, files, strict=True)]
        with BackgroundWorker(render_and_encode(job.sinks, SinkGroup(opened))) as encoder:
            for batch, matte in job.pipeline.frames(span, guide=job.subject, carry=carried):
                encoder.put((batch, matte))
                done.frames, done.end = done.frames + len(batch), batch.pts[-1] + batch.durations[-1]
                notices += matte.notices
                on_frames(done.frames)
                if stop.is_set():
                    break
        if stop.is_set():
            raise StoppedError(f"stopped after {done.frames} frames")
    notices += SinkGroup(opened).notices
    names = tuple(file.name for file in files)
    place = job.reader.seek_point(batch)
    return Segment(len(folder.done), done.frames - before, done.end, names, tuple(notices), place)


def _next_files(job: SegmentedJob, folder: JobCheckpoint) -> list[Path]:
    index = len(folder.done)
    return [folder.file(index, n, sink.target.path) for n, sink in enumerate(job.sinks)]


def _writer(job: SegmentedJob, sink: Sink, file: Path) -> ClipWriter:
    return ClipWriter(
        file,
        sink.target.preset,
        sink.format,
        job.reader.time_base,
        origin=job.reader.origin,
        rate=job.rate,
        hdr=job.reader.info.hdr,
        overwrite=True,
    )


def _finish(job: SegmentedJob, folder: JobCheckpoint, end: int) -> tuple[list[Path], list[str]]:
    """Joins all parts; the outputs of a clip that is not whole are partial. Returns them, and notices."""
    joined, whole = [], job.reader.truncated is None
    try:
        for number, sink in enumerate(job.sinks):
            rest = _rest(job, sink, end, whole=whole)
            joined.append(concat_segments(folder.files(number), sink.target.path, sink.target.preset, rest))
    except BaseException:
        for staged, _ in joined:
            staged.discard()
        raise
    folder.mark_joined()
    for staged, _ in joined:
        for interrupted in present_files(partial_path(staged.path)):
            interrupted.unlink()
        if whole:
            staged.commit()
        else:
            staged.commit_partial()
    folder.remove()
    return [staged.path for staged, _ in joined], [line for _, notices in joined for line in notices]


def _kept(job: SegmentedJob, folder: JobCheckpoint, end: int, error: JobError) -> JobError:
    """``error`` with what it leaves: the parts, and joined to playable files what can be."""
    kept = []
    for number, (sink, file) in enumerate(zip(job.sinks, _next_files(job, folder), strict=True)):
        tail = partial_path(file)
        parts = [*folder.files(number), *([tail] if present_files(tail) else [])]
        # The disk may be full; then the parts alone are kept.
        with suppress(OutputError):
            if parts:
                rest = _rest(job, sink, end, whole=False)
                staged, _ = concat_segments(parts, sink.target.path, sink.target.preset, rest)
                kept.append(str(staged.commit_partial()))
    folder.tidy()
    so_far = f"; kept so far: {', '.join(kept)}" if kept else ""
    return type(error)(f"{error}{so_far}; the same call goes on from {folder.path}")


def _rest(job: SegmentedJob, sink: Sink, end: int, *, whole: bool = True) -> TailSpec:
    reader, source = job.reader, job.request.source
    silent = sink.target.preset.role == "matte" or source.is_sequence
    shift = round(reader.origin / reader.time_base)
    return TailSpec(
        end_s=(end - shift) * reader.time_base,
        copy_from=None if silent else source.location,
        origin=reader.origin,
        until=reader.until,
        whole=whole,
    )
