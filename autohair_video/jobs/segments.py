"""A clip written in segments that survive a crash (see `autohair_video.jobs.checkpoint`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from autohair_video.errors import InputError, JobError, OutputError
from autohair_video.frames import FrameBatch
from autohair_video.jobs.checkpoint import JobCheckpoint, Segment
from autohair_video.jobs.sinks import Sink, SinkGroup, Span, is_silent
from autohair_video.jobs.spec import JobSpec
from autohair_video.media.atomic_output import partial_path, present_files
from autohair_video.media.concat import TailSpec, concat_segments
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.options import JobOptions

_USUAL_RATE: Final = Fraction(25)
# They change nothing in what the segments hold.
_NOT_COMPARED: Final = ("overwrite", "resume", "output_dir", "rate")


class SegmentedSink:
    """Every output of a clip in segments, which are concatenated when the last one is complete.

    A segment is matted from the state that the one before it left, so that the outputs are the same whether
    or not the job was interrupted.

    Args:
        spec: the job.
        sinks: its outputs.
        reader: at the clip's beginning; moved behind what earlier runs have done.
        batch_frames: frames of a batch; a segment is a whole number of batches in every run.
        fingerprint: of networks and matting options, which may not change between runs.

    Raises:
        OutputError: the checkpoint is of another job, or cannot be made or read.
    """

    def __init__(
        self,
        spec: JobSpec,
        sinks: Sequence[Sink],
        reader: ClipReader,
        *,
        batch_frames: int,
        fingerprint: str,
    ) -> None:
        self._spec, self._sinks, self._reader = spec, sinks, reader
        self._batch_frames, self._skipped_batches = batch_frames, 0
        self._begun: Span | None = None
        # all segments must name the same rate to their encoders
        self._rate = reader.info.rate or _USUAL_RATE
        self._checkpoint = JobCheckpoint(sinks[0].output.path, self._description(fingerprint))
        self.notices: list[str] = []

    @property
    def frames_done(self) -> int:
        """How many frames are in complete segments."""
        return sum(segment.frames for segment in self._checkpoint.done)

    def spans(self, batches: Iterator[FrameBatch]) -> Iterator[Span]:
        """The segments that are missing."""
        for _ in islice(batches, self._skipped_batches):
            pass
        while (first := next(batches, None)) is not None:
            rest = islice(batches, self._segment_batches - 1)
            yield Span(chain([first], rest), self._checkpoint.load_state())

    @contextmanager
    def open(self, span: Span) -> Iterator[SinkGroup]:
        """The files of the next segment, which is committed at the end."""
        files, index, self._begun = self._next_files(), len(self._checkpoint.done), span
        with ExitStack() as stack:
            pairs = zip(self._sinks, files, strict=True)
            group = SinkGroup([stack.enter_context(self._writer(sink, file)) for sink, file in pairs])
            yield group
        assert span.last is not None
        segment = Segment(
            index,
            span.frames,
            span.end,
            tuple(file.name for file in files),
            tuple(span.notices + group.notices),
            self._reader.seek_point(span.last),
        )
        self._checkpoint.commit(segment, span.state)
        self._begun = None

    def __enter__(self) -> SegmentedSink:
        done = self._checkpoint.done
        if done and not (done[-1].seek_point is not None and self._reader.resume_from(done[-1].seek_point)):
            self._skipped_batches = -(-self.frames_done // self._batch_frames)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, JobError):
            raise self._with_kept(error) from error
        if error is not None:
            return
        try:
            outputs = self._finalize()
        except JobError as exc:
            raise self._with_kept(exc) from exc
        if self._reader.truncated is not None:
            # all that decodes is done: another call would find no more
            names = ", ".join(str(path) for path in outputs)
            raise InputError(f"{self._reader.truncated}; kept so far: {names}")

    @property
    def _segment_batches(self) -> int:
        frames = Fraction(self._spec.options.segment_s) * self._rate
        return max(1, round(frames / self._batch_frames))

    @property
    def _end(self) -> int:
        """The tick at which the last matted frame ends."""
        if self._begun is not None and self._begun.frames:
            return self._begun.end
        return self._checkpoint.done[-1].end if self._checkpoint.done else 0

    def _description(self, fingerprint: str) -> dict[str, Any]:
        """What must be the same for a job to be resumed."""
        source = self._spec.source
        stats = [file.stat() for file in source.files]
        asked = {f.name: str(getattr(self._spec.options, f.name)) for f in fields(JobOptions)}
        return {
            "input": str(source),
            "content of the input": [[s.st_size, 0 if source.label else s.st_mtime_ns] for s in stats],
            "rate": str(self._rate),
            "networks or matting options": fingerprint,
            "length of segments": self._segment_batches * self._batch_frames,
            "outputs": str(self._spec.outputs),
            **{name: value for name, value in asked.items() if name not in _NOT_COMPARED},
        }

    def _next_files(self) -> list[Path]:
        index = len(self._checkpoint.done)
        return [self._checkpoint.file(index, n, sink.output.path) for n, sink in enumerate(self._sinks)]

    def _writer(self, sink: Sink, file: Path) -> ClipWriter:
        return ClipWriter(
            file,
            sink.output.preset,
            sink.format,
            self._reader.time_base,
            origin=self._reader.origin,
            rate=self._rate,
            hdr=self._reader.info.hdr,
            overwrite=True,
        )

    def _finalize(self) -> list[Path]:
        """Concatenates all segments; the outputs of a clip that breaks off are partial."""
        joined, whole = [], self._reader.truncated is None
        try:
            for number, sink in enumerate(self._sinks):
                files, tail = self._checkpoint.files(number), self._tail(sink, whole=whole)
                joined.append(concat_segments(files, sink.output.path, sink.output.preset, tail))
        except BaseException:
            for staged, _ in joined:
                staged.discard()
            raise
        self._checkpoint.mark_joined()
        for staged, _ in joined:
            for interrupted in present_files(partial_path(staged.path)):
                interrupted.unlink()
            if whole:
                staged.commit()
            else:
                staged.commit_partial()
        lines = [line for segment in self._checkpoint.done for line in segment.notices]
        lines += [line for _, notices in joined for line in notices]
        self.notices += dict.fromkeys(lines)
        self._checkpoint.remove()
        return [staged.path for staged, _ in joined]

    def _with_kept(self, error: JobError) -> JobError:
        """``error`` with what it leaves: the segments, concatenated to playable files where possible."""
        kept = []
        for number, (sink, file) in enumerate(zip(self._sinks, self._next_files(), strict=True)):
            begun = partial_path(file)
            files = [*self._checkpoint.files(number), *([begun] if present_files(begun) else [])]
            # the disk may be full; then only the segments are kept
            with suppress(OutputError):
                if files:
                    tail = self._tail(sink, whole=False)
                    staged, _ = concat_segments(files, sink.output.path, sink.output.preset, tail)
                    kept.append(str(staged.commit_partial()))
        self._checkpoint.tidy()
        so_far = f"; kept so far: {', '.join(kept)}" if kept else ""
        return type(error)(f"{error}{so_far}; the same call resumes from {self._checkpoint.path}")

    def _tail(self, sink: Sink, *, whole: bool) -> TailSpec:
        reader = self._reader
        shift = round(reader.origin / reader.time_base)
        return TailSpec(
            end_s=(self._end - shift) * reader.time_base,
            copy_from=None if is_silent(sink, self._spec) else self._spec.source.location,
            origin=reader.origin,
            until=reader.until,
            whole=whole,
        )
