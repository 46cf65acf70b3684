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

import cv2
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

    On a CPU only as much of the frames is looked at as reaches around the mixed pixels of all of them; an
    accelerator would be waited for to learn where they are.
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
        begin, end = int(found[0]) - _AROUND_PX, int(found[-1]) + 1 + _AROUND_PX
        spans.append(slice(max(0, begin) // _AROUND_PX * _AROUND_PX, min(side, end)))
    part = (slice(None), slice(None), *spans)
    result = image.clone()
    result[part] = _mixed_part(image[part].contiguous(), alpha[part].contiguous())
    return result


def _mixed_part(image: Tensor, alpha: Tensor) -> Tensor:
    """The image with the foreground where pixels are mixed; only these are reckoned at the full size."""
    foreground, background = _enlarge(_smooth_colours(image, alpha), _SHRINK, image).chunk(2)
    low, high = image.aminmax()
    found = image.clone()
    for n, plane in enumerate(alpha[:, 0]):
        mixed = ((plane > 0) & (plane < 1)).view(-1).nonzero()[:, 0]
        share = plane.view(-1).index_select(0, mixed)
        for c in range(image.shape[1]):
            own, front, behind = (
                x[n, c].reshape(-1).index_select(0, mixed) for x in (image, foreground, background)
            )
            missing = torch.lerp(behind, front, share).sub_(own)
            found[n, c].view(-1)[mixed] = front.addcmul_(share, missing, value=-1).clamp_(low, high)
    return found


def estimate_foreground(image: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Foreground and background colours (straight, not premultiplied) of every pixel.

    Channels do not mix, so it serves luma planes with alpha and chroma planes with chroma's alpha.

    Args:
        image: (N, C, H, W) float32 samples in any unit.
        alpha: (N, 1, H, W) float32 in 0..1.

    Returns:
        Foreground and background, each (N, C, H, W), within the image's range. Where alpha is 1 the
        foreground is the image bit for bit, and where it is 0 the background is; beyond, they go
        on smoothly.
    """
    foreground, background = _enlarge(_smooth_colours(image, alpha), _SHRINK, image).chunk(2)
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
    """Locally averaged colours at half the size: (2N, C, h, w), all foregrounds, then the backgrounds.

    Each round moves both colours by their share of what their mixture leaves unexplained of the
    image, and averages them anew.
    """
    small, share = _pool(image, _SHRINK), _pool(alpha, _SHRINK)
    weights = torch.cat([share, 1 - share])
    sums = weights + _LAST_GUESS
    colours = small.repeat(2, 1, 1, 1)
    overall = (colours * sums).sum(dim=(2, 3), keepdim=True) / sums.sum(dim=(2, 3), keepdim=True)
    colours = overall.expand_as(colours)
    for cell in _CELLS:
        foreground, background = colours.chunk(2)
        missing = torch.lerp(background, foreground, share).sub_(small).repeat(2, 1, 1, 1)
        explained = colours.addcmul(weights, missing, value=-1).mul_(weights)
        mean = _pool(explained.add_(colours, alpha=_LAST_GUESS), cell)
        colours = _enlarge(mean.div_(_pool(weights, cell) + _LAST_GUESS), cell, small)
    return colours


def _pool(x: Tensor, side: int) -> Tensor:
    """Means of square cells; those at the right and lower edge average what there is."""
    return _line_means(_line_means(x, side, 2), side, 3)


def _line_means(x: Tensor, side: int, dim: int) -> Tensor:
    """Means of ``side`` neighbours along one dimension; on a CPU this takes a third of what pooling takes."""
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


def _enlarge(x: Tensor, factor: int, like: Tensor) -> Tensor:
    """(N, C, h, w) float32 so many times as large, bilinear, cut to the size of ``like``."""
    if x.device.type == "cpu":
        # OpenCV takes a sixth of torch's time
        n, c, height, width = x.shape
        large = torch.empty((n * c, height * factor, width * factor))
        for plane, into in zip(x.reshape(n * c, height, width).numpy(), large.numpy(), strict=True):
            cv2.resize(plane, into.shape[::-1], into, interpolation=cv2.INTER_LINEAR)
        large = large.view(n, c, *large.shape[1:])
    else:
        large = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large[:, :, : like.shape[2], : like.shape[3]]
