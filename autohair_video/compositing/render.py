"""What a matted batch becomes: planes over a background, straight colour with alpha, or alpha alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from autohair_video.compositing.background import Background, StillBackground, open_background
from autohair_video.compositing.foreground import estimate_foreground, foreground_in_band, spill
from autohair_video.compositing.over import (
    Planes,
    blur_background,
    chroma_alpha,
    composite_planes,
    wrap_light,
)
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.media.colour import convert_format, from_rgb, planes_to_rgb, round_planes
from autohair_video.media.transfer import from_linear, to_linear
from autohair_video.options import BlendOptions
from autohair_video.runtime.devices import out_of_memory_error
from autohair_video.runtime.profiling import StageClock, untimed
from autohair_video.runtime.thread_pools import on_each_core

# Colours of an image (N, C, H, W) under its alpha.
Foreground = Callable[[Tensor, Tensor], Tensor]

# Standard deviations of the blurred background and of the light wrap, of the frame's long side.
BLUR_SIGMA_FRACTION = 0.02
WRAP_SIGMA_FRACTION = 0.01


class BackgroundPlanes(Protocol):
    """What lies behind the subject, as planes of a format in sample units."""

    def behind(self, source: Planes, taken: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """Planes behind N frames; one frame's planes serve for all.

        ``taken``: (N, 1, H, W) float in 0..1, how much of each pixel of ``source`` is the subject's.
        """
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class BackgroundSource:
    """A picture, a clip or a colour, in the planes of ``fmt``; a clip begins at ``origin`` seconds."""

    def __init__(self, spec: str, fmt: FrameFormat, origin: Fraction) -> None:
        self._background: Background = open_background(spec, fmt.width, fmt.height)
        self._format, self._origin = fmt, origin
        self._still: Planes | None = None

    def behind(self, source: Planes, taken: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """The background's planes at these times."""
        if self._still is not None:
            return self._still
        rgb = self._background.rgb_at([time_s - self._origin for time_s in times_s])
        planes = from_rgb(rgb.to(source[0].device), self._format)
        if isinstance(self._background, StillBackground):
            self._still = planes
        return planes

    def close(self) -> None:
        """Close the background's file."""
        self._background.close()


class BlurredBackground:
    """The frame's own surroundings, out of focus, with the subject taken out of them."""

    def __init__(self, fmt: FrameFormat) -> None:
        self._sigma_px = BLUR_SIGMA_FRACTION * max(fmt.width, fmt.height)

    def behind(self, source: Planes, taken: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """The blurred planes of these frames."""
        return blur_background(source, taken, sigma_px=self._sigma_px)

    def close(self) -> None:
        """Nothing is open."""


def open_background_planes(
    spec: str, fmt: FrameFormat, *, origin: Fraction = Fraction(0)
) -> BackgroundPlanes:
    """The scene that ``spec`` names: ``blur``, a colour, a picture or a clip.

    ``origin``: the time of the frames, in seconds, at which a clip in the background begins.

    Raises:
        OptionError: ``spec`` is neither a word, a colour nor a path.
        InputError: the file is missing or cannot be read.
    """
    return BlurredBackground(fmt) if spec.lower() == "blur" else BackgroundSource(spec, fmt, origin)


def composite(
    batch: FrameBatch,
    matte: Matte,
    scene: BackgroundPlanes,
    target: FrameFormat,
    blend: BlendOptions | None = None,
    *,
    watch: StageClock = untimed,
) -> FrameBatch:
    """The subject of ``batch`` over ``scene``, as frames of ``target``.

    Where alpha is one, the samples are the batch's own (converted, if ``target`` differs), unless spill or
    light wrap is asked for.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    how = blend or BlendOptions()
    return _in_halves(lambda some, its: _composite(some, its, scene, target, how, watch), batch, matte)


def straight_foreground(
    batch: FrameBatch, matte: Matte, target: FrameFormat, blend: BlendOptions | None = None
) -> FrameBatch:
    """The subject's own colours, the old background taken out of its edge: straight, in ``target``.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    how = blend or BlendOptions()
    return _in_halves(lambda some, its: _cut_out(some, its, target, how), batch, matte)


def _in_halves(
    work: Callable[[FrameBatch, Matte], FrameBatch], batch: FrameBatch, matte: Matte
) -> FrameBatch:
    """The work done on the whole batch, or on its halves where the device's memory is too small."""
    try:
        return work(batch, matte)
    except torch.OutOfMemoryError as exc:
        if len(batch) == 1:
            raise out_of_memory_error(batch.device, batch.format.width, batch.format.height) from exc
    parts = [_in_halves(work, *part) for part in zip(batch.halves(), matte.halves(), strict=True)]
    y, u, v = (torch.cat(planes) for planes in zip(*(part.planes for part in parts), strict=True))
    return batch.with_planes((y, u, v), parts[0].format)


def _composite(
    batch: FrameBatch,
    matte: Matte,
    scene: BackgroundPlanes,
    target: FrameFormat,
    blend: BlendOptions,
    watch: StageClock,
) -> FrameBatch:
    alpha, raw_alpha = matte.alpha, matte.raw_alpha
    with watch("foreground"):
        source = _in_target(batch, target)
        if raw_alpha is None:
            subject = _subject(source, alpha, target, blend, foreground_in_band)
        else:
            subject = _subject(source, raw_alpha, target, blend, _foreground_everywhere)
    with watch("composite"):
        taken = alpha if raw_alpha is None else torch.maximum(alpha, raw_alpha)
        behind = scene.behind(source, taken, [pts * batch.time_base for pts in batch.pts])
        place = _linear_composite if blend.linear else _coded_composite
        planes = place(subject, alpha, behind, target)
        if blend.light_wrap:
            planes = _lit(planes, alpha, behind, target, blend)
        return batch.with_planes(round_planes(planes, target), target)


def _cut_out(batch: FrameBatch, matte: Matte, target: FrameFormat, blend: BlendOptions) -> FrameBatch:
    raw_alpha = matte.alpha if matte.raw_alpha is None else matte.raw_alpha
    subject = _subject(_in_target(batch, target), raw_alpha, target, blend, _foreground_everywhere)
    return batch.with_planes(round_planes(subject, target), target)


def _in_target(batch: FrameBatch, target: FrameFormat) -> Planes:
    y, u, v = (plane.float() for plane in convert_format(batch.planes, batch.format, target))
    return y, u, v


def _foreground_everywhere(image: Tensor, alpha: Tensor) -> Tensor:
    """For cut-outs, whose colours may be looked at where alpha is 0, and for edges that are moved there."""
    return estimate_foreground(image, alpha)[0]


def _subject(
    source: Planes, raw_alpha: Tensor, fmt: FrameFormat, blend: BlendOptions, foreground: Foreground
) -> Planes:
    """The subject's own colours as float planes, the spill taken off them."""
    coloured = _linear_subject if blend.linear else _coded_subject
    subject = coloured(source, raw_alpha, fmt, foreground)
    if blend.despill == "off":
        return subject
    rgb = planes_to_rgb(subject, fmt)
    shade = torch.zeros_like(rgb)
    shade[:, 1 if blend.despill == "green" else 2] = spill(rgb, blend.despill)[:, 0]
    return _changed(subject, rgb, rgb - shade, fmt)


def _lit(planes: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat, blend: BlendOptions) -> Planes:
    """A composite with the background's light on the subject's edge."""
    rgb, back = planes_to_rgb(planes, fmt), planes_to_rgb(behind, fmt)
    amount, sigma_px = blend.light_wrap, WRAP_SIGMA_FRACTION * max(fmt.width, fmt.height)
    if not blend.linear:
        return _changed(planes, rgb, wrap_light(rgb, alpha, back, amount=amount, sigma_px=sigma_px), fmt)
    light = to_linear(rgb, fmt)
    lit = wrap_light(light, alpha, to_linear(back, fmt), amount=amount, sigma_px=sigma_px)
    return _changed(planes, rgb, torch.where(lit == light, rgb, from_linear(lit, fmt)), fmt)


def _changed(planes: Planes, before: Tensor, after: Tensor, fmt: FrameFormat) -> Planes:
    """Planes with a change of their colours; samples whose colour is the same stay exact."""
    # Both are affine: the difference of their planes is that of their colours.
    pairs = zip(planes, from_rgb(before, fmt), from_rgb(after, fmt), strict=True)
    y, u, v = (plane + (new - old) for plane, old, new in pairs)
    return y, u, v


def _coded_subject(source: Planes, alpha: Tensor, fmt: FrameFormat, foreground: Foreground) -> Planes:
    pictures = [(source[0], alpha), (torch.cat(source[1:], dim=1), chroma_alpha(alpha, fmt.chroma_size))]
    luma, chroma = on_each_core(lambda picture: foreground(*picture), pictures, alpha.device)
    return luma, chroma[:, :1], chroma[:, 1:]


def _linear_subject(source: Planes, alpha: Tensor, fmt: FrameFormat, foreground: Foreground) -> Planes:
    light = foreground(to_linear(planes_to_rgb(source, fmt), fmt), alpha)
    return _where_alpha(alpha, 1, source, from_rgb(from_linear(light, fmt), fmt))


def _coded_composite(subject: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat) -> Planes:
    return composite_planes(subject, alpha, behind)


def _linear_composite(subject: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat) -> Planes:
    front, back = (to_linear(planes_to_rgb(planes, fmt), fmt) for planes in (subject, behind))
    mixed = from_rgb(from_linear(torch.lerp(back, front, alpha), fmt), fmt)
    return _where_alpha(alpha, 0, behind, _where_alpha(alpha, 1, subject, mixed))


def _where_alpha(alpha: Tensor, level: int, planes: Planes, others: Planes) -> Planes:
    """Samples of ``planes`` where alpha is ``level``, which so stay exact, else of ``others``."""
    y, u, v = (
        torch.where(chroma_alpha(alpha, (plane.shape[2], plane.shape[3])) == level, plane, other)
        for plane, other in zip(planes, others, strict=True)
    )
    return y, u, v
