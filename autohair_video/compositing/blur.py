"""Weighted Gaussian blur, and the frame's own background out of focus."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.compositing.over import Planes, chroma_alpha

# Alpha above which a pixel shows no usable background: its mixture is mostly the subject (by eye).
_BG_VISIBLE_MAX_ALPHA: Final = 0.05
# Pixels closer to the subject than this fraction of sigma are left out too: a matte may be choked or miss
# a strand (by eye).
_GUARD_SIGMAS: Final = 0.25
# A blur of a larger sigma, in samples, runs on an image downscaled to about this sigma (by eye).
_MAX_SIGMA_SAMPLES: Final = 2.5
# Weight of the image's overall mean, which fills in where no background is near.
_MEAN_WEIGHT: Final = 1e-4


def blur_background(planes: Planes, alpha: Tensor, *, sigma_px: float) -> Planes:
    """The frame without its subject, blurred, as a background for the same frame.

    A Gaussian mean of those pixels only that are at least a quarter of sigma away from the subject, so that
    none of its colour bleeds out even where the matte is that much too tight. Pixels outside the frame have
    no weight either. Far inside the subject the result is the background's mean.

    Args:
        planes: the frame's planes, float in any unit.
        alpha: (N, 1, H, W) float in 0..1, on the planes' device.
        sigma_px: standard deviation of the blur in luma samples, above 0.
    """
    height, width = alpha.shape[2:]
    weight = (1 - _dilate(alpha, round(_GUARD_SIGMAS * sigma_px)) / _BG_VISIBLE_MAX_ALPHA).clamp(min=0)
    blurred = []
    for plane in planes:
        h, w = plane.shape[2:]
        sigmas = (sigma_px * h / height, sigma_px * w / width)
        blurred.append(weighted_blur(plane, chroma_alpha(weight, (h, w)), sigmas))
    return blurred[0], blurred[1], blurred[2]


def _dilate(alpha: Tensor, radius_px: int) -> Tensor:
    """The maximum of alpha within ``radius_px`` of each pixel, and at most twice as far."""
    if not radius_px:
        return alpha
    cells = F.max_pool2d(F.max_pool2d(alpha, radius_px, ceil_mode=True), 3, stride=1, padding=1)
    pixels = F.interpolate(cells, scale_factor=float(radius_px), mode="nearest")
    return pixels[:, :, : alpha.shape[2], : alpha.shape[3]]


def weighted_blur(plane: Tensor, weight: Tensor, sigmas: tuple[float, float]) -> Tensor:
    """Gaussian mean of (N, 1, h, w) with a weight of the same shape, which is 0 outside the frame.

    ``sigmas``: standard deviations in samples, vertical and horizontal.
    """
    downscale = [max(1, math.floor(sigma / _MAX_SIGMA_SAMPLES)) for sigma in sigmas]
    weighted = torch.cat([plane * weight, weight], dim=1)
    weighted = F.avg_pool2d(weighted, downscale, ceil_mode=True, count_include_pad=False)
    total = weighted.sum(dim=(2, 3), keepdim=True)
    mean = torch.where(total[:, 1:] > 0, total[:, :1] / total[:, 1:], plane.mean(dim=(2, 3), keepdim=True))
    for dim, sigma, factor in zip((2, 3), sigmas, downscale, strict=True):
        weighted = _gaussian(weighted, sigma / factor, dim=dim)
    blurred = (weighted[:, :1] + _MEAN_WEIGHT * mean) / (weighted[:, 1:] + _MEAN_WEIGHT)
    if downscale != [1, 1]:
        # The last pooled sample of a side that is not a multiple of the factor extends beyond the frame.
        size = [side * factor for side, factor in zip(blurred.shape[2:], downscale, strict=True)]
        blurred = F.interpolate(blurred, size, mode="bilinear", align_corners=False)
    return blurred[:, :, : plane.shape[2], : plane.shape[3]]


def _gaussian(x: Tensor, sigma: float, *, dim: int) -> Tensor:
    """Gaussian along one dimension, as a sum of shifted copies: a convolution is slower on a CPU."""
    radius = math.ceil(3 * sigma)
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(radius + 1)]
    scale = 1 / (2 * sum(taps) - taps[0])
    length = x.shape[dim]
    padded = F.pad(x, (0, 0, radius, radius) if dim == 2 else (radius, radius))
    result = x * (taps[0] * scale)
    for k, tap in enumerate(taps[1:], start=1):
        result.add_(padded.narrow(dim, radius - k, length), alpha=tap * scale)
        result.add_(padded.narrow(dim, radius + k, length), alpha=tap * scale)
    return result
