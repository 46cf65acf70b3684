"""Foreground colour estimation: removes the old background's colour from mixed pixels.

A pixel of the unknown band is ``alpha * F + (1 - alpha) * B``; composited as it is over a new background,
it leaves a fringe of the old one. F and B are estimated as in blur fusion (Forte, "Approximate Fast
Foreground Colour Estimation", ICIP 2021): both are local means, weighted by alpha and by 1 - alpha, of
colours that were corrected by the residual of the previous estimate. Iterations over cells of decreasing
size replace its two wide blurs, as the levels of a pyramid do in Germer et al., "Fast Multi-Level
Foreground Estimation", ICPR 2020.
"""

from __future__ import annotations

from typing import Final

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

# Iterations run on the image at half size: local means are smooth, so no difference shows (by eye).
_DOWNSCALE: Final = 2
# Side of the averaging cells of each iteration, in pixels of the half-size image. By eye; the error on
# rendered strands that they must not exceed is in tests/compositing/test_foreground.py.
_CELLS_PX: Final = (32, 16, 8, 4, 4, 2)
# Support of the estimate in frame pixels: pixels further than this from every mixed pixel have no influence.
# Also the alignment of crops, so that cells fall on the same pixels as in the whole frame.
_SUPPORT_PX: Final = _DOWNSCALE * max(_CELLS_PX)
# Weight of the previous estimate in a mean; it dominates where a cell has no pixel of that kind.
_PRIOR_WEIGHT: Final = 1e-3


def foreground_in_band(image: Tensor, alpha: Tensor) -> Tensor:
    """The foreground of `estimate_foreground` where 0 < alpha < 1, and the image itself elsewhere.

    On a CPU only the bounding box of all mixed pixels and their support is processed. On an accelerator the
    whole frame is, since finding the box would cost a host synchronisation.

    Args:
        image: (N, C, H, W) float32 samples in any unit.
        alpha: (N, 1, H, W) float32 in 0..1, on the same device.

    Returns:
        (N, C, H, W) float32 on the same device.
    """
    if image.device.type != "cpu":
        foreground, _ = estimate_foreground(image, alpha)
        return torch.where((alpha > 0) & (alpha < 1), foreground, image)
    mixed = ((alpha > 0) & (alpha < 1)).any(dim=0)[0]
    rows, columns = mixed.any(dim=1).nonzero(), mixed.any(dim=0).nonzero()
    if not len(rows):
        return image
    spans = []
    for found, side in ((rows, alpha.shape[2]), (columns, alpha.shape[3])):
        begin, end = int(found[0]) - _SUPPORT_PX, int(found[-1]) + 1 + _SUPPORT_PX
        spans.append(slice(max(0, begin) // _SUPPORT_PX * _SUPPORT_PX, min(side, end)))
    part = (slice(None), slice(None), *spans)
    result = image.clone()
    result[part] = _mixed_part(image[part].contiguous(), alpha[part].contiguous())
    return result


def _mixed_part(image: Tensor, alpha: Tensor) -> Tensor:
    """The image with the foreground at mixed pixels; only these are computed at full size."""
    foreground, background = _upsample(_local_mean_colours(image, alpha), _DOWNSCALE, image).chunk(2)
    low, high = image.aminmax()
    found = image.clone()
    for n, plane in enumerate(alpha[:, 0]):
        mixed = ((plane > 0) & (plane < 1)).view(-1).nonzero()[:, 0]
        weight = plane.view(-1).index_select(0, mixed)
        for c in range(image.shape[1]):
            own, front, behind = (
                x[n, c].reshape(-1).index_select(0, mixed) for x in (image, foreground, background)
            )
            residual = torch.lerp(behind, front, weight).sub_(own)
            found[n, c].view(-1)[mixed] = front.addcmul_(weight, residual, value=-1).clamp_(low, high)
    return found


def estimate_foreground(image: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Foreground and background colours (straight, not premultiplied) of every pixel.

    Channels are independent, so it also serves luma planes with alpha and chroma planes with chroma's alpha.

    Args:
        image: (N, C, H, W) float32 samples in any unit.
        alpha: (N, 1, H, W) float32 in 0..1.

    Returns:
        Foreground and background, each (N, C, H, W), within the image's range. Where alpha is 1 the
        foreground is the image bit for bit, and where it is 0 the background is; elsewhere both are
        extrapolated smoothly.
    """
    foreground, background = _upsample(_local_mean_colours(image, alpha), _DOWNSCALE, image).chunk(2)
    residual = torch.lerp(background, foreground, alpha).sub_(image)
    low, high = image.aminmax()
    foreground.addcmul_(alpha, residual, value=-1).clamp_(low, high)
    background.addcmul_(1 - alpha, residual, value=-1).clamp_(low, high)
    return torch.where(alpha == 1, image, foreground), torch.where(alpha == 0, image, background)


def _local_mean_colours(image: Tensor, alpha: Tensor) -> Tensor:
    """Locally averaged colours at half size: (2N, C, h, w), first the foregrounds, then the backgrounds.

    Each iteration corrects both colours by their weighted part of the residual between the image and
    their mixture, and averages again over smaller cells.
    """
    small, small_alpha = _pool(image, _DOWNSCALE), _pool(alpha, _DOWNSCALE)
    weights = torch.cat([small_alpha, 1 - small_alpha])
    sums = weights + _PRIOR_WEIGHT
    colours = small.repeat(2, 1, 1, 1)
    overall = (colours * sums).sum(dim=(2, 3), keepdim=True) / sums.sum(dim=(2, 3), keepdim=True)
    colours = overall.expand_as(colours)
    for cell in _CELLS_PX:
        foreground, background = colours.chunk(2)
        residual = torch.lerp(background, foreground, small_alpha).sub_(small).repeat(2, 1, 1, 1)
        corrected = colours.addcmul(weights, residual, value=-1).mul_(weights)
        mean = _pool(corrected.add_(colours, alpha=_PRIOR_WEIGHT), cell)
        colours = _upsample(mean.div_(_pool(weights, cell) + _PRIOR_WEIGHT), cell, small)
    return colours


def _pool(x: Tensor, side: int) -> Tensor:
    """Means of square cells; cells at the right and lower edge average the pixels they have."""
    return _axis_means(_axis_means(x, side, 2), side, 3)


def _axis_means(x: Tensor, side: int, dim: int) -> Tensor:
    """Means of ``side`` neighbours along one dimension; on a CPU in a third of `F.avg_pool2d`'s time."""
    rest = x.shape[dim] % side
    whole = x.narrow(dim, 0, x.shape[dim] - rest)
    if dim == 3:
        means = whole[..., ::side].clone()
        for k in range(1, side):
            means.add_(whole[..., k::side])
        means.div_(side)
    else:
        means = whole.reshape(*whole.shape[:2], -1, side, whole.shape[3]).mean(dim=3)
    if not rest:
        return means
    return torch.cat([means, x.narrow(dim, -rest, rest).mean(dim=dim, keepdim=True)], dim=dim)


def _upsample(x: Tensor, factor: int, like: Tensor) -> Tensor:
    """(N, C, h, w) float32 upsampled bilinearly by ``factor`` and cropped to the size of ``like``."""
    if x.device.type == "cpu":
        # OpenCV needs a sixth of torch's time.
        n, c, height, width = x.shape
        large = torch.empty((n * c, height * factor, width * factor))
        for plane, into in zip(x.reshape(n * c, height, width).numpy(), large.numpy(), strict=True):
            cv2.resize(plane, into.shape[::-1], into, interpolation=cv2.INTER_LINEAR)
        large = large.view(n, c, *large.shape[1:])
    else:
        large = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large[:, :, : like.shape[2], : like.shape[3]]
