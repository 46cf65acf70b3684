"""Losses of both networks, as pure functions of (N, C, H, W) tensors; each returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_EPSILON = 1e-6
_LEAK = 0.01


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / (weight.expand_as(values).sum() + 1)


def alpha_loss(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Charbonnier distance sqrt(d^2 + eps^2), mean over ``weight`` (DIM, section 3.2, eq. 1)."""
    return _weighted_mean(torch.sqrt((alpha - truth) ** 2 + _EPSILON**2), weight)


def stretched(alpha: Tensor, floor: float) -> Tensor:
    """Alpha as the product returns it: up to ``floor`` is 0, from 1 - ``floor`` on is 1, linear between.

    Beyond both ends it continues with a hundredth of the slope, so that alpha at the wrong end still has a
    gradient.
    """
    wide = (alpha - floor) / (1 - 2 * floor)
    inside = wide.clamp(0, 1)
    return inside + _LEAK * (wide - inside)


def composition_loss(
    alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor, weight: Tensor
) -> Tensor:
    """The same distance between colours composited with alpha and with the truth (DIM, section 3.2)."""
    difference = (alpha - truth) * (foreground - background)
    return _weighted_mean(torch.sqrt(difference**2 + _EPSILON**2), weight)


def laplacian_loss(alpha: Tensor, truth: Tensor, levels: int = 5) -> Tensor:
    """L1 between Laplacian pyramids, level i weighted by 2^i (Hou and Liu, ICCV 2019, eq. 3)."""
    difference = alpha - truth
    loss = difference.new_zeros(())
    for level in range(levels):
        smaller = F.avg_pool2d(_binomial_blur(difference), 2)
        grown = F.interpolate(smaller, difference.shape[2:], mode="bilinear", align_corners=False)
        loss = loss + 2**level * (difference - grown).abs().mean()
        difference = smaller
    return loss


def gradient_loss(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """L1 between the first differences in x and y, mean over ``weight``."""
    difference = alpha - truth
    dx = (difference[..., :, 1:] - difference[..., :, :-1]).abs()
    dy = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
    return _weighted_mean(dx, weight[..., :, 1:]) + _weighted_mean(dy, weight[..., 1:, :])


def mask_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy with soft targets, plus soft Dice (Milletari et al., 3DV 2016, eq. 3).

    ``logits``, ``truth`` and ``weight`` are (N, C, H, W); weight 0 leaves a pixel out.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    probability = torch.sigmoid(logits) * weight
    truth = truth * weight
    overlap = (probability * truth).sum(dim=(2, 3))
    total = (probability**2).sum(dim=(2, 3)) + (truth**2).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return _weighted_mean(entropy, weight) + 0.2 * dice.mean()


def _binomial_blur(x: Tensor) -> Tensor:
    taps = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (taps[:, None] * taps)[None, None]
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), kernel)
