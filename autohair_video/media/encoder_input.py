"""Packs planes and alpha as an encoder takes them: depth, arrangement, linear light."""

from __future__ import annotations

import torch
from torch import Tensor

from autohair_video.frames import FrameFormat
from autohair_video.media.colour import (
    Planes,
    convert_format,
    from_rgb,
    premultiply,
    premultiply_light,
    quantise_alpha,
    round_planes,
)
from autohair_video.media.presets import Preset, codec_depth, codec_format
from autohair_video.media.transfer import to_linear


def encoder_planes(
    preset: Preset, planes: Planes, fmt: FrameFormat, alpha: Tensor | None
) -> tuple[Tensor, ...]:
    """The planes that the codec of ``preset`` takes, (N, 1, h, w) each, alpha last where it has a plane.

    ``planes``: integers of ``fmt``. ``alpha``: (N, 1, H, W) float32 in 0..1; None for composites. The
    result holds integers of the codec's depth, or float32 where that is floating point.
    """
    target, depth = codec_format(preset, fmt), codec_depth(preset, fmt)
    if preset.role == "matte":
        if alpha is None:
            raise ValueError(f"a matte ({preset.name}) without alpha")
        return (quantise_alpha(alpha, depth),) if preset.is_gray else _gray_planes(alpha, target)
    planes = convert_format(planes, fmt, target)
    if preset.is_linear:
        return _linear_planes(planes, alpha, target, preset)
    if alpha is not None and preset.alpha == "premultiplied":
        multiply = premultiply_light if preset.multiplies_light else premultiply
        planes = multiply(planes, alpha, target)
    if alpha is not None and preset.arrangement != "single":
        return _arranged(planes, _gray_planes(alpha, target), dim=2 if preset.arrangement == "stacked" else 3)
    y, u, v = (_widened(plane, target.bit_depth, depth) for plane in planes)
    return (y, u, v) if alpha is None else (y, u, v, quantise_alpha(alpha, depth))


def encoder_size(preset: Preset, fmt: FrameFormat) -> tuple[int, int]:
    """Width and height of the frames that are encoded."""
    across, down = preset.arrangement == "side-by-side", preset.arrangement == "stacked"
    return fmt.width * (1 + across), fmt.height * (1 + down)


def _gray_planes(alpha: Tensor, target: FrameFormat) -> Planes:
    """Alpha as luma, with neutral chroma."""
    return round_planes(from_rgb(alpha.expand(-1, 3, -1, -1), target), target)


def _linear_planes(
    planes: Planes, alpha: Tensor | None, target: FrameFormat, preset: Preset
) -> tuple[Tensor, ...]:
    light = [to_linear(plane.float() / target.max_value, target) for plane in planes]
    if alpha is None:
        return tuple(light)
    if preset.alpha == "premultiplied":
        light = [plane * alpha for plane in light]
    return *light, alpha


def _arranged(colours: Planes, gray: Planes, *, dim: int) -> Planes:
    y, u, v = (torch.cat(pair, dim=dim) for pair in zip(colours, gray, strict=True))
    return y, u, v


def _widened(plane: Tensor, bits: int, wanted: int) -> Tensor:
    """The same samples with more bits: the largest value stays the largest."""
    if bits == wanted:
        return plane
    scale = ((1 << wanted) - 1) / ((1 << bits) - 1)
    return (plane.double() * scale).round_().to(torch.int32)
