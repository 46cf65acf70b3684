"""Appearance model of a track: colour histogram and silhouette, and assignment of pixels by them.

Tracks are compared by the Bhattacharyya coefficient of their histograms (Comaniciu et al., "Kernel-Based
Object Tracking", PAMI 2003, equation 6) and by the silhouette of the last frame without occlusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Image = npt.NDArray[np.uint8]

# A new component smaller than this fraction of a nearby person is a detached limb. Unit: of its area.
# Source: by eye.
LIMB_AREA: Final = 0.2
# Histogram bins of each of Y, Cr and Cb. Unit: count. Source: by eye.
_COLOUR_LEVELS: Final = 16
# Similarity from which two histograms are of the same person. Unit: Bhattacharyya coefficient. Source: by
# eye.
_SAME_SIMILARITY: Final = 0.75
# Similarity below which two histograms are of different persons. Unit: Bhattacharyya coefficient. Source: by
# eye.
_DIFFERENT_SIMILARITY: Final = 0.4
# Overlap with a region above which a track may fill it alone. Unit: intersection over union. Source: by eye.
_ISOLATED_IOU: Final = 0.75
# Similarity above which a track may fill a region alone. Unit: Bhattacharyya coefficient. Source: by eye.
_ISOLATED_SIMILARITY: Final = 0.85
# Fraction of any other silhouette in a region above which no track fills it alone. Unit: of its area.
# Source: by eye.
_ISOLATED_MAX_OVERLAP: Final = 0.25
# Side of the window that averages colour likelihoods in a shared region. Unit: px. Source: by eye.
_COLOUR_WINDOW_PX: Final = 11
# Likelihood of a colour absent from the histogram. Unit: probability. Source: by eye.
_MIN_LIKELIHOOD: Final = 1e-3
# Distance at which the position penalty saturates. Unit: of the track's size. Source: by eye.
_POSITION_REACH: Final = 0.15
# Weight of the distance to the predicted silhouette. Unit: log-likelihood. Source: by eye.
_SILHOUETTE_WEIGHT: Final = 2.0
# Weight of the distance to the warped label. Unit: log-likelihood. Source: by eye.
_FLOW_WEIGHT: Final = 2.0
# Fraction of a shared region below which a track is occluded. Unit: of its area. Source: by eye.
_MIN_VISIBLE_FRACTION: Final = 0.03


@dataclass(frozen=True)
class Track:
    """One person of a clip: ``track_id`` counts from 1.

    ``appearance`` (levels^3,) float32 is the colour histogram, with sum 1; ``silhouette`` (h, w) bool is
    that of the last frame without occlusion, ``displacement_px`` (x, y) the motion since, ``velocity_px``
    per frame. ``first_seen_s`` and ``last_seen_s`` are times of the first and the last frame with the
    track. ``occluding_ids`` are the tracks that it last shared a region with.
    """

    track_id: int
    appearance: Tensor
    silhouette: Tensor
    first_seen_s: float
    last_seen_s: float
    occluding_ids: tuple[int, ...] = ()
    displacement_px: tuple[float, float] = (0.0, 0.0)
    velocity_px: tuple[float, float] = (0.0, 0.0)


def new_track(
    track_id: int, inside: Mask, colours: Labels, time_s: float, occluding_ids: tuple[int, ...] = ()
) -> Track:
    """A track that starts at ``time_s`` with the mask ``inside`` (h, w).

    ``colours`` (h, w) is the frame's `colour_index`, here and below.
    """
    return Track(
        track_id,
        appearance_histogram(inside, colours),
        torch.from_numpy(inside.copy()),
        time_s,
        time_s,
        occluding_ids,
    )


def colour_index(image: Image) -> Labels:
    """(h, w) histogram bin of each pixel of (h, w, 3) R'G'B'."""
    y, cr, cb = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.int32), 2, 0)
    levels = [channel * _COLOUR_LEVELS // 256 for channel in (y, cr, cb)]
    # chroma of skin and cloth fills about a third of its range: three times as fine, clipped at its ends
    for i, channel in ((1, cr), (2, cb)):
        levels[i] = np.clip(
            (channel - 128) * 3 * _COLOUR_LEVELS // 256 + _COLOUR_LEVELS // 2, 0, _COLOUR_LEVELS - 1
        )
    return np.asarray((levels[0] * _COLOUR_LEVELS + levels[1]) * _COLOUR_LEVELS + levels[2], np.int32)


def appearance_histogram(inside: Mask, colours: Labels) -> Tensor:
    """Colour histogram of a mask, box-filtered over 3 bins, with sum 1."""
    counts = np.bincount(colours[inside], minlength=_COLOUR_LEVELS**3).astype(np.float32)
    cube = torch.from_numpy(counts).view(1, 1, _COLOUR_LEVELS, _COLOUR_LEVELS, _COLOUR_LEVELS)
    soft = torch.nn.functional.avg_pool3d(cube, 3, stride=1, padding=1).flatten()
    return soft / soft.sum().clamp(min=1)


def bhattacharyya(one: Tensor, other: Tensor) -> float:
    """Bhattacharyya coefficient of two histograms: 0 without a common colour to 1."""
    return float((one * other).sqrt().sum())


def most_similar(appearance: Tensor, tracks: Iterable[Track]) -> int | None:
    """The id of the most similar track, if one is similar enough."""
    similarities = {track.track_id: bhattacharyya(track.appearance, appearance) for track in tracks}
    best = max(similarities, key=similarities.__getitem__, default=None)
    return best if best is not None and similarities[best] >= _SAME_SIMILARITY else None


def is_another(inside: Mask, track: Track, colours: Labels) -> bool:
    """Whether a region larger than a limb has a different appearance than the track, as after a cut."""
    if inside.sum() < LIMB_AREA * track.silhouette.sum():
        return False
    return bhattacharyya(track.appearance, appearance_histogram(inside, colours)) < _DIFFERENT_SIMILARITY


def isolated_track(inside: Mask, candidates: Sequence[Track], colours: Labels) -> Track | None:
    """The candidate that fills a region alone by silhouette and appearance, or None."""
    appearance = appearance_histogram(inside, colours)
    best = max(candidates, key=lambda track: bhattacharyya(track.appearance, appearance))
    silhouettes = {track.track_id: _predicted_silhouette(track) for track in candidates}
    overlap = (silhouettes[best.track_id] & inside).sum() / (silhouettes[best.track_id] | inside).sum()
    overlapping = [
        (silhouettes[c.track_id] & inside).sum() > _ISOLATED_MAX_OVERLAP * c.silhouette.sum()
        for c in candidates
        if c is not best
    ]
    fits = overlap > _ISOLATED_IOU and bhattacharyya(best.appearance, appearance) > _ISOLATED_SIMILARITY
    return best if fits and not any(overlapping) else None


def share_region(inside: Mask, candidates: Sequence[Track], warped: Labels, colours: Labels) -> Labels:
    """Track ids of the pixels of a region that several tracks may share.

    Args:
        inside: (h, w) the region.
        candidates: the tracks that may be there.
        warped: (h, w) the labels of the previous frame, warped along the flow.
        colours: (h, w) the frame's `colour_index`.

    Returns:
        One id per pixel of the region, in row-major order.
    """
    within = cv2.blur(inside.astype(np.float32), (_COLOUR_WINDOW_PX, _COLOUR_WINDOW_PX)) + 1e-6
    scores = []
    for track in candidates:
        likely = np.log(track.appearance.numpy()[colours] + _MIN_LIKELIHOOD).astype(np.float32)
        likely = cv2.blur(likely * inside, (_COLOUR_WINDOW_PX, _COLOUR_WINDOW_PX)) / within
        reach = _POSITION_REACH * np.sqrt(float(track.silhouette.sum()))
        for position, weight in (
            (_predicted_silhouette(track), _SILHOUETTE_WEIGHT),
            (warped == track.track_id, _FLOW_WEIGHT),
        ):
            likely -= weight * np.minimum(distance_to(position) / reach, 1)
        scores.append(likely[inside])
    votes = np.argmax(scores, axis=0)
    fractions = np.bincount(votes, minlength=len(candidates)) / len(votes)
    visible = [
        track
        for track, fraction in zip(candidates, fractions, strict=True)
        if fraction >= _MIN_VISIBLE_FRACTION
    ]
    if len(visible) < len(candidates):
        votes = np.argmax([s for s, c in zip(scores, candidates, strict=True) if c in visible], axis=0)
    track_ids: Labels = np.array([track.track_id for track in visible], np.int32)[votes]
    return track_ids


def _predicted_silhouette(track: Track) -> Mask:
    """The silhouette at its predicted position."""
    silhouette = track.silhouette.numpy().astype(np.uint8)
    shift = np.array([[1, 0, track.displacement_px[0]], [0, 1, track.displacement_px[1]]], np.float32)
    return (
        cv2.warpAffine(silhouette, shift, (silhouette.shape[1], silhouette.shape[0]), flags=cv2.INTER_NEAREST)
        > 0
    )


def nearest_label(labels: Labels) -> Labels:
    """For every pixel of (h, w) the label of the nearest pixel that has one; 0 if none has."""
    if not labels.any():
        return labels
    nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    track_ids = np.zeros(nearest.max() + 1, np.int32)
    track_ids[nearest[labels > 0]] = labels[labels > 0]
    return track_ids[nearest]


def distance_to(mask: Mask) -> Map:
    """Distance in pixels of (h, w) to the nearest pixel of ``mask``; 1e6 if it is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
