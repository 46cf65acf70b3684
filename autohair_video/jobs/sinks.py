"""Where a clip's matted frames go: every output is rendered and encoded in one pass.

`ContinuousSink` writes the outputs in one go, and `autohair_video.jobs.segments.SegmentedSink` segments that
survive a crash. Both are used alike: see `ClipSink`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from autohair_video.compositing.render import (
    BackgroundPlanes,
    composite,
    open_background_planes,
    straight_foreground,
)
from autohair_video.errors import InputError, JobError
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.jobs.spec import ClipOutputSpec, JobSpec
from autohair_video.matting.state import CarriedState
from autohair_video.media.disk_space import check_disk_space
from autohair_video.media.presets import codec_format
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.options import BlendOptions


@dataclass(frozen=True)
class Sink:
    """One output: its format, and what lies behind the subject; None for a cut-out or alpha itself."""

    output: ClipOutputSpec
    format: FrameFormat
    background: BackgroundPlanes | None
    blend: BlendOptions = field(default_factory=BlendOptions)


@dataclass(frozen=True)
class SinkFrame:
    """One batch as one output shows it; ``alpha`` where that is written too, or instead."""

    frames: FrameBatch
    alpha: Tensor | None


@dataclass
class Span:
    """Consecutive batches of a clip, matted from ``state`` and encoded into one set of files.

    ``frames``, ``end`` (the tick at which the last one ends), ``last`` and ``notices`` grow as they come.
    """

    batches: Iterable[FrameBatch]
    state: CarriedState
    frames: int = 0
    end: int = 0
    last: FrameBatch | None = None
    notices: list[str] = field(default_factory=list)

    def count(self, batch: FrameBatch, matte: Matte) -> None:
        """Note a matted batch."""
        self.frames += len(batch)
        self.end = batch.pts[-1] + batch.durations[-1]
        self.last = batch
        self.notices += matte.notices


class ClipSink(Protocol):
    """Takes all matted frames of a clip; a context that completes the outputs, or keeps what it can."""

    @property
    def frames_done(self) -> int:
        """How many frames earlier runs have written."""
        ...

    @property
    def notices(self) -> list[str]:
        """What is to be known of the outputs, once the context has ended."""
        ...

    def spans(self, batches: Iterator[FrameBatch]) -> Iterator[Span]:
        """The frames that are still to be matted, in spans."""
        ...

    def open(self, span: Span) -> AbstractContextManager[SinkGroup]:
        """The files of a span, which count when the context ends without an error."""
        ...

    def __enter__(self) -> ClipSink: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class SinkGroup:
    """The open files of all outputs."""

    def __init__(self, writers: Sequence[ClipWriter]) -> None:
        self._writers = writers

    def write(self, rendered: Sequence[SinkFrame]) -> None:
        """Encode one batch for each output.

        Raises:
            OutputError: an encoder or a disk refuses, or the disk has too little space for the batch and for
                finalizing the outputs.
        """
        pairs = list(zip(self._writers, rendered, strict=True))
        check_disk_space(writer.needs(len(shown.frames)) for writer, shown in pairs)
        for writer, shown in pairs:
            writer.write(shown.frames, shown.alpha)

    @property
    def notices(self) -> list[str]:
        """What could not be kept, once though it holds for several outputs. Read it after the end."""
        return list(dict.fromkeys(line for writer in self._writers for line in writer.notices))


class ContinuousSink:
    """Every output of a clip in one file, written in one go.

    When a job fails, what plays is kept as ``name.partial.ext``, and its error says so.
    """

    frames_done = 0

    def __init__(self, spec: JobSpec, sinks: Sequence[Sink], reader: ClipReader) -> None:
        self._spec, self._sinks, self._reader = spec, sinks, reader
        self._writers: list[ClipWriter] = []
        self.notices: list[str] = []

    def spans(self, batches: Iterator[FrameBatch]) -> Iterator[Span]:
        """The whole clip."""
        yield Span(batches, CarriedState())

    @contextmanager
    def open(self, span: Span) -> Iterator[SinkGroup]:
        """The outputs' files."""
        with ExitStack() as stack:
            for sink in self._sinks:
                self._writers.append(stack.enter_context(self._writer(sink)))
            yield SinkGroup(self._writers)
            if self._reader.truncated is not None:
                raise InputError(self._reader.truncated)
        # the audio's end, and what is wrong with it, is known only when the outputs are closed
        self.notices += dict.fromkeys([*span.notices, *SinkGroup(self._writers).notices])

    def __enter__(self) -> ContinuousSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kept = [str(writer.kept) for writer in self._writers if writer.kept]
        if isinstance(error, JobError) and kept:
            raise type(error)(f"{error}; kept so far: {', '.join(kept)}") from error

    def _writer(self, sink: Sink) -> ClipWriter:
        return ClipWriter(
            sink.output.path,
            sink.output.preset,
            sink.format,
            self._reader.time_base,
            copy_from=None if is_silent(sink, self._spec) else self._spec.source.location,
            origin=self._reader.origin,
            until=self._reader.until,
            rate=self._reader.info.rate,
            hdr=self._reader.info.hdr,
            overwrite=self._spec.options.overwrite,
        )


def is_silent(sink: Sink, spec: JobSpec) -> bool:
    """Whether an output has no audio: mattes have none, nor have image sequences to copy it from."""
    return sink.output.preset.role == "matte" or spec.source.is_sequence


def open_sinks(spec: JobSpec, source: FrameFormat, origin: Fraction, stack: ExitStack) -> list[Sink]:
    """One sink for each output, for frames of ``source``; backgrounds are open until ``stack`` closes.

    Raises:
        OptionError: an encoder does not take this size, or the background is none.
        InputError: the background cannot be read.
    """
    backgrounds: dict[FrameFormat, BackgroundPlanes] = {}
    background, blend = None if spec.is_cutout else spec.options.background, spec.options.blend
    sinks = []
    for output in spec.clip_outputs:
        fmt = codec_format(output.preset, source)
        if output.preset.role == "matte":
            sinks.append(Sink(output, source, None))
        elif output.content == "result" and background is not None:
            if fmt not in backgrounds:
                opened = open_background_planes(background, fmt, origin=origin)
                backgrounds[fmt] = stack.enter_context(closing(opened))
            sinks.append(Sink(output, fmt, backgrounds[fmt], blend))
        else:
            sinks.append(Sink(output, fmt, None, blend))
    return sinks


def limited_by_input_alpha(matte: Matte, frames: FrameBatch) -> Matte:
    """The matte, nowhere more opaque than the alpha that the input itself has.

    So what was cut away stays away, and matting a cut-out again changes nothing.
    """
    if frames.alpha is None:
        return matte
    alpha = torch.minimum(matte.alpha, frames.alpha)
    raw_alpha = None if matte.raw_alpha is None else torch.minimum(matte.raw_alpha, frames.alpha)
    return replace(matte, alpha=alpha, raw_alpha=raw_alpha)


def render(sinks: Sequence[Sink], frames: FrameBatch, matte: Matte) -> list[SinkFrame]:
    """What each output shows of one matted batch."""
    matte = limited_by_input_alpha(matte, frames)
    made: dict[tuple[FrameFormat, bool], FrameBatch] = {}
    rendered = []
    for sink in sinks:
        output, fmt = sink.output, sink.format
        if output.preset.role == "matte":
            alpha = trimap_alpha(matte) if output.content == "trimap" else matte.alpha
            rendered.append(SinkFrame(frames, alpha))
            continue
        key = fmt, sink.background is None
        if key not in made:
            made[key] = (
                straight_foreground(frames, matte, fmt, sink.blend)
                if sink.background is None
                else composite(frames, matte, sink.background, fmt, sink.blend)
            )
        rendered.append(SinkFrame(made[key], matte.alpha if output.preset.needs_alpha else None))
    return rendered


def render_and_encode(sinks: Sequence[Sink], files: SinkGroup) -> Callable[[tuple[FrameBatch, Matte]], None]:
    """Renders a matted batch for each output and encodes it, for a thread beside the matting."""
    return lambda matted: files.write(render(sinks, *matted))


def trimap_alpha(matte: Matte) -> Tensor:
    """The trimap as gray levels in 0..1, (N, 1, H, W) float32."""
    if matte.trimap is None:
        raise ValueError("a matte without a trimap has none to write")
    return matte.trimap.float() / 255
