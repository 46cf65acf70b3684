from __future__ import annotations

import pytest
import torch

from autohair_video.training.losses import (
    alpha_loss,
    composition_loss,
    gradient_loss,
    laplacian_loss,
    mask_loss,
    stretched,
)


def test_alpha_loss_is_the_mean_error_over_the_weighted_pixels() -> None:
    truth = torch.zeros(1, 1, 10, 10)
    alpha = torch.full_like(truth, 0.25)
    weight = torch.zeros_like(truth)
    weight[..., :5] = 1
    assert float(alpha_loss(alpha, truth, weight)) == pytest.approx(0.25 * 50 / 51, rel=1e-4)


def test_composition_loss_vanishes_where_both_colours_are_equal() -> None:
    alpha, truth, weight = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    colour = torch.rand(1, 3, 8, 8)
    assert float(composition_loss(alpha, truth, colour, colour, weight)) < 1e-5
    black, white = torch.zeros_like(colour), torch.ones_like(colour)
    same = alpha_loss(alpha, truth, weight)
    assert float(composition_loss(alpha, truth, white, black, weight)) == pytest.approx(float(same), rel=0.02)


def test_laplacian_loss_sees_misplaced_detail_and_no_constant_error() -> None:
    truth = torch.rand(1, 1, 64, 64)
    assert float(laplacian_loss(truth + 0.1, truth)) < 1e-5
    shifted = truth.roll(1, dims=3)
    assert float(laplacian_loss(shifted, truth)) > 0.1


def test_gradient_loss_of_a_step_is_its_height() -> None:
    truth = torch.zeros(1, 1, 4, 101)
    alpha = truth.clone()
    alpha[..., 50:] = 1
    # one of the hundred horizontal differences in each row
    assert float(gradient_loss(alpha, truth, torch.ones_like(truth))) == pytest.approx(4 / 401)


def test_mask_loss_leaves_out_what_has_no_weight() -> None:
    logits, truth = torch.randn(2, 2, 8, 8), torch.randint(0, 2, (2, 2, 8, 8)).float()
    weight = torch.ones_like(truth)
    weight[..., :4] = 0
    other = logits.clone()
    other[..., :4] = 50
    assert torch.equal(mask_loss(logits, truth, weight), mask_loss(other, truth, weight))
    right = (truth * 2 - 1) * 20
    assert float(mask_loss(right, truth, torch.ones_like(truth))) < 1e-3


def test_stretched_alpha_is_what_the_product_gives_out_and_keeps_a_gradient() -> None:
    alpha = torch.tensor([0.03, 0.5, 0.97, 0.001, 0.999, 0.26], requires_grad=True)
    made = stretched(alpha, 0.02)
    given = ((alpha.detach() - 0.02) / 0.96).clamp(0, 1)
    torch.testing.assert_close(made.detach(), given, atol=3e-4, rtol=0)
    made.sum().backward()
    slope = 1 / 0.96
    expected = torch.tensor([slope, slope, slope, 0.01 * slope, 0.01 * slope, slope])
    torch.testing.assert_close(alpha.grad, expected, atol=1e-6, rtol=0)


def test_without_haze_alpha_stays() -> None:
    alpha = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(stretched(alpha, 0.0), alpha)
