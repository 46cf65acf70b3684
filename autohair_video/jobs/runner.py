"""Whole jobs: a clip or a still image in, matted files out.

process
├── a clip:   ClipReader -> MattingPipeline.frames -> ClipSink (render, encode), each at its own pace on
│             bounded queues, whatever the clip's length
└── a still:  read_image -> MattingPipeline.still -> render -> write_image

What can be refused is refused first: the options, then the inputs, then the outputs' names; only then are the
networks loaded, and the outputs are opened last.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor

from autohair_video.errors import StoppedError
from autohair_video.frames import FrameBatch
from autohair_video.jobs.checkpoint import finalize_was_interrupted, remove_stale
from autohair_video.jobs.progress import OnProgress, Progress, Report
from autohair_video.jobs.segments import SegmentedSink
from autohair_video.jobs.sinks import ClipSink, ContinuousSink, Sink, open_sinks, render_and_encode
from autohair_video.jobs.spec import JobSpec, StrPath, make_job_spec
from autohair_video.jobs.still import process_still
from autohair_video.jobs.subject_inputs import (
    check_subject_time,
    check_trimap_size,
    late_subject_warnings,
    load_subject_prompt,
)
from autohair_video.matting.loading import LazyPipeline
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.matting.trimap import quantise_trimap
from autohair_video.media.colour import to_rgb
from autohair_video.media.concat import check_concatenable
from autohair_video.media.inputs import Source, from_stdin
from autohair_video.media.probe import ClipInfo
from autohair_video.media.reader import ClipReader
from autohair_video.options import JobOptions, PipelineOptions
from autohair_video.runtime.queues import BackgroundWorker, prefetch
from autohair_video.tracking.selection import SubjectPrompt

_log = logging.getLogger(__name__)

# On a CPU a larger batch takes longer for each frame, as it fits no cache, and more memory.
BATCH_FRAMES = {"cpu": 2, "mps": 8, "cuda": 16}


def process(
    input: Source | StrPath,
    output: StrPath | Sequence[StrPath] | None = None,
    *,
    options: JobOptions | None = None,
    pipeline: MattingPipeline | PipelineOptions | None = None,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
    **changes: Any,
) -> Report:
    """Matte one clip or one still image.

    >>> process("in.mp4", "out.mp4", background="beach.jpg")  # doctest: +SKIP

    Args:
        input: a clip that FFmpeg decodes, a URL, an image sequence (``shot.%04d.png``), ``-`` for standard
            input, or an image.
        output: where the result goes, in as many files as are named. Without it, beside the input under a
            name that tells what it is; or nowhere, if only a matte, a foreground or a trimap is asked for.
        options: what is written, and of which part of the input.
        pipeline: loaded networks, or how to load them once the inputs have proved good; the fast tier without
            it.
        on_progress: called after each batch.
        stop: when it is set, a clip's job ends after the current batch.
        **changes: fields of `JobOptions` that differ from ``options``.

    Returns:
        The files written, and notices.

    Raises:
        OptionError: the call is contradictory, or an option is unknown.
        InputError, OutputError, WeightsError, DeviceError: the job cannot be done. Nothing half written is
            left under the outputs' names; what plays is kept as ``name.partial.ext``, and the error says so.
            Of a clip that is damaged or breaks off, that is all that decodes.
        StoppedError: ``stop`` was set, likewise.
    """
    pipeline = _former_keywords(changes) or pipeline
    spec = make_job_spec(input, output, options, **changes)
    report = run_job(spec, pipeline or PipelineOptions(), on_progress=on_progress, stop=stop)
    return replace(report, notices=(*spec.ineffective_option_warnings, *report.notices))


def _former_keywords(changes: dict[str, Any]) -> MattingPipeline | None:
    """Takes keywords of version 0.1, kept for one release, out of ``changes``; the pipeline among them."""
    if "keep_alpha" in changes:
        warnings.warn("keep_alpha is now input_alpha", DeprecationWarning, stacklevel=3)
        changes["input_alpha"] = "keep" if changes.pop("keep_alpha") else "replace"
    if "matter" in changes:
        warnings.warn("matter is now pipeline", DeprecationWarning, stacklevel=3)
    pipeline: MattingPipeline | None = changes.pop("matter", None)
    return pipeline


def run_job(
    spec: JobSpec,
    pipeline: MattingPipeline | PipelineOptions | LazyPipeline,
    *,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
) -> Report:
    """`process` for a spec; its ``ineffective_option_warnings`` are known before and not in the report."""
    if spec.source.is_stdin:
        with from_stdin() as source:
            return run_job(replace(spec, source=source), pipeline, on_progress=on_progress, stop=stop)
    lazy = LazyPipeline.of(pipeline)
    show = on_progress or (lambda progress: None)
    if spec.is_still:
        return process_still(spec, lazy, show)
    return _process_clip(spec, lazy, show, stop or Event())


@dataclass(frozen=True)
class _Clip:
    """A clip's job whose inputs and outputs have proved good; nothing is written yet."""

    spec: JobSpec
    reader: ClipReader
    paths: tuple[Path, ...]
    sinks: Sequence[Sink]
    subject: SubjectPrompt
    trimaps: Iterator[Tensor] | None

    @property
    def expected(self) -> int | None:
        """How many frames the job will have, if that is known."""
        return expected_frames(self.reader.info, self.spec.options)


def _process_clip(spec: JobSpec, pipeline: LazyPipeline, on_progress: OnProgress, stop: Event) -> Report:
    with ExitStack() as stack:
        clip = _open_clip(spec, stack)
        network = pipeline.load()
        _log.info("%s: %s, on %s", spec.source, clip.reader.format, network.device)
        sink = _clip_sink(clip, network)
        frames = sink.frames_done
        batches = clip.reader.batches(BATCH_FRAMES[network.device.type])
        ready = _pinned_for(network.device, batches)
        # the sink may move the reader, so that it comes first
        with sink, closing(prefetch(ready)) as prefetched:
            for span in sink.spans(prefetched):
                with sink.open(span) as files:
                    mattes = network.frames(
                        span.batches, prompt=clip.subject, trimaps=clip.trimaps, resume_state=span.state
                    )
                    with BackgroundWorker(render_and_encode(clip.sinks, files)) as encoder:
                        for batch, matte in mattes:
                            encoder.put((batch, matte))
                            span.count(batch, matte)
                            frames += len(batch)
                            on_progress(Progress(frames, clip.expected))
                            if stop.is_set():
                                break
                    if stop.is_set():
                        raise StoppedError(_stopped(frames, clip.expected))
        notices = (*sink.notices, *_late_notices(clip), *clip.reader.notices)
    return Report(clip.paths, frames, notices)


def _open_clip(spec: JobSpec, stack: ExitStack) -> _Clip:
    """Opens the inputs and checks the outputs of a clip's job, until ``stack`` closes."""
    outputs, options = spec.clip_outputs, spec.options
    if options.resume:
        remove_stale(outputs[0].path)
        if finalize_was_interrupted(outputs[0].path):
            spec = replace(spec, options=replace(options, overwrite=True))
    reader = stack.enter_context(open_reader(spec))
    paths = spec.check_outputs(*(output.path for output in outputs))
    sinks = open_sinks(spec, reader.format, reader.origin, stack)
    subject = load_subject_prompt(options.subject, reader.format, reader.begin_s)
    check_subject_time(
        options.subject, start_s=options.start_s, end_s=options.end_s, length_s=reader.length_s
    )
    if options.resume:
        for output in outputs:
            check_concatenable(output.path, output.preset)
    return _Clip(spec, reader, paths, sinks, subject, _open_trimaps(spec, reader, stack))


def _clip_sink(clip: _Clip, network: MattingPipeline) -> ClipSink:
    if not clip.spec.options.resume:
        return ContinuousSink(clip.spec, clip.sinks, clip.reader)
    return SegmentedSink(
        clip.spec,
        clip.sinks,
        clip.reader,
        batch_frames=BATCH_FRAMES[network.device.type],
        fingerprint=network.fingerprint(),
    )


def _stopped(frames: int, expected: int | None) -> str:
    return f"stopped after {frames}{f' of {expected}' if expected else ''} frames"


def _late_notices(clip: _Clip) -> list[str]:
    """What is known of the inputs only when all frames are done."""
    notices = late_subject_warnings(clip.spec.options.subject, clip.reader.last_s)
    if clip.trimaps is not None and next(clip.trimaps, None) is not None:
        trimap, source = clip.spec.options.trimap, clip.spec.source
        notices.append(f"{trimap} has more frames than {source}: the first ones were used")
    return notices


def _pinned_for(device: torch.device, batches: Iterable[FrameBatch]) -> Iterable[FrameBatch]:
    """The batches, for CUDA in page-locked memory, from which uploads are asynchronous."""
    return (batch.pinned() for batch in batches) if device.type == "cuda" else batches


def open_reader(spec: JobSpec) -> ClipReader:
    """The frames of a clip's job. See `ClipReader` for errors."""
    options = spec.options
    return ClipReader(
        spec.source,
        start_s=options.start_s,
        end_s=options.end_s,
        deinterlace=options.deinterlace,
        keep_alpha=options.input_alpha == "keep",
    )


def _open_trimaps(spec: JobSpec, reader: ClipReader, stack: ExitStack) -> Iterator[Tensor] | None:
    """The clip's given trimaps, one by one; None if it has none."""
    options = spec.options
    if options.trimap is None:
        return None
    source = Source.of(options.trimap, reader.info.rate)
    given = ClipReader(source, batch_size=1, start_s=options.start_s, end_s=options.end_s)
    stack.enter_context(given)
    check_trimap_size(options.trimap, given.format.width, given.format.height, reader.format)
    return (_as_trimap(batch) for batch in given)


def _as_trimap(batch: FrameBatch) -> Tensor:
    gray = to_rgb(batch).mean(dim=1, keepdim=True) * 255
    return quantise_trimap(gray.round().to(torch.uint8))


def expected_frames(info: ClipInfo, options: JobOptions) -> int | None:
    """How many frames a job will have, for a progress line; None where nothing is known."""
    expected, length_s = info.expected_frames, info.duration_s
    if expected is None or not length_s:
        return expected
    span_s = min(options.end_s or length_s, length_s) - (options.start_s or 0)
    return max(1, round(expected * span_s / length_s))
