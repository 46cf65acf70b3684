"""Fixed-size tiles over the unknown band of all frames of a batch.

The tiles lie on a grid that depends on the frame's size alone, so a moving band switches tiles on
and off but never shifts them, and neighbours overlap. Cost follows the band's area, and the matter
sees one shape whatever the clip's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tile:
    """A square of one frame: its index in the batch and its top left corner in pixels."""

    frame: int
    top: int
    left: int


def plan_tiles(trimap: Tensor, *, tile_px: int, overlap_px: int) -> tuple[Tile, ...]:
    """The tiles that hold unknown pixels, in order of frames, rows and columns.

    The middles of the overlaps cut the frame into cells, one to a tile, and a tile is taken where
    its cell holds an unknown pixel. So each unknown pixel lies at least ``overlap_px // 2`` inside
    some tile, unless the frame itself ends there. A side shorter than a tile has one tile, which
    reaches beyond the frame.

    Args:
        trimap: (N, 1, H, W) uint8 of 0, 128 and 255.
        tile_px: side of a tile.
        overlap_px: least overlap of neighbours, at most half a tile.
    """
    tops = _starts(trimap.shape[2], tile_px, overlap_px)
    lefts = _starts(trimap.shape[3], tile_px, overlap_px)
    cells = ((trimap > 0) & (trimap < 255)).to(torch.uint8)[:, 0]
    cells = _any_per_cell(cells, tops, tile_px, dim=1)
    cells = _any_per_cell(cells, lefts, tile_px, dim=2)
    return tuple(Tile(n, tops[row], lefts[column]) for n, row, column in cells.nonzero().tolist())


def _starts(side_px: int, tile_px: int, overlap_px: int) -> list[int]:
    """Where tiles start along one side: evenly spread, the last one ends with the frame."""
    room = side_px - tile_px
    if room <= 0:
        return [0]
    steps = -(-room // (tile_px - overlap_px))
    return [room * i // steps for i in range(steps + 1)]


def _any_per_cell(mask: Tensor, starts: list[int], tile_px: int, *, dim: int) -> Tensor:
    """Largest sample of each cell along one dimension, between the middles of the overlaps."""
    middles = [(before + tile_px + start) // 2 for before, start in pairwise(starts)]
    edges = [0, *middles, mask.shape[dim]]
    cells = [mask.narrow(dim, a, b - a).amax(dim) for a, b in pairwise(edges)]
    return torch.stack(cells, dim)


def cut_tiles(frames: Tensor, tiles: tuple[Tile, ...], *, tile_px: int) -> Tensor:
    """The tiles' pixels; beyond the frame its last row and column go on.

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
            index = torch.arange(tile_px, device=frames.device).clamp(max=side - 1)
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
    window = _window(tile_px, overlap_px).to(values.device)
    for tile, square in zip(tiles, values.float(), strict=True):
        rows = slice(tile.top, tile.top + tile_px)
        columns = slice(tile.left, tile.left + tile_px)
        total[tile.frame, :, rows, columns] += square * window
        weight[tile.frame, :, rows, columns] += window
    blended = total / weight.clamp(min=torch.finfo(torch.float32).tiny)
    return blended[:, :, :height, :width]


def _window(tile_px: int, overlap_px: int) -> Tensor:
    """(S, S) weights, 1 inside and fading to almost 0 at the edge as a squared sine."""
    position = torch.arange(tile_px) + 0.5
    depth = torch.minimum(position, tile_px - position) / max(overlap_px, 1)
    fade = torch.sin(depth.clamp(max=1) * (torch.pi / 2)).square()
    return fade[:, None] * fade
