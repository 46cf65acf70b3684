"""Edge controls of a finished matte: choke, feather, levels and gamma."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.options import EdgeOptions

# Radius of the Gaussian kernel. Unit: standard deviations. Source: 99.7 % of the weight lies inside.
_GAUSSIAN_SIGMAS: Final = 3.0
# Larger discs are composed of discs of at most this radius. Unit: px. Source: by eye.
_MAX_DISC_PX: Final = 4.0
# Radius bias that minimises the discretisation error of small disc structuring elements. Unit: px. Source: by
# eye.
_RADIUS_BIAS_PX: Final = 0.4


def adjust_matte(alpha: Tensor, options: EdgeOptions) -> Tensor:
    """Alpha choked, feathered and graded; the same tensor where the options change nothing.

    Args:
        alpha: (N, 1, H, W) float in 0..1.
        options: lengths in pixels of alpha.

    Returns:
        (N, 1, H, W) float in 0..1.
    """
    if options.choke_px:
        alpha = choke(alpha, options.choke_px)
    if options.feather_px:
        alpha = feather(alpha, options.feather_px)
    if (options.black_point, options.white_point) != (0.0, 1.0):
        alpha = ((alpha - options.black_point) / (options.white_point - options.black_point)).clamp(0, 1)
    if options.gamma != 1:
        alpha = alpha.pow(1 / options.gamma)
    return alpha


def choke(alpha: Tensor, distance_px: float) -> Tensor:
    """Alpha with its edge moved inward by a distance, or outward by a negative one.

    Grayscale erosion (dilation) by a disc (Sternberg, "Grayscale Morphology", 1986). Large discs are
    composed of small ones; a fractional radius interpolates between the two nearest discs. Outside the
    frame nothing counts.
    """
    if distance_px < 0:
        return 1 - choke(1 - alpha, -distance_px)
    while distance_px > 0:
        step = min(distance_px, _MAX_DISC_PX)
        part = step - math.floor(step)
        near = _disc_minimum(alpha, math.floor(step))
        alpha = torch.lerp(near, _disc_minimum(alpha, math.ceil(step)), part) if part else near
        distance_px -= step
    return alpha


def feather(alpha: Tensor, sigma_px: float) -> Tensor:
    """Alpha blurred by a Gaussian of that standard deviation; the frame is padded by replication."""
    reach = math.ceil(_GAUSSIAN_SIGMAS * sigma_px)
    steps = torch.arange(-reach, reach + 1, device=alpha.device, dtype=alpha.dtype)
    taps = torch.exp(-0.5 * (steps / sigma_px).square())
    taps = taps / taps.sum()
    rows = F.conv2d(F.pad(alpha, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))
    both = F.conv2d(F.pad(rows, (reach, reach, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
    return both.clamp(0, 1)


def _disc_minimum(alpha: Tensor, radius_px: int) -> Tensor:
    """Minimum over a disc, decomposed into rectangles."""
    if radius_px == 0:
        return alpha
    minimum = alpha
    for half_height in range(radius_px + 1):
        half_width = int(math.sqrt((radius_px + _RADIUS_BIAS_PX) ** 2 - half_height**2))
        minimum = torch.minimum(minimum, _box_minimum(alpha, half_height, half_width))
    return minimum


def _box_minimum(alpha: Tensor, half_height: int, half_width: int) -> Tensor:
    # max_pool2d pads with the lowest value, so the frame's edge never counts
    for kernel in ((2 * half_height + 1, 1), (1, 2 * half_width + 1)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        alpha = -F.max_pool2d(-alpha, kernel, stride=1, padding=padding)
    return alpha
