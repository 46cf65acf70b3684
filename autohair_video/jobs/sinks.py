"""The outputs of a clip's job, in one pass: a batch is rendered once for all that can share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction

import torch
from torch import Tensor

from autohair_video.compositing.render import (
    BackgroundPlanes,
    composite,
    open_background_planes,
    straight_foreground,
)
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.jobs.spec import ClipOutputSpec, JobSpec
from autohair_video.media.disk_space import check_disk_space
from autohair_video.media.presets import codec_format
from autohair_video.media.writer import ClipWriter
from autohair_video.options import BlendOptions


@dataclass(frozen=True)
class Sink:
    """One output: its format, and what lies behind the subject; None for a cut-out or alpha itself."""

    target: ClipOutputSpec
    format: FrameFormat
    scene: BackgroundPlanes | None
    blend: BlendOptions = field(default_factory=BlendOptions)


@dataclass(frozen=True)
class SinkFrame:
    """One batch as one output shows it; ``alpha`` where that is written too, or instead."""

    frames: FrameBatch
    alpha: Tensor | None


def plan_sinks(
    request: JobSpec,
    targets: Sequence[ClipOutputSpec],
    source: FrameFormat,
    origin: Fraction,
    stack: ExitStack,
) -> list[Sink]:
    """What each output will be given, for frames of ``source``; scenes are open until ``stack`` closes.

    Raises:
        OptionError: an encoder does not take this size, or the background is none.
        InputError: the background cannot be read.
    """
    scenes: dict[FrameFormat, BackgroundPlanes] = {}
    sinks = []
    for target in targets:
        fmt = codec_format(target.preset, source)
        if target.preset.role == "matte":
            sinks.append(Sink(target, source, None))
        elif target.content == "result" and request.background is not None and not request.is_cutout:
            if fmt not in scenes:
                scenes[fmt] = stack.enter_context(
                    closing(open_background_planes(request.background, fmt, origin=origin))
                )
            sinks.append(Sink(target, fmt, scenes[fmt], request.blend))
        else:
            sinks.append(Sink(target, fmt, None, request.blend))
    return sinks


def draw(sinks: Sequence[Sink], frames: FrameBatch, matte: Matte) -> list[SinkFrame]:
    """What each output shows of one matted batch.

    Alpha that the clip itself brought is a limit: the smaller of the two holds, so that what was cut away
    stays away, and matting a cut-out once more changes nothing.
    """
    if frames.alpha is not None:
        alpha = torch.minimum(matte.alpha, frames.alpha)
        raw_alpha = None if matte.raw_alpha is None else torch.minimum(matte.raw_alpha, frames.alpha)
        matte = replace(matte, alpha=alpha, raw_alpha=raw_alpha)
    made: dict[tuple[FrameFormat, bool], FrameBatch] = {}
    rendered = []
    for sink in sinks:
        target, fmt = sink.target, sink.format
        if target.preset.role == "matte":
            alpha = trimap_alpha(matte) if target.content == "trimap" else matte.alpha
            rendered.append(SinkFrame(frames, alpha))
            continue
        key = fmt, sink.scene is None
        if key not in made:
            made[key] = (
                straight_foreground(frames, matte, fmt, sink.blend)
                if sink.scene is None
                else composite(frames, matte, sink.scene, fmt, sink.blend)
            )
        rendered.append(SinkFrame(made[key], matte.alpha if target.preset.needs_alpha else None))
    return rendered


class SinkGroup:
    """The open files of all outputs."""

    def __init__(self, writers: Sequence[ClipWriter]) -> None:
        self._writers = writers

    def write(self, rendered: Sequence[SinkFrame]) -> None:
        """Encode one batch for each output.

        Raises:
            OutputError: an encoder or a disk refuses, or has too little room for the batch and for what
                makes the outputs whole.
        """
        check_disk_space(
            writer.needs(len(part.frames)) for writer, part in zip(self._writers, rendered, strict=True)
        )
        for writer, part in zip(self._writers, rendered, strict=True):
            writer.write(part.frames, part.alpha)

    @property
    def notices(self) -> list[str]:
        """What could not be kept; said once though it holds for several outputs. Read it after the end."""
        return list(dict.fromkeys(line for writer in self._writers for line in writer.notices))


def render_and_encode(
    sinks: Sequence[Sink], writers: SinkGroup
) -> Callable[[tuple[FrameBatch, Matte]], None]:
    """What draws a matted batch for each output and encodes it, for a thread beside the matting."""
    return lambda done: writers.write(draw(sinks, *done))


def trimap_alpha(matte: Matte) -> Tensor:
    """The trimap as gray levels in 0..1, (N, 1, H, W) float32."""
    if matte.trimap is None:
        raise ValueError("a matte without a trimap has none to write")
    return matte.trimap.float() / 255
