"""Optical flow refined for warping alpha: the subject's motion, registered on the outline.

Alpha moves with the subject, not with the background behind it, so in the band the subject's flow is
extrapolated (`subject_flow`). Where the outline slides over the surface, or flow has sub-pixel error, a
registration of alpha itself corrects it (`refine_flow`).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.matting.optical_flow import (
    Flow,
    area_downsample,
    displaced_grid,
    full_sampling_grid,
    warp,
)

# Radius around a pixel within which the subject's flow is averaged. Unit: of the thumbnail's long side.
# Source: by eye.
_SUBJECT_RADIUS: Final = 0.04
# Variance of the flow within that radius at which confidence falls to 1/e. Unit: squared px of the thumbnail.
# Source: by eye.
_FLOW_VARIANCE_PX2: Final = 1.0
# Mean solid weight within that radius above which the subject counts as near. Unit: of 1. Source: by eye.
_MIN_SOLID_WEIGHT: Final = 1e-3
# Displacement at which stillness falls to 1/e. Unit: px of the thumbnail. Source: by eye.
_STATIC_PX: Final = 0.05
# Lucas-Kanade iterations. Unit: count. Source: by eye.
_LK_ITERATIONS: Final = 2
# Lucas-Kanade window radius. Unit: of the thumbnail's long side. Source: by eye.
_LK_WINDOW: Final = 0.016
# Damping added to the diagonal of the structure tensor. Unit: squared alpha per px. Source: by eye.
_LK_DAMPING: Final = 0.02
# Largest correction of the flow. Unit: px of the thumbnail. Source: by eye.
_MAX_SHIFT_PX: Final = 1.5
# Correction that is taken for jitter where the subject is static. Unit: px of the thumbnail. Source: by eye.
_STATIC_JITTER_PX: Final = 0.15
# Explained fraction of the squared residual of alpha below which the correction is rejected. Unit: of 1.
# Source: by eye.
_MIN_EXPLAINED: Final = 0.3
# Explained fraction from which the correction is applied in full. Unit: of 1. Source: by eye.
_FULLY_EXPLAINED: Final = 0.7
# Guards divisions. Unit: none. Source: below float32 resolution of the values divided.
_EPSILON: Final = 1e-9


def subject_flow(flow: Flow, alpha: Tensor) -> Flow:
    """The subject's flow, extrapolated over its edge.

    The colour of a mixed pixel moves with the background as much as with the subject, its alpha with the
    subject alone. Each pixel therefore gets the mean flow of the solid subject pixels around it; confidence
    falls with their variance. Far from the subject the flow is unchanged.

    Args:
        flow: of the frame.
        alpha: (1, 1, H, W) float in 0..1, the frame's own.
    """
    h, w = flow.displacement.shape[2:]
    solid = area_downsample(alpha, (h, w)).square().square()
    weight = solid * flow.confidence
    square = flow.displacement.square().sum(dim=1, keepdim=True)
    sums = torch.cat(
        [weight * flow.displacement, weight * square, weight, solid, weight * flow.confidence], dim=1
    )
    near = _box_mean(sums, max(1, round(_SUBJECT_RADIUS * max(h, w))))
    total = near[:, 3:4].clamp(min=1e-6)
    displacement = near[:, :2] / total
    spread = (near[:, 2:3] / total - displacement.square().sum(dim=1, keepdim=True)).clamp(min=0)
    confidence = near[:, 5:6] / total * torch.exp(-spread / _FLOW_VARIANCE_PX2)
    there = near[:, 4:5] > _MIN_SOLID_WEIGHT
    return Flow(
        torch.where(there, displacement, flow.displacement), torch.where(there, confidence, flow.confidence)
    )


def stillness(flow: Flow) -> Tensor:
    """(1, 1, h, w) in 0..1: 1 at zero displacement."""
    return torch.exp(-flow.displacement.square().sum(dim=1, keepdim=True) / _STATIC_PX**2)


def refine_flow(flow: Flow, alpha: Tensor, other: Tensor) -> Flow:
    """The subject's flow, corrected so that it maps the outline of a frame onto that of the other frame.

    Registration of alpha over a window (Lucas and Kanade, "An Iterative Image Registration Technique with an
    Application to Stereo Vision", IJCAI 1981, section 4); without an outline the flow is unchanged.

    Args:
        flow: from `subject_flow`.
        alpha: (1, 1, H, W) float in 0..1, the frame's own.
        other: alpha of the other frame, likewise.
    """
    h, w = flow.displacement.shape[2:]
    here, there = area_downsample(alpha, (h, w)), area_downsample(other, (h, w))
    reach = max(1, round(_LK_WINDOW * max(h, w)))
    window = _bounding_slices((here > 0) & (here < 1), reach + 2)
    if window is None:
        return flow
    part = ..., *window
    here, initial = here[part], flow.displacement[part]
    grid = full_sampling_grid((h, w), alpha.device)[:, window[0], window[1]]

    def residual_at(displacement: Tensor) -> Tensor:
        return warp(there, displaced_grid(grid, displacement, (h, w))) - here

    displacement, residual = initial, residual_at(initial)
    before = _box_mean(residual.square(), reach)
    for _ in range(_LK_ITERATIONS):
        across, down = _gradients(here + residual / 2)
        products = [across * across, across * down, down * down, across * residual, down * residual]
        xx, xy, yy, xm, ym = _box_mean(torch.cat(products, dim=1), reach).chunk(5, dim=1)
        xx, yy = xx + _LK_DAMPING, yy + _LK_DAMPING
        step = torch.cat([xy * ym - yy * xm, xy * xm - xx * ym], dim=1) / (xx * yy - xy * xy)
        displacement = initial + (displacement + step - initial).clamp(-_MAX_SHIFT_PX, _MAX_SHIFT_PX)
        residual = residual_at(displacement)
    after = _box_mean(residual.square(), reach)
    explained = 1 - after / before.clamp(min=_EPSILON)
    shift, jitter_px = displacement - initial, _STATIC_JITTER_PX * stillness(flow)[part]
    beyond_jitter = 1 - jitter_px.square() / shift.square().sum(dim=1, keepdim=True).clamp(min=_EPSILON)
    acceptance = ((explained - _MIN_EXPLAINED) / (_FULLY_EXPLAINED - _MIN_EXPLAINED)).clamp(
        0, 1
    ) * beyond_jitter.clamp(min=0)
    aligned = flow.displacement.clone()
    aligned[part] += shift * acceptance
    return Flow(aligned, flow.confidence)


def _bounding_slices(mask: Tensor, margin_px: int) -> tuple[slice, slice] | None:
    """Bounding rows and columns of a (1, 1, h, w) mask with a margin; None if the mask is empty.

    On an accelerator the whole map, as finding the bounds would cost a synchronisation.
    """
    if mask.device.type != "cpu":
        return slice(None), slice(None)
    rows, columns = (mask[0, 0].any(dim=across).nonzero()[:, 0].tolist() for across in (1, 0))
    if not rows:
        return None
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    return (
        slice(max(0, top - margin_px), bottom + 1 + margin_px),
        slice(max(0, left - margin_px), right + 1 + margin_px),
    )


def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of (1, 1, h, w) along rows and along columns, per pixel."""
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    return across, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _box_mean(x: Tensor, radius_px: int) -> Tensor:
    """Box filter of (1, C, h, w); on a CPU OpenCV's running sums cost the same at any radius."""
    if x.device.type != "cpu":
        return _pooled_mean(x, radius_px)
    side = 2 * radius_px + 1
    planes = [cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE) for plane in x[0].numpy()]
    return torch.from_numpy(np.stack(planes))[None]


def _pooled_mean(x: Tensor, radius_px: int) -> Tensor:
    """`_box_mean` on the device."""
    return F.avg_pool2d(F.pad(x, (radius_px,) * 4, mode="replicate"), 2 * radius_px + 1, stride=1)
