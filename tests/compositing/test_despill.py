"""Spill is the excess of the screen's channel, and nothing of any other colour."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from autohair_video.compositing.despill import spill


@pytest.mark.parametrize(
    ("screen", "rgb", "excess"),
    [
        ("green", (0.2, 0.7, 0.4), 0.3),
        ("blue", (0.2, 0.4, 0.7), 0.3),
        ("green", (0.5, 0.5, 0.5), 0.0),
        ("green", (0.9, 0.3, 0.1), 0.0),
        ("green", (0.1, 0.3, 0.9), 0.0),
    ],
)
def test_spill_is_the_excess_over_the_larger_other_channel(
    screen: Literal["green", "blue"], rgb: tuple[float, float, float], excess: float
) -> None:
    found = spill(torch.tensor(rgb).view(1, 3, 1, 1).expand(2, 3, 4, 5), screen)
    assert found.shape == (2, 1, 4, 5)
    torch.testing.assert_close(found, torch.full_like(found, excess))
