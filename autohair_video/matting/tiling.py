"""Fixed-size tiles over the unknown band of all frames of a batch.

Tiles stand in fixed rows. Within a row they are placed on the band, so that few are needed, and they keep the
positions of the previous frame for as long as these cover the band: static images have static tiles.
Neighbours overlap. Cost is proportional to the area of the band, and the matting network gets one input shape
at any clip size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Tiles start at multiples of this or end with the frame, so that overlapping tiles are sampled alike. Unit:
# px. Source: output stride of the mobile matting encoder.
_GRID_STEP_PX: Final = 16

_Columns = NDArray[np.intp]


@dataclass(frozen=True)
class Tile:
    """A square of one frame: its index in the batch (-1: the previous frame) and its corner in pixels."""

    frame: int
    top: int
    left: int

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left, in pixels."""
        return self.top, self.left


def plan_tiles(
    trimap: Tensor, *, tile_px: int, overlap_px: int, before: Sequence[Tile] = ()
) -> tuple[Tile, ...]:
    """Tiles that cover the unknown pixels, in order of frames, rows and columns.

    Each unknown pixel lies at least ``overlap_px // 2`` inside some tile, unless the frame itself ends
    there. A side shorter than a tile has one tile, which reaches beyond the frame.

    Args:
        trimap: (N, 1, H, W) uint8, 0, 255, and between them unknown; consecutive frames.
        tile_px: side of a tile.
        overlap_px: least overlap of neighbours in the band, at most half a tile.
        before: tiles to reuse if they cover the band: those of the frame before the first, whose
            ``frame`` is -1, and earlier ones of these frames.
    """
    height, width = trimap.shape[2:]
    tops = _starts(height, tile_px, overlap_px)
    middles = [(above + tile_px + top) // 2 for above, top in pairwise(tops)]
    unknown = ((trimap > 0) & (trimap < 255))[:, 0]
    rows = [unknown[:, a:b].any(dim=1) for a, b in pairwise([0, *middles, height])]
    held = torch.stack(rows, dim=1).cpu().numpy()
    line = _TileRow(width, tile_px, overlap_px // 2)
    last: dict[tuple[int, int], list[int]] = {}
    for tile in before:
        last.setdefault((tile.frame, tile.top), []).append(tile.left)
    tiles = []
    for n, row in np.ndindex(held.shape[:2]):
        columns, top = np.flatnonzero(held[n, row]), tops[row]
        previous = last.get((n, top)) or last.get((n - 1, top), [])
        last[n, top] = line.cover(columns, previous)
        tiles += [Tile(n, top, left) for left in last[n, top]]
    return tuple(tiles)


@dataclass(frozen=True)
class _TileRow:
    """A row of tiles: width of the frame, side of a tile, and margin inside a tile where pixels must lie."""

    side_px: int
    tile_px: int
    margin_px: int

    def cover(self, columns: _Columns, before: list[int]) -> list[int]:
        """Left edges of tiles that cover all of ``columns``; as ``before``, unless fewer suffice."""
        fewest = self._minimal_cover(columns)
        previous = [left for left in before if self._covers(left, columns).any()]
        held = np.zeros(len(columns), bool)
        for left in previous:
            held |= self._covers(left, columns)
        return previous if held.all() and len(previous) <= len(fewest) else fewest

    def _minimal_cover(self, columns: _Columns) -> list[int]:
        starts = []
        while len(columns):
            first = int(columns[0])
            reach = self._start(first - self.margin_px)
            last = int(columns[self._covers(reach, columns)][-1])
            middle = self._start((first + last - self.tile_px) // 2)
            ends = np.array([first, last])
            starts.append(middle if self._covers(middle, ends).all() else reach)
            columns = columns[columns > last]
        return starts

    def _start(self, left: int) -> int:
        return max(0, min(left // _GRID_STEP_PX * _GRID_STEP_PX, self.side_px - self.tile_px))

    def _covers(self, left: int, columns: _Columns) -> NDArray[np.bool_]:
        """Which columns a tile that starts at ``left`` covers."""
        right = left + self.tile_px
        begin = left + self.margin_px if left > 0 else 0
        end = right - self.margin_px if right < self.side_px else self.side_px
        return (columns >= begin) & (columns < end)


def _starts(side_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Tops of the rows: evenly spread on multiples of the step; the last row ends with the frame."""
    room = side_px - tile_px
    if room <= 0:
        return [0]
    farthest = max(1, (tile_px - overlap_px) // _GRID_STEP_PX) * _GRID_STEP_PX
    rows = -(-room // farthest)
    return [*(-(-room * i // (rows * _GRID_STEP_PX)) * _GRID_STEP_PX for i in range(rows)), room]


def cut_tiles(frames: Tensor, tiles: tuple[Tile, ...], *, tile_px: int) -> Tensor:
    """Pixels of the tiles; the frame is padded by reflection.

    Args:
        frames: (N, C, H, W), any dtype.
        tiles: at least one tile, from `plan_tiles`.
        tile_px: side of a tile.

    Returns:
        (T, C, tile_px, tile_px) of the same dtype, on the same device.
    """
    for dim in (2, 3):
        side = frames.shape[dim]
        if side < tile_px:
            # reflection preserves the noise; replication would look like a changed image
            turn = max(1, 2 * (side - 1))
            position = torch.arange(tile_px, device=frames.device) % turn
            index = torch.minimum(position, turn - position)
            frames = frames.index_select(dim, index)
    squares = [frames[t.frame, :, t.top : t.top + tile_px, t.left : t.left + tile_px] for t in tiles]
    return torch.stack(squares)


def blend_tiles(
    values: Tensor, tiles: tuple[Tile, ...], *, frames: int, size: tuple[int, int], overlap_px: int
) -> Tensor:
    """Whole frames from what was computed on the tiles.

    Where tiles overlap, their values are averaged with weights that fade over ``overlap_px``
    towards a tile's edge. A pixel without a tile is 0.

    Args:
        values: (T, C, S, S) float, in the order of ``tiles``.
        tiles: the tiles, from `plan_tiles`.
        frames: number of frames N.
        size: height and width of the frames in pixels.
        overlap_px: the overlap that the tiles were planned with.

    Returns:
        (N, C, H, W) float32 on the device of ``values``.
    """
    height, width = size
    tile_px = values.shape[3]
    canvas = (max(height, tile_px), max(width, tile_px))
    total = values.new_zeros((frames, values.shape[1], *canvas), dtype=torch.float32)
    weight = values.new_zeros((frames, 1, *canvas), dtype=torch.float32)
    window = _window(tile_px, overlap_px, values.device)
    for tile, square in zip(tiles, values.float(), strict=True):
        rows = slice(tile.top, tile.top + tile_px)
        columns = slice(tile.left, tile.left + tile_px)
        total[tile.frame, :, rows, columns] += square * window
        weight[tile.frame, :, rows, columns] += window
    blended = total.div_(weight.clamp_(min=torch.finfo(torch.float32).tiny))
    return blended[:, :, :height, :width]


def _window(tile_px: int, overlap_px: int, device: torch.device) -> Tensor:
    """(S, S) weights, 1 inside and fading to almost 0 at the edge as a squared sine."""
    position = torch.arange(tile_px, device=device) + 0.5
    depth = torch.minimum(position, tile_px - position) / max(overlap_px, 1)
    fade = torch.sin(depth.clamp(max=1) * (torch.pi / 2)).square()
    return fade[:, None] * fade
