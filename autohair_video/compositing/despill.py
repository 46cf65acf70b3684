"""Despill: removing the light that a green or blue screen casts on the subject."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def spill(rgb: Tensor, screen: Literal["green", "blue"]) -> Tensor:
    """Amount of screen light on each pixel: the excess of the screen's channel over the larger other one.

    Subtracting it from that channel is the limit that keyers commonly apply: red, grey and the other
    screen's colour do not change.

    Args:
        rgb: (N, 3, H, W) float, on any device.
        screen: the colour of the screen.

    Returns:
        (N, 1, H, W) float on the same device; 0 where there is no spill.
    """
    channel = 1 if screen == "green" else 2
    others = rgb[:, [c for c in range(3) if c != channel]].amax(dim=1, keepdim=True)
    return (rgb[:, channel : channel + 1] - others).clamp(min=0)
