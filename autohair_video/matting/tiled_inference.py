"""Alpha in the unknown band: Deep Image Matting on tiles.

A tile that was solved before, and in which neither the band nor the pixels around it have changed by more
than noise since then, keeps its alpha: still regions cost nothing and do not flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import ceil
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.matting.tiling import Tile, blend_tiles, cut_tiles, plan_tiles
from autohair_video.matting.trimap import UNKNOWN, is_unknown, keep_known
from autohair_video.options import TileOptions
from autohair_video.runtime.thread_pools import cores, on_each_core

# ImageNet's mean and standard deviation, which both networks were trained under
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# Pixels at once. On a CPU more than fit its caches take longer each; a GPU is idle with few.
_BATCH_PX: Final = {"cpu": 2 * 256**2, "mps": 16 * 256**2, "cuda": 64 * 256**2}

# What the pixels of a block of 8x8 may differ by, of 255, and still be the same picture with other noise: in
# the mean, and in the root of the mean square, which a strand raises that moves within its block.
_BLOCK_PX: Final = 8
_MEAN_NOISE: Final = 2.0
_PIXEL_NOISE: Final = 5.0
# Of a tile's pixels so many may have become unknown by the segmenter's tremor: they stay what they were.
_FEW: Final = 64
# In a block, so far may the mean guess move, in a trimap's levels, and still be the same.
_GUESS_TREMOR: Final = 32.0
# How far around the band pixels count, in blocks.
_AROUND: Final = 2


@dataclass(frozen=True)
class CachedTile:
    """A tile as it was when it was last solved.

    ``picture`` (3, S, S) uint8 RGB, ``trimap`` (1, S, S) uint8, with the guess in it if there was one,
    ``alpha`` (1, S, S) float32. ``doubled``: it is a part of the frame at twice its size.
    """

    tile: Tile
    picture: Tensor
    trimap: Tensor
    alpha: Tensor
    doubled: bool = False

    def for_next(self) -> CachedTile:
        """The same as a tile of the frame before, without a hold on the batch that it was cut from."""
        return replace(
            self,
            tile=replace(self.tile, frame=-1),
            picture=self.picture.clone(),
            trimap=self.trimap.clone(),
            alpha=self.alpha.clone(),
        )


class TiledMattingNet:
    """A matting network, and how it is spread over a frame's unknown band."""

    def __init__(self, network: nn.Module, options: TileOptions) -> None:
        self._network = network
        self._options = options
        self._alpha_floor: float = getattr(network, "alpha_floor", 0.0)
        device = next(network.parameters()).device
        most_px = _BATCH_PX[device.type]
        self._mean, self._deviation = (torch.tensor(v, device=device) for v in (_MEAN, _DEVIATION))
        self._batch = options.batch or max(1, most_px // options.tile_px**2)

    def at(self, options: TileOptions) -> TiledMattingNet:
        """The same network with other options."""
        return TiledMattingNet(self._network, options)

    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of frames with a trimap, each for itself.

        Args:
            rgb: (N, 3, H, W) float in 0..1 on the network's device.
            trimap: (N, 1, H, W) uint8 of 0, 128 and 255 on the same device.

        Returns:
            (N, 1, H, W) float32 in 0..1: solved where the trimap is unknown, 0 and 1 where it is
            background and foreground.
        """
        return self.follow((rgb * 255).round().to(torch.uint8), trimap)[0]

    @torch.inference_mode()
    def follow(
        self,
        pictures: Tensor,
        trimap: Tensor,
        before: Sequence[CachedTile] = (),
        guess: Tensor | None = None,
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        """Alpha of consecutive frames; tiles that did not change since they were solved keep theirs.

        Args:
            pictures: (N, 3, H, W) uint8 RGB on the network's device.
            trimap: as for a call.
            before: the tiles of the frame before, whose ``frame`` is -1, or of these very frames, solved
                with another trimap.
            guess: (N, 1, H, W) uint8 from `trimap.encode_alpha_prior`: the coarse alpha. A
                network that takes no guess does not see it.

        Returns:
            Alpha as for a call, and all tiles that it was made of.
        """
        told = trimap
        if guess is not None and getattr(self._network, "accepts_alpha_prior", False):
            told = torch.where(trimap == UNKNOWN, guess, trimap)
        long_side = max(pictures.shape[2:])
        large, own = ([tile for tile in before if tile.doubled is doubled] for doubled in (True, False))
        if long_side < self._options.double_below_px:
            alpha, solved = self._follow_doubled(pictures, told, large)
        elif long_side < self._options.both_below_px:
            first, large_solved = self._follow_doubled(pictures, told, large)
            second, own_solved = self._follow(pictures, told, own)
            alpha, solved = (first + second) / 2, (*large_solved, *own_solved)
        else:
            alpha, solved = self._follow(pictures, told, own)
        return keep_known(alpha, trimap), solved

    def _follow_doubled(
        self, pictures: Tensor, trimap: Tensor, before: Sequence[CachedTile]
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        larger = F.interpolate(pictures.float(), scale_factor=2.0, mode="bicubic").round().clamp(0, 255)
        known = F.interpolate(trimap, scale_factor=2.0, mode="nearest")
        alpha, solved = self._follow(larger.to(torch.uint8), known, before, block_px=2 * _BLOCK_PX)
        return F.avg_pool2d(alpha, 2), tuple(replace(tile, doubled=True) for tile in solved)

    def _follow(
        self,
        pictures: Tensor,
        trimap: Tensor,
        before: Sequence[CachedTile],
        block_px: int = _BLOCK_PX,
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        o = self._options
        places = [solved.tile for solved in before]
        tiles = plan_tiles(trimap, tile_px=o.tile_px, overlap_px=o.overlap_px, before=places)
        n, _, height, width = pictures.shape
        if not tiles:
            return pictures.new_zeros((n, 1, height, width), dtype=torch.float32), ()
        cut, known = (cut_tiles(x, tiles, tile_px=o.tile_px) for x in (pictures, trimap))
        solved = self._solve_changed(tiles, cut, known, before, block_px)
        alphas = torch.stack([tile.alpha for tile in solved])
        return blend_tiles(alphas, tiles, frames=n, size=(height, width), overlap_px=o.overlap_px), solved

    def _solve_changed(
        self,
        tiles: tuple[Tile, ...],
        pictures: Tensor,
        trimaps: Tensor,
        before: Sequence[CachedTile],
        block_px: int,
    ) -> tuple[CachedTile, ...]:
        """Solves what changed, all of a batch together; ``block_px`` are `_BLOCK_PX` of the frame."""
        # looking is as dear as solving where each look waits for an accelerator
        follows = self._options.reuse and pictures.device.type == "cpu"
        pool = [*before]
        own = {solved.tile: i for i, solved in enumerate(before) if solved.tile.frame >= 0}
        latest = {solved.tile.place: i for i, solved in enumerate(before) if solved.tile.frame < 0}
        sources: list[int] = []
        # only tiles of other frames depend on each other
        for _, group in groupby(range(len(tiles)), key=lambda i: tiles[i].frame if follows else 0):
            numbers = tuple(group)
            known = [own.get(tiles[i], latest.get(tiles[i].place) if follows else None) for i in numbers]
            pairs = [(pool[j], i) for i, j in zip(numbers, known, strict=True) if j is not None]
            same = iter(_which_are_same(pairs, pictures, trimaps, block_px))
            for i, j in zip(numbers, known, strict=True):
                if j is None or not next(same):
                    j = len(pool)
                    pool.append(CachedTile(tiles[i], pictures[i], trimaps[i], trimaps[i].float()))
                latest[tiles[i].place] = j
                sources.append(j)
        due = pool[len(before) :]
        alphas = self._solve_all(due)
        pool[len(before) :] = [replace(tile, alpha=alpha) for tile, alpha in zip(due, alphas, strict=True)]
        return tuple(replace(pool[j], tile=tile) for tile, j in zip(tiles, sources, strict=True))

    def _solve_all(self, tiles: Sequence[CachedTile]) -> list[Tensor]:
        """(1, S, S) alpha of each tile, solved some at a time; on a CPU some on each core."""
        device = next(self._network.parameters()).device
        workers = cores(device)
        # as many for each core, or some would wait for the others
        count = min(len(tiles), workers * ceil(len(tiles) / (workers * self._batch)))
        ends = [len(tiles) * i // count for i in range(count + 1)] if count else []
        parts = [tiles[begin:end] for begin, end in pairwise(ends)]
        solved = on_each_core(self._solve_some, parts, device)
        return [alpha for part in solved for alpha in part]

    def _solve_some(self, tiles: Sequence[CachedTile]) -> Tensor:
        return self._solve(
            torch.stack([tile.picture for tile in tiles]), torch.stack([tile.trimap for tile in tiles])
        )

    @torch.inference_mode()
    def _solve(self, picture: Tensor, trimap: Tensor) -> Tensor:
        scaled = picture.float() / 255
        mean, deviation = (v.view(1, 3, 1, 1) for v in (self._mean, self._deviation))
        alpha: Tensor = self._network((scaled - mean) / deviation, trimap.float() / 255)
        return ((alpha.float() - self._alpha_floor) / (1 - 2 * self._alpha_floor)).clamp_(0, 1)


def _which_are_same(
    pairs: Sequence[tuple[CachedTile, int]], pictures: Tensor, trimaps: Tensor, block_px: int
) -> list[bool]:
    """`_same` of tiles and the numbers of what they are now; an accelerator is asked once for all."""

    def same(some: Sequence[tuple[CachedTile, int]]) -> Tensor:
        then, trimap_then = (
            torch.stack(parts)
            for parts in zip(*((tile.picture, tile.trimap) for tile, _ in some), strict=True)
        )
        numbers = [i for _, i in some]
        now, trimap = (torch.stack([frames[i] for i in numbers]) for frames in (pictures, trimaps))
        return _same(then, trimap_then, now, trimap, block_px)

    if not pairs:
        return []
    if pictures.device.type != "cpu":
        return [bool(one) for one in same(pairs).tolist()]
    return on_each_core(lambda pair: bool(same([pair])), pairs, pictures.device)


def _same(then: Tensor, trimap_then: Tensor, picture: Tensor, trimap: Tensor, block_px: int) -> Tensor:
    """(T,) whether what was solved then is still right: band and guess hardly other, pixels there the same.

    Pictures are (T, 3, S, S) uint8, trimaps (T, 1, S, S) uint8.
    """
    was, unknown = is_unknown(trimap_then), is_unknown(trimap)
    new = ((trimap != trimap_then) & ~was).sum(dim=(1, 2, 3))
    same = new <= _FEW * (block_px / _BLOCK_PX) ** 2
    if same.device.type == "cpu" and not same.any():
        return same
    near = F.max_pool2d(F.max_pool2d(unknown.float(), block_px), 2 * _AROUND + 1, stride=1, padding=_AROUND)
    turned = (trimap.float() - trimap_then.float()) * (unknown & was)
    same &= (F.avg_pool2d(turned, block_px).abs() <= _GUESS_TREMOR).all(dim=3).all(dim=2)[:, 0]
    if same.device.type == "cpu" and not same.any():
        return same
    difference = picture.float() - then.float()
    mean = F.avg_pool2d(difference, block_px).abs()
    square = F.avg_pool2d(difference.square(), block_px)
    changed = ((mean > _MEAN_NOISE) | (square > _PIXEL_NOISE**2)) & (near > 0)
    return same & ~changed.flatten(1).any(dim=1)
