"""Smooth where the image is static, no ghost where it moved, nothing across a cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from autohair_video.matting.optical_flow import Motion, estimate_motions, is_low_motion
from autohair_video.matting.temporal import (
    InferredAlpha,
    RunningMean,
    average_with_later,
    correspond_with_later,
    smooth_alphas,
    smooth_probability,
)
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
    """Picture and exact alpha of a dark textured disc that crosses a bright textured room."""
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


def _pictures(luma: torch.Tensor) -> torch.Tensor:
    return (luma * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)


def _inferred(
    luma: torch.Tensor,
    alpha: torch.Tensor,
    trimap: torch.Tensor | None = None,
    options: TemporalOptions = OPTIONS,
) -> list[InferredAlpha]:
    pictures, known = _pictures(luma), _all_unknown(alpha) if trimap is None else trimap
    motions = estimate_motions(None, pictures, options)
    return smooth_alphas(None, motions, pictures, alpha, known, options)


def _smooth(luma: torch.Tensor, alpha: torch.Tensor, *, ahead: int = 0) -> torch.Tensor:
    frames = _inferred(luma, alpha)
    links = [correspond_with_later(here, later) for here, later in pairwise(frames)]
    return torch.cat(
        [
            average_with_later(frames[n : n + ahead + 1], links[n : n + ahead], OPTIONS)
            for n in range(len(frames))
        ]
    )


def _smooth_probability_of(
    luma: torch.Tensor, probability: torch.Tensor, options: TemporalOptions = OPTIONS
) -> torch.Tensor:
    mean: RunningMean | None = None
    means = []
    for n, motion in enumerate(estimate_motions(None, _pictures(luma), options)):
        mean = smooth_probability(mean, motion, probability[n : n + 1], options)
        means.append(mean.value)
    return torch.cat(means)


@pytest.mark.parametrize("ahead", [0, 2])
def test_noise_of_a_static_clip_is_at_least_halved(ahead: int) -> None:
    generator = torch.Generator().manual_seed(0)
    luma = _texture(3, (180, 320)).expand(16, -1, -1, -1)
    luma = (luma + torch.randn(luma.shape, generator=generator) * 2 / 255).clamp(0, 1)
    alpha = _disc((180, 320), (90, 160), 50).expand(16, -1, -1, -1)
    noisy = (alpha + torch.randn(alpha.shape, generator=generator) * 0.05).clamp(0, 1)
    band = (alpha[0] > 0.02) & (alpha[0] < 0.98)
    before = noisy[6:].std(dim=0)[band].mean()
    after = _smooth(luma, noisy, ahead=ahead)[6:].std(dim=0)[band].mean()
    assert after < 0.5 * before


def test_look_ahead_reduces_error_of_a_moving_subject() -> None:
    luma, alpha = _moving_subject(3, 8)
    generator = torch.Generator().manual_seed(0)
    noisy = (alpha + torch.randn(alpha.shape, generator=generator) * 0.1).clamp(0, 1)
    mixed = (alpha > 0.02) & (alpha < 0.98)
    raw, causal, both = (
        (x - alpha)[:5][mixed[:5]].abs().mean()
        for x in (noisy, _smooth(luma, noisy), _smooth(luma, noisy, ahead=3))
    )
    assert both < 0.9 * causal < 0.8 * raw


def test_static_subject_is_smoothed_before_a_moving_background() -> None:
    size = (180, 320)
    rooms = torch.cat([_texture(1, size, low=0.5).roll(6 * n, dims=3) for n in range(6)])
    alpha = _disc(size, (90, 160), 50).expand(6, -1, -1, -1)
    luma = _texture(2, size, high=0.35) * alpha + rooms * (1 - alpha)
    noisy = (alpha + torch.randn(alpha.shape, generator=torch.Generator().manual_seed(0)) * 0.1).clamp(0, 1)
    mixed = (alpha > 0.02) & (alpha < 0.98)
    before, after = ((x - alpha)[3:][mixed[3:]].square().mean() for x in (noisy, _smooth(luma, noisy)))
    assert after < 0.6 * before


@pytest.mark.parametrize(("step_px", "changed"), [(0, True), (4, False)])
def test_zero_moving_strength_leaves_moving_regions_unsmoothed(step_px: int, changed: bool) -> None:
    luma, alpha = _moving_subject(step_px, 4)
    noise = torch.randn(alpha.shape, generator=torch.Generator().manual_seed(3)) * 0.1
    noisy = (alpha + noise).clamp(0, 1)
    last = _inferred(luma, noisy, options=TemporalOptions(moving_strength=0))[-1]
    mixed = (alpha[-1:] > 0.02) & (alpha[-1:] < 0.98)
    assert bool((last.mean.value - noisy[-1:])[mixed].abs().mean() > 0.02) == changed


def test_noiseless_static_clip_is_unchanged() -> None:
    luma = _texture(3, (90, 160)).expand(5, -1, -1, -1)
    alpha = _disc((90, 160), (45, 80), 25).expand(5, -1, -1, -1)
    torch.testing.assert_close(_smooth(luma, alpha), alpha, atol=1e-5, rtol=0)


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("step_px", [3, 12, 40])
def test_moving_subject_leaves_no_ghost_in_either_direction(step_px: int, ahead: int) -> None:
    luma, alpha = _moving_subject(step_px, 8)
    smoothed = _smooth(luma, alpha, ahead=ahead)
    for n in range(2, 6):
        to_come = (alpha[n + 2] > 0.5) & (alpha[n : n + 2].amax(dim=0) == 0)
        vacated = (alpha[n - 2] > 0.5) & (alpha[n - 1 : n + 1].amax(dim=0) == 0)
        if to_come.any():
            assert smoothed[n][to_come].amax() < 2 / 255
        if vacated.any():
            assert smoothed[n][vacated].amax() < 2 / 255


def test_scene_cut_leaks_nothing() -> None:
    size = (180, 320)
    first, second = _texture(4, size), _texture(5, size)
    luma = torch.cat([first, first, second, second])
    alpha = torch.cat([torch.ones(2, 1, *size), torch.zeros(2, 1, *size)])
    motions = estimate_motions(None, _pictures(luma), OPTIONS)
    assert [m is None for m in motions] == [True, False, True, False]
    assert torch.equal(_smooth(luma, alpha, ahead=2), alpha)


def test_fast_subject_is_not_a_scene_cut() -> None:
    luma, _ = _moving_subject(40, 6)
    assert all(estimate_motions(None, _pictures(luma), OPTIONS)[1:])


def test_smoothing_is_shift_equivariant() -> None:
    luma, alpha = _moving_subject(6, 4)
    generator = torch.Generator().manual_seed(1)
    noisy = (alpha + 0.1 * torch.randn(alpha.shape, generator=generator)).clamp(0, 1)
    # As far as the thumbnails' own pixels, so that they are shifted copies too.
    shift = (24, 48)
    moved = [x.roll(shift, dims=(2, 3)) for x in (luma, noisy)]
    expected = _smooth(luma, noisy).roll(shift, dims=(2, 3))
    inside = (slice(None), slice(None), slice(60, 160), slice(110, 420))
    assert (_smooth(*moved) - expected)[inside].abs().mean() < 1 / 255


def test_known_pixels_are_unchanged() -> None:
    luma = _texture(6, (90, 160)).expand(3, -1, -1, -1)
    alpha = torch.rand(3, 1, 90, 160, generator=torch.Generator().manual_seed(2)).round()
    trimap = (alpha * 255).to(torch.uint8)
    assert torch.equal(_inferred(luma, alpha, trimap)[2].mean.value, alpha[2:])


@pytest.mark.parametrize("options", [TemporalOptions(strength=0), TemporalOptions(mode="off")])
def test_zero_strength_is_the_identity(options: TemporalOptions) -> None:
    luma = _texture(7, (90, 160)).expand(3, -1, -1, -1)
    alpha = torch.rand(3, 1, 90, 160)
    smoothed = [frame.mean.value for frame in _inferred(luma, alpha, options=options)]
    assert torch.equal(torch.cat(smoothed), alpha)
    assert torch.equal(_smooth_probability_of(luma, alpha, options), alpha)


def test_flicker_of_static_probabilities_is_reduced() -> None:
    luma = _texture(9, (180, 320)).expand(12, -1, -1, -1)
    flicker = torch.tensor([0.1, -0.1] * 6).view(12, 1, 1, 1)
    probability = (0.5 + flicker).expand(-1, 2, 90, 160)
    smoothed = _smooth_probability_of(luma, probability)
    assert smoothed.shape == probability.shape
    assert smoothed[6:].std(dim=0).amax() < 0.4 * probability[6:].std(dim=0).amin()


def test_probabilities_leave_no_ghost() -> None:
    luma, alpha = _moving_subject(12, 8)
    person = F.interpolate(alpha, (90, 240), mode="bilinear", antialias=True)
    smoothed = _smooth_probability_of(luma, person)
    vacated = (person[5] > 0.9) & (person[6:8].amax(dim=0) == 0)
    assert vacated.any()
    assert smoothed[7][vacated].amax() < 0.02


def test_flow_recovers_a_known_shift() -> None:
    picture = _texture(8, (200, 320))
    luma = torch.cat([picture, picture.roll((4, 7), dims=(2, 3))])
    (_, motion) = estimate_motions(None, _pictures(luma), OPTIONS)
    assert isinstance(motion, Motion)
    for flow, sign in ((motion.backward, -1), (motion.forward, 1)):
        inner = flow.displacement[0, :, 40:160, 40:280]
        assert inner[0].median().item() == pytest.approx(7 * sign, abs=0.3)
        assert inner[1].median().item() == pytest.approx(4 * sign, abs=0.3)


def test_is_low_motion_rejects_a_moving_subject() -> None:
    luma, alpha = _moving_subject(12, 2)
    still = luma[:1].expand(2, -1, -1, -1)
    for pictures, low_motion in ((still, True), (luma, False)):
        (_, motion) = estimate_motions(None, _pictures(pictures), OPTIONS)
        assert is_low_motion([motion, None, motion], alpha[:1]) == [low_motion, False, low_motion]


def test_probability_is_warped_where_segmentation_is_skipped() -> None:
    picture = _texture(8, (200, 320))
    luma = torch.cat([picture, picture.roll(8, dims=3)])
    person = _disc((200, 320), (100, 160), 50)
    (_, motion) = estimate_motions(None, _pictures(luma), OPTIONS)
    moved = smooth_probability(RunningMean.of(person), motion, None, OPTIONS).value
    assert (moved - person.roll(8, dims=3)).abs().mean() < 0.005


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (3, 400), (720, 1280)])
def test_smoothing_works_at_any_frame_size(size: tuple[int, int]) -> None:
    luma = torch.rand(1, 1, *size).expand(2, -1, -1, -1)
    alpha = torch.rand(2, 1, *size)
    smoothed = _smooth(luma, alpha, ahead=1)
    assert smoothed.shape == alpha.shape
    assert smoothed.isfinite().all()
