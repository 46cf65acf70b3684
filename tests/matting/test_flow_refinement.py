"""Flow of the subject, and its registration on the outline."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autohair_video.matting.flow_refinement import (
    _box_mean,
    _pooled_mean,
    refine_flow,
    stillness,
    subject_flow,
)
from autohair_video.matting.optical_flow import Flow, backward_warp_grid, full_sampling_grid, warp

SIZE = 96


def _disc(x: float, y: float, *, noise: float = 0.0, seed: int = 0) -> Tensor:
    """Alpha of a disc of 25 px about a centre, soft over 2 px; (1, 1, SIZE, SIZE)."""
    rows, columns = torch.meshgrid(*[torch.arange(float(SIZE))] * 2, indexing="ij")
    alpha = (25 - torch.hypot(columns - x, rows - y)) / 2 + 0.5
    mixed = (alpha > 0) & (alpha < 1)
    jitter = noise * torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return torch.where(mixed, alpha + jitter, alpha).clamp(0, 1)[None, None]


def _flow(x: float, y: float) -> Flow:
    displacement = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, SIZE, SIZE)
    return Flow(displacement, torch.ones(1, 1, SIZE, SIZE))


def _warp_error(alpha: Tensor, other: Tensor, flow: Flow) -> float:
    """How far the other's alpha, carried along the flow, is off along the outline."""
    grid, _ = backward_warp_grid(flow, full_sampling_grid((SIZE, SIZE), alpha.device))
    return float((warp(other, grid) - alpha).abs()[(alpha > 0) & (alpha < 1)].mean())


@pytest.mark.parametrize(("initial", "error"), [((3.0, 0.0), (0.6, -0.4)), ((-2.0, 1.0), (-0.9, 0.2))])
def test_refinement_corrects_flow_error_at_the_outline(
    initial: tuple[float, float], error: tuple[float, float]
) -> None:
    here, moved = _disc(48, 48), (initial[0] + error[0], initial[1] + error[1])
    other = _disc(48 + moved[0], 48 + moved[1])
    flow = refine_flow(_flow(*initial), here, other)
    before, after = (_warp_error(here, other, one) for one in (_flow(*initial), flow))
    assert before > 0.1
    assert after < 0.4 * before
    assert (flow.displacement - _flow(*initial).displacement)[..., :8, :8].abs().max() == 0


def test_refinement_ignores_jitter_of_a_static_outline() -> None:
    flow = refine_flow(_flow(0.0, 0.0), _disc(48, 48, noise=0.02), _disc(48, 48, noise=0.02, seed=1))
    assert flow.displacement.abs().max() < 0.05
    assert (flow.displacement == 0).float().mean() > 0.95


def test_subject_flow_ignores_background_motion() -> None:
    alpha = _disc(48, 48)
    displacement = torch.where(alpha > 0.2, 2.0, -5.0) * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    flow = subject_flow(Flow(displacement, torch.ones(1, 1, SIZE, SIZE)), alpha)
    outline = (alpha > 0) & (alpha < 0.5)
    assert (flow.displacement[:, :1][outline] - 2).abs().max() < 0.1
    assert flow.confidence[outline].min() > 0.9
    assert flow.displacement[0, 0, 0, 0] == -5


def test_stillness_is_one_at_zero_motion_and_falls_with_it() -> None:
    still = stillness(Flow(torch.tensor([0.0, 0.5]).view(1, 2, 1, 1), torch.ones(1, 1, 1, 1)))
    assert stillness(_flow(0.0, 0.0)).min() == 1
    assert float(still) < 0.01


@pytest.mark.parametrize("radius_px", [1, 13])
def test_device_box_mean_equals_cpu_box_mean(radius_px: int) -> None:
    planes = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(_pooled_mean(planes, radius_px), _box_mean(planes, radius_px), atol=1e-5)
