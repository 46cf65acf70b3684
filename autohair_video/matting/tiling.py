"""Fixed-size tiles over the unknown band of all frames of a batch.

The tiles stand in fixed rows. Within a row they are moved to where the band is, so that few are needed,
and they stay where the frame before had them for as long as they cover the band: still pictures have
still tiles. Neighbours overlap. Cost follows the band's area, and the matter sees one shape whatever the
clip's size.
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

# Tiles start at multiples of this many pixels, the output stride of the mobile matter's encoder, or end with
# the frame: all that overlap so sample the picture at the same places, and agree the better.
_STEP_PX: Final = 16

_Columns = NDArray[np.intp]


@dataclass(frozen=True)
class Tile:
    """A square of one frame: its index in the batch (-1: the frame before) and its corner in pixels."""

    frame: int
    top: int
    left: int

    @property
    def place(self) -> tuple[int, int]:
        """The corner alone."""
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
        before: tiles to keep if they will do: those of the frame before the first, whose ``frame`` is
            -1, and those that these frames themselves had.
    """
    height, width = trimap.shape[2:]
    tops = _starts(height, tile_px, overlap_px)
    middles = [(above + tile_px + top) // 2 for above, top in pairwise(tops)]
    unknown = ((trimap > 0) & (trimap < 255))[:, 0]
    rows = [unknown[:, a:b].any(dim=1) for a, b in pairwise([0, *middles, height])]
    held = torch.stack(rows, dim=1).cpu().numpy()
    line = _Line(width, tile_px, overlap_px // 2)
    last: dict[tuple[int, int], list[int]] = {}
    for tile in before:
        last.setdefault((tile.frame, tile.top), []).append(tile.left)
    tiles = []
    for n, row in np.ndindex(held.shape[:2]):
        columns, top = np.flatnonzero(held[n, row]), tops[row]
        kept = last.get((n, top)) or last.get((n - 1, top), [])
        last[n, top] = line.cover(columns, kept)
        tiles += [Tile(n, top, left) for left in last[n, top]]
    return tuple(tiles)


@dataclass(frozen=True)
class _Line:
    """A row of tiles: the frame's width, a tile's side, and how far inside a tile a pixel must lie."""

    side_px: int
    tile_px: int
    margin_px: int

    def cover(self, columns: _Columns, before: list[int]) -> list[int]:
        """Where tiles start that cover all of ``columns``; as ``before``, unless fewer will do."""
        fresh = self._fewest(columns)
        kept = [left for left in before if self._holds(left, columns).any()]
        held = np.zeros(len(columns), bool)
        for left in kept:
            held |= self._holds(left, columns)
        return kept if held.all() and len(kept) <= len(fresh) else fresh

    def _fewest(self, columns: _Columns) -> list[int]:
        starts = []
        while len(columns):
            first = int(columns[0])
            reach = self._start(first - self.margin_px)
            last = int(columns[self._holds(reach, columns)][-1])
            middle = self._start((first + last - self.tile_px) // 2)
            ends = np.array([first, last])
            starts.append(middle if self._holds(middle, ends).all() else reach)
            columns = columns[columns > last]
        return starts

    def _start(self, left: int) -> int:
        return max(0, min(left // _STEP_PX * _STEP_PX, self.side_px - self.tile_px))

    def _holds(self, left: int, columns: _Columns) -> NDArray[np.bool_]:
        """Which columns a tile that starts at ``left`` answers for."""
        right = left + self.tile_px
        begin = left + self.margin_px if left > 0 else 0
        end = right - self.margin_px if right < self.side_px else self.side_px
        return (columns >= begin) & (columns < end)


def _starts(side_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Where rows of tiles start: evenly spread on multiples of the step, the last one ends with the frame."""
    room = side_px - tile_px
    if room <= 0:
        return [0]
    farthest = max(1, (tile_px - overlap_px) // _STEP_PX) * _STEP_PX
    rows = -(-room // farthest)
    return [*(-(-room * i // (rows * _STEP_PX)) * _STEP_PX for i in range(rows)), room]


def cut_tiles(frames: Tensor, tiles: tuple[Tile, ...], *, tile_px: int) -> Tensor:
    """The tiles' pixels; beyond the frame it is mirrored.

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
            # a mirror keeps noise what it is; a row that goes on would look like a picture that changes
            turn = max(1, 2 * (side - 1))
            place = torch.arange(tile_px, device=frames.device) % turn
            index = torch.minimum(place, turn - place)
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
