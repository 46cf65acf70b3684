"""Smoothing in time along the motion of the picture.

What the last frame had is carried to this frame along optical flow, and blended in only where flow
and luma say that it is the same surface. The flow of a frame is found once (`estimate_motions`) and
serves both smoothers: of the segmenter's probabilities, before the trimap, and of alpha, after the
matter. State is what the last frame came to, passed in and handed back. At a scene cut nothing is
carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.options import TemporalOptions

_Picture = npt.NDArray[np.uint8]
_Map = npt.NDArray[np.float32]

# Luma residuals, of 1, at which trust falls to 1/e: in the thumbnail, and in the frame.
_THUMBNAIL_RESIDUAL: Final = 0.03
_FRAME_RESIDUAL: Final = 0.03
# Where no motion explains the luma as well as the flow does, but for this, it has not moved.
_STILL_MARGIN: Final = 0.005
# Confidence below which nothing at all is carried, so that no trace is left behind.
_LEAST_TRUST: Final = 0.1
# Mean confidence of a frame under which it is another scene. On the clips this was tried on it fell
# to 0.67 within a shot, and was under 0.45 at 95 % of the joints of unlike shots.
_CUT_TRUST: Final = 0.5


@dataclass(frozen=True)
class TemporalState:
    """What a frame hands to the next: its luma (1, 1, H, W), smoothed probabilities and alpha."""

    luma: Tensor
    probability: Tensor | None = None
    alpha: Tensor | None = None


@dataclass(frozen=True)
class Motion:
    """How a frame came from the one before it.

    ``flow`` (1, 2, h, w): for each pixel of a small picture of the frame, the way (x, y) to where its
    surface was before, in pixels of the small picture. ``confidence`` (1, 1, h, w) float in 0..1:
    whether it is the same surface. ``before`` and ``now`` are the two frames' luma (1, 1, H, W).
    """

    flow: Tensor
    confidence: Tensor
    before: Tensor
    now: Tensor


def estimate_motions(
    previous: Tensor | None, luma: Tensor, options: TemporalOptions
) -> tuple[Motion | None, ...]:
    """The motion of each frame of a batch against the frame before it.

    Dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016;
    OpenCV, on the CPU) both ways on thumbnails.

    Args:
        previous: luma of the frame before the batch, (1, 1, H, W) float in 0..1; None at the start.
        luma: (N, 1, H, W) float in 0..1.
        options: the thumbnail's long side is ``flow_long_side_px``.

    Returns:
        One per frame; None for a clip's first frame, after a cut, and in mode ``off``.
    """
    if options.mode == "off" or options.strength == 0:
        return (None,) * len(luma)
    frames = luma if previous is None else torch.cat([previous, luma])
    thumbnails = _thumbnails(frames, options.flow_long_side_px)
    motions: list[Motion | None] = [None] if previous is None else []
    for i in range(1, len(frames)):
        found = _flow_and_confidence(thumbnails[i - 1], thumbnails[i])
        if found is None:
            motions.append(None)
            continue
        flow, confidence = (torch.from_numpy(x).to(luma.device) for x in found)
        motions.append(Motion(flow, confidence, frames[i - 1 : i], frames[i : i + 1]))
    return tuple(motions)


def _thumbnails(luma: Tensor, long_side_px: int) -> list[_Picture]:
    height, width = luma.shape[2:]
    scale = min(1.0, long_side_px / max(height, width))
    # DIS needs a few blocks of 8 px even of the thinnest frame.
    size = (max(16, round(height * scale)), max(16, round(width * scale)))
    small = F.avg_pool2d(luma, max(1, int(1 / scale)), ceil_mode=True, count_include_pad=False)
    small = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return list((small[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy())


def _flow_and_confidence(before: _Picture, now: _Picture) -> tuple[_Map, _Map] | None:
    """Flow (1, 2, h, w) and confidence (1, 1, h, w) as in `Motion`; None at a cut."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow, forth = dis.calc(now, before, None), dis.calc(before, now, None)
    height, width = now.shape
    here = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    residual = _residual(_sample(before, here + flow), now)
    still_residual = _residual(before, now)
    still = still_residual <= residual + _STILL_MARGIN
    flow[still] = 0
    residual[still] = still_residual[still]
    there = here + flow
    astray = _round_trip_error(flow, _sample(forth, there))
    astray[still] = 0
    confidence = np.exp(-astray - np.square(residual / _THUMBNAIL_RESIDUAL))
    limits = np.float32([width - 0.5, height - 0.5])
    confidence[((there < -0.5) | (there > limits)).any(axis=2)] = 0
    if confidence.mean() < _CUT_TRUST:
        return None
    return np.ascontiguousarray(flow.transpose(2, 0, 1))[None], confidence[None, None]


def _sample(source: _Picture | _Map, places: _Map) -> _Map:
    """Bilinear samples of (h, w, ...) at places (h, w, 2), x first, in pixels."""
    found = cv2.remap(source, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _residual(before: _Picture | _Map, now: _Picture) -> _Map:
    """Difference of two pictures, of 1, without noise, and as large as anywhere near."""
    smooth = cv2.blur(np.subtract(now, before, dtype=np.float32), (3, 3))
    return cv2.dilate(np.abs(smooth), np.ones((5, 5), np.uint8)) / np.float32(255)


def _round_trip_error(flow: _Map, back: _Map) -> _Map:
    """Squared distance by which way and way back miss, relative to what is tolerable.

    Sundaram et al., "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow",
    ECCV 2010, equation 5.
    """
    squares = [np.square(way).sum(axis=2) for way in (flow + back, flow, back)]
    return np.asarray(squares[0] / (0.01 * (squares[1] + squares[2]) + 0.5), np.float32)


def smooth_probability(
    previous: Tensor | None,
    motions: tuple[Motion | None, ...],
    probability: Tensor,
    options: TemporalOptions,
) -> Tensor:
    """The segmenter's probabilities, steadied along the motion.

    Args:
        previous: result for the frame before the batch, (1, C, h, w), or None.
        motions: from `estimate_motions`, one per frame.
        probability: (N, C, h, w) float in 0..1.
        options: ``strength`` is the largest share of the past.

    Returns:
        (N, C, h, w) float in 0..1.
    """
    steady = []
    for frame, motion in zip(probability.split(1), motions, strict=True):
        if previous is not None and motion is not None:
            grid, confidence = _carrier(motion, (frame.shape[2], frame.shape[3]))
            frame = torch.lerp(frame, _carry(previous, grid), confidence * options.strength)
        previous = frame
        steady.append(frame)
    return torch.cat(steady)


def smooth_alpha(
    previous: Tensor | None,
    motions: tuple[Motion | None, ...],
    alpha: Tensor,
    trimap: Tensor,
    options: TemporalOptions,
) -> Tensor:
    """Alpha of the unknown band, steadied along the motion; what is known stays.

    Args:
        previous: result for the frame before the batch, (1, 1, H, W), or None.
        motions: from `estimate_motions`, one per frame.
        alpha: (N, 1, H, W) float in 0..1.
        trimap: (N, 1, H, W) uint8 of 0, 128 and 255.
        options: ``strength`` is the largest share of the past.

    Returns:
        (N, 1, H, W) float in 0..1.
    """
    steady = []
    size = (alpha.shape[2], alpha.shape[3])
    unknown = (trimap > 0) & (trimap < 255)
    for frame, motion, band in zip(alpha.split(1), motions, unknown.split(1), strict=True):
        if previous is not None and motion is not None:
            grid, confidence = _carrier(motion, size)
            past = _carry(torch.cat([previous, motion.before], dim=1), grid)
            trust = confidence * torch.exp(-_frame_residual(past[:, 1:], motion.now).square())
            trust = (trust - _LEAST_TRUST).clamp_(min=0) * (options.strength / (1 - _LEAST_TRUST))
            frame = torch.lerp(frame, past[:, :1], trust * band)
        previous = frame
        steady.append(frame)
    return torch.cat(steady)


def _carry(past: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(past, grid, padding_mode="border", align_corners=False)


def _frame_residual(carried: Tensor, now: Tensor) -> Tensor:
    """Luma difference in units of what is tolerable, averaged over 2x2 px against noise."""
    means = F.avg_pool2d(now - carried, 2, ceil_mode=True, count_include_pad=False)
    large = F.interpolate(means, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[:, :, : now.shape[2], : now.shape[3]] / _FRAME_RESIDUAL


def _carrier(motion: Motion, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sampling grid (1, H, W, 2) of the motion at a size, and its confidence (1, 1, H, W)."""
    both = torch.cat([motion.flow, motion.confidence], dim=1)
    both = F.interpolate(both, size, mode="bilinear", align_corners=False)
    h, w = motion.flow.shape[2:]
    reach = both.new_tensor([2 / w, 2 / h])
    still = F.affine_grid(torch.eye(2, 3, device=both.device)[None], [1, 1, *size], False)
    return still + both[:, :2].permute(0, 2, 3, 1) * reach, both[:, 2:]
