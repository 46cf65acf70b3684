"""Renders a matted batch for an output: composited over a background, or its straight-alpha foreground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from autohair_video.compositing.background import Background, StillBackground, open_background
from autohair_video.compositing.blur import blur_background
from autohair_video.compositing.despill import spill
from autohair_video.compositing.foreground import estimate_foreground, foreground_in_band
from autohair_video.compositing.light_wrap import wrap_light
from autohair_video.compositing.over import Planes, chroma_alpha, composite_planes
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.media.colour import convert_format, from_rgb, planes_to_rgb, round_planes
from autohair_video.media.transfer import from_linear, to_linear
from autohair_video.options import BlendOptions
from autohair_video.runtime.devices import out_of_memory_error
from autohair_video.runtime.profiling import StageClock, untimed
from autohair_video.runtime.thread_pools import on_each_core

# Estimates the foreground colours of an image (N, C, H, W) from its alpha (N, 1, H, W).
ForegroundEstimator = Callable[[Tensor, Tensor], Tensor]

# Standard deviations of the background blur and of the light wrap, as fractions of the frame's long side
# (by eye).
BLUR_SIGMA_FRACTION = 0.02
WRAP_SIGMA_FRACTION = 0.01


class BackgroundPlanes(Protocol):
    """The background as planes of a format, in sample units."""

    def behind(self, source: Planes, coverage: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """Background planes of N frames, or of 1 to broadcast.

        ``coverage``: (N, 1, H, W) float in 0..1, the subject's coverage of each pixel of ``source``.
        """
        ...

    def close(self) -> None:
        """Close files."""
        ...


class BackgroundSource:
    """An image, clip or colour as planes of ``fmt``; a clip starts at ``origin`` seconds."""

    def __init__(self, spec: str, fmt: FrameFormat, origin: Fraction) -> None:
        self._background: Background = open_background(spec, fmt.width, fmt.height)
        self._format, self._origin = fmt, origin
        self._still: Planes | None = None

    def behind(self, source: Planes, coverage: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """See `BackgroundPlanes`."""
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
    """The frame's own background, blurred, without the subject (see `blur_background`)."""

    def __init__(self, fmt: FrameFormat) -> None:
        self._sigma_px = BLUR_SIGMA_FRACTION * max(fmt.width, fmt.height)

    def behind(self, source: Planes, coverage: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """See `BackgroundPlanes`."""
        return blur_background(source, coverage, sigma_px=self._sigma_px)

    def close(self) -> None:
        """Nothing is open."""


def open_background_planes(
    spec: str, fmt: FrameFormat, *, origin: Fraction = Fraction(0)
) -> BackgroundPlanes:
    """The background that ``spec`` names: ``blur``, a colour, an image or a clip.

    ``origin``: the frames' time, in seconds, at which a background clip starts.

    Raises:
        OptionError: ``spec`` is neither ``blur``, a colour nor a path.
        InputError: the file is missing or cannot be read.
    """
    return BlurredBackground(fmt) if spec.lower() == "blur" else BackgroundSource(spec, fmt, origin)


def composite(
    batch: FrameBatch,
    matte: Matte,
    background: BackgroundPlanes,
    target: FrameFormat,
    blend: BlendOptions | None = None,
    *,
    watch: StageClock = untimed,
) -> FrameBatch:
    """The subject of ``batch`` composited over ``background``, as frames of ``target``.

    Where alpha is 1 the samples are those of the batch (converted if ``target`` differs), unless despill or
    light wrap is on.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    how = blend or BlendOptions()
    return _in_halves(lambda some, its: _composite(some, its, background, target, how, watch), batch, matte)


def straight_foreground(
    batch: FrameBatch, matte: Matte, target: FrameFormat, blend: BlendOptions | None = None
) -> FrameBatch:
    """The subject's straight (not premultiplied) colours in ``target``, without the old background's.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    how = blend or BlendOptions()
    return _in_halves(lambda some, its: _cut_out(some, its, target, how), batch, matte)


def _in_halves(
    work: Callable[[FrameBatch, Matte], FrameBatch], batch: FrameBatch, matte: Matte
) -> FrameBatch:
    """Run ``work`` on the whole batch, or recursively on its halves where device memory does not suffice."""
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
    background: BackgroundPlanes,
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
        coverage = alpha if raw_alpha is None else torch.maximum(alpha, raw_alpha)
        behind = background.behind(source, coverage, [pts * batch.time_base for pts in batch.pts])
        over = _linear_composite if blend.linear else _coded_composite
        planes = over(subject, alpha, behind, target)
        if blend.light_wrap:
            planes = _light_wrapped(planes, alpha, behind, target, blend)
        return batch.with_planes(round_planes(planes, target), target)


def _cut_out(batch: FrameBatch, matte: Matte, target: FrameFormat, blend: BlendOptions) -> FrameBatch:
    raw_alpha = matte.alpha if matte.raw_alpha is None else matte.raw_alpha
    subject = _subject(_in_target(batch, target), raw_alpha, target, blend, _foreground_everywhere)
    return batch.with_planes(round_planes(subject, target), target)


def _in_target(batch: FrameBatch, target: FrameFormat) -> Planes:
    y, u, v = (plane.float() for plane in convert_format(batch.planes, batch.format, target))
    return y, u, v


def _foreground_everywhere(image: Tensor, alpha: Tensor) -> Tensor:
    """For outputs with alpha, which keep colours where alpha is 0, and for mattes that were grown there."""
    return estimate_foreground(image, alpha)[0]


def _subject(
    source: Planes, raw_alpha: Tensor, fmt: FrameFormat, blend: BlendOptions, foreground: ForegroundEstimator
) -> Planes:
    """The subject's foreground colours as float planes, despilled."""
    estimate = _linear_subject if blend.linear else _coded_subject
    subject = estimate(source, raw_alpha, fmt, foreground)
    if blend.despill == "off":
        return subject
    rgb = planes_to_rgb(subject, fmt)
    excess = torch.zeros_like(rgb)
    excess[:, 1 if blend.despill == "green" else 2] = spill(rgb, blend.despill)[:, 0]
    return _apply_change(subject, rgb, rgb - excess, fmt)


def _light_wrapped(
    planes: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat, blend: BlendOptions
) -> Planes:
    """A composite with light wrap."""
    rgb, back = planes_to_rgb(planes, fmt), planes_to_rgb(behind, fmt)
    amount, sigma_px = blend.light_wrap, WRAP_SIGMA_FRACTION * max(fmt.width, fmt.height)
    if not blend.linear:
        return _apply_change(planes, rgb, wrap_light(rgb, alpha, back, amount=amount, sigma_px=sigma_px), fmt)
    light = to_linear(rgb, fmt)
    lit = wrap_light(light, alpha, to_linear(back, fmt), amount=amount, sigma_px=sigma_px)
    return _apply_change(planes, rgb, torch.where(lit == light, rgb, from_linear(lit, fmt)), fmt)


def _apply_change(planes: Planes, before: Tensor, after: Tensor, fmt: FrameFormat) -> Planes:
    """Add the difference of two RGB images to planes; samples whose colour is unchanged stay exact."""
    # The conversion is affine: the planes' difference is that of the colours.
    pairs = zip(planes, from_rgb(before, fmt), from_rgb(after, fmt), strict=True)
    y, u, v = (plane + (new - old) for plane, old, new in pairs)
    return y, u, v


def _coded_subject(
    source: Planes, alpha: Tensor, fmt: FrameFormat, foreground: ForegroundEstimator
) -> Planes:
    images = [(source[0], alpha), (torch.cat(source[1:], dim=1), chroma_alpha(alpha, fmt.chroma_size))]
    luma, chroma = on_each_core(lambda image: foreground(*image), images, alpha.device)
    return luma, chroma[:, :1], chroma[:, 1:]


def _linear_subject(
    source: Planes, alpha: Tensor, fmt: FrameFormat, foreground: ForegroundEstimator
) -> Planes:
    light = foreground(to_linear(planes_to_rgb(source, fmt), fmt), alpha)
    return _where_alpha(alpha, 1, source, from_rgb(from_linear(light, fmt), fmt))


def _coded_composite(subject: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat) -> Planes:
    return composite_planes(subject, alpha, behind)


def _linear_composite(subject: Planes, alpha: Tensor, behind: Planes, fmt: FrameFormat) -> Planes:
    front, back = (to_linear(planes_to_rgb(planes, fmt), fmt) for planes in (subject, behind))
    mixed = from_rgb(from_linear(torch.lerp(back, front, alpha), fmt), fmt)
    return _where_alpha(alpha, 0, behind, _where_alpha(alpha, 1, subject, mixed))


def _where_alpha(alpha: Tensor, level: int, planes: Planes, others: Planes) -> Planes:
    """``planes`` where alpha equals ``level``, so that those samples stay exact, elsewhere ``others``."""
    y, u, v = (
        torch.where(chroma_alpha(alpha, (plane.shape[2], plane.shape[3])) == level, plane, other)
        for plane, other in zip(planes, others, strict=True)
    )
    return y, u, v
