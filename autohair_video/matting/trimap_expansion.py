"""Trimap expansion: where alpha is not saturated at the band boundary, widen the band and infer again.

At the boundary of the unknown band alpha should reach 0 or 1. Where it does not, a strand or a gap continues
into pixels that the trimap took for known.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn import functional as F

from autohair_video.matting.trimap import BACKGROUND, FOREGROUND, UNKNOWN

# Alpha this far from 0 or 1 at the band boundary is not saturated. Unit: alpha. Source: by eye.
_UNSATURATED: Final = 0.12
# Depth of the band boundary. Unit: px. Source: by eye.
_BOUNDARY_PX: Final = 2
# Side of the cells on which the band expands. Unit: px. Source: by eye.
_CELL_PX: Final = 4
# Fraction of unsaturated pixels above which a cell is no speck. Unit: of the cell. Source: by eye.
_CELL_FRACTION: Final = 0.2
# Expansion of the band per pass. Unit: of the long side. Source: by eye.
_EXPANSION_STEP: Final = 0.025
# Largest distance of the expanded band from the initial one. Unit: of the long side. Source: by eye.
_MAX_EXPANSION: Final = 0.06


def expand_band(alpha: Tensor, trimap: Tensor, initial: Tensor) -> Tensor:
    """The trimap with a wider band where alpha is not saturated at its boundary.

    Args:
        alpha: (N, 1, H, W) float in 0..1, inferred from ``trimap``.
        trimap: (N, 1, H, W) uint8 of 0, 128 and 255.
        initial: the initial trimap, which bounds the expansion.

    Returns:
        (N, 1, H, W) uint8; equal to ``trimap`` where alpha is saturated.
    """
    unsaturated = _unsaturated_boundary(alpha, trimap, BACKGROUND) | _unsaturated_boundary(
        1 - alpha, trimap, FOREGROUND
    )
    cells = (
        F.avg_pool2d(unsaturated.float(), _CELL_PX, ceil_mode=True, count_include_pad=False) > _CELL_FRACTION
    )
    reach = _dilate(cells.float(), _EXPANSION_STEP * max(trimap.shape[2:]) / _CELL_PX) * _reach(initial)
    return trimap.masked_fill(_as_pixels(reach, trimap) > 0, UNKNOWN)


def keep_expansion(trimap: Tensor, before: Tensor, alpha: Tensor) -> Tensor:
    """The trimap with the expansion of the previous frame kept where alpha there was mixed.

    So the band of a static image is not expanded again in each frame.

    Args:
        trimap: (1, 1, H, W) uint8, the initial trimap.
        before: trimap of the previous frame, (1, 1, H, W) uint8.
        alpha: of the previous frame, (1, 1, H, W) float in 0..1.
    """
    mixed = ((alpha > _UNSATURATED) & (alpha < 1 - _UNSATURATED)).float()
    reach = _dilate(F.max_pool2d(mixed, _CELL_PX, ceil_mode=True), 2)
    reach *= _reach(trimap)
    return trimap.masked_fill((_as_pixels(reach, trimap) > 0) & (before == UNKNOWN), UNKNOWN)


def _reach(initial: Tensor) -> Tensor:
    """Cells, 1 or 0, within the largest expansion of the initial band."""
    near = F.max_pool2d((initial == UNKNOWN).float(), _CELL_PX, ceil_mode=True)
    return _dilate(near, _MAX_EXPANSION * max(initial.shape[2:]) / _CELL_PX)


def _as_pixels(cells: Tensor, like: Tensor) -> Tensor:
    pixels = F.interpolate(cells, scale_factor=float(_CELL_PX), mode="nearest")
    return pixels[:, :, : like.shape[2], : like.shape[3]]


def _unsaturated_boundary(distance_from_known: Tensor, trimap: Tensor, side: int) -> Tensor:
    """Unknown pixels at the boundary to the known ``side`` whose alpha differs from that side's value."""
    boundary = _dilate((trimap == side).float(), _BOUNDARY_PX) > 0
    return boundary & (trimap == UNKNOWN) & (distance_from_known > _UNSATURATED)


def _dilate(mask: Tensor, radius: float) -> Tensor:
    """Dilation by a square, as a row and then a column."""
    r = max(1, round(radius))
    row = F.max_pool2d(mask, (1, 2 * r + 1), stride=1, padding=(0, r))
    return F.max_pool2d(row, (2 * r + 1, 1), stride=1, padding=(r, 0))
