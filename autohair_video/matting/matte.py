"""Alpha in the unknown band: Deep Image Matting on tiles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autohair_video.matting.tiles import blend_tiles, cut_tiles, plan_tiles
from autohair_video.matting.trimap import keep_known
from autohair_video.options import TileOptions

# ImageNet's mean and standard deviation, which both networks were trained under
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# Tiles at once. On a CPU more than fit its caches take longer each; a GPU is idle with few.
_BATCH = {"cpu": 4, "mps": 16, "cuda": 64}


class BandSolver:
    """A matting network, and how it is spread over a frame's unknown band."""

    def __init__(self, network: nn.Module, options: TileOptions) -> None:
        self._network = network
        self._options = options
        self._batch = options.batch or _BATCH[next(network.parameters()).device.type]

    def at(self, options: TileOptions) -> BandSolver:
        """The same network with other options."""
        return BandSolver(self._network, options)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of frames with a trimap.

        Args:
            rgb: (N, 3, H, W) float in 0..1 on the network's device.
            trimap: (N, 1, H, W) uint8 of 0, 128 and 255 on the same device.

        Returns:
            (N, 1, H, W) float32 in 0..1: solved where the trimap is unknown, 0 and 1 where it is
            background and foreground.
        """
        o = self._options
        tiles = plan_tiles(trimap, tile_px=o.tile_px, overlap_px=o.overlap_px)
        if not tiles:
            return (trimap > 0).float()
        pictures = cut_tiles(rgb, tiles, tile_px=o.tile_px)
        trimaps = cut_tiles(trimap, tiles, tile_px=o.tile_px)
        batches = zip(torch.split(pictures, self._batch), torch.split(trimaps, self._batch), strict=True)
        solved = torch.cat([self._solve(picture, known) for picture, known in batches])
        n, _, height, width = rgb.shape
        alpha = blend_tiles(solved, tiles, frames=n, size=(height, width), overlap_px=o.overlap_px)
        return keep_known(alpha, trimap)

    def _solve(self, picture: Tensor, trimap: Tensor) -> Tensor:
        dtype = next(self._network.parameters()).dtype
        mean, deviation = (picture.new_tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
        image = ((picture - mean) / deviation).to(dtype, memory_format=torch.channels_last)
        alpha: Tensor = self._network(image, trimap.to(dtype) / 255)
        return alpha.float()
