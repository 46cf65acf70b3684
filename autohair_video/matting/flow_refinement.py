"""The motion of the subject and of its outline, which alpha goes by.

Alpha belongs to the subject and not to what is seen behind it, so in the band the subject's own motion
counts (`subject_flow`). Where the outline slides over the surface, or flow is off by a part of a pixel, alpha
itself says how the outline moves (`refine_flow`).
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

# How far around a pixel the subject's motion is looked for, as a share of the thumbnail's long side.
_REACH: Final = 0.04
# Squared pixels of the thumbnail by which motions nearby may differ before trust falls to 1/e.
_SPREAD: Final = 1.0
# Share of solid pixels around a pixel from which the subject counts as near.
_LEAST_SOLID: Final = 1e-3
# Motion of the subject, in pixels of the thumbnail, at which it counts as moving more than as still.
_STILL_PX: Final = 0.05
# How outlines are aligned: how often, how far around a pixel they count (a share of the thumbnail's long
# side), the squared slope of alpha that outweighs noise, and in pixels of the thumbnail, how far they move at
# most, and what is no motion but tremor where the subject is still.
_ROUNDS: Final = 2
_EDGE_REACH: Final = 0.016
_LEAST_SLOPE: Final = 0.02
_FARTHEST_PX: Final = 1.5
_TREMOR_PX: Final = 0.15
# An outline moves if that explains more of the squared difference of alpha than noise lets it by chance, and
# all the way from the second share on.
_CHANCE: Final = 0.3
_MOVED: Final = 0.7
_LEAST: Final = 1e-9


def subject_flow(flow: Flow, alpha: Tensor) -> Flow:
    """The motion of the subject, continued over its edge.

    A mixed pixel's colours move with what is behind as much as with the subject, its alpha with the
    subject alone. So each pixel gets the mean motion of the subject's solid pixels around it, and
    less confidence the more these differ among themselves; far from the subject the flow stays.

    Args:
        flow: of the frame.
        alpha: (1, 1, H, W) float in 0..1, the frame's own.
    """
    h, w = flow.way.shape[2:]
    solid = area_downsample(alpha, (h, w)).square().square()
    weight = solid * flow.confidence
    square = flow.way.square().sum(dim=1, keepdim=True)
    sums = torch.cat([weight * flow.way, weight * square, weight, solid, weight * flow.confidence], dim=1)
    near = _box_mean(sums, max(1, round(_REACH * max(h, w))))
    total = near[:, 3:4].clamp(min=1e-6)
    way = near[:, :2] / total
    spread = (near[:, 2:3] / total - way.square().sum(dim=1, keepdim=True)).clamp(min=0)
    confidence = near[:, 5:6] / total * torch.exp(-spread / _SPREAD)
    there = near[:, 4:5] > _LEAST_SOLID
    return Flow(torch.where(there, way, flow.way), torch.where(there, confidence, flow.confidence))


def stillness(flow: Flow) -> Tensor:
    """(1, 1, h, w) in 0..1: 1 where nothing moves."""
    return torch.exp(-flow.way.square().sum(dim=1, keepdim=True) / _STILL_PX**2)


def refine_flow(flow: Flow, alpha: Tensor, other: Tensor) -> Flow:
    """The subject's flow, moved so that it takes the outline in a frame to that in the other frame.

    The mean over a stretch of outline counts (Lucas and Kanade, "An Iterative Image Registration Technique
    with an Application to Stereo Vision", IJCAI 1981, section 4); where there is none, the flow stays.

    Args:
        flow: from `subject_flow`.
        alpha: (1, 1, H, W) float in 0..1, the frame's own.
        other: alpha of the other frame, likewise.
    """
    h, w = flow.way.shape[2:]
    here, there = area_downsample(alpha, (h, w)), area_downsample(other, (h, w))
    reach = max(1, round(_EDGE_REACH * max(h, w)))
    around = _around((here > 0) & (here < 1), reach + 2)
    if around is None:
        return flow
    part = ..., *around
    here, told = here[part], flow.way[part]
    places = full_sampling_grid((h, w), alpha.device)[:, around[0], around[1]]

    def missed(way: Tensor) -> Tensor:
        return warp(there, displaced_grid(places, way, (h, w))) - here

    way, missing = told, missed(told)
    before = _box_mean(missing.square(), reach)
    for _ in range(_ROUNDS):
        across, down = _slopes(here + missing / 2)
        products = [across * across, across * down, down * down, across * missing, down * missing]
        xx, xy, yy, xm, ym = _box_mean(torch.cat(products, dim=1), reach).chunk(5, dim=1)
        xx, yy = xx + _LEAST_SLOPE, yy + _LEAST_SLOPE
        step = torch.cat([xy * ym - yy * xm, xy * xm - xx * ym], dim=1) / (xx * yy - xy * xy)
        way = told + (way + step - told).clamp(-_FARTHEST_PX, _FARTHEST_PX)
        missing = missed(way)
    after = _box_mean(missing.square(), reach)
    explained = 1 - after / before.clamp(min=_LEAST)
    shift, tremor = way - told, _TREMOR_PX * stillness(flow)[part]
    beyond = 1 - tremor.square() / shift.square().sum(dim=1, keepdim=True).clamp(min=_LEAST)
    kept = ((explained - _CHANCE) / (_MOVED - _CHANCE)).clamp(0, 1) * beyond.clamp(min=0)
    aligned = flow.way.clone()
    aligned[part] += shift * kept
    return Flow(aligned, flow.confidence)


def _around(mask: Tensor, margin_px: int) -> tuple[slice, slice] | None:
    """The rows and columns of (1, 1, h, w) that hold all that is true, and a margin; None if nothing is.

    All of them where it would take longer to learn which: an accelerator is waited for.
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


def _slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Along rows and along columns of (1, 1, h, w), by the pixel."""
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    return across, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _box_mean(x: Tensor, radius_px: int) -> Tensor:
    """Means of (1, C, h, w) over squares; on a CPU OpenCV's running sums do not grow with the radius."""
    if x.device.type != "cpu":
        return _pooled_mean(x, radius_px)
    side = 2 * radius_px + 1
    planes = [cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE) for plane in x[0].numpy()]
    return torch.from_numpy(np.stack(planes))[None]


def _pooled_mean(x: Tensor, radius_px: int) -> Tensor:
    """The same without leaving the device."""
    return F.avg_pool2d(F.pad(x, (radius_px,) * 4, mode="replicate"), 2 * radius_px + 1, stride=1)
