"""Dense optical flow between consecutive frames, with a confidence per pixel.

Flow is estimated on thumbnails (`estimate_motions`). Its confidence comes from the forward-backward error and
the luma residual. `backward_warp_grid` and `warp` sample any larger map along it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from autohair_video.runtime.thread_pools import on_spare_cores

_Image = npt.NDArray[np.uint8]
_Map = npt.NDArray[np.float32]

# Luma residual at which confidence falls to 1/e. Unit: of full scale. Source: by eye.
_LUMA_RESIDUAL: Final = 0.03
# A pixel is static if zero motion explains its luma to within this margin as well as the flow does. Unit: of
# full scale. Source: by eye.
_STATIC_MARGIN: Final = 0.005
# Mean confidence below which a frame starts a new scene; within a shot it stays above. Unit: of 1. Source: by
# eye.
_CUT_CONFIDENCE: Final = 0.5
# Displacement above which a pixel moves fast, so that segmentation must run. Unit: px of the thumbnail.
# Source: by eye.
_LOW_MOTION_PX: Final = 2.5
# Low motion: at most this fraction of the subject moves fast. Unit: of 1. Source: by eye.
_FAST_FRACTION: Final = 0.03
# Low motion: the mean confidence over the subject exceeds this. Unit: of 1. Source: by eye.
_LOW_MOTION_CONFIDENCE: Final = 0.85


@dataclass(frozen=True)
class Flow:
    """Optical flow from a frame to another, on the thumbnail.

    ``displacement`` (1, 2, h, w): offset (x, y) of each pixel to its position in the other frame, in pixels
    of the thumbnail. ``confidence`` (1, 1, h, w) float in 0..1: whether both show the same surface.
    """

    displacement: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Motion:
    """Flow between a frame and the previous one: ``backward`` to the previous frame, ``forward`` from it."""

    backward: Flow
    forward: Flow


def estimate_motions(
    previous: Tensor | None, images: Tensor, options: TemporalOptions
) -> tuple[Motion | None, ...]:
    """Motion of each frame of a batch relative to the previous frame.

    Dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016;
    OpenCV, on the CPU), forward and backward on thumbnails.

    Args:
        previous: the frame before the batch, (1, 3, H, W) uint8 RGB; None at the start.
        images: (N, 3, H, W) uint8 RGB.
        options: the thumbnail's long side is ``flow_long_side_px``.

    Returns:
        One per frame; None for a clip's first frame, after a cut, and in mode ``off``.
    """
    if options.mode == "off" or options.strength == 0:
        return (None,) * len(images)
    frames = [images[n : n + 1] for n in range(len(images))]
    if previous is not None:
        frames.insert(0, previous)
    # one download and one upload per batch: each synchronises with the accelerator
    small = torch.cat([_thumbnail(frame, options.flow_long_side_px) for frame in frames]).cpu().numpy()
    pairs = list(pairwise(small))
    planes = on_spare_cores(lambda pair: _motion(*pair), pairs, images.device)
    estimated = [pair for pair in planes if pair is not None]
    flows = iter(torch.from_numpy(np.stack(estimated)).to(images.device) if estimated else ())
    motions = tuple(None if pair is None else _as_motion(next(flows)) for pair in planes)
    return motions if previous is not None else (None, *motions)


def scene_cuts(motions: Sequence[Motion | None], options: TemporalOptions) -> list[bool] | None:
    """Of each frame, whether a scene starts there; None where flow is off, so that cuts are unknown."""
    if options.mode == "off" or options.strength == 0:
        return None
    return [motion is None for motion in motions]


def _motion(before: _Image, now: _Image) -> _Map | None:
    """(2, 3, h, w): backward and forward flow, each with its confidence; None at a cut."""
    backward_displacement, forward_displacement = _dense_flow(now, before), _dense_flow(before, now)
    backward = _with_confidence(now, before, backward_displacement, forward_displacement)
    if backward[2].mean() < _CUT_CONFIDENCE:
        return None
    forward = _with_confidence(before, now, forward_displacement, backward_displacement)
    return np.stack([backward, forward])


def _as_motion(planes: Tensor) -> Motion:
    backward, forward = (Flow(flow[:, :2], flow[:, 2:]) for flow in torch.split(planes, 1))
    return Motion(backward, forward)


def _thumbnail(image: Tensor, long_side_px: int) -> Tensor:
    """(1, 3, H, W) uint8 as an 8 bit luma thumbnail (1, h, w)."""
    height, width = image.shape[2:]
    scale = min(1.0, long_side_px / max(height, width))
    # DIS needs a few blocks of 8 px even of the thinnest frame.
    size = (max(16, round(height * scale)), max(16, round(width * scale)))
    pooled = max(1, int(1 / scale))
    # cells of 4x4 px and more are sampled at every second pixel of every second row
    step = 2 if pooled >= 4 else 1
    luma = image[..., ::step, ::step].float().mean(dim=1, keepdim=True)
    small = F.avg_pool2d(luma, pooled // step, ceil_mode=True, count_include_pad=False)
    small = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return small[0].round().clamp(0, 255).to(torch.uint8)


def _with_confidence(here: _Image, there: _Image, displacement: _Map, reverse: _Map) -> _Map:
    """(3, h, w): flow from ``here`` to ``there``, zero at static pixels, and its confidence.

    ``displacement`` and ``reverse`` (2, h, w): the estimated flow, and that from ``there`` to ``here``.
    """
    height, width = here.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    residual = _residual(_sample(there, x + displacement[0], y + displacement[1]), here)
    static_residual = _residual(there, here)
    static = static_residual <= residual + _STATIC_MARGIN
    displacement = np.where(static, np.float32(0), displacement)
    residual = np.where(static, static_residual, residual)
    x, y = x + displacement[0], y + displacement[1]
    error = _forward_backward_error(displacement, np.stack([_sample(plane, x, y) for plane in reverse]))
    confidence = np.exp(-np.where(static, 0, error) - np.square(residual / _LUMA_RESIDUAL))
    inside = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    return np.stack([*displacement, confidence * inside]).astype(np.float32)


def _dense_flow(here: _Image, there: _Image) -> _Map:
    """(2, h, w) displacement (x, y) of each pixel of ``here`` to its position in ``there``."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = dis.calc(here, there, np.zeros((*here.shape, 2), np.float32))
    return np.stack(cv2.split(flow))


def _sample(source: _Image | _Map, x: _Map, y: _Map) -> _Map:
    """Bilinear samples of a plane (h, w) at coordinates (h, w) in pixels."""
    found = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _residual(there: _Image | _Map, here: _Image) -> _Map:
    """Denoised absolute difference of two images, of full scale, dilated by 2 px."""
    smooth = cv2.blur(np.subtract(here, there, dtype=np.float32), (3, 3))
    largest = cv2.dilate(np.abs(smooth), np.ones((5, 5), np.uint8))
    return np.asarray(largest / 255, np.float32)


def _forward_backward_error(displacement: _Map, reverse: _Map) -> _Map:
    """Squared distance between a pixel and its round trip, relative to the tolerance.

    Sundaram et al., "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow",
    ECCV 2010, equation 5.
    """
    vectors = displacement + reverse, displacement, reverse
    error, there, back = (np.square(x) + np.square(y) for x, y in vectors)
    return np.asarray(error / (0.01 * (there + back) + 0.5), np.float32)


def is_low_motion(motions: Sequence[Motion | None], alpha: Tensor | None) -> list[bool]:
    """Which of consecutive frames have so little motion that segmentation may be skipped.

    Args:
        motions: of each frame; a frame without motion is not low-motion.
        alpha: (1, 1, H, W) of the frame before the first. The whole frame counts without it, after a cut, and
            where there is no subject.
    """
    mask: Tensor | None = None
    flags = []
    for motion in motions:
        if motion is None:
            alpha = mask = None
            continue
        displacement, confidence = motion.backward.displacement, motion.backward.confidence
        if mask is None:
            mask = _subject_mask(alpha, confidence)
        is_fast = displacement.square().sum(dim=1, keepdim=True) > _LOW_MOTION_PX**2
        weight = mask / mask.sum()
        flags.append(
            ((weight * confidence).sum() > _LOW_MOTION_CONFIDENCE)
            & ((weight * is_fast).sum() < _FAST_FRACTION)
        )
    low_motion = iter(torch.stack(flags).tolist() if flags else ())
    return [motion is not None and next(low_motion) for motion in motions]


def _subject_mask(alpha: Tensor | None, reference: Tensor) -> Tensor:
    """(1, 1, h, w) of 0 and 1: the dilated subject; all ones without a subject."""
    if alpha is None:
        return torch.ones_like(reference)
    mask = (
        F.max_pool2d(area_downsample(alpha, (reference.shape[2], reference.shape[3])), 9, stride=1, padding=4)
        > 0
    )
    return (mask | ~mask.any()).to(reference.dtype)


def area_downsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1, H, W) at a smaller size by area averaging; whole cells on a CPU skip the slower pooling."""
    (height, width), (h, w) = x.shape[2:], size
    if height % h or width % w:
        return F.adaptive_avg_pool2d(x, size)
    rows = x.view(1, 1, h, height // h, width).mean(dim=3)
    total = rows[..., :: width // w].clone()
    for k in range(1, width // w):
        total.add_(rows[..., k :: width // w])
    return total.div_(width // w)


def full_sampling_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """(1, H, W, 2) sampling grid of all pixels of a frame of that height and width: (x, y) in -1..1."""
    y, x = ((torch.arange(side, device=device) + 0.5) * (2 / side) - 1 for side in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]


def sampling_grid_at(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1, K, 2) sampling grid of ``pixels`` (K,), indices in row-major order."""
    height, width = size
    x, y = pixels % width, pixels.div(width, rounding_mode="floor")
    return torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)[None, None]


def backward_warp_grid(flow: Flow, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Backward-warp coordinates of a grid (1, h, w, 2), and the confidence (1, 1, h, w) of the flow there."""
    sampled = warp(torch.cat([flow.displacement, flow.confidence], dim=1), grid)
    size = (flow.displacement.shape[2], flow.displacement.shape[3])
    return displaced_grid(grid, sampled[:, :2], size), sampled[:, 2:]


def displaced_grid(grid: Tensor, displacement: Tensor, size: tuple[int, int]) -> Tensor:
    """A grid (1, h, w, 2) moved by ``displacement`` (1, 2, h, w), in pixels of a map of that size (h, w)."""
    height, width = size
    return torch.stack([displacement[:, 0] * (2 / width), displacement[:, 1] * (2 / height)], dim=-1).add_(
        grid
    )


def warp(source: Tensor, grid: Tensor, *, sharp: bool = False) -> Tensor:
    """(1, C, H, W) float ``source`` sampled at a grid (1, h, w, 2), as (1, C, h, w).

    ``sharp``: bicubic, for values warped repeatedly, which bilinear sampling would soften a little more each
    time; the result can overshoot the range of the source.
    """
    mode = "bicubic" if sharp else "bilinear"
    return F.grid_sample(source, grid, mode, padding_mode="border", align_corners=False)
