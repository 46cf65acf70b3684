"""One still image: read, matted, composited and written."""

from __future__ import annotations

from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from autohair_video.compositing.render import (
    BackgroundPlanes,
    composite,
    open_background_planes,
    straight_foreground,
)
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.jobs.progress import OnProgress, Progress, Report
from autohair_video.jobs.sinks import limited_by_input_alpha, trimap_alpha
from autohair_video.jobs.spec import Content, JobSpec
from autohair_video.jobs.subject_inputs import check_trimap_size, load_subject_prompt
from autohair_video.matting.loading import LazyPipeline
from autohair_video.matting.trimap import quantise_trimap
from autohair_video.media.colour import quantise_alpha, to_rgb
from autohair_video.media.image import image_depth, read_gray, read_image, write_image
from autohair_video.options import BlendOptions


def process_still(spec: JobSpec, pipeline: LazyPipeline, on_progress: OnProgress) -> Report:
    """Does the job of a still image; see `autohair_video.jobs.runner.process` for errors."""
    outputs = spec.still_outputs
    batch = read_image(spec.source.location, keep_alpha=spec.options.input_alpha == "keep")
    paths = spec.check_outputs(*(output.path for output in outputs))
    notices: list[str] = []
    trimap = _read_trimap(spec.options.trimap, batch.format, notices)
    subject = load_subject_prompt(spec.options.subject, batch.format)
    with ExitStack() as stack:
        background = _open_background(spec, batch.format, stack)
        network = pipeline.load()
        matte = network.still(to_rgb(batch), trimap, subject)
        notices += matte.notices
        moved = batch.to(network.device)
        matte = limited_by_input_alpha(matte, moved)
        for output in outputs:
            samples = _samples(output.content, moved, matte, background, spec.options.blend)
            _write(output.path, samples, batch.format, overwrite=spec.options.overwrite)
    on_progress(Progress(1, 1))
    return Report(paths, 1, tuple(notices))


def _read_trimap(path: Path | None, fmt: FrameFormat, notices: list[str]) -> Tensor | None:
    if path is None:
        return None
    given = read_gray(path)
    check_trimap_size(path, given.shape[3], given.shape[2], fmt)
    trimap = quantise_trimap(given)
    if not torch.equal(trimap, given):
        notices.append(
            f"trimap {path} has greys other than 0, 128 and 255: "
            "close to black or white they count as known, else as unknown"
        )
    return trimap


def _open_background(spec: JobSpec, fmt: FrameFormat, stack: ExitStack) -> BackgroundPlanes | None:
    """What lies behind the subject, until ``stack`` closes; None for a cut-out."""
    if spec.options.background is None or spec.is_cutout:
        return None
    opened = open_background_planes(spec.options.background, fmt, origin=Fraction(0))
    return stack.enter_context(closing(opened))


def _samples(
    content: Content,
    batch: FrameBatch,
    matte: Matte,
    background: BackgroundPlanes | None,
    blend: BlendOptions,
) -> Tensor:
    """(1, C, H, W) samples of the image's depth: RGB, RGB and alpha, or gray."""
    fmt = batch.format
    alpha = quantise_alpha(matte.alpha, fmt.bit_depth)
    if content == "matte":
        return alpha
    if content == "trimap":
        return quantise_alpha(trimap_alpha(matte), fmt.bit_depth)
    if content == "result" and background is not None:
        return torch.cat(composite(batch, matte, background, fmt, blend).planes, dim=1)
    colours = straight_foreground(batch, matte, fmt, blend).planes
    return torch.cat([*colours, alpha] if content == "result" else colours, dim=1)


def _write(path: Path, samples: Tensor, fmt: FrameFormat, *, overwrite: bool) -> None:
    """Writes samples of more than 8 bit with 16 where the file's format has them, else with 8."""
    if fmt.bit_depth > 8:
        depth = image_depth(path)
        scaled = samples.cpu().double() * (((1 << depth) - 1) / fmt.max_value)
        samples = scaled.round().to(torch.uint16 if depth == 16 else torch.uint8)
    write_image(path, samples, overwrite=overwrite)
