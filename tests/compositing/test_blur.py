"""The blurred background contains nothing of the subject."""

from __future__ import annotations

import pytest
import torch

from autohair_video.compositing.blur import blur_background


def _portrait(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A black background of 16 behind a bright subject of 235 with a soft edge, and its alpha."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    distance = torch.hypot(y - size[0] / 2, x - size[1] / 2)
    alpha = (30 - distance).div(8).clamp(0, 1)[None, None]
    return 235 * alpha + 16 * (1 - alpha), alpha


@pytest.mark.parametrize("sigma_px", [1.0, 6.0, 40.0])
def test_no_subject_bleeds_into_the_blurred_background(sigma_px: float) -> None:
    luma, alpha = _portrait((121, 163))
    chroma = torch.full((1, 1, 61, 82), 128.0)
    blurred, u, v = blur_background((luma, chroma, chroma), alpha, sigma_px=sigma_px)
    assert blurred.shape == luma.shape
    # 5 % of the subject is the most that a pixel may hold and still count as background.
    assert blurred.amax() < 16 + 0.05 * (235 - 16)
    torch.testing.assert_close(u, chroma)
    torch.testing.assert_close(v, chroma)


def test_a_matte_that_is_a_little_too_tight_does_not_let_the_subject_bleed_either() -> None:
    luma = torch.full((1, 1, 120, 200), 16.0)
    luma[..., 60:140] = 235
    alpha = torch.zeros_like(luma)
    alpha[..., 64:136] = 1
    chroma = torch.full((1, 1, 60, 100), 128.0)
    blurred, _, _ = blur_background((luma, chroma, chroma), alpha, sigma_px=16)
    torch.testing.assert_close(blurred, torch.full_like(luma, 16.0))


@pytest.mark.parametrize("sigma_px", [2.0, 15.0])
def test_blurring_keeps_a_flat_picture_up_to_its_edge(sigma_px: float) -> None:
    flat = torch.full((1, 1, 57, 91), 77.0)
    for plane in blur_background((flat, flat, flat), torch.zeros_like(flat), sigma_px=sigma_px):
        torch.testing.assert_close(plane, flat)


def test_blurring_spreads_a_line_by_sigma() -> None:
    luma = torch.zeros(1, 1, 64, 240)
    luma[..., 120] = 1
    chroma = torch.zeros(1, 1, 32, 120)
    alpha = torch.zeros_like(luma)
    blurred, _, _ = blur_background((luma, chroma, chroma), alpha, sigma_px=12)
    profile = blurred[0, 0, 32]
    offset = torch.arange(240) - 120
    sigma = ((profile * offset.square()).sum() / profile.sum()).sqrt()
    assert sigma.item() == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (17, 33)])
def test_blurring_a_frame_that_is_all_subject_is_finite(size: tuple[int, int]) -> None:
    luma, chroma = torch.rand(2, 1, *size), torch.rand(2, 1, -(-size[0] // 2), -(-size[1] // 2))
    for plane in blur_background((luma, chroma, chroma), torch.ones(2, 1, *size), sigma_px=20):
        assert plane.isfinite().all()
        assert plane.amin() >= 0
        assert plane.amax() <= 255
