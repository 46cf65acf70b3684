"""Alpha in the unknown band: Deep Image Matting on tiles.

A cached tile in which neither the band nor the pixels around it have changed by more than noise keeps its
alpha: static regions cost nothing and do not flicker.
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

# RGB mean of the training data. Unit: of 1. Source: ImageNet statistics, as in torchvision.
_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
# RGB standard deviation of the training data. Unit: of 1. Source: ImageNet statistics, as in torchvision.
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
# Pixels per network call: beyond it a CPU runs out of cache, below it a GPU idles. Unit: px. Source: by eye.
_BATCH_PX: Final = {"cpu": 2 * 256**2, "mps": 16 * 256**2, "cuda": 64 * 256**2}
# Side of the blocks in which a tile is compared with its cached image. Unit: px. Source: by eye.
_BLOCK_PX: Final = 8
# Change of the mean of a block that is still noise. Unit: of 255. Source: by eye.
_MEAN_NOISE_LEVELS: Final = 2.0
# RMS change of a block that is still noise; a moving strand exceeds it. Unit: of 255. Source: by eye.
_RMS_NOISE_LEVELS: Final = 5.0
# Newly unknown pixels of a tile, from trimap jitter, tolerated before re-inference. Unit: px. Source: by eye.
_MAX_NEW_UNKNOWN_PX: Final = 64
# Change of the mean alpha prior of a block that is still jitter. Unit: trimap levels, of 255. Source: by eye.
_PRIOR_JITTER: Final = 32.0
# Radius around the band in which changes count. Unit: blocks. Source: by eye.
_NEIGHBOURHOOD_BLOCKS: Final = 2


@dataclass(frozen=True)
class CachedTile:
    """A tile with its input and alpha as of its last inference.

    ``image`` (3, S, S) uint8 RGB, ``trimap`` (1, S, S) uint8, with the alpha prior in it if there was one,
    ``alpha`` (1, S, S) float32. ``doubled``: it was cut from the frame at twice its size.
    """

    tile: Tile
    image: Tensor
    trimap: Tensor
    alpha: Tensor
    doubled: bool = False

    def for_next(self) -> CachedTile:
        """A copy as a tile of the previous frame, which does not keep the batch in memory."""
        return replace(
            self,
            tile=replace(self.tile, frame=-1),
            image=self.image.clone(),
            trimap=self.trimap.clone(),
            alpha=self.alpha.clone(),
        )


class TiledMattingNet:
    """A matting network applied to tiles of the unknown band."""

    def __init__(self, network: nn.Module, options: TileOptions) -> None:
        self._network = network
        self._options = options
        self._alpha_floor: float = getattr(network, "alpha_floor", 0.0)
        device = next(network.parameters()).device
        max_px = _BATCH_PX[device.type]
        self._mean, self._deviation = (
            torch.tensor(v, device=device) for v in (_IMAGENET_MEAN, _IMAGENET_STD)
        )
        self._batch = options.batch or max(1, max_px // options.tile_px**2)

    def at(self, options: TileOptions) -> TiledMattingNet:
        """The same network with other options."""
        return TiledMattingNet(self._network, options)

    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of independent frames with a trimap.

        Args:
            rgb: (N, 3, H, W) float in 0..1 on the network's device.
            trimap: (N, 1, H, W) uint8 of 0, 128 and 255 on the same device.

        Returns:
            (N, 1, H, W) float32 in 0..1: inferred where the trimap is unknown, 0 and 1 where it is
            background and foreground.
        """
        return self.infer_sequence((rgb * 255).round().to(torch.uint8), trimap)[0]

    @torch.inference_mode()
    def infer_sequence(
        self,
        images: Tensor,
        trimap: Tensor,
        before: Sequence[CachedTile] = (),
        prior: Tensor | None = None,
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        """Alpha of consecutive frames; unchanged cached tiles keep theirs.

        Args:
            images: (N, 3, H, W) uint8 RGB on the network's device.
            trimap: as for a call.
            before: cached tiles of the previous frame, whose ``frame`` is -1, or of these frames, inferred
                with another trimap.
            prior: (N, 1, H, W) uint8 from `trimap.encode_alpha_prior`: the coarse alpha. Networks
                that do not accept an alpha prior ignore it.

        Returns:
            Alpha as for a call, and all tiles that it was blended from.
        """
        guided_trimap = trimap
        if prior is not None and getattr(self._network, "accepts_alpha_prior", False):
            guided_trimap = torch.where(trimap == UNKNOWN, prior, trimap)
        long_side = max(images.shape[2:])
        large, own = ([tile for tile in before if tile.doubled is doubled] for doubled in (True, False))
        if long_side < self._options.double_below_px:
            alpha, inferred = self._infer_doubled(images, guided_trimap, large)
        elif long_side < self._options.both_below_px:
            first, large_tiles = self._infer_doubled(images, guided_trimap, large)
            second, own_tiles = self._infer_sequence(images, guided_trimap, own)
            alpha, inferred = (first + second) / 2, (*large_tiles, *own_tiles)
        else:
            alpha, inferred = self._infer_sequence(images, guided_trimap, own)
        return keep_known(alpha, trimap), inferred

    def _infer_doubled(
        self, images: Tensor, trimap: Tensor, before: Sequence[CachedTile]
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        larger = F.interpolate(images.float(), scale_factor=2.0, mode="bicubic").round().clamp(0, 255)
        known = F.interpolate(trimap, scale_factor=2.0, mode="nearest")
        alpha, inferred = self._infer_sequence(larger.to(torch.uint8), known, before, block_px=2 * _BLOCK_PX)
        return F.avg_pool2d(alpha, 2), tuple(replace(tile, doubled=True) for tile in inferred)

    def _infer_sequence(
        self,
        images: Tensor,
        trimap: Tensor,
        before: Sequence[CachedTile],
        block_px: int = _BLOCK_PX,
    ) -> tuple[Tensor, tuple[CachedTile, ...]]:
        o = self._options
        previous_tiles = [inferred.tile for inferred in before]
        tiles = plan_tiles(trimap, tile_px=o.tile_px, overlap_px=o.overlap_px, before=previous_tiles)
        n, _, height, width = images.shape
        if not tiles:
            return images.new_zeros((n, 1, height, width), dtype=torch.float32), ()
        cut, known = (cut_tiles(x, tiles, tile_px=o.tile_px) for x in (images, trimap))
        inferred = self._infer_changed(tiles, cut, known, before, block_px)
        alphas = torch.stack([tile.alpha for tile in inferred])
        return blend_tiles(alphas, tiles, frames=n, size=(height, width), overlap_px=o.overlap_px), inferred

    def _infer_changed(
        self,
        tiles: tuple[Tile, ...],
        images: Tensor,
        trimaps: Tensor,
        before: Sequence[CachedTile],
        block_px: int,
    ) -> tuple[CachedTile, ...]:
        """Infers changed tiles, all of a batch together; ``block_px``: `_BLOCK_PX` at the frame's scale."""
        # on a GPU the change test costs a host synchronisation, so reuse across frames is for CPUs
        propagates = self._options.reuse and images.device.type == "cpu"
        pool = [*before]
        own = {inferred.tile: i for i, inferred in enumerate(before) if inferred.tile.frame >= 0}
        latest = {inferred.tile.corner: i for i, inferred in enumerate(before) if inferred.tile.frame < 0}
        sources: list[int] = []
        # only tiles of different frames depend on each other
        for _, group in groupby(range(len(tiles)), key=lambda i: tiles[i].frame if propagates else 0):
            numbers = tuple(group)
            known = [own.get(tiles[i], latest.get(tiles[i].corner) if propagates else None) for i in numbers]
            pairs = [(pool[j], i) for i, j in zip(numbers, known, strict=True) if j is not None]
            unchanged = iter(_are_unchanged(pairs, images, trimaps, block_px))
            for i, j in zip(numbers, known, strict=True):
                if j is None or not next(unchanged):
                    j = len(pool)
                    pool.append(CachedTile(tiles[i], images[i], trimaps[i], trimaps[i].float()))
                latest[tiles[i].corner] = j
                sources.append(j)
        stale = pool[len(before) :]
        alphas = self._infer_all(stale)
        pool[len(before) :] = [replace(tile, alpha=alpha) for tile, alpha in zip(stale, alphas, strict=True)]
        return tuple(replace(pool[j], tile=tile) for tile, j in zip(tiles, sources, strict=True))

    def _infer_all(self, tiles: Sequence[CachedTile]) -> list[Tensor]:
        """(1, S, S) alpha of each tile, in batches; on a CPU one batch per core at a time."""
        device = next(self._network.parameters()).device
        workers = cores(device)
        # equal shares for all cores, so that none idles
        count = min(len(tiles), workers * ceil(len(tiles) / (workers * self._batch)))
        ends = [len(tiles) * i // count for i in range(count + 1)] if count else []
        parts = [tiles[begin:end] for begin, end in pairwise(ends)]
        inferred = on_each_core(self._infer_group, parts, device)
        return [alpha for part in inferred for alpha in part]

    def _infer_group(self, tiles: Sequence[CachedTile]) -> Tensor:
        return self._infer(
            torch.stack([tile.image for tile in tiles]), torch.stack([tile.trimap for tile in tiles])
        )

    @torch.inference_mode()
    def _infer(self, image: Tensor, trimap: Tensor) -> Tensor:
        scaled = image.float() / 255
        mean, deviation = (v.view(1, 3, 1, 1) for v in (self._mean, self._deviation))
        alpha: Tensor = self._network((scaled - mean) / deviation, trimap.float() / 255)
        return ((alpha.float() - self._alpha_floor) / (1 - 2 * self._alpha_floor)).clamp_(0, 1)


def _are_unchanged(
    pairs: Sequence[tuple[CachedTile, int]], images: Tensor, trimaps: Tensor, block_px: int
) -> list[bool]:
    """`_is_unchanged` of pairs of cached tile and index of its present tile; one synchronisation for all."""

    def unchanged(some: Sequence[tuple[CachedTile, int]]) -> Tensor:
        then, trimap_then = (
            torch.stack(parts) for parts in zip(*((tile.image, tile.trimap) for tile, _ in some), strict=True)
        )
        numbers = [i for _, i in some]
        now, trimap = (torch.stack([frames[i] for i in numbers]) for frames in (images, trimaps))
        return _is_unchanged(then, trimap_then, now, trimap, block_px)

    if not pairs:
        return []
    if images.device.type != "cpu":
        return [bool(one) for one in unchanged(pairs).tolist()]
    return on_each_core(lambda pair: bool(unchanged([pair])), pairs, images.device)


def _is_unchanged(then: Tensor, trimap_then: Tensor, image: Tensor, trimap: Tensor, block_px: int) -> Tensor:
    """(T,) whether the cached alpha is valid: band, prior and the pixels around the band are unchanged.

    Images are (T, 3, S, S) uint8, trimaps (T, 1, S, S) uint8.
    """
    was_unknown, unknown = is_unknown(trimap_then), is_unknown(trimap)
    new = ((trimap != trimap_then) & ~was_unknown).sum(dim=(1, 2, 3))
    unchanged = new <= _MAX_NEW_UNKNOWN_PX * (block_px / _BLOCK_PX) ** 2
    if unchanged.device.type == "cpu" and not unchanged.any():
        return unchanged
    near = F.max_pool2d(
        F.max_pool2d(unknown.float(), block_px),
        2 * _NEIGHBOURHOOD_BLOCKS + 1,
        stride=1,
        padding=_NEIGHBOURHOOD_BLOCKS,
    )
    prior_change = (trimap.float() - trimap_then.float()) * (unknown & was_unknown)
    unchanged &= (F.avg_pool2d(prior_change, block_px).abs() <= _PRIOR_JITTER).all(dim=3).all(dim=2)[:, 0]
    if unchanged.device.type == "cpu" and not unchanged.any():
        return unchanged
    difference = image.float() - then.float()
    mean = F.avg_pool2d(difference, block_px).abs()
    square = F.avg_pool2d(difference.square(), block_px)
    changed = ((mean > _MEAN_NOISE_LEVELS) | (square > _RMS_NOISE_LEVELS**2)) & (near > 0)
    return unchanged & ~changed.flatten(1).any(dim=1)
