from __future__ import annotations

import torch
from torch import Tensor, nn

from autohair_video.matting.matte import BandSolver
from autohair_video.options import TileOptions

TILES = TileOptions(tile_px=64, overlap_px=16, batch=3)


class GreenIsAlpha(nn.Module):
    """Alpha is the picture's green, so that the answer is known at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.224))
        self.tiles = 0

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        assert image.shape[2:] == trimap.shape[2:] == (64, 64)
        self.tiles += len(image)
        return image[:, 1:2] * self.scale + 0.456


def band(height: int, width: int) -> Tensor:
    trimap = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    trimap[0, 0, :, : width // 2] = 255
    trimap[0, 0, :, width // 2 - 3 : width // 2 + 3] = 128
    return trimap


def test_alpha_is_the_networks_in_the_band_and_the_trimaps_elsewhere() -> None:
    torch.manual_seed(0)
    picture, trimap = torch.rand(2, 3, 150, 200), band(150, 200)
    alpha = BandSolver(GreenIsAlpha(), TILES)(picture, trimap)
    unknown = trimap == 128
    assert alpha.shape == (2, 1, 150, 200)
    torch.testing.assert_close(alpha[unknown], picture[:, 1:2][unknown], rtol=0, atol=1e-5)
    assert torch.equal(alpha[trimap == 255], torch.ones_like(alpha[trimap == 255]))
    assert torch.equal(alpha[trimap == 0], torch.zeros_like(alpha[trimap == 0]))


def test_cost_follows_the_band_and_not_the_frame() -> None:
    small, large, nothing = GreenIsAlpha(), GreenIsAlpha(), GreenIsAlpha()
    BandSolver(small, TILES)(torch.rand(2, 3, 150, 200), band(150, 200))
    BandSolver(large, TILES)(torch.rand(2, 3, 150, 2000), band(150, 2000))
    BandSolver(nothing, TILES)(torch.rand(2, 3, 150, 200), torch.zeros(2, 1, 150, 200, dtype=torch.uint8))
    assert 0 < large.tiles <= small.tiles + 3
    assert nothing.tiles == 0


def test_frames_smaller_than_a_tile_are_solved() -> None:
    picture = torch.rand(1, 3, 5, 1)
    alpha = BandSolver(GreenIsAlpha(), TILES)(picture, torch.full((1, 1, 5, 1), 128, dtype=torch.uint8))
    torch.testing.assert_close(alpha, picture[:, 1:2], rtol=0, atol=1e-5)
