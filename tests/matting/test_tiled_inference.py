from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor, nn

from autohair_video.matting.tiled_inference import CachedTile, TiledMattingNet
from autohair_video.matting.trimap import UNKNOWN, encode_alpha_prior
from autohair_video.models.dim import MobileDIM
from autohair_video.options import TileOptions

TILES = TileOptions(tile_px=64, overlap_px=16, batch=3, double_below_px=0)


class GreenIsAlpha(nn.Module):
    """Alpha is the picture's green, so that the answer is known at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.224))
        self._solved: list[int] = []  # threads may append to it at once

    @property
    def tiles(self) -> int:
        return sum(self._solved)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        assert image.shape[2:] == trimap.shape[2:] == (64, 64)
        self._solved.append(len(image))
        return image[:, 1:2] * self.scale + 0.456


class WhatItIsTold(nn.Module):
    """Alpha is the value of the trimap."""

    def __init__(self, *, accepts_alpha_prior: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.accepts_alpha_prior = accepts_alpha_prior

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        return trimap * self.scale


def pictures(n: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, height, width), generator=generator).to(torch.uint8)


def noisy(picture: Tensor, seed: int, *, sigma: float = 2.0) -> Tensor:
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed)) * sigma
    return (picture + noise).round().clamp(0, 255).to(torch.uint8)


def band(height: int, width: int) -> Tensor:
    trimap = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    trimap[0, 0, :, : width // 2] = 255
    trimap[0, 0, :, width // 2 - 3 : width // 2 + 3] = 128
    return trimap


def test_alpha_is_the_networks_in_the_band_and_the_trimaps_elsewhere() -> None:
    picture, trimap = pictures(2, 150, 200).float() / 255, band(150, 200)
    alpha = TiledMattingNet(GreenIsAlpha(), TILES)(picture, trimap)
    unknown = trimap == 128
    assert alpha.shape == (2, 1, 150, 200)
    torch.testing.assert_close(alpha[unknown], picture[:, 1:2][unknown], rtol=0, atol=1e-5)
    assert torch.equal(alpha[trimap == 255], torch.ones_like(alpha[trimap == 255]))
    assert torch.equal(alpha[trimap == 0], torch.zeros_like(alpha[trimap == 0]))


def test_the_guess_reaches_networks_that_take_one_and_no_others() -> None:
    trimap, person = band(150, 200)[:1], torch.linspace(0, 1, 50).expand(1, 1, 30, 50)
    guess, unknown = encode_alpha_prior(person, (150, 200)), trimap == UNKNOWN
    picture = pictures(1, 150, 200)
    told, _ = TiledMattingNet(WhatItIsTold(accepts_alpha_prior=True), TILES).follow(
        picture, trimap, guess=guess
    )
    torch.testing.assert_close(told[unknown] * 255, guess[unknown].float())
    assert torch.equal(told[~unknown], (trimap[~unknown] > 0).float())
    plain, _ = TiledMattingNet(WhatItIsTold(accepts_alpha_prior=False), TILES).follow(
        picture, trimap, guess=guess
    )
    torch.testing.assert_close(plain[unknown], torch.full_like(plain[unknown], 128 / 255))


def test_tiles_keep_their_alpha_while_only_the_guess_trembles() -> None:
    network, trimap, picture = GreenIsAlpha(), band(64, 64)[:1], pictures(1, 64, 64)
    network.accepts_alpha_prior = True
    solver = TiledMattingNet(network, TILES)
    sure, less_sure = (torch.full((1, 1, 64, 64), level, dtype=torch.uint8) for level in (180, 170))
    first, solved = solver.follow(picture, trimap, guess=sure)
    before = [tile.for_next() for tile in solved]
    then, _ = solver.follow(noisy(picture, 1), trimap, before, guess=less_sure)
    assert torch.equal(first, then)
    assert network.tiles == 1


def test_tiles_whose_guess_turns_over_are_solved_again() -> None:
    """Else a first guess that was wrong would stay for as long as nothing moves."""
    network, trimap, picture = WhatItIsTold(accepts_alpha_prior=True), band(64, 64)[:1], pictures(1, 64, 64)
    solver, unknown = TiledMattingNet(network, TILES), trimap == UNKNOWN
    background, foreground = (torch.full((1, 1, 64, 64), level, dtype=torch.uint8) for level in (64, 191))
    foreground[..., :48, :] = 64
    _, solved = solver.follow(picture, trimap, guess=background)
    then, _ = solver.follow(picture, trimap, [tile.for_next() for tile in solved], guess=foreground)
    torch.testing.assert_close(then[unknown] * 255, foreground[unknown].float())


def test_cost_follows_the_band_and_not_the_frame() -> None:
    small, large, nothing = GreenIsAlpha(), GreenIsAlpha(), GreenIsAlpha()
    TiledMattingNet(small, TILES)(torch.rand(2, 3, 150, 200), band(150, 200))
    TiledMattingNet(large, TILES)(torch.rand(2, 3, 150, 2000), band(150, 2000))
    TiledMattingNet(nothing, TILES)(
        torch.rand(2, 3, 150, 200), torch.zeros(2, 1, 150, 200, dtype=torch.uint8)
    )
    assert 0 < large.tiles <= small.tiles + 3
    assert nothing.tiles == 0


def test_small_frames_are_solved_at_twice_their_size() -> None:
    """As many tiles as twice the frame needs, and the same alpha: here it is the picture's green."""
    small, large = GreenIsAlpha(), GreenIsAlpha()
    y, x = torch.meshgrid(torch.arange(150), torch.arange(200), indexing="ij")
    picture = (x + y / 2).to(torch.uint8).expand(1, 3, 150, 200)
    trimap = band(150, 200)[:1]
    options = replace(TILES, double_below_px=201)
    alpha, tiles = TiledMattingNet(small, options).follow(picture, trimap)
    unknown = trimap == 128
    assert alpha.shape == trimap.shape
    torch.testing.assert_close(alpha[unknown], picture[:, 1:2][unknown] / 255, rtol=0, atol=0.006)
    assert torch.equal(alpha[~unknown], (trimap[~unknown] > 0).float())
    TiledMattingNet(large, TILES).follow(
        *(x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (picture, trimap))
    )
    assert small.tiles == large.tiles
    _, again = TiledMattingNet(small, options).follow(picture, trimap, [tile.for_next() for tile in tiles])
    assert len(again) == len(tiles) == small.tiles, "and they are kept for the next frame"


def test_alpha_of_both_sizes_is_their_mean() -> None:
    class SideIsAlpha(GreenIsAlpha):
        """Alpha tells the slope of the picture, which halves at twice its size."""

        def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
            slope = image[:, 1:2].diff(dim=3, append=2 * image[:, 1:2, :, -1:] - image[:, 1:2, :, -2:-1])
            return slope * self.scale * 10

    picture = torch.arange(0, 200, 2).to(torch.uint8).expand(1, 3, 100, 100)
    trimap = torch.full((1, 1, 100, 100), 128, dtype=torch.uint8)
    alone, twice, both = (
        TiledMattingNet(SideIsAlpha(), replace(TILES, double_below_px=double, both_below_px=mean)).follow(
            picture, trimap
        )[0]
        for double, mean in ((0, 0), (101, 0), (0, 101))
    )
    middle = (0, 0, slice(20, 80), slice(20, 80))
    assert alone[middle].mean() > 1.8 * twice[middle].mean() > 0
    torch.testing.assert_close(both, (alone + twice) / 2)


def test_tiles_of_both_sizes_are_kept_for_the_next_frame() -> None:
    network, trimap, picture = GreenIsAlpha(), band(150, 200)[:1], pictures(1, 150, 200)
    solver = TiledMattingNet(network, replace(TILES, double_below_px=0, both_below_px=201))
    first, solved = solver.follow(picture, trimap)
    once = network.tiles
    then, _ = solver.follow(picture, trimap, [tile.for_next() for tile in solved])
    assert torch.equal(first, then)
    assert network.tiles == once > 0


def test_what_a_network_leaves_of_nothing_and_of_all_is_no_haze() -> None:
    network, trimap = GreenIsAlpha(), torch.full((1, 1, 64, 64), 128, dtype=torch.uint8)
    network.alpha_floor = 0.02
    greens = torch.tensor([0.0, 0.01, 0.02, 0.26, 0.5, 0.98, 0.99, 1.0])
    picture = greens.repeat_interleave(8).expand(1, 3, 64, 64)
    alpha = TiledMattingNet(network, TILES).follow((picture * 255).round().to(torch.uint8), trimap)[0]
    wanted = torch.tensor([0, 0, 0, 0.25, 0.5, 1, 1, 1])
    torch.testing.assert_close(alpha[0, 0, 30, 4::8], wanted, rtol=0, atol=0.003)
    assert alpha[0, 0, 30, 4] == 0
    assert alpha[0, 0, 30, 60] == 1


def test_frames_smaller_than_a_tile_are_solved() -> None:
    picture = pictures(1, 5, 1).float() / 255
    alpha = TiledMattingNet(GreenIsAlpha(), TILES)(picture, torch.full((1, 1, 5, 1), 128, dtype=torch.uint8))
    torch.testing.assert_close(alpha, picture[:, 1:2], rtol=0, atol=1e-5)


def _follow(solver: TiledMattingNet, clip: list[Tensor], trimap: Tensor) -> list[Tensor]:
    """Alpha of a clip, frame by frame."""
    alphas, tiles = [], ()
    for picture in clip:
        alpha, solved = solver.follow(picture, trimap, tiles)
        tiles = tuple(CachedTile.for_next(tile) for tile in solved)
        alphas.append(alpha)
    return alphas


def test_a_still_picture_with_noise_is_solved_once_and_keeps_its_alpha() -> None:
    network, picture, trimap = GreenIsAlpha(), pictures(1, 150, 200), band(150, 200)[:1]
    alphas = _follow(TiledMattingNet(network, TILES), [noisy(picture, seed) for seed in range(4)], trimap)
    TiledMattingNet(once := GreenIsAlpha(), TILES).follow(picture, trimap)
    assert network.tiles == once.tiles
    assert all(torch.equal(alpha, alphas[0]) for alpha in alphas)


def test_only_tiles_at_which_something_moved_are_solved_again() -> None:
    network, picture, trimap = GreenIsAlpha(), pictures(1, 300, 64) // 2, band(300, 64)[:1]
    moved = picture.clone()
    moved[:, :, 20:24, 30] = 255
    alphas = _follow(TiledMattingNet(network, TILES), [picture], trimap)
    first = network.tiles
    alphas = _follow(TiledMattingNet(network, TILES), [picture, moved], trimap)
    assert network.tiles == 2 * first + 1
    assert torch.equal(alphas[1][:, :, 80:], alphas[0][:, :, 80:])
    assert alphas[1][0, 0, 20, 30] > 0.99


def test_what_moves_inside_the_subject_or_far_outside_costs_nothing() -> None:
    network, picture, trimap = GreenIsAlpha(), pictures(1, 64, 300), band(64, 300)[:1]
    moved = picture.clone()
    moved[:, :, :, :100], moved[:, :, :, 200:] = 9, 9
    _follow(TiledMattingNet(network, TILES), [picture, moved], trimap)
    assert network.tiles == 1


def test_slow_drift_is_followed() -> None:
    trimap, grey = band(64, 64)[:1], torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    clip = [grey + step for step in range(20)]
    alphas = _follow(TiledMattingNet(GreenIsAlpha(), TILES), clip, trimap)
    unknown = trimap == 128
    for picture, alpha in zip(clip, alphas, strict=True):
        assert (alpha - picture[:, 1:2] / 255)[unknown].abs().max() < 3 / 255


def test_a_wider_band_is_solved_again_and_a_narrower_is_not() -> None:
    network, picture = GreenIsAlpha(), pictures(1, 64, 64)
    solver, wide, narrow = TiledMattingNet(network, TILES), band(64, 64)[:1], band(64, 64)[:1]
    wide[..., 20:44] = 128
    _, tiles = solver.follow(picture, wide)
    before = [tile.for_next() for tile in tiles]
    solver.follow(picture, narrow, before)
    assert network.tiles == 1
    wide[..., 16:48] = 128
    solver.follow(picture, wide, before)
    assert network.tiles == 2


def test_without_reuse_every_frame_is_solved() -> None:
    network, picture, trimap = GreenIsAlpha(), pictures(1, 64, 64), band(64, 64)[:1]
    _follow(TiledMattingNet(network, replace(TILES, reuse=False)), [picture] * 3, trimap)
    assert network.tiles == 3


def test_solving_leaves_the_programs_threads_as_they_were() -> None:
    """Tiles are solved on one core each; whoever computes elsewhere, now or later, still has all of them."""
    cores = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trimap = torch.full((1, 1, 96, 256), 128, dtype=torch.uint8)
        TiledMattingNet(MobileDIM().eval(), TileOptions(tile_px=64, overlap_px=16))(
            torch.rand(1, 3, 96, 256), trimap
        )
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(cores)
