"""Where the head is in a person's layer, from the alpha of person and hair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.canvas import Floats, Points


@dataclass(frozen=True)
class Head:
    """Where a head is, in px: ``centre`` (x, y) of the skull and its ``width_px``.

    ``person``, ``hair`` and ``face`` are (H, W) masks; of several people's hair this head's only.
    """

    centre: Points
    width_px: float
    person: NDArray[np.bool_]
    hair: NDArray[np.bool_]
    face: NDArray[np.bool_]


def find_head(person: Floats, hair: Floats) -> Head | None:
    """The head with most hair, or None where no hair of some 30 px is seen.

    The skull's width is the first row's, from the top, that is no wider than twice its depth: a circle's
    middle.

    Args:
        person: (H, W) alpha, hair included.
        hair: (H, W) alpha of the hair.
    """
    own = _largest_piece(hair > 0.5)
    area = int(own.sum())
    if area < 30:
        return None
    # single tufts on the top tell nothing of the skull
    plain = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, disc(0.1 * area**0.5))
    rows, columns = (np.flatnonzero(plain.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, left, broad = int(rows[0]), int(columns[0]), int(np.ptp(columns)) + 1
    chords = (person[top : top + 2 * broad, left : left + broad] > 0.5).sum(axis=1)
    fits = np.flatnonzero(chords <= 2 * np.arange(1, len(chords) + 1))
    row = int(fits[0]) if len(fits) else broad // 2
    width = float(np.clip(chords[min(row, len(chords) - 1)], min(0.6 * area**0.5, broad), broad))
    columns = np.flatnonzero(plain[top : top + row + 1].any(axis=0))
    centre = np.array([columns.mean(), top + width / 2])
    y, x = np.ogrid[: hair.shape[0], : hair.shape[1]]
    near = (x - centre[0]) ** 2 + ((y - centre[1] - 0.15 * width) / 1.25) ** 2 < (0.55 * width) ** 2
    body = np.asarray(person > 0.5)
    return Head(centre, width, body, own, near & body & (hair < 0.5))


def disc(radius_px: float) -> NDArray[np.uint8]:
    """A round element for OpenCV's morphology, (2 r + 1, 2 r + 1)."""
    side = 2 * round(radius_px) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def inside_px(mask: NDArray[np.bool_]) -> Floats:
    """(H, W): how far inside the mask each pixel lies, in px; the frame's edge does not count."""
    framed = np.pad(mask, 1, mode="edge").astype(np.uint8)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
