"""How the picture moves from frame to frame, and how far that can be trusted.

Flow is found on thumbnails (`estimate_motions`), judged by its way back and by the colours at its two
ends, and read at the pixels of any larger map (`backward_warp_grid`, `warp`).
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

_Picture = npt.NDArray[np.uint8]
_Map = npt.NDArray[np.float32]

# Luma residual, of 1, at which trust falls to 1/e in the thumbnail.
_RESIDUAL: Final = 0.03
# Where no motion explains the luma as well as the flow does, but for this, it has not moved.
_STILL_MARGIN: Final = 0.005
# Mean confidence of a frame under which it is another scene. On the clips this was tried on it fell
# to 0.67 within a shot, and was under 0.45 at 95 % of the joints of unlike shots.
_CUT_TRUST: Final = 0.5
# What hardly moves: by less than so many pixels of the thumbnail but for a small share of the subject, and
# nearly all of it found again.
_CALM_PX: Final = 2.5
_CALM_SHARE: Final = 0.03
_CALM_TRUST: Final = 0.85


@dataclass(frozen=True)
class Flow:
    """Where the surfaces of a frame are in another.

    ``way`` (1, 2, h, w): for each pixel of a small picture of the frame, the way (x, y) to its surface
    in the other frame, in pixels of the small picture. ``confidence`` (1, 1, h, w) float in 0..1: whether it
    is the same surface.
    """

    way: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Motion:
    """Between a frame and the one before it: ``back`` from this one, ``forth`` from the one before."""

    back: Flow
    forth: Flow


def estimate_motions(
    previous: Tensor | None, pictures: Tensor, options: TemporalOptions
) -> tuple[Motion | None, ...]:
    """The motion of each frame of a batch against the frame before it.

    Dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016;
    OpenCV, on the CPU) both ways on thumbnails.

    Args:
        previous: the frame before the batch, (1, 3, H, W) uint8 RGB; None at the start.
        pictures: (N, 3, H, W) uint8 RGB.
        options: the thumbnail's long side is ``flow_long_side_px``.

    Returns:
        One per frame; None for a clip's first frame, after a cut, and in mode ``off``.
    """
    if options.mode == "off" or options.strength == 0:
        return (None,) * len(pictures)
    frames = [pictures[n : n + 1] for n in range(len(pictures))]
    if previous is not None:
        frames.insert(0, previous)
    # down and up again all at once: an accelerator is waited for each time
    small = torch.cat([_thumbnail(frame, options.flow_long_side_px) for frame in frames]).cpu().numpy()
    pairs = list(pairwise(small))
    planes = on_spare_cores(lambda pair: _motion(*pair), pairs, pictures.device)
    found = [both for both in planes if both is not None]
    flows = iter(torch.from_numpy(np.stack(found)).to(pictures.device) if found else ())
    motions = tuple(None if both is None else _as_motion(next(flows)) for both in planes)
    return motions if previous is not None else (None, *motions)


def _motion(before: _Picture, now: _Picture) -> _Map | None:
    """(2, 3, h, w): back and forth, each flow and confidence; None at a cut."""
    way_back, way_forth = _dense_flow(now, before), _dense_flow(before, now)
    back = _judged(now, before, way_back, way_forth)
    if back[2].mean() < _CUT_TRUST:
        return None
    forth = _judged(before, now, way_forth, way_back)
    return np.stack([back, forth])


def _as_motion(planes: Tensor) -> Motion:
    back, forth = (Flow(flow[:, :2], flow[:, 2:]) for flow in torch.split(planes, 1))
    return Motion(back, forth)


def _thumbnail(picture: Tensor, long_side_px: int) -> Tensor:
    """(1, 3, H, W) uint8 as a small 8 bit luma picture (1, h, w)."""
    height, width = picture.shape[2:]
    scale = min(1.0, long_side_px / max(height, width))
    # DIS needs a few blocks of 8 px even of the thinnest frame.
    size = (max(16, round(height * scale)), max(16, round(width * scale)))
    pooled = max(1, int(1 / scale))
    # Of cells of 4x4 px and more, every second pixel of every second row says enough.
    step = 2 if pooled >= 4 else 1
    luma = picture[..., ::step, ::step].float().mean(dim=1, keepdim=True)
    small = F.avg_pool2d(luma, pooled // step, ceil_mode=True, count_include_pad=False)
    small = F.interpolate(small, size, mode="bilinear", align_corners=False)
    return small[0].round().clamp(0, 255).to(torch.uint8)


def _judged(here: _Picture, there: _Picture, way: _Map, back: _Map) -> _Map:
    """(3, h, w): flow from ``here`` to ``there``, zero where nothing moved, and its confidence.

    ``way`` and ``back`` (2, h, w): the flow as found, and that from ``there`` to ``here``.
    """
    height, width = here.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    residual = _residual(_sample(there, x + way[0], y + way[1]), here)
    still_residual = _residual(there, here)
    still = still_residual <= residual + _STILL_MARGIN
    way = np.where(still, np.float32(0), way)
    residual = np.where(still, still_residual, residual)
    x, y = x + way[0], y + way[1]
    astray = _round_trip_error(way, np.stack([_sample(plane, x, y) for plane in back]))
    confidence = np.exp(-np.where(still, 0, astray) - np.square(residual / _RESIDUAL))
    inside = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    return np.stack([*way, confidence * inside]).astype(np.float32)


def _dense_flow(here: _Picture, there: _Picture) -> _Map:
    """(2, h, w) way (x, y) from each pixel of ``here`` to its surface in ``there``."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = dis.calc(here, there, np.zeros((*here.shape, 2), np.float32))
    return np.stack(cv2.split(flow))


def _sample(source: _Picture | _Map, x: _Map, y: _Map) -> _Map:
    """Bilinear samples of a plane (h, w) at places (h, w) in pixels."""
    found = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _residual(there: _Picture | _Map, here: _Picture) -> _Map:
    """Difference of two pictures, of 1, without noise, and as large as anywhere near."""
    smooth = cv2.blur(np.subtract(here, there, dtype=np.float32), (3, 3))
    largest = cv2.dilate(np.abs(smooth), np.ones((5, 5), np.uint8))
    return np.asarray(largest / 255, np.float32)


def _round_trip_error(way: _Map, back: _Map) -> _Map:
    """Squared distance by which way and way back miss, relative to what is tolerable.

    Sundaram et al., "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow",
    ECCV 2010, equation 5.
    """
    miss, there, again = (np.square(x) + np.square(y) for x, y in (way + back, way, back))
    return np.asarray(miss / (0.01 * (there + again) + 0.5), np.float32)


def is_low_motion(motions: Sequence[Motion | None], alpha: Tensor | None) -> list[bool]:
    """In which of consecutive frames the subject hardly moves, so that its outline may be carried along.

    Args:
        motions: of each frame; where there is none, it is not calm.
        alpha: (1, 1, H, W) of the frame before the first; after a cut, without it, or without a subject the
            whole frame counts.
    """
    near: Tensor | None = None
    found = []
    for motion in motions:
        if motion is None:
            alpha = near = None
            continue
        way, confidence = motion.back.way, motion.back.confidence
        if near is None:
            near = _near_subject(alpha, confidence)
        fast = way.square().sum(dim=1, keepdim=True) > _CALM_PX**2
        share = near / near.sum()
        found.append(((share * confidence).sum() > _CALM_TRUST) & ((share * fast).sum() < _CALM_SHARE))
    calm = iter(torch.stack(found).tolist() if found else ())
    return [motion is not None and next(calm) for motion in motions]


def _near_subject(alpha: Tensor | None, like: Tensor) -> Tensor:
    """(1, 1, h, w) of 0 and 1: in and around the subject; without one, everywhere."""
    if alpha is None:
        return torch.ones_like(like)
    near = F.max_pool2d(area_downsample(alpha, (like.shape[2], like.shape[3])), 9, stride=1, padding=4) > 0
    return (near | ~near.any()).to(like.dtype)


def area_downsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1, H, W) at a smaller size, means of areas; on a CPU whole cells take a third of pooling's time."""
    (height, width), (h, w) = x.shape[2:], size
    if height % h or width % w:
        return F.adaptive_avg_pool2d(x, size)
    rows = x.view(1, 1, h, height // h, width).mean(dim=3)
    total = rows[..., :: width // w].clone()
    for k in range(1, width // w):
        total.add_(rows[..., k :: width // w])
    return total.div_(width // w)


def full_sampling_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """(1, H, W, 2) places of all pixels of a frame of that height and width, x first, -1..1 over it."""
    y, x = ((torch.arange(side, device=device) + 0.5) * (2 / side) - 1 for side in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]


def sampling_grid_at(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1, K, 2) places of ``pixels`` (K,), counted row by row from the top left, likewise."""
    height, width = size
    x, y = pixels % width, pixels.div(width, rounding_mode="floor")
    return torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)[None, None]


def backward_warp_grid(flow: Flow, places: Tensor) -> tuple[Tensor, Tensor]:
    """Where places (1, h, w, 2) of a frame lie in the other frame, and the confidence (1, 1, h, w) in it."""
    known = warp(torch.cat([flow.way, flow.confidence], dim=1), places)
    size = (flow.way.shape[2], flow.way.shape[3])
    return displaced_grid(places, known[:, :2], size), known[:, 2:]


def displaced_grid(places: Tensor, way: Tensor, size: tuple[int, int]) -> Tensor:
    """Places (1, h, w, 2) moved by ``way`` (1, 2, h, w) in pixels of a map of that height and width."""
    height, width = size
    return torch.stack([way[:, 0] * (2 / width), way[:, 1] * (2 / height)], dim=-1).add_(places)


def warp(other: Tensor, places: Tensor, *, sharp: bool = False) -> Tensor:
    """A frame's (1, C, H, W) float values at places (1, h, w, 2), as (1, C, h, w).

    ``sharp``: cubic, for what is carried on from frame to frame, as linear means would soften it each time
    anew; values can go a little beyond those there are.
    """
    mode = "bicubic" if sharp else "bilinear"
    return F.grid_sample(other, places, mode, padding_mode="border", align_corners=False)
