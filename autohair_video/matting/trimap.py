"""Trimaps: certain foreground, certain background, and the unknown band for the matting network.

Two forms: fixed, from a hard mask (erode, then dilate the result), and adaptive, whose band width follows the
uncertainty of the segmenter, the size of the subject and the hair.
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
from autohair_video.tracking.tracker import MIN_PERSON_AREA, MIN_RELATIVE_AREA, PERSON_THRESHOLD

# Trimap value of certain background. Unit: level of 255. Source: the usual trimap coding.
BACKGROUND: Final = 0
# Trimap value of the unknown band. Unit: level of 255. Source: the usual trimap coding.
UNKNOWN: Final = 128
# Trimap value of certain foreground. Unit: level of 255. Source: the usual trimap coding.
FOREGROUND: Final = 255
# Person probability above which a pixel is not certain background. Unit: probability. Source: by eye.
_DOUBT_LOW: Final = 0.1
# Person probability below which a pixel is not certain foreground. Unit: probability. Source: by eye.
_DOUBT_HIGH: Final = 0.9
# Width of the band to either side along skin and cloth. Unit: of the subject's size. Source: by eye.
_EDGE_WIDTH: Final = 0.016
# Least width of the band to either side. Unit: px of the probability map. Source: output stride 4 of the
# segmenter.
_EDGE_MIN_PX: Final = 4.0
# Outward width of the band at hair. Unit: of the subject's size. Source: by eye.
_HAIR_OUTWARD_WIDTH: Final = 0.06
# Width added inward at hair. Unit: of the subject's size. Source: by eye.
_HAIR_INWARD_WIDTH: Final = 0.03
# Hair probability above which a pixel is hair. Unit: probability. Source: by eye.
_HAIR_THRESHOLD: Final = 0.3
# Hysteresis: unknown pixels stay unknown until the signed confidence exceeds the threshold by this, against
# jitter of the segmenter. Unit: px of the probability map. Source: by eye.
_HYSTERESIS: Final = 0.4
# Larger dilations are composed of this radius, as Kornia's unfold engine copies the frame once per kernel
# pixel. Unit: px. Source: by eye.
_MAX_KERNEL_RADIUS_PX: Final = 7

_Map = npt.NDArray[np.float32]
_Mask = npt.NDArray[np.bool_]


def draw_trimap(
    probability: Tensor, *, size: tuple[int, int], options: TrimapOptions, before: Tensor | None = None
) -> Tensor:
    """Trimap of the segmenter's probabilities, in the form given by the options.

    Args:
        probability: (N, 2, h, w) float in 0..1, person and hair probability of whole frames.
        size: height and width of the frames in pixels.
        options: form and width of the band.
        before: in a clip, the trimap of the frame before each, (N, 1, H, W) uint8.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255 on the probabilities' device.
    """
    person, hair = probability[:, :1], probability[:, 1:]
    if options.mode == "adaptive":
        return adaptive_trimap(person, hair, size=size, band=options.band, before=before)
    upsampled = F.interpolate(person, size, mode="bilinear", align_corners=False)
    return fixed_trimap(upsampled > 0.5, erosion=options.erosion, size=options.size)


def draw_trimaps(
    probability: Tensor,
    *,
    size: tuple[int, int],
    options: TrimapOptions,
    before: Tensor | None,
    has_previous: Sequence[bool],
) -> Tensor:
    """`draw_trimap` of consecutive frames.

    Args:
        probability: as for `draw_trimap`.
        size: as for `draw_trimap`.
        options: as for `draw_trimap`.
        before: the trimap of the frame before the first, (1, 1, H, W) uint8, or None.
        has_previous: of each frame, whether the one before belongs to the same scene.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255.
    """
    if options.mode == "fixed":
        return torch.cat(
            [draw_trimap(one, size=size, options=options) for one in torch.split(probability, 1)]
        )
    trimaps = []
    confidence = _confidence_fields(probability[:, :1], probability[:, 1:], size, options.band)
    for one, follow in zip(torch.split(confidence, 1), has_previous, strict=True):
        before = _threshold_with_hysteresis(one, before if follow else None)
        trimaps.append(before)
    return torch.cat(trimaps)


def fixed_trimap(mask: Tensor, *, erosion: int, size: int) -> Tensor:
    """Trimap of a hard or grey mask, with a band of constant width.

    The mask is eroded with 3x3 ones ``erosion`` times (the frame's edge does not erode); all of the
    result that is above zero is foreground; that result, dilated once by a square of
    ``2 * size + 1`` px, bounds the band. On a straight edge the band reaches ``erosion`` px inward
    and ``size - erosion`` px outward.

    A grey minimum is above zero exactly where every sample is, so the mask is made binary first; n
    erosions by 3x3 are one by a square of ``2 * n + 1`` px; a square is a row, then a column; and a
    long row is several short ones, which bounds Kornia's memory. Of Kornia's engines, unfold takes
    0.2 s for a square of 51 px on one 1920x1080 frame and CPU core so, and 4 s for 11x11 in one step;
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
        step = min(radius_px, _MAX_KERNEL_RADIUS_PX)
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
    """Trimap of person and hair probabilities, with a band of adaptive width.

    Unknown is every pixel where the segmenter is uncertain (person probability 0.1 to 0.9), and every
    pixel within the width of the band: 1.6 % of the subject's size along skin and cloth, 4.6 % inward
    and 6 % outward at hair, whose strands fly out. The size is the square root of the largest person's
    area. Regions without a pixel above probability 0.5, and specks far smaller than the largest
    person, are background; without a person everything is background.

    The signed confidence comes from distance transforms on the small map (OpenCV, on the CPU: only
    that map is copied) and is upsampled bilinearly, so that its outline is smooth and a 4K frame costs
    little more than a small one.

    Args:
        person: (N, 1, h, w) float probability of the whole person, hair included, of the whole
            frame at any smaller size.
        hair: (N, 1, h, w) float probability of hair.
        size: height and width of the frame in pixels.
        band: scale of the width of the band.
        before: trimap of the frame before each, (N, 1, H, W) uint8: unknown pixels change with
            hysteresis.

    Returns:
        (N, 1, H, W) uint8 of 0, 128 and 255 on the probabilities' device.
    """
    return _threshold_with_hysteresis(_confidence_fields(person, hair, size, band), before)


def _confidence_fields(person: Tensor, hair: Tensor, size: tuple[int, int], band: float) -> Tensor:
    """`_signed_confidence` of each frame, (N, 1, H, W)."""
    maps = torch.cat([person, hair], dim=1).float().cpu().numpy()
    trimaps = on_spare_cores(
        lambda both: _signed_confidence(both[0], both[1], band), list(maps), person.device
    )
    field = torch.from_numpy(np.stack(trimaps)[:, None]).to(person.device)
    return F.interpolate(field, size, mode="bilinear", align_corners=False)


def _threshold_with_hysteresis(confidence: Tensor, before: Tensor | None) -> Tensor:
    threshold = confidence.new_full((), 0.5) if before is None else 0.5 + _HYSTERESIS * (before == UNKNOWN)
    trimap = torch.full(confidence.shape, UNKNOWN, dtype=torch.uint8, device=confidence.device)
    return trimap.masked_fill_(confidence > threshold, FOREGROUND).masked_fill_(
        confidence < -threshold, BACKGROUND
    )


def _signed_confidence(person: _Map, hair: _Map, band: float) -> _Map:
    """(h, w): 1 at certain foreground, -1 at certain background, crossing +-0.5 at the band boundary."""
    labels, regions = cv2.connectedComponents((person > _DOUBT_LOW).astype(np.uint8))
    areas = np.bincount(regions[person > PERSON_THRESHOLD], minlength=labels)
    persons = (areas >= max(1, MIN_PERSON_AREA * person.size, MIN_RELATIVE_AREA * areas.max()))[regions]
    if not persons.any():
        return np.full(person.shape, -1, np.float32)
    scale = float(np.sqrt(areas.max()))
    edge = band * max(_EDGE_MIN_PX, _EDGE_WIDTH * scale)
    hair_reach = max(edge, band * _HAIR_OUTWARD_WIDTH * scale)
    from_hair = _distance_to(persons & (hair > _HAIR_THRESHOLD))
    inward = edge + band * _HAIR_INWARD_WIDTH * scale * np.clip(1 - from_hair / hair_reach, 0, 1)
    outside = np.minimum(_distance_to(persons) - edge, from_hair - hair_reach)
    inside = _distance_to(~persons | (person < _DOUBT_HIGH)) - inward
    confidence: _Map = np.clip(inside + 0.5, 0, 1) - np.clip(outside + 0.5, 0, 1)
    return confidence.astype(np.float32)


def _distance_to(mask: _Mask) -> _Map:
    """Distance in pixels from each pixel to the nearest one of ``mask``; infinite if it is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(far, np.float32)


def encode_alpha_prior(person: Tensor, size: tuple[int, int]) -> Tensor:
    """Coarse alpha prior of unknown pixels, encoded as trimap levels for a matting network.

    Args:
        person: (N, 1, h, w) float in 0..1, probability of the person in whole frames.
        size: height and width of the frames in pixels.

    Returns:
        (N, 1, H, W) uint8 from 64 (background) to 191 (foreground).
    """
    upsampled = F.interpolate(person, size, mode="bilinear", align_corners=False)
    return (64.5 + 127 * upsampled).to(torch.uint8)


def is_unknown(trimap: Tensor) -> Tensor:
    """Where a uint8 trimap, with or without an alpha prior in it, is neither 0 nor 255."""
    return (trimap != BACKGROUND) & (trimap != FOREGROUND)


def quantise_trimap(trimap: Tensor) -> Tensor:
    """A uint8 trimap of any shape with only 0, 128 and 255.

    Smooth scaling leaves values in between, mixtures of known and unknown that give jagged mattes:
    only samples within 15 levels of either end are known.
    """
    if trimap.dtype != torch.uint8:
        raise InputError(f"a trimap of {trimap.dtype}: give 8 bit grey (0, 128, 255)")
    unknown = torch.full_like(trimap, UNKNOWN)
    return unknown.masked_fill_(trimap < 16, BACKGROUND).masked_fill_(trimap > 239, FOREGROUND)


def keep_known(alpha: Tensor, trimap: Tensor) -> Tensor:
    """Alpha with 0 and 1 where the trimap says background and foreground; both (N, 1, H, W)."""
    return alpha.masked_fill(trimap == BACKGROUND, 0).masked_fill_(trimap == FOREGROUND, 1)
