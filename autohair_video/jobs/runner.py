"""Whole jobs: a clip or a picture in, matted files out.

process
├── a clip:    ClipReader -> MattingPipeline.frames -> sinks -> ClipWriters, each at its own pace on
│              bounded queues, whatever the clip's length
└── a picture: read_image -> MattingPipeline.still -> outputs -> write_image

What can be refused is refused first: the call, then the inputs, then the outputs' names; only then are
the networks loaded, and the outputs opened last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Event
from types import TracebackType

import torch
from torch import Tensor

from autohair_video.compositing.render import (
    BackgroundPlanes,
    composite,
    open_background_planes,
    straight_foreground,
)
from autohair_video.errors import InputError, JobError, StoppedError
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.jobs.checkpoint import finalize_was_interrupted, remove_stale
from autohair_video.jobs.segments import SegmentedJob, run_segmented
from autohair_video.jobs.sinks import Sink, SinkGroup, plan_sinks, render_and_encode, trimap_alpha
from autohair_video.jobs.spec import Content, JobSpec, StrPath, make_job_spec
from autohair_video.jobs.subject_inputs import check_subject_time, late_subject_warnings, load_subject_prompt
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.matting.trimap import quantise_trimap
from autohair_video.media.colour import quantise_alpha, to_rgb
from autohair_video.media.concat import check_concatenable
from autohair_video.media.image import image_depth, read_gray, read_image, write_image
from autohair_video.media.inputs import Source, from_stdin
from autohair_video.media.probe import ClipInfo
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.options import BlendOptions, SubjectOptions
from autohair_video.runtime.queues import BackgroundWorker, prefetch

LoadPipeline = Callable[[], MattingPipeline]

# On a CPU a larger batch takes longer for each frame, as it fits no cache, and more memory.
BATCH_FRAMES = {"cpu": 2, "mps": 8, "cuda": 16}


@dataclass(frozen=True)
class Progress:
    """How far a job is: frames done, and expected in all if that is known."""

    frames: int
    expected: int | None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Report:
    """What a job did: the files written, the frames in each, and one line per thing to know."""

    outputs: tuple[Path, ...]
    frames: int
    notices: tuple[str, ...] = field(default=())


def process(
    input: Source | StrPath,
    output: StrPath | Sequence[StrPath] | None = None,
    *,
    background: StrPath | None = None,
    matte: StrPath | None = None,
    foreground: StrPath | None = None,
    trimap_out: StrPath | None = None,
    trimap: StrPath | None = None,
    subject: SubjectOptions | None = None,
    blend: BlendOptions | None = None,
    preset: str | None = None,
    purpose: str | None = None,
    premultiplied: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    overwrite: bool = False,
    deinterlace: bool = True,
    output_dir: StrPath | None = None,
    rate: Fraction | None = None,
    resume: bool = False,
    segment_s: float = 10,
    keep_alpha: bool = True,
    pipeline: MattingPipeline | LoadPipeline = MattingPipeline,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
) -> Report:
    """Matte one clip or one picture.

    Args:
        input: a clip that FFmpeg decodes, a URL, numbered stills (``shot.%04d.png``), ``-`` for
            standard input, or a picture.
        output: where the result goes, in as many files as are named. Without it, beside the input
            under a name that tells what it is; or nowhere, if only ``matte``, ``foreground`` or
            ``trimap_out`` is asked for.
        background: a picture, a clip, a colour (``#00ff00`` or a name), ``blur``, or
            ``transparent``, which is the default.
        matte: where alpha goes as gray: ``.mkv`` (lossless), ``.mp4``, ``name.%05d.png``; ``.png``
            for a picture.
        foreground: where the subject's own colours go, without alpha.
        trimap_out: where the trimap goes, as ``matte``.
        trimap: trimaps (0, 128, 255) instead of automatic ones: a picture for a picture; for a clip a
            clip or numbered stills, one for each frame.
        subject: which of the bodies is kept, and what is forced in or out; all of them without it.
        blend: despill, blending in linear light, light wrap; none of them without it.
        preset: name of the output's format instead of that which its extension stands for.
        purpose: for whom the output is (a key of ``media.presets.PURPOSES``), which chooses its format.
        premultiplied: write colours multiplied by alpha instead of straight; where ``blend`` is linear, it
            is light that is multiplied.
        start_s: where in the clip to begin, in seconds.
        end_s: where to end.
        overwrite: replace outputs that are there already.
        deinterlace: make interlaced frames whole first.
        output_dir: the folder, made if need be, of all outputs with relative names; ``{name}`` in
            those stands for the input's.
        rate: frames per second of numbered stills, 24 without it.
        resume: work in parts that lie in ``output.resume`` until the end, and go on where the same
            call was interrupted, be it by a power cut. The outputs are the same as if it had not been.
        segment_s: the length of such parts, in seconds.
        keep_alpha: where the clip has alpha, straight, nothing becomes more opaque than it was; without
            it, that alpha is replaced.
        pipeline: networks already loaded, or what loads them once the inputs have proved good.
        on_progress: called after each batch.
        stop: when it is set, a clip's job ends after the batch it is at.

    Returns:
        The files written, and notices.

    Raises:
        OptionError: the call is contradictory.
        InputError, OutputError, WeightsError, DeviceError: the job cannot be done. Nothing half
            written is left under the outputs' names; what plays is kept as ``name.partial.ext``, and
            the error says so. Of a clip that is damaged or breaks off, that is all that decodes.
        StoppedError: ``stop`` was set, likewise.
    """
    spec = make_job_spec(
        input,
        output,
        background=background,
        matte=matte,
        foreground=foreground,
        trimap_out=trimap_out,
        trimap=trimap,
        subject=subject,
        blend=blend,
        preset=preset,
        purpose=purpose,
        premultiplied=premultiplied,
        start_s=start_s,
        end_s=end_s,
        overwrite=overwrite,
        deinterlace=deinterlace,
        output_dir=output_dir,
        rate=rate,
        resume=resume,
        segment_s=segment_s,
        keep_alpha=keep_alpha,
    )
    report = run_job(spec, pipeline=pipeline, on_progress=on_progress, stop=stop)
    return replace(report, notices=(*spec.ineffective_option_warnings, *report.notices))


def run_job(
    request: JobSpec,
    *,
    pipeline: MattingPipeline | LoadPipeline = MattingPipeline,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
) -> Report:
    """`process` for a spec; its ``ineffective_option_warnings`` are known before and not in the report."""
    if request.source.is_stdin:
        with from_stdin() as source:
            spooled = replace(request, source=source)
            return run_job(spooled, pipeline=pipeline, on_progress=on_progress, stop=stop)
    if request.is_still:
        return _process_still(request, pipeline, on_progress)
    return _process_clip(request, pipeline, on_progress or _no_progress, stop or Event())


def _no_progress(progress: Progress) -> None:
    """Who asks for no progress gets none."""


def _process_still(
    request: JobSpec, pipeline: MattingPipeline | LoadPipeline, on_progress: OnProgress | None
) -> Report:
    products = request.still_outputs()
    batch = read_image(request.source.location)
    outputs = request.check_outputs(*(product.path for product in products))
    notices: list[str] = []
    known = None if request.trimap is None else _read_trimap(request.trimap, batch.format, notices)
    subject = load_subject_prompt(request.subject, batch.format)
    with ExitStack() as stack:
        scene = _scene(request, batch.format, stack)
        network = _loaded_pipeline(pipeline)
        solved = network.still(to_rgb(batch), known, subject)
        notices += solved.notices
        for product in products:
            samples = _still_samples(product.content, batch.to(network.device), solved, scene, request.blend)
            _write_still(product.path, samples, batch.format, overwrite=request.overwrite)
    if on_progress is not None:
        on_progress(Progress(1, 1))
    return Report(outputs, 1, tuple(notices))


def _read_trimap(path: Path, fmt: FrameFormat, notices: list[str]) -> Tensor:
    given = read_gray(path)
    _check_trimap_size(path, given.shape[3], given.shape[2], fmt)
    trimap = quantise_trimap(given)
    if not torch.equal(trimap, given):
        notices.append(
            f"trimap {path} has greys other than 0, 128 and 255: "
            "close to black or white they count as known, else as unknown"
        )
    return trimap


def _check_trimap_size(path: Path, width: int, height: int, fmt: FrameFormat) -> None:
    if (width, height) != (fmt.width, fmt.height):
        raise InputError(
            f"trimap {path} is {width}x{height}, "
            f"the picture {fmt.width}x{fmt.height}: they must be of one size"
        )


def _still_samples(
    content: Content, batch: FrameBatch, matte: Matte, scene: BackgroundPlanes | None, blend: BlendOptions
) -> Tensor:
    """(1, C, H, W) samples of the picture's depth: RGB, RGB and alpha, or gray."""
    fmt = batch.format
    alpha = quantise_alpha(matte.alpha, fmt.bit_depth)
    if content == "matte":
        return alpha
    if content == "trimap":
        return quantise_alpha(trimap_alpha(matte), fmt.bit_depth)
    if content == "result" and scene is not None:
        return torch.cat(composite(batch, matte, scene, fmt, blend).planes, dim=1)
    colours = straight_foreground(batch, matte, fmt, blend).planes
    return torch.cat([*colours, alpha] if content == "result" else colours, dim=1)


def _write_still(path: Path, samples: Tensor, fmt: FrameFormat, *, overwrite: bool) -> None:
    """Writes samples of more than 8 bit with 16 where the file's format has them, else with 8."""
    if fmt.bit_depth > 8:
        depth = image_depth(path)
        scaled = samples.cpu().double() * (((1 << depth) - 1) / fmt.max_value)
        samples = scaled.round().to(torch.uint16 if depth == 16 else torch.uint8)
    write_image(path, samples, overwrite=overwrite)


def _process_clip(
    request: JobSpec, pipeline: MattingPipeline | LoadPipeline, on_progress: OnProgress, stop: Event
) -> Report:
    targets = request.clip_outputs()
    if request.resume:
        remove_stale(targets[0].path)
        if finalize_was_interrupted(targets[0].path):
            request = replace(request, overwrite=True)
    frames = 0
    notices: list[str] = []
    with ExitStack() as stack:
        with open_reader(request, batch_size=1) as peek:
            outputs = request.check_outputs(*(target.path for target in targets))
            sinks = plan_sinks(request, targets, peek.format, peek.origin, stack)
            subject = load_subject_prompt(request.subject, peek.format, peek.begin_s)
            check_subject_time(
                request.subject, start_s=request.start_s, end_s=request.end_s, length_s=peek.length_s
            )
            if request.resume:
                for target in targets:
                    check_concatenable(target.path, target.preset)
        network = _loaded_pipeline(pipeline)
        size = BATCH_FRAMES[network.device.type]
        reader = stack.enter_context(open_reader(request, size))
        expected = expected_frames(reader.info, request)
        if request.resume:
            job = SegmentedJob(request, sinks, reader, BATCH_FRAMES[network.device.type], network, subject)
            frames, notices = run_segmented(
                job, on_frames=lambda done: on_progress(Progress(done, expected)), stop=stop
            )
            notices += late_subject_warnings(request.subject, reader.last_s)
            return Report(outputs, frames, (*notices, *reader.notices))
        opened: list[ClipWriter] = []
        stack.push(partial(_report_kept_files, opened))
        for sink in sinks:
            opened.append(stack.enter_context(_writer(sink, reader, request)))
        writers = SinkGroup(opened)
        trimaps = _clip_trimaps(request, reader, stack)
        batches = stack.enter_context(closing(prefetch(_pinned_for(network.device, reader))))
        mattes = network.frames(batches, guide=subject, trimaps=trimaps)
        with BackgroundWorker(render_and_encode(sinks, writers)) as encoder:
            for batch, matte in mattes:
                encoder.put((batch, matte))
                frames += len(batch)
                notices += matte.notices
                on_progress(Progress(frames, expected))
                if stop.is_set():
                    break
        if stop.is_set():
            raise StoppedError(f"stopped after {frames}{f' of {expected}' if expected else ''} frames")
        if reader.truncated is not None:
            raise InputError(reader.truncated)
        notices += late_subject_warnings(request.subject, reader.last_s)
        if trimaps is not None and next(trimaps, None) is not None:
            notices.append(
                f"{request.trimap} has more frames than {request.source}: the first ones were used"
            )
    # The sound's end, and what is wrong with it, is known only when the outputs are closed.
    return Report(outputs, frames, (*notices, *writers.notices, *reader.notices))


def _report_kept_files(
    writers: Sequence[ClipWriter],
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    """Adds to the error of a job what is left of its outputs, once they are closed."""
    kept = [str(writer.kept) for writer in writers if writer.kept]
    if isinstance(error, JobError) and kept:
        raise type(error)(f"{error}; kept so far: {', '.join(kept)}") from error


def _pinned_for(device: torch.device, batches: Iterable[FrameBatch]) -> Iterable[FrameBatch]:
    """The batches, on CUDA in memory that uploads need not wait for."""
    return (batch.pinned() for batch in batches) if device.type == "cuda" else batches


def _loaded_pipeline(pipeline: MattingPipeline | LoadPipeline) -> MattingPipeline:
    return pipeline if isinstance(pipeline, MattingPipeline) else pipeline()


def _scene(request: JobSpec, fmt: FrameFormat, stack: ExitStack) -> BackgroundPlanes | None:
    """What lies behind a picture's subject, until ``stack`` closes; None for a cut-out."""
    if request.background is None or request.is_cutout:
        return None
    return stack.enter_context(closing(open_background_planes(request.background, fmt, origin=Fraction(0))))


def open_reader(request: JobSpec, batch_size: int) -> ClipReader:
    """The frames of a clip's job. See `ClipReader` for errors."""
    return ClipReader(
        request.source,
        batch_size=batch_size,
        start_s=request.start_s,
        end_s=request.end_s,
        deinterlace=request.deinterlace,
        keep_alpha=request.keep_alpha,
    )


def _clip_trimaps(request: JobSpec, reader: ClipReader, stack: ExitStack) -> Iterator[Tensor] | None:
    """The clip's own trimaps, one by one; None if it has none."""
    if request.trimap is None:
        return None
    given = ClipReader(
        Source.of(request.trimap, reader.info.rate),
        batch_size=1,
        start_s=request.start_s,
        end_s=request.end_s,
    )
    stack.enter_context(given)
    _check_trimap_size(request.trimap, given.format.width, given.format.height, reader.format)
    return (_as_trimaps(batch) for batch in given)


def _as_trimaps(batch: FrameBatch) -> Tensor:
    gray = to_rgb(batch).mean(dim=1, keepdim=True) * 255
    return quantise_trimap(gray.round().to(torch.uint8))


def _writer(sink: Sink, reader: ClipReader, request: JobSpec) -> ClipWriter:
    silent = sink.target.preset.role == "matte" or request.source.is_sequence
    return ClipWriter(
        sink.target.path,
        sink.target.preset,
        sink.format,
        reader.time_base,
        copy_from=None if silent else request.source.location,
        origin=reader.origin,
        until=reader.until,
        rate=reader.info.rate,
        hdr=reader.info.hdr,
        overwrite=request.overwrite,
    )


def expected_frames(info: ClipInfo, request: JobSpec) -> int | None:
    """How many frames a job will have, for a progress line; None where nothing is known."""
    expected, length_s = info.expected_frames, info.duration_s
    if expected is None or not length_s:
        return expected
    span_s = min(request.end_s or length_s, length_s) - (request.start_s or 0)
    return max(1, round(expected * span_s / length_s))
