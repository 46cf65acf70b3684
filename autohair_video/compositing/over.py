"""Compositing on the sample planes themselves.

Blending is linear and Y'CbCr an affine map of R'G'B', so planes can be blended as they are, chroma
with alpha filtered as chroma is. Planes are three float tensors, luma (or R) (N, 1,
H, W) and two chroma (or G, B) (N, 1, h, w), in any one unit; rounding is left to whoever writes them.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

Planes = tuple[Tensor, Tensor, Tensor]

# Where the subject covers more than this, a pixel tells nothing of the background.
_SEEN_UP_TO_ALPHA: Final = 0.05
# Nor does one that is nearer to it than this share of sigma: a matte may be choked, or miss a strand.
_GUARD_SIGMAS: Final = 0.25
# Blurs wider than this many samples are done on a smaller picture.
_WIDEST_SIGMA: Final = 2.5
# Share of the picture's mean in the blur, which takes over where no background is near.
_MEAN_SHARE: Final = 1e-4


def chroma_alpha(alpha: Tensor, size: tuple[int, int]) -> Tensor:
    """Alpha of the chroma samples, filtered as chroma itself is.

    Chroma is sited as MPEG-2 and H.264 do by default: on every second luma column, half way between two
    rows. So it is the mean of two down columns and (1, 2, 1) / 4 along rows; the frame's edge goes on.

    Args:
        alpha: (N, 1, H, W) float.
        size: height and width of the chroma planes: those of luma, or half of them rounded up.

    Returns:
        (N, 1, h, w) float.

    >>> chroma_alpha(torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]]), (1, 2))
    tensor([[[[0.7500, 0.0000]]]])
    """
    if alpha.shape[2] != size[0]:
        upper, lower = _evens_and_odds(alpha, 2)
        alpha = (upper + lower) * 0.5
    if alpha.shape[3] != size[1]:
        on, right = _evens_and_odds(alpha, 3)
        left = torch.cat([alpha[..., :1], right[..., :-1]], dim=3)
        alpha = (left + right).mul_(0.25).add_(on, alpha=0.5)
    return alpha


def _evens_and_odds(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Every second row or column from the first and from the second on; of an odd side the last one twice."""
    length = x.shape[dim]
    evens = torch.arange(0, length, 2, device=x.device)
    return x.index_select(dim, evens), x.index_select(dim, (evens + 1).clamp(max=length - 1))


def composite_planes(foreground: Planes, alpha: Tensor, background: Planes) -> Planes:
    """``alpha * foreground + (1 - alpha) * background``, plane by plane.

    Exactly the foreground's samples where alpha is 1 and the background's where it is 0.

    Args:
        foreground: planes of the subject's own colours (straight, not premultiplied).
        alpha: (N, 1, H, W) float in 0..1.
        background: planes of the same sizes and unit; a batch of 1 serves all frames.
    """
    luma_f, u_f, v_f = foreground
    luma_b, u_b, v_b = background
    beside = chroma_alpha(alpha, (u_f.shape[2], u_f.shape[3]))
    return (
        torch.lerp(luma_b, luma_f, alpha),
        torch.lerp(u_b, u_f, beside),
        torch.lerp(v_b, v_f, beside),
    )


def wrap_light(rgb: Tensor, alpha: Tensor, behind: Tensor, *, amount: float, sigma_px: float) -> Tensor:
    """A composite on whose subject the background's light falls near its edge.

    Inside the subject the blurred background is laid over as a screen (which only adds light), by
    ``amount`` of the share of background that is near; beyond three sigma of the edge nothing changes.
    Both pictures are coded colours or both are light; light above white stays as it is.

    Args:
        rgb: (N, 3, H, W) float, white is 1: the subject over the background.
        alpha: (N, 1, H, W) float in 0..1.
        behind: (N, 3, H, W) float likewise, the background; a batch of 1 serves all frames.
        amount: 0 for nothing, 1 for all.
        sigma_px: how far light reaches.
    """
    sigmas = (sigma_px, sigma_px)
    share = _weighted_blur(1 - alpha, torch.ones_like(alpha), sigmas).clamp(0, 1) * alpha * amount
    channels = [behind[:, c : c + 1] for c in range(3)]
    near = torch.cat([_weighted_blur(c, torch.ones_like(c), sigmas) for c in channels], dim=1)
    return rgb + share * near * (1 - rgb).clamp(min=0)


def blur_background(planes: Planes, alpha: Tensor, *, sigma_px: float) -> Planes:
    """The frame without its subject, blurred: what to put behind the subject of the same frame.

    A Gaussian mean over those pixels only that are clear of the subject by a quarter of sigma, so that
    none of its colour bleeds out, even where the matte is that much too tight; the frame's edge is treated
    alike. Far inside the subject it is the background's mean.

    Args:
        planes: the frame's planes.
        alpha: (N, 1, H, W) float in 0..1.
        sigma_px: standard deviation of the blur in luma samples, above 0.
    """
    height, width = alpha.shape[2:]
    weight = (1 - _grown(alpha, round(_GUARD_SIGMAS * sigma_px)) / _SEEN_UP_TO_ALPHA).clamp(min=0)
    blurred = []
    for plane in planes:
        h, w = plane.shape[2:]
        sigmas = (sigma_px * h / height, sigma_px * w / width)
        blurred.append(_weighted_blur(plane, chroma_alpha(weight, (h, w)), sigmas))
    return blurred[0], blurred[1], blurred[2]


def _grown(alpha: Tensor, least_px: int) -> Tensor:
    """The largest alpha within ``least_px`` of each pixel, and at most twice as far."""
    if not least_px:
        return alpha
    cells = F.max_pool2d(F.max_pool2d(alpha, least_px, ceil_mode=True), 3, stride=1, padding=1)
    pixels = F.interpolate(cells, scale_factor=float(least_px), mode="nearest")
    return pixels[:, :, : alpha.shape[2], : alpha.shape[3]]


def _weighted_blur(plane: Tensor, weight: Tensor, sigmas: tuple[float, float]) -> Tensor:
    """Gaussian mean of (N, 1, h, w) by a weight of the same shape, zero outside the frame."""
    shrink = [max(1, math.floor(sigma / _WIDEST_SIGMA)) for sigma in sigmas]
    both = torch.cat([plane * weight, weight], dim=1)
    both = F.avg_pool2d(both, shrink, ceil_mode=True, count_include_pad=False)
    total = both.sum(dim=(2, 3), keepdim=True)
    mean = torch.where(total[:, 1:] > 0, total[:, :1] / total[:, 1:], plane.mean(dim=(2, 3), keepdim=True))
    for dim, sigma, factor in zip((2, 3), sigmas, shrink, strict=True):
        both = _gaussian(both, sigma / factor, dim=dim)
    blurred = (both[:, :1] + _MEAN_SHARE * mean) / (both[:, 1:] + _MEAN_SHARE)
    if shrink != [1, 1]:
        # The last pooled sample of a side that is no multiple reaches beyond the frame.
        size = [side * factor for side, factor in zip(blurred.shape[2:], shrink, strict=True)]
        blurred = F.interpolate(blurred, size, mode="bilinear", align_corners=False)
    return blurred[:, :, : plane.shape[2], : plane.shape[3]]


def _gaussian(x: Tensor, sigma: float, *, dim: int) -> Tensor:
    """Gaussian along one dimension; sums of shifted copies, as CPU convolutions are slower."""
    reach = math.ceil(3 * sigma)
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(reach + 1)]
    scale = 1 / (2 * sum(taps) - taps[0])
    length = x.shape[dim]
    padded = F.pad(x, (0, 0, reach, reach) if dim == 2 else (reach, reach))
    result = x * (taps[0] * scale)
    for k, tap in enumerate(taps[1:], start=1):
        result.add_(padded.narrow(dim, reach - k, length), alpha=tap * scale)
        result.add_(padded.narrow(dim, reach + k, length), alpha=tap * scale)
    return result
