"""Smoothing in time along the motion of the picture.

What the last frame had is carried to this frame along optical flow, and blended in only where flow
and luma say that it is the same surface. The flow of a frame is found once (`estimate_motions`) and
serves both smoothers: of the segmenter's probabilities, before the trimap, and of alpha, after the
matter. State is what the last frame came to, passed in and handed back. At a scene cut nothing is
carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
_Window = tuple[slice, slice, slice, slice]

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
    frames = [luma[n : n + 1] for n in range(len(luma))]
    if previous is not None:
        frames.insert(0, previous)
    small = [_thumbnail(frame, options.flow_long_side_px) for frame in frames]
    motions = (
        _motion(before, now, *pictures)
        for (before, now), pictures in zip(pairwise(frames), pairwise(small), strict=True)
    )
    return (None, *motions) if previous is None else tuple(motions)


def _motion(before: Tensor, now: Tensor, small_before: _Picture, small_now: _Picture) -> Motion | None:
    found = _flow_and_confidence(small_before, small_now)
    if found is None:
        return None
    flow, confidence = (torch.from_numpy(x).to(now.device) for x in found)
    return Motion(flow, confidence, before, now)


def _thumbnail(luma: Tensor, long_side_px: int) -> _Picture:
    """(1, 1, H, W) luma as a small 8 bit picture (h, w)."""
    height, width = luma.shape[2:]
    scale = min(1.0, long_side_px / max(height, width))
    # DIS needs a few blocks of 8 px even of the thinnest frame.
    size = (max(16, round(height * scale)), max(16, round(width * scale)))
    small = F.avg_pool2d(luma, max(1, int(1 / scale)), ceil_mode=True, count_include_pad=False)
    small = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return (small[0, 0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def _flow_and_confidence(before: _Picture, now: _Picture) -> tuple[_Map, _Map] | None:
    """Flow (1, 2, h, w) and confidence (1, 1, h, w) as in `Motion`; None at a cut."""
    height, width = now.shape
    flow, forth = _dense_flow(now, before), _dense_flow(before, now)
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
    limits = np.array([width - 0.5, height - 0.5], np.float32)
    confidence[((there < -0.5) | (there > limits)).any(axis=2)] = 0
    if confidence.mean() < _CUT_TRUST:
        return None
    planes = np.ascontiguousarray(np.moveaxis(flow, 2, 0))
    return planes[None], np.asarray(confidence, np.float32)[None, None]


def _dense_flow(here: _Picture, there: _Picture) -> _Map:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(dis.calc(here, there, np.zeros((*here.shape, 2), np.float32)), np.float32)


def _sample(source: _Picture | _Map, places: _Map) -> _Map:
    """Bilinear samples of (h, w, ...) at places (h, w, 2), x first, in pixels."""
    x, y = places[..., 0], places[..., 1]
    found = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _residual(before: _Picture | _Map, now: _Picture) -> _Map:
    """Difference of two pictures, of 1, without noise, and as large as anywhere near."""
    smooth = cv2.blur(np.subtract(now, before, dtype=np.float32), (3, 3))
    largest = cv2.dilate(np.abs(smooth), np.ones((5, 5), np.uint8))
    return np.asarray(largest / 255, np.float32)


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
    size = (probability.shape[2], probability.shape[3])
    steady = []
    for n, motion in enumerate(motions):
        frame = probability[n : n + 1]
        if previous is not None and motion is not None:
            places, confidence = _origins(motion, size, _whole(size))
            frame = torch.lerp(frame, _carry(previous, places), confidence * options.strength)
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
    unknown = (trimap > 0) & (trimap < 255)
    for n, motion in enumerate(motions):
        frame, band = alpha[n : n + 1], unknown[n : n + 1]
        window = _bounds(band)
        if previous is not None and motion is not None and window is not None:
            frame = frame.clone()
            past, trust = _past_and_trust(previous, motion, window)
            share = (trust * options.strength).mul_(band[window])
            frame[window] = torch.lerp(frame[window], past, share)
        previous = frame
        steady.append(frame)
    return torch.cat(steady)


def _past_and_trust(previous: Tensor, motion: Motion, window: _Window) -> tuple[Tensor, Tensor]:
    """The last alpha carried to this frame's window, and how far the frame itself confirms it."""
    size = (previous.shape[2], previous.shape[3])
    places, confidence = _origins(motion, size, window)
    difference = motion.now[window] - _carry(motion.before, places)
    # Means of 2x2 px, against noise.
    means = F.avg_pool2d(difference, 2, ceil_mode=True, count_include_pad=False)
    large = F.interpolate(means, scale_factor=2.0, mode="bilinear", align_corners=False)
    residual = large[:, :, : difference.shape[2], : difference.shape[3]] / _FRAME_RESIDUAL
    trust = confidence * torch.exp(-residual.square())
    trust = (trust - _LEAST_TRUST).clamp_(min=0) / (1 - _LEAST_TRUST)
    return _carry(previous, places), trust


def _whole(size: tuple[int, int]) -> _Window:
    return slice(None), slice(None), slice(0, size[0]), slice(0, size[1])


def _bounds(mask: Tensor) -> _Window | None:
    """The smallest window around all of a (1, 1, H, W) mask; None where it is empty."""
    rows, columns = (mask.any(dim=dim).flatten().nonzero() for dim in (3, 2))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    return slice(None), slice(None), slice(top, bottom), slice(left, right)


def _origins(motion: Motion, size: tuple[int, int], window: _Window) -> tuple[Tensor, Tensor]:
    """Where a window of a frame of that size came from, and the confidence in it.

    Returns:
        (1, h, w, 2) places for `grid_sample`, -1..1 over the frame, and (1, 1, h, w) confidence.
    """
    device = motion.flow.device
    y, x = (
        (torch.arange(part.start, part.stop, device=device) + 0.5) * (2 / side) - 1
        for part, side in zip(window[2:], size, strict=True)
    )
    here = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    known = _carry(torch.cat([motion.flow, motion.confidence], dim=1), here)
    h, w = motion.flow.shape[2:]
    way = torch.stack([known[:, 0] * (2 / w), known[:, 1] * (2 / h)], dim=-1)
    return way.add_(here), known[:, 2:]


def _carry(past: Tensor, places: Tensor) -> Tensor:
    return F.grid_sample(past, places, padding_mode="border", align_corners=False)
