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


class TrimapIsAlpha(nn.Module):
    """Alpha is the value of the trimap."""

    def __init__(self, *, accepts_alpha_prior: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.accepts_alpha_prior = accepts_alpha_prior

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        return trimap * self.scale


def images(n: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, height, width), generator=generator).to(torch.uint8)


def noisy(image: Tensor, seed: int, *, sigma: float = 2.0) -> Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)) * sigma
    return (image + noise).round().clamp(0, 255).to(torch.uint8)


def band(height: int, width: int) -> Tensor:
    trimap = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    trimap[0, 0, :, : width // 2] = 255
    trimap[0, 0, :, width // 2 - 3 : width // 2 + 3] = 128
    return trimap


def test_alpha_is_inferred_in_the_band_and_known_elsewhere() -> None:
    image, trimap = images(2, 150, 200).float() / 255, band(150, 200)
    alpha = TiledMattingNet(GreenIsAlpha(), TILES)(image, trimap)
    unknown = trimap == 128
    assert alpha.shape == (2, 1, 150, 200)
    torch.testing.assert_close(alpha[unknown], image[:, 1:2][unknown], rtol=0, atol=1e-5)
    assert torch.equal(alpha[trimap == 255], torch.ones_like(alpha[trimap == 255]))
    assert torch.equal(alpha[trimap == 0], torch.zeros_like(alpha[trimap == 0]))


def test_alpha_prior_reaches_only_networks_that_accept_it() -> None:
    trimap, person = band(150, 200)[:1], torch.linspace(0, 1, 50).expand(1, 1, 30, 50)
    prior, unknown = encode_alpha_prior(person, (150, 200)), trimap == UNKNOWN
    image = images(1, 150, 200)
    guided, _ = TiledMattingNet(TrimapIsAlpha(accepts_alpha_prior=True), TILES).infer_sequence(
        image, trimap, prior=prior
    )
    torch.testing.assert_close(guided[unknown] * 255, prior[unknown].float())
    assert torch.equal(guided[~unknown], (trimap[~unknown] > 0).float())
    plain, _ = TiledMattingNet(TrimapIsAlpha(accepts_alpha_prior=False), TILES).infer_sequence(
        image, trimap, prior=prior
    )
    torch.testing.assert_close(plain[unknown], torch.full_like(plain[unknown], 128 / 255))


def test_tiles_are_reused_under_prior_jitter() -> None:
    network, trimap, image = GreenIsAlpha(), band(64, 64)[:1], images(1, 64, 64)
    network.accepts_alpha_prior = True
    solver = TiledMattingNet(network, TILES)
    certain, shifted = (torch.full((1, 1, 64, 64), level, dtype=torch.uint8) for level in (180, 170))
    first, cached = solver.infer_sequence(image, trimap, prior=certain)
    before = [tile.for_next() for tile in cached]
    then, _ = solver.infer_sequence(noisy(image, 1), trimap, before, prior=shifted)
    assert torch.equal(first, then)
    assert network.tiles == 1


def test_tiles_are_inferred_again_when_the_prior_flips() -> None:
    """Else a first guess that was wrong would stay for as long as nothing moves."""
    network, trimap, image = TrimapIsAlpha(accepts_alpha_prior=True), band(64, 64)[:1], images(1, 64, 64)
    solver, unknown = TiledMattingNet(network, TILES), trimap == UNKNOWN
    background, foreground = (torch.full((1, 1, 64, 64), level, dtype=torch.uint8) for level in (64, 191))
    foreground[..., :48, :] = 64
    _, cached = solver.infer_sequence(image, trimap, prior=background)
    then, _ = solver.infer_sequence(image, trimap, [tile.for_next() for tile in cached], prior=foreground)
    torch.testing.assert_close(then[unknown] * 255, foreground[unknown].float())


def test_tile_count_follows_the_band_area() -> None:
    small, large, nothing = GreenIsAlpha(), GreenIsAlpha(), GreenIsAlpha()
    TiledMattingNet(small, TILES)(torch.rand(2, 3, 150, 200), band(150, 200))
    TiledMattingNet(large, TILES)(torch.rand(2, 3, 150, 2000), band(150, 2000))
    TiledMattingNet(nothing, TILES)(
        torch.rand(2, 3, 150, 200), torch.zeros(2, 1, 150, 200, dtype=torch.uint8)
    )
    assert 0 < large.tiles <= small.tiles + 3
    assert nothing.tiles == 0


def test_small_frames_are_inferred_at_double_size() -> None:
    """As many tiles as twice the frame needs, and the same alpha: here it is the picture's green."""
    small, large = GreenIsAlpha(), GreenIsAlpha()
    y, x = torch.meshgrid(torch.arange(150), torch.arange(200), indexing="ij")
    image = (x + y / 2).to(torch.uint8).expand(1, 3, 150, 200)
    trimap = band(150, 200)[:1]
    options = replace(TILES, double_below_px=201)
    alpha, tiles = TiledMattingNet(small, options).infer_sequence(image, trimap)
    unknown = trimap == 128
    assert alpha.shape == trimap.shape
    torch.testing.assert_close(alpha[unknown], image[:, 1:2][unknown] / 255, rtol=0, atol=0.006)
    assert torch.equal(alpha[~unknown], (trimap[~unknown] > 0).float())
    TiledMattingNet(large, TILES).infer_sequence(
        *(x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (image, trimap))
    )
    assert small.tiles == large.tiles
    _, again = TiledMattingNet(small, options).infer_sequence(
        image, trimap, [tile.for_next() for tile in tiles]
    )
    assert len(again) == len(tiles) == small.tiles, "and they are kept for the next frame"


def test_alpha_of_both_sizes_is_averaged() -> None:
    class SideIsAlpha(GreenIsAlpha):
        """Alpha tells the slope of the picture, which halves at twice its size."""

        def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
            slope = image[:, 1:2].diff(dim=3, append=2 * image[:, 1:2, :, -1:] - image[:, 1:2, :, -2:-1])
            return slope * self.scale * 10

    image = torch.arange(0, 200, 2).to(torch.uint8).expand(1, 3, 100, 100)
    trimap = torch.full((1, 1, 100, 100), 128, dtype=torch.uint8)
    alone, twice, both = (
        TiledMattingNet(
            SideIsAlpha(), replace(TILES, double_below_px=double, both_below_px=mean)
        ).infer_sequence(image, trimap)[0]
        for double, mean in ((0, 0), (101, 0), (0, 101))
    )
    middle = (0, 0, slice(20, 80), slice(20, 80))
    assert alone[middle].mean() > 1.8 * twice[middle].mean() > 0
    torch.testing.assert_close(both, (alone + twice) / 2)


def test_tiles_of_both_sizes_are_cached() -> None:
    network, trimap, image = GreenIsAlpha(), band(150, 200)[:1], images(1, 150, 200)
    solver = TiledMattingNet(network, replace(TILES, double_below_px=0, both_below_px=201))
    first, cached = solver.infer_sequence(image, trimap)
    count = network.tiles
    then, _ = solver.infer_sequence(image, trimap, [tile.for_next() for tile in cached])
    assert torch.equal(first, then)
    assert network.tiles == count > 0


def test_alpha_floor_removes_residual_alpha() -> None:
    network, trimap = GreenIsAlpha(), torch.full((1, 1, 64, 64), 128, dtype=torch.uint8)
    network.alpha_floor = 0.02
    greens = torch.tensor([0.0, 0.01, 0.02, 0.26, 0.5, 0.98, 0.99, 1.0])
    image = greens.repeat_interleave(8).expand(1, 3, 64, 64)
    alpha = TiledMattingNet(network, TILES).infer_sequence((image * 255).round().to(torch.uint8), trimap)[0]
    wanted = torch.tensor([0, 0, 0, 0.25, 0.5, 1, 1, 1])
    torch.testing.assert_close(alpha[0, 0, 30, 4::8], wanted, rtol=0, atol=0.003)
    assert alpha[0, 0, 30, 4] == 0
    assert alpha[0, 0, 30, 60] == 1


def test_frames_smaller_than_a_tile_are_inferred() -> None:
    image = images(1, 5, 1).float() / 255
    alpha = TiledMattingNet(GreenIsAlpha(), TILES)(image, torch.full((1, 1, 5, 1), 128, dtype=torch.uint8))
    torch.testing.assert_close(alpha, image[:, 1:2], rtol=0, atol=1e-5)


def _follow(solver: TiledMattingNet, clip: list[Tensor], trimap: Tensor) -> list[Tensor]:
    """Alpha of a clip, frame by frame."""
    alphas, tiles = [], ()
    for image in clip:
        alpha, cached = solver.infer_sequence(image, trimap, tiles)
        tiles = tuple(CachedTile.for_next(tile) for tile in cached)
        alphas.append(alpha)
    return alphas


def test_noisy_static_image_is_inferred_once() -> None:
    network, image, trimap = GreenIsAlpha(), images(1, 150, 200), band(150, 200)[:1]
    alphas = _follow(TiledMattingNet(network, TILES), [noisy(image, seed) for seed in range(4)], trimap)
    TiledMattingNet(reference := GreenIsAlpha(), TILES).infer_sequence(image, trimap)
    assert network.tiles == reference.tiles
    assert all(torch.equal(alpha, alphas[0]) for alpha in alphas)


def test_only_changed_tiles_are_inferred_again() -> None:
    network, image, trimap = GreenIsAlpha(), images(1, 300, 64) // 2, band(300, 64)[:1]
    moved = image.clone()
    moved[:, :, 20:24, 30] = 255
    alphas = _follow(TiledMattingNet(network, TILES), [image], trimap)
    first = network.tiles
    alphas = _follow(TiledMattingNet(network, TILES), [image, moved], trimap)
    assert network.tiles == 2 * first + 1
    assert torch.equal(alphas[1][:, :, 80:], alphas[0][:, :, 80:])
    assert alphas[1][0, 0, 20, 30] > 0.99


def test_changes_far_from_the_band_cost_nothing() -> None:
    network, image, trimap = GreenIsAlpha(), images(1, 64, 300), band(64, 300)[:1]
    moved = image.clone()
    moved[:, :, :, :100], moved[:, :, :, 200:] = 9, 9
    _follow(TiledMattingNet(network, TILES), [image, moved], trimap)
    assert network.tiles == 1


def test_slow_drift_triggers_inference() -> None:
    trimap, grey = band(64, 64)[:1], torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    clip = [grey + step for step in range(20)]
    alphas = _follow(TiledMattingNet(GreenIsAlpha(), TILES), clip, trimap)
    unknown = trimap == 128
    for image, alpha in zip(clip, alphas, strict=True):
        assert (alpha - image[:, 1:2] / 255)[unknown].abs().max() < 3 / 255


def test_wider_band_is_inferred_again_and_narrower_is_reused() -> None:
    network, image = GreenIsAlpha(), images(1, 64, 64)
    solver, wide, narrow = TiledMattingNet(network, TILES), band(64, 64)[:1], band(64, 64)[:1]
    wide[..., 20:44] = 128
    _, tiles = solver.infer_sequence(image, wide)
    before = [tile.for_next() for tile in tiles]
    solver.infer_sequence(image, narrow, before)
    assert network.tiles == 1
    wide[..., 16:48] = 128
    solver.infer_sequence(image, wide, before)
    assert network.tiles == 2


def test_every_frame_is_inferred_without_reuse() -> None:
    network, image, trimap = GreenIsAlpha(), images(1, 64, 64), band(64, 64)[:1]
    _follow(TiledMattingNet(network, replace(TILES, reuse=False)), [image] * 3, trimap)
    assert network.tiles == 3


def test_inference_restores_the_thread_count() -> None:
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
