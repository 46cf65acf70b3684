"""Steady where the picture is still, no trace where it moved, nothing across a cut."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from autohair_video.matting.temporal import Motion, estimate_motions, smooth_alpha, smooth_probability
from autohair_video.options import TemporalOptions

OPTIONS = TemporalOptions()


def _texture(seed: int, size: tuple[int, int], *, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """(1, 1, H, W) smooth random picture with detail at several scales, in low..high."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 1, *size)
    for cell in (40, 16, 7):
        coarse = torch.rand(1, 1, size[0] // cell + 2, size[1] // cell + 2, generator=generator)
        picture += F.interpolate(coarse, size, mode="bicubic", align_corners=False) / 3
    return low + (high - low) * picture.clamp(0, 1)


def _disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    distance = torch.hypot(y - float(centre[0]), x - float(centre[1]))
    return (radius - distance).div(4).add(0.5).clamp(0, 1)[None, None]


def _moving_subject(step_px: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Luma and exact alpha of a dark textured disc that crosses a bright textured room."""
    size = (180, 480)
    room, cloth = _texture(1, size, low=0.5), _texture(2, size, high=0.35)
    lumas, alphas = [], []
    for n in range(frames):
        alpha = _disc(size, (90, 90 + step_px * n), 40)
        lumas.append(cloth.roll(step_px * n, dims=3) * alpha + room * (1 - alpha))
        alphas.append(alpha)
    return torch.cat(lumas), torch.cat(alphas)


def _all_unknown(alpha: torch.Tensor) -> torch.Tensor:
    return torch.full(alpha.shape, 128, dtype=torch.uint8)


def _smooth(luma: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    motions = estimate_motions(None, luma, OPTIONS)
    return smooth_alpha(None, motions, alpha, _all_unknown(alpha), OPTIONS)


def test_noise_on_a_still_clip_is_at_least_halved() -> None:
    generator = torch.Generator().manual_seed(0)
    luma = _texture(3, (180, 320)).expand(16, -1, -1, -1)
    luma = (luma + torch.randn(luma.shape, generator=generator) * 2 / 255).clamp(0, 1)
    alpha = _disc((180, 320), (90, 160), 50).expand(16, -1, -1, -1)
    noisy = (alpha + torch.randn(alpha.shape, generator=generator) * 0.05).clamp(0, 1)
    band = (alpha[0] > 0.02) & (alpha[0] < 0.98)
    before = noisy[6:].std(dim=0)[band].mean()
    after = _smooth(luma, noisy)[6:].std(dim=0)[band].mean()
    assert after < 0.5 * before


def test_a_still_clip_without_noise_keeps_its_matte() -> None:
    luma = _texture(3, (90, 160)).expand(5, -1, -1, -1)
    alpha = _disc((90, 160), (45, 80), 25).expand(5, -1, -1, -1)
    torch.testing.assert_close(_smooth(luma, alpha), alpha, atol=1e-5, rtol=0)


@pytest.mark.parametrize("step_px", [3, 12, 40])
def test_a_moving_subject_leaves_no_ghost(step_px: int) -> None:
    luma, alpha = _moving_subject(step_px, 6)
    steady = _smooth(luma, alpha)
    for n in range(2, 6):
        vacated = (alpha[n - 2] > 0.5) & (alpha[n - 1 : n + 1].amax(dim=0) == 0)
        if vacated.any():
            assert steady[n][vacated].amax() < 2 / 255


def test_a_cut_leaks_nothing() -> None:
    size = (180, 320)
    first, second = _texture(4, size), _texture(5, size)
    luma = torch.cat([first, first, second, second])
    alpha = torch.cat([torch.ones(2, 1, *size), torch.zeros(2, 1, *size)])
    motions = estimate_motions(None, luma, OPTIONS)
    assert [m is None for m in motions] == [True, False, True, False]
    steady = smooth_alpha(None, motions, alpha, _all_unknown(alpha), OPTIONS)
    assert torch.equal(steady[2:], alpha[2:])


def test_a_fast_subject_is_not_a_cut() -> None:
    luma, _ = _moving_subject(40, 6)
    assert all(estimate_motions(None, luma, OPTIONS)[1:])


def test_shifting_the_clip_shifts_the_result() -> None:
    luma, alpha = _moving_subject(6, 4)
    generator = torch.Generator().manual_seed(1)
    noisy = (alpha + 0.1 * torch.randn(alpha.shape, generator=generator)).clamp(0, 1)
    # As far as the thumbnails' own pixels, so that they are shifted copies too.
    shift = (24, 48)
    moved = [x.roll(shift, dims=(2, 3)) for x in (luma, noisy)]
    expected = _smooth(luma, noisy).roll(shift, dims=(2, 3))
    inside = (slice(None), slice(None), slice(60, 160), slice(110, 420))
    assert (_smooth(*moved) - expected)[inside].abs().mean() < 1 / 255


def test_known_pixels_stay_as_they_are() -> None:
    luma = _texture(6, (90, 160)).expand(3, -1, -1, -1)
    alpha = torch.rand(3, 1, 90, 160, generator=torch.Generator().manual_seed(2)).round()
    trimap = (alpha * 255).to(torch.uint8)
    motions = estimate_motions(None, luma, OPTIONS)
    assert torch.equal(smooth_alpha(None, motions, alpha, trimap, OPTIONS), alpha)


@pytest.mark.parametrize("options", [TemporalOptions(strength=0), TemporalOptions(mode="off")])
def test_without_strength_nothing_changes(options: TemporalOptions) -> None:
    luma = _texture(7, (90, 160)).expand(3, -1, -1, -1)
    alpha = torch.rand(3, 1, 90, 160)
    motions = estimate_motions(None, luma, options)
    assert torch.equal(smooth_alpha(None, motions, alpha, _all_unknown(alpha), options), alpha)
    assert torch.equal(smooth_probability(None, motions, alpha, options), alpha)


def test_one_frame_at_a_time_is_the_same_as_a_batch() -> None:
    luma, alpha = _moving_subject(5, 4)
    trimap = _all_unknown(alpha)
    noisy = (alpha + 0.1 * torch.randn(alpha.shape)).clamp(0, 1)
    whole = _smooth(luma, noisy)
    previous, before = None, None
    for n in range(4):
        now = luma[n : n + 1]
        motions = estimate_motions(before, now, OPTIONS)
        previous = smooth_alpha(previous, motions, noisy[n : n + 1], trimap[n : n + 1], OPTIONS)
        before = now
        assert torch.equal(previous, whole[n : n + 1])


def test_flickering_probabilities_of_a_still_clip_calm_down() -> None:
    luma = _texture(9, (180, 320)).expand(12, -1, -1, -1)
    flicker = torch.tensor([0.1, -0.1] * 6).view(12, 1, 1, 1)
    probability = (0.5 + flicker).expand(-1, 2, 90, 160)
    motions = estimate_motions(None, luma, OPTIONS)
    steady = smooth_probability(None, motions, probability, OPTIONS)
    assert steady.shape == probability.shape
    assert steady[6:].std(dim=0).amax() < 0.4 * probability[6:].std(dim=0).amin()


def test_probabilities_leave_no_ghost() -> None:
    luma, alpha = _moving_subject(12, 8)
    person = F.interpolate(alpha, (90, 240), mode="bilinear", antialias=True)
    motions = estimate_motions(None, luma, OPTIONS)
    steady = smooth_probability(None, motions, person, OPTIONS)
    vacated = (person[5] > 0.9) & (person[6:8].amax(dim=0) == 0)
    assert vacated.any()
    assert steady[7][vacated].amax() < 0.02


def test_flow_finds_where_things_were() -> None:
    picture = _texture(8, (200, 320))
    luma = torch.cat([picture, picture.roll((4, 7), dims=(2, 3))])
    (_, motion) = estimate_motions(None, luma, OPTIONS)
    assert isinstance(motion, Motion)
    inner = motion.flow[0, :, 40:160, 40:280]
    assert inner[0].median().item() == pytest.approx(-7, abs=0.3)
    assert inner[1].median().item() == pytest.approx(-4, abs=0.3)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (3, 400), (720, 1280)])
def test_any_frame_size(size: tuple[int, int]) -> None:
    luma = torch.rand(1, 1, *size).expand(2, -1, -1, -1)
    alpha = torch.rand(2, 1, *size)
    motions = estimate_motions(None, luma, OPTIONS)
    steady = smooth_alpha(None, motions, alpha, _all_unknown(alpha), OPTIONS)
    assert steady.shape == alpha.shape
    assert steady.isfinite().all()
