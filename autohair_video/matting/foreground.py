"""Foreground colour estimation: taking the old background's colour out of the mixed pixels.

A pixel of the band is ``alpha * F + (1 - alpha) * B``; put on a new background as it is, it brings a
rim of the old one. F and B are found as in blur fusion (Forte, "Approximate Fast Foreground Colour
Estimation", ICIP 2021): both are local means, weighted by alpha and by 1 - alpha, of colours that are
corrected by what the last guess left unexplained of each pixel. Rounds over ever smaller
neighbourhoods, which are cells of a pyramid, take the place of its two wide blurs, as levels do in
Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

# The rounds run on a picture of half the size; each averages over cells of so many of its pixels.
_SHRINK: Final = 2
_CELLS: Final = (32, 16, 8, 4, 4, 2)
# What lies further from all mixed pixels than this has no say, in frame pixels; cells stay where they are.
_AROUND_PX: Final = _SHRINK * max(_CELLS)
# Weight of the last guess in a mean; it takes over where no pixel of the kind is near.
_LAST_GUESS: Final = 1e-3


def foreground_in_band(image: Tensor, alpha: Tensor) -> Tensor:
    """The foreground of `estimate_foreground` where pixels are mixed, and the image itself elsewhere.

    Only as much of the frames is looked at as reaches around the mixed pixels of all of them.
    """
    mixed = ((alpha > 0) & (alpha < 1)).any(dim=0)[0]
    rows, columns = mixed.any(dim=1).nonzero(), mixed.any(dim=0).nonzero()
    if not len(rows):
        return image
    spans = []
    for found, side in ((rows, alpha.shape[2]), (columns, alpha.shape[3])):
        begin, end = int(found[0]) - _AROUND_PX, int(found[-1]) + 1 + _AROUND_PX
        spans.append(slice(max(0, begin) // _AROUND_PX * _AROUND_PX, min(side, end)))
    part = (slice(None), slice(None), *spans)
    foreground, _ = estimate_foreground(image[part], alpha[part])
    result = image.clone()
    result[part] = torch.where(alpha[part] > 0, foreground, image[part])
    return result


def estimate_foreground(image: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Foreground and background colours (straight, not premultiplied) of every pixel.

    Channels do not mix, so it serves luma planes with alpha and chroma planes with chroma's alpha.

    Args:
        image: (N, C, H, W) float samples in any unit.
        alpha: (N, 1, H, W) float in 0..1.

    Returns:
        Foreground and background, each (N, C, H, W), within the image's range. Where alpha is 1 the
        foreground is the image bit for bit, and where it is 0 the background is; beyond, they go
        on smoothly.
    """
    colours = _smooth_colours(_pool(image, _SHRINK), _pool(alpha, _SHRINK))
    foreground, background = _enlarge(colours, _SHRINK, image).chunk(2)
    missing = torch.lerp(background, foreground, alpha).sub_(image)
    low, high = image.aminmax()
    foreground.addcmul_(alpha, missing, value=-1).clamp_(low, high)
    background.addcmul_(1 - alpha, missing, value=-1).clamp_(low, high)
    return torch.where(alpha == 1, image, foreground), torch.where(alpha == 0, image, background)


def spill(rgb: Tensor, screen: Literal["green", "blue"]) -> Tensor:
    """How much of the screen's light lies on each pixel: its channel's excess over the larger other one.

    The limit that keyers commonly set; taking it away leaves red, gray and the other screen's colour.

    Args:
        rgb: (N, 3, H, W) float.
        screen: the colour of the screen.

    Returns:
        (N, 1, H, W) float, 0 where there is none.
    """
    channel = 1 if screen == "green" else 2
    others = rgb[:, [c for c in range(3) if c != channel]].amax(dim=1, keepdim=True)
    return (rgb[:, channel : channel + 1] - others).clamp(min=0)


def _smooth_colours(image: Tensor, alpha: Tensor) -> Tensor:
    """Locally averaged colours: (2N, C, h, w), the foregrounds of all frames, then the backgrounds.

    Each round moves both colours by their share of what their mixture leaves unexplained of the
    image, and averages them anew.
    """
    weights = torch.cat([alpha, 1 - alpha])
    share = weights + _LAST_GUESS
    colours = image.repeat(2, 1, 1, 1)
    overall = (colours * share).sum(dim=(2, 3), keepdim=True) / share.sum(dim=(2, 3), keepdim=True)
    colours = overall.expand_as(colours)
    for cell in _CELLS:
        foreground, background = colours.chunk(2)
        missing = torch.lerp(background, foreground, alpha).sub_(image).repeat(2, 1, 1, 1)
        explained = colours.addcmul(weights, missing, value=-1).mul_(weights)
        mean = _pool(explained.add_(colours, alpha=_LAST_GUESS), cell)
        colours = _enlarge(mean.div_(_pool(weights, cell) + _LAST_GUESS), cell, image)
    return colours


def _pool(x: Tensor, cell: int) -> Tensor:
    """Means of square cells; those at the right and lower edge average what there is."""
    return F.avg_pool2d(x, cell, ceil_mode=True, count_include_pad=False)


def _enlarge(x: Tensor, factor: int, like: Tensor) -> Tensor:
    large = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large[:, :, : like.shape[2], : like.shape[3]]
