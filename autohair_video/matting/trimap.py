"""Trimaps: what is surely foreground, what surely background, and what the matter must solve.

Two ways to draw the unknown band: the fixed form of a hard mask (erode, then dilate what is left),
and the adaptive form, whose band follows the segmenter's doubt, the subject's size and the hair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from kornia.morphology import dilation
from torch import Tensor
from torch.nn import functional as F

from autohair_video.errors import InputError
from autohair_video.options import TrimapOptions
from autohair_video.runtime.thread_pools import on_spare_cores

BACKGROUND: Final = 0
UNKNOWN: Final = 128
FOREGROUND: Final = 255

# Between these person probabilities the segmenter is in doubt.
_UNLIKELY: Final = 0.1
_LIKELY: Final = 0.9
# A body has pixels that are more likely person than not: at least this share of the picture, and of
# what the largest body has. What has fewer is a speck.
_MORE_LIKELY: Final = 0.5
_SMALLEST_BODY: Final = 2e-4
_SMALLEST_SHARE: Final = 4e-3
# Widths of the band as shares of the subject's size, and the least width in pixels of the
# probability map: a segmenter with output stride 4 is not exact to more than that.
_EDGE_SHARE: Final = 0.016
_EDGE_LEAST_PX: Final = 4.0
_HAIR_OUT_SHARE: Final = 0.06
_HAIR_IN_SHARE: Final = 0.03
_HAIR: Final = 0.3
# What was unknown in the frame before stays so until it is this much of a map's pixel further inside
# what is known, so that the segmenter's tremor does not move the band.
_RELUCTANCE: Final = 0.4

# Kornia's unfold engine holds one copy of the frame for each pixel of the kernel.
_LARGEST_RADIUS_PX: Final = 7

_Map = npt.NDArray[np.float32]
_Mask = npt.NDArray[np.bool_]


def draw_trimap(
    seen: Tensor, *, size: tuple[int, int], options: TrimapOptions, before: Tensor | None = None
) -> Tensor:
    """Trimap of what the segmenter saw, in the form that the options name.

    Args:
        seen: (N, 2, h, w) float in 0..1, person and hair probability of whole frames.
        size: height and width of the frames in pixels.
        options: form and width of the band.
        before: in a clip, the trimaps of the frames before each, (N, 1, H, W) uint8.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255 on the probabilities' device.
    """
    person, hair = seen[:, :1], seen[:, 1:]
    if options.mode == "adaptive":
        return adaptive_trimap(person, hair, size=size, band=options.band, before=before)
    grown = F.interpolate(person, size, mode="bilinear", align_corners=False)
    return fixed_trimap(grown > 0.5, erosion=options.erosion, size=options.size)


def draw_trimaps(
    seen: Tensor,
    *,
    size: tuple[int, int],
    options: TrimapOptions,
    before: Tensor | None,
    follows: Sequence[bool],
) -> Tensor:
    """`draw_trimap` of consecutive frames, each after the one before it.

    Args:
        seen: as for `draw_trimap`.
        size: likewise.
        options: likewise.
        before: the trimap of the frame before the first, (1, 1, H, W) uint8, or None.
        follows: of each frame, whether the one before belongs to the same scene.

    Returns:
        (N, 1, H, W) uint8 likewise.
    """
    if options.mode == "fixed":
        return torch.cat([draw_trimap(one, size=size, options=options) for one in torch.split(seen, 1)])
    drawn = []
    sure = _sure(seen[:, :1], seen[:, 1:], size, options.band)
    for one, follow in zip(torch.split(sure, 1), follows, strict=True):
        before = _decided(one, before if follow else None)
        drawn.append(before)
    return torch.cat(drawn)


def fixed_trimap(mask: Tensor, *, erosion: int, size: int) -> Tensor:
    """Trimap of a hard or grey mask, band of constant width.

    The mask is eroded with 3x3 ones ``erosion`` times (the frame's edge does not erode); all of the
    result that is above zero is foreground; that result, dilated once by a square of
    ``2 * size + 1`` px, bounds the band. On a straight edge the band reaches ``erosion`` px inward
    and ``size - erosion`` px outward.

    A grey minimum is above zero exactly where every sample is, so the mask is made binary first; n
    erosions by 3x3 are one by a square of ``2 * n + 1`` px; a square is a row, then a column; and a
    long row is several short ones, which bounds Kornia's memory. Of Kornia's engines, unfold takes
    0.2 s for a square of 51 px on one 1920x1080 frame and CPU core so, and 4 s for 11x11 at once;
    convolution takes 20 s for 11x11. Both give the same bits.

    Args:
        mask: (N, 1, H, W), any real dtype; above zero is inside.
        erosion: number of 3x3 erosions, 0 or more.
        size: half the side of the dilating square, in pixels, 0 or more.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255 on the mask's device.
    """
    outside = (mask <= 0).float()
    foreground = 1 - _dilate(outside, erosion)
    reach = _dilate(foreground, size)
    return (reach * UNKNOWN + foreground * (FOREGROUND - UNKNOWN)).to(torch.uint8)


def _dilate(mask: Tensor, radius_px: int) -> Tensor:
    """Maximum over a square of ``2 * radius_px + 1`` px; nothing lies outside the frame."""
    radius_px = min(radius_px, max(mask.shape[2:]) - 1)
    while radius_px > 0:
        step = min(radius_px, _LARGEST_RADIUS_PX)
        row = mask.new_ones(1, 2 * step + 1)
        mask = dilation(dilation(mask, row, engine="unfold"), row.T, engine="unfold")
        radius_px -= step
    return mask


def adaptive_trimap(
    person: Tensor,
    hair: Tensor,
    *,
    size: tuple[int, int],
    band: float = 1.0,
    before: Tensor | None = None,
) -> Tensor:
    """Trimap of person and hair probabilities, band of a width that follows the picture.

    Unknown is every pixel where the segmenter is in doubt (person probability 0.1 to 0.9), and all
    that lies nearer to the doubt than the band's width: 1.6 % of the subject's size along skin and
    cloth, 4.6 % inward and 6 % outward at hair, whose strands fly out. The size is the square root
    of the largest body's area. Regions that hold no pixel more likely person than not, and specks
    far smaller than the largest body, are background; without a body all is background.

    The band is drawn with distances on the small map (OpenCV, on the CPU: that map is all that is
    copied) and comes up to the frame's size as one bilinear field, so that its outline is smooth
    and a 4K frame costs little more than a small one.

    Args:
        person: (N, 1, h, w) float probability of the whole person, hair included, of the whole
            frame at any smaller size.
        hair: (N, 1, h, w) float probability of hair.
        size: height and width of the frame in pixels.
        band: scale of the band's width; 1 is the default width.
        before: trimaps of the frames before each, (N, 1, H, W) uint8: where one is unknown the band is
            slow to go.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255 on the probabilities' device.
    """
    return _decided(_sure(person, hair, size, band), before)


def _sure(person: Tensor, hair: Tensor, size: tuple[int, int], band: float) -> Tensor:
    """`_sureness` of each frame, (N, 1, H, W)."""
    maps = torch.cat([person, hair], dim=1).float().cpu().numpy()
    drawn = on_spare_cores(lambda both: _sureness(both[0], both[1], band), list(maps), person.device)
    field = torch.from_numpy(np.stack(drawn)[:, None]).to(person.device)
    return F.interpolate(field, size, mode="bilinear", align_corners=False)


def _decided(sure: Tensor, before: Tensor | None) -> Tensor:
    enough = sure.new_full((), 0.5) if before is None else 0.5 + _RELUCTANCE * (before == UNKNOWN)
    trimap = torch.full(sure.shape, UNKNOWN, dtype=torch.uint8, device=sure.device)
    return trimap.masked_fill_(sure > enough, FOREGROUND).masked_fill_(sure < -enough, BACKGROUND)


def _sureness(person: _Map, hair: _Map, band: float) -> _Map:
    """1 where surely foreground, -1 where surely background, crossing +-0.5 where the band ends."""
    labels, regions = cv2.connectedComponents((person > _UNLIKELY).astype(np.uint8))
    held = np.bincount(regions[person > _MORE_LIKELY], minlength=labels)
    body = (held >= max(1, _SMALLEST_BODY * person.size, _SMALLEST_SHARE * held.max()))[regions]
    if not body.any():
        return np.full(person.shape, -1, np.float32)
    scale = float(np.sqrt(held.max()))
    edge = band * max(_EDGE_LEAST_PX, _EDGE_SHARE * scale)
    hair_reach = max(edge, band * _HAIR_OUT_SHARE * scale)
    from_hair = _distance_to(body & (hair > _HAIR))
    inward = edge + band * _HAIR_IN_SHARE * scale * np.clip(1 - from_hair / hair_reach, 0, 1)
    outside = np.minimum(_distance_to(body) - edge, from_hair - hair_reach)
    inside = _distance_to(~body | (person < _LIKELY)) - inward
    sure: _Map = np.clip(inside + 0.5, 0, 1) - np.clip(outside + 0.5, 0, 1)
    return sure.astype(np.float32)


def _distance_to(mask: _Mask) -> _Map:
    """Distance in pixels from each pixel to the nearest of ``mask``; huge where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(far, np.float32)


def encode_alpha_prior(person: Tensor, size: tuple[int, int]) -> Tensor:
    """What unknown pixels probably are, in the values that a matting network reads in a trimap.

    Args:
        person: (N, 1, h, w) float in 0..1, probability of the person in whole frames.
        size: height and width of the frames in pixels.

    Returns:
        (N, 1, H, W) uint8 from 64 (background) to 191 (foreground).
    """
    grown = F.interpolate(person, size, mode="bilinear", align_corners=False)
    return (64.5 + 127 * grown).to(torch.uint8)


def is_unknown(trimap: Tensor) -> Tensor:
    """Where a uint8 trimap, with or without a guess in it, is neither 0 nor 255."""
    return (trimap != BACKGROUND) & (trimap != FOREGROUND)


def quantise_trimap(trimap: Tensor) -> Tensor:
    """A uint8 trimap of any shape with only 0, 128 and 255.

    Smooth scaling leaves values between, which are mixtures of known and unknown and give jagged
    mattes: only samples within 15 of either end are taken as known.
    """
    if trimap.dtype != torch.uint8:
        raise InputError(f"a trimap of {trimap.dtype}: give 8 bit grey (0, 128, 255)")
    unknown = torch.full_like(trimap, UNKNOWN)
    return unknown.masked_fill_(trimap < 16, BACKGROUND).masked_fill_(trimap > 239, FOREGROUND)


def keep_known(alpha: Tensor, trimap: Tensor) -> Tensor:
    """Alpha with 0 and 1 where the trimap says background and foreground; both (N, 1, H, W)."""
    return alpha.masked_fill(trimap == BACKGROUND, 0).masked_fill_(trimap == FOREGROUND, 1)
