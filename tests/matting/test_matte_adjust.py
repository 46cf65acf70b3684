"""Edge controls: nothing by default, and what an editor expects of each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autohair_video import EdgeOptions, OptionError
from autohair_video.matting.matte_adjust import adjust_matte


def _disc(radius: float, size: int = 81) -> Tensor:
    """Alpha of a disc with an edge of one pixel."""
    steps = torch.arange(size) - size // 2
    return (radius + 0.5 - torch.hypot(steps[:, None].float(), steps[None].float())).clamp(0, 1)[None, None]


def _radius(alpha: Tensor) -> float:
    return float((alpha.sum() / torch.pi).sqrt())


def test_default_edge_options_are_the_identity() -> None:
    alpha = torch.rand(2, 1, 9, 13)
    assert adjust_matte(alpha, EdgeOptions()) is alpha


@pytest.mark.parametrize("px", [1, 2.5, 9, -3, -0.5])
def test_choke_moves_the_edge_isotropically_by_its_distance(px: float) -> None:
    alpha = _disc(24)
    choked = adjust_matte(alpha, EdgeOptions(choke_px=px))
    assert _radius(choked) == pytest.approx(24 - px, abs=0.3 + 0.03 * abs(px))
    diagonal = choked[0, 0].diagonal().sum() * 2**0.5 / 2
    assert float(diagonal) == pytest.approx(24 - px, abs=1.0)


def test_choke_ignores_the_frame_border() -> None:
    alpha = torch.zeros(1, 1, 20, 30)
    alpha[..., :12] = 1
    assert adjust_matte(alpha, EdgeOptions(choke_px=4))[0, 0, 0].tolist() == [1.0] * 8 + [0.0] * 22
    assert adjust_matte(torch.ones(1, 1, 20, 30), EdgeOptions(feather_px=5)).min() > 0.999


def test_feather_blurs_a_step_to_its_standard_deviation() -> None:
    alpha = torch.zeros(1, 1, 9, 100)
    alpha[..., 50:] = 1
    soft = adjust_matte(alpha, EdgeOptions(feather_px=4))[0, 0, 4]
    slope = soft.diff()
    steps = torch.arange(99) - 49.0
    assert float((slope * steps.square()).sum().sqrt()) == pytest.approx(4, rel=0.05)
    assert float(soft[49:51].mean()) == pytest.approx(0.5, abs=1e-3)


def test_levels_and_gamma_keep_zero_and_one() -> None:
    alpha = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).view(1, 1, 1, 5)
    levels = adjust_matte(alpha, EdgeOptions(black_point=0.1, white_point=0.9))
    assert levels.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    denser = adjust_matte(alpha, EdgeOptions(gamma=2))
    assert denser.flatten().tolist() == pytest.approx([0, 0.1**0.5, 0.5**0.5, 0.9**0.5, 1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"choke_px": 101},
        {"choke_px": float("nan")},
        {"feather_px": -1},
        {"gamma": 0},
        {"black_point": 0.5, "white_point": 0.5},
        {"white_point": 1.2},
    ],
)
def test_invalid_edge_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        EdgeOptions(**wrong)
