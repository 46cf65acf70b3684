"""Tiles cover the band, stay where they are, and leave no seam."""

from __future__ import annotations

import pytest
import torch

from autohair_video.matting.tiling import Tile, blend_tiles, cut_tiles, plan_tiles

SIZES = [(1, 1), (17, 33), (64, 64), (65, 64), (70, 333), (360, 640)]


def _blob_trimap(size: tuple[int, int], *, frames: int = 2) -> torch.Tensor:
    torch.manual_seed(sum(size))
    trimap = torch.where(torch.rand(frames, 1, *size) < 0.5, 0, 255).to(torch.uint8)
    for n in range(frames):
        y, x = (int(torch.randint(s, ())) for s in size)
        trimap[n, 0, y : y + 90, x : x + 40] = 128
    return trimap


@pytest.mark.parametrize("size", SIZES)
def test_unknown_pixels_lie_inside_a_tile_with_margin(size: tuple[int, int]) -> None:
    tile_px, overlap_px = 64, 24
    trimap = _blob_trimap(size)
    tiles = plan_tiles(trimap, tile_px=tile_px, overlap_px=overlap_px)
    height, width = size
    covered = torch.zeros_like(trimap, dtype=torch.bool)
    margin = overlap_px // 2
    for t in tiles:
        top = t.top + margin if t.top else 0
        left = t.left + margin if t.left else 0
        bottom = t.top + tile_px - margin if t.top + tile_px < height else height
        right = t.left + tile_px - margin if t.left + tile_px < width else width
        covered[t.frame, 0, top:bottom, left:right] = True
    assert covered[trimap == 128].all()
    assert (trimap == 128).any()


@pytest.mark.parametrize("size", [(65, 64), (70, 333), (360, 640), (1080, 300)])
def test_tiles_start_on_the_stride_or_end_with_the_frame(size: tuple[int, int]) -> None:
    everything = torch.full((1, 1, *size), 128, dtype=torch.uint8)
    for tile in plan_tiles(everything, tile_px=64, overlap_px=24):
        for start, side in zip(tile.corner, size, strict=True):
            assert start % 16 == 0 or start + 64 == side


def test_tiles_without_unknown_pixels_are_omitted() -> None:
    trimap = torch.zeros(3, 1, 400, 400, dtype=torch.uint8)
    trimap[1, 0, 10, 10] = 128
    trimap[2] = 255
    assert plan_tiles(trimap, tile_px=64, overlap_px=16) == (Tile(1, 0, 0),)


def test_tiles_persist_under_small_motion_of_the_band() -> None:
    trimap = torch.zeros(8, 1, 300, 500, dtype=torch.uint8)
    for n in range(8):
        trimap[n, :, 60:200, 100 + n : 160 + n] = 128
    tiles = plan_tiles(trimap, tile_px=128, overlap_px=32)
    places = [{t.corner for t in tiles if t.frame == n} for n in range(8)]
    assert len(places[0]) == 3
    assert all(corner == places[0] for corner in places)
    last = [Tile(-1, t.top, t.left) for t in tiles if t.frame == 7]
    assert {t.corner for t in plan_tiles(trimap[:1], tile_px=128, overlap_px=32, before=last)} == places[0]


def test_tiles_are_placed_on_the_band() -> None:
    trimap = torch.zeros(1, 1, 256, 2000, dtype=torch.uint8)
    for left in range(100, 2000, 400):
        trimap[..., left : left + 150] = 128
    assert len(plan_tiles(trimap, tile_px=256, overlap_px=64)) == 5
    full = plan_tiles(torch.full_like(trimap, 128), tile_px=256, overlap_px=64)
    assert len(full) == len(range(0, 2000 - 256 + 192, 192))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap_px", [0, 20])
def test_cut_and_blend_round_trip(size: tuple[int, int], overlap_px: int) -> None:
    trimap = _blob_trimap(size)
    tiles = plan_tiles(trimap, tile_px=64, overlap_px=overlap_px)
    picture = torch.rand(2, 3, *size)
    squares = cut_tiles(picture, tiles, tile_px=64)
    assert squares.shape == (len(tiles), 3, 64, 64)
    back = blend_tiles(squares, tiles, frames=2, size=size, overlap_px=overlap_px)
    unknown = (trimap == 128).expand_as(picture)
    torch.testing.assert_close(back[unknown], picture[unknown])


def test_frame_is_padded_by_reflection() -> None:
    picture = torch.arange(6, dtype=torch.uint8).reshape(1, 1, 2, 3)
    (square,) = cut_tiles(picture, (Tile(0, 0, 0),), tile_px=4)
    assert square.tolist() == [[[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]]


def test_blending_of_different_tiles_has_no_step() -> None:
    trimap = torch.full((1, 1, 64, 256), 128, dtype=torch.uint8)
    tiles = plan_tiles(trimap, tile_px=64, overlap_px=32)
    values = torch.stack([torch.full((1, 64, 64), float(i % 2)) for i in range(len(tiles))])
    blended = blend_tiles(values, tiles, frames=1, size=(64, 256), overlap_px=32)
    assert blended.amin() < 0.01
    assert blended.amax() > 0.99
    assert blended.diff(dim=3).abs().amax() < 0.06


def test_blending_without_tiles_is_zero() -> None:
    nothing = blend_tiles(torch.empty(0, 1, 64, 64), (), frames=2, size=(30, 90), overlap_px=8)
    assert nothing.shape == (2, 1, 30, 90)
    assert not nothing.any()
