"""The closed loop: where the matte runs out of its band, the band was too narrow.

At the rim of the unknown band alpha should have come to 0 or 1. Where it has not, a strand or a gap goes
on into what the trimap took for known: there the band grows, and the matter looks again.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn import functional as F

from autohair_video.matting.trimap import BACKGROUND, FOREGROUND, UNKNOWN

# Alpha this far from the known side's own is not settled.
_UNSETTLED: Final = 0.12
# The rim is this deep; and of a cell's pixels so many must be unsettled that it is no speck.
_RIM_PX: Final = 2
_CELL_PX: Final = 4
_CELL_SHARE: Final = 0.2
# How far the band grows at a time, and how far at most from where it was drawn, of the long side.
_GROWTH: Final = 0.025
_FARTHEST: Final = 0.06


def expand_band(alpha: Tensor, trimap: Tensor, drawn: Tensor) -> Tensor:
    """The trimap with a wider band where alpha at its rim is not settled.

    Args:
        alpha: (N, 1, H, W) float in 0..1, solved from ``trimap``.
        trimap: (N, 1, H, W) uint8 of 0, 128 and 255.
        drawn: the trimap as it was drawn at first: the band stays near that.

    Returns:
        (N, 1, H, W) uint8; equal to ``trimap`` where all is settled.
    """
    leaks = _leaks(alpha, trimap, BACKGROUND) | _leaks(1 - alpha, trimap, FOREGROUND)
    cells = F.avg_pool2d(leaks.float(), _CELL_PX, ceil_mode=True, count_include_pad=False) > _CELL_SHARE
    reach = _grown(cells.float(), _GROWTH * max(trimap.shape[2:]) / _CELL_PX) * _reach(drawn)
    return trimap.masked_fill(_as_pixels(reach, trimap) > 0, UNKNOWN)


def keep_expansion(trimap: Tensor, before: Tensor, alpha: Tensor) -> Tensor:
    """The trimap with what the band had grown by in the frame before, where alpha there was mixed.

    So a still picture's band is not grown anew in each frame.

    Args:
        trimap: (1, 1, H, W) uint8, as drawn.
        before: trimap of the frame before, (1, 1, H, W) uint8.
        alpha: of the frame before, (1, 1, H, W) float in 0..1.
    """
    mixed = ((alpha > _UNSETTLED) & (alpha < 1 - _UNSETTLED)).float()
    reach = _grown(F.max_pool2d(mixed, _CELL_PX, ceil_mode=True), 2)
    reach *= _reach(trimap)
    return trimap.masked_fill((_as_pixels(reach, trimap) > 0) & (before == UNKNOWN), UNKNOWN)


def _reach(drawn: Tensor) -> Tensor:
    """Cells, 1 or 0, that lie near enough to the band as drawn."""
    near = F.max_pool2d((drawn == UNKNOWN).float(), _CELL_PX, ceil_mode=True)
    return _grown(near, _FARTHEST * max(drawn.shape[2:]) / _CELL_PX)


def _as_pixels(cells: Tensor, like: Tensor) -> Tensor:
    pixels = F.interpolate(cells, scale_factor=float(_CELL_PX), mode="nearest")
    return pixels[:, :, : like.shape[2], : like.shape[3]]


def _leaks(away: Tensor, trimap: Tensor, side: int) -> Tensor:
    """Unknown pixels next to the known ``side`` whose alpha is ``away`` from that side's own."""
    rim = _grown((trimap == side).float(), _RIM_PX) > 0
    return rim & (trimap == UNKNOWN) & (away > _UNSETTLED)


def _grown(mask: Tensor, radius: float) -> Tensor:
    """Maximum over a square, a row and then a column."""
    r = max(1, round(radius))
    row = F.max_pool2d(mask, (1, 2 * r + 1), stride=1, padding=(0, r))
    return F.max_pool2d(row, (2 * r + 1, 1), stride=1, padding=(r, 0))
