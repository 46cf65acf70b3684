"""What is known of one body, and which pixels are likely its own by that.

Bodies are compared by their colours, as in mean shift tracking (Comaniciu et al., "Kernel-Based Object
Tracking", PAMI 2003, equation 6), and by the shape that they had when they last stood alone.
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
Picture = npt.NDArray[np.uint8]

# A new region is a hand of a body if it is smaller than this share of its area.
PART_AREA: Final = 0.2
# Levels of each of Y, Cr and Cb; from which likeness on two are the same body, and under which another.
_LEVELS: Final = 16
_SAME_LOOK: Final = 0.75
_OTHER_LOOK: Final = 0.4
# A body fills a region alone if shape (intersection over union) and colours fit as well as this, and no
# more than this share of any other body's shape lies there.
_ALONE_OVERLAP: Final = 0.75
_ALONE_LOOK: Final = 0.85
_AWAY: Final = 0.25
# In a shared region: the colours' window, the likelihood of a colour that a body never had, the place's
# reach (of the body's size) and the weights of shape and flow.
_WINDOW_PX: Final = 11
_UNSEEN_COLOUR: Final = 1e-3
_PLACE_REACH: Final = 0.15
_SHAPE_WEIGHT: Final = 2.0
_FLOW_WEIGHT: Final = 2.0
# Of a shared region a body with less than this share is hidden, not seen.
_SEEN_SHARE: Final = 0.03


@dataclass(frozen=True)
class Track:
    """One person of a clip: ``name`` counts from 1.

    ``look`` (levels^3,) float32 is the colour histogram, with sum 1; ``shape`` (h, w) bool is where the
    body was when it last stood alone, and ``moved_px`` how far (x, y) it has gone since, ``pace_px`` a frame.
    ``born_s`` and ``seen_s`` are the times of the first and the last frame with it. ``beside`` are the
    bodies that it last shared a region with.
    """

    name: int
    look: Tensor
    shape: Tensor
    born_s: float
    seen_s: float
    beside: tuple[int, ...] = ()
    moved_px: tuple[float, float] = (0.0, 0.0)
    pace_px: tuple[float, float] = (0.0, 0.0)


def new_track(name: int, inside: Mask, colours: Labels, time_s: float, beside: tuple[int, ...] = ()) -> Track:
    """A body that is first seen at ``time_s``, where ``inside`` (h, w) is true.

    ``colours`` (h, w) is the frame's `colour_index`, here as below.
    """
    return Track(
        name, appearance_histogram(inside, colours), torch.from_numpy(inside.copy()), time_s, time_s, beside
    )


def colour_index(picture: Picture) -> Labels:
    """(h, w) index of the colour of each pixel of (h, w, 3) R'G'B' in a histogram."""
    y, cr, cb = np.moveaxis(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.int32), 2, 0)
    levels = [channel * _LEVELS // 256 for channel in (y, cr, cb)]
    # Chroma of skin and cloth fills a quarter of its range: four times as fine, and cut at its ends.
    for i, channel in ((1, cr), (2, cb)):
        levels[i] = np.clip((channel - 128) * 3 * _LEVELS // 256 + _LEVELS // 2, 0, _LEVELS - 1)
    return np.asarray((levels[0] * _LEVELS + levels[1]) * _LEVELS + levels[2], np.int32)


def appearance_histogram(inside: Mask, colours: Labels) -> Tensor:
    """Histogram of the colours of a mask, softened by one level, with sum 1."""
    counts = np.bincount(colours[inside], minlength=_LEVELS**3).astype(np.float32)
    cube = torch.from_numpy(counts).view(1, 1, _LEVELS, _LEVELS, _LEVELS)
    soft = torch.nn.functional.avg_pool3d(cube, 3, stride=1, padding=1).flatten()
    return soft / soft.sum().clamp(min=1)


def bhattacharyya(one: Tensor, other: Tensor) -> float:
    """How alike two looks are: the Bhattacharyya coefficient, from 0 for no common colour to 1."""
    return float((one * other).sqrt().sum())


def most_similar(look: Tensor, bodies: Iterable[Track]) -> int | None:
    """The name of the body with these colours, if there is one."""
    alike = {body.name: bhattacharyya(body.look, look) for body in bodies}
    best = max(alike, key=alike.__getitem__, default=None)
    return best if best is not None and alike[best] >= _SAME_LOOK else None


def is_another(inside: Mask, body: Track, colours: Labels) -> bool:
    """Whether a region, more than a hand, has none of the body's colours: after a cut, say."""
    if inside.sum() < PART_AREA * body.shape.sum():
        return False
    return bhattacharyya(body.look, appearance_histogram(inside, colours)) < _OTHER_LOOK


def isolated_track(inside: Mask, rivals: Sequence[Track], colours: Labels) -> Track | None:
    """The one of the rivals that fills a whole region by its shape and colours, the others being away."""
    look = appearance_histogram(inside, colours)
    best = max(rivals, key=lambda body: bhattacharyya(body.look, look))
    shapes = {body.name: _shape_now(body) for body in rivals}
    overlap = (shapes[best.name] & inside).sum() / (shapes[best.name] | inside).sum()
    there = [(shapes[b.name] & inside).sum() > _AWAY * b.shape.sum() for b in rivals if b is not best]
    fits = overlap > _ALONE_OVERLAP and bhattacharyya(best.look, look) > _ALONE_LOOK
    return best if fits and not any(there) else None


def share_region(inside: Mask, rivals: Sequence[Track], carried: Labels, colours: Labels) -> Labels:
    """Names for the pixels of a region that several bodies may share.

    Args:
        inside: (h, w) the region.
        rivals: the bodies that may be there.
        carried: (h, w) the labels of the frame before, moved along the flow.
        colours: (h, w) the frame's `colour_index`.

    Returns:
        As many names as the region has pixels, row by row.
    """
    within = cv2.blur(inside.astype(np.float32), (_WINDOW_PX, _WINDOW_PX)) + 1e-6
    scores = []
    for body in rivals:
        likely = np.log(body.look.numpy()[colours] + _UNSEEN_COLOUR).astype(np.float32)
        likely = cv2.blur(likely * inside, (_WINDOW_PX, _WINDOW_PX)) / within
        reach = _PLACE_REACH * np.sqrt(float(body.shape.sum()))
        for place, weight in ((_shape_now(body), _SHAPE_WEIGHT), (carried == body.name, _FLOW_WEIGHT)):
            likely -= weight * np.minimum(distance_to(place) / reach, 1)
        scores.append(likely[inside])
    votes = np.argmax(scores, axis=0)
    shares = np.bincount(votes, minlength=len(rivals)) / len(votes)
    seen = [body for body, share in zip(rivals, shares, strict=True) if share >= _SEEN_SHARE]
    if len(seen) < len(rivals):
        votes = np.argmax([s for s, b in zip(scores, rivals, strict=True) if b in seen], axis=0)
    names: Labels = np.array([body.name for body in seen], np.int32)[votes]
    return names


def _shape_now(body: Track) -> Mask:
    """The body's last own shape, where it has got to."""
    shape = body.shape.numpy().astype(np.uint8)
    shift = np.array([[1, 0, body.moved_px[0]], [0, 1, body.moved_px[1]]], np.float32)
    return cv2.warpAffine(shape, shift, (shape.shape[1], shape.shape[0]), flags=cv2.INTER_NEAREST) > 0


def nearest_label(labels: Labels) -> Labels:
    """For every pixel of (h, w) the label of the nearest pixel that has one; 0 if none has."""
    if not labels.any():
        return labels
    nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    names = np.zeros(nearest.max() + 1, np.int32)
    names[nearest[labels > 0]] = labels[labels > 0]
    return names[nearest]


def distance_to(mask: Mask) -> Map:
    """Distance in pixels of (h, w) to the nearest pixel of ``mask``; huge where it is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
