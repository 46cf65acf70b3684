"""Light wrap: light of the new background spilling over the subject's edge."""

from __future__ import annotations

import torch
from torch import Tensor

from autohair_video.compositing.blur import weighted_blur


def wrap_light(rgb: Tensor, alpha: Tensor, behind: Tensor, *, amount: float, sigma_px: float) -> Tensor:
    """A composite with the background's light on the edge of its subject.

    Inside the subject the blurred background is added with the screen operator (which only brightens), by
    ``amount`` times the fraction of background nearby; beyond three sigma of the edge nothing changes.
    Both images are coded values or both are linear light; values above white are kept.

    Args:
        rgb: (N, 3, H, W) float, 1 is white: the subject over the background.
        alpha: (N, 1, H, W) float in 0..1, on the same device.
        behind: (N, 3, H, W) float, the background; a batch of 1 is broadcast to all frames.
        amount: 0 (none) to 1.
        sigma_px: standard deviation of the blur in pixels.
    """
    sigmas = (sigma_px, sigma_px)
    strength = weighted_blur(1 - alpha, torch.ones_like(alpha), sigmas).clamp(0, 1) * alpha * amount
    channels = [behind[:, c : c + 1] for c in range(3)]
    near = torch.cat([weighted_blur(c, torch.ones_like(c), sigmas) for c in channels], dim=1)
    return rgb + strength * near * (1 - rgb).clamp(min=0)
