"""Crops of labelled people: which square of a picture, and its pixels at a sample's size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.labels import Labelled

Floats = NDArray[np.float32]

# Of pictures with several people, how often the square is about one of them, and the least of such, px.
_ONE_OF_SEVERAL, _LEAST_PERSON_PX = 0.5, 400
# Of long figures, how often the square is about the upper part; how often borders are heeded.
_UPPER_PART, _HEED_BORDERS = 0.5, 0.95
_ROTATION_DEG, _MIRROR = 5.0, 0.5


def random_view(item: Labelled, size: int, rng: np.random.Generator) -> Floats:
    """A random crop (S, S, 6) on people: RGB, person, hair, and their weight, 0 outside the photo."""
    angle = rng.normal(0, _ROTATION_DEG)
    side, centre = random_square(one_of_several(item.label[..., 0] > 127, rng), angle, rng)
    turn = np.array(cv2.getRotationMatrix2D(centre.tolist(), angle, size / side), np.float64)
    turn[:, 2] += size / 2 - centre
    if rng.random() < _MIRROR:
        turn[0] = [-turn[0, 0], -turn[0, 1], size - turn[0, 2]]
    blur_px = 0.35 * side / size if side > 1.3 * size else 0.0
    picture = cv2.GaussianBlur(item.picture, (0, 0), blur_px) if blur_px else item.picture
    grey = np.median(item.picture[::16, ::16], axis=(0, 1)).tolist()
    near = cv2.warpAffine(picture, turn, (size, size), borderValue=grey)
    label = cv2.warpAffine(item.label, turn, (size, size))
    return np.asarray(np.dstack([near, label]) / np.float32(255), np.float32)


def one_of_several(person: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """All people of a mask (H, W), or at times only one of those who stand apart."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8))
    large = [i for i in range(1, len(stats)) if stats[i][cv2.CC_STAT_AREA] >= _LEAST_PERSON_PX]
    if len(large) < 2 or rng.random() >= _ONE_OF_SEVERAL:
        return person
    return np.asarray(parts == large[int(rng.integers(len(large)))])


def random_square(
    person: NDArray[np.bool_], angle: float, rng: np.random.Generator
) -> tuple[float, NDArray[np.floating]]:
    """Side and centre (x, y) of a square, turned by ``angle`` degrees, on a person or a part of one."""
    rows, columns = (np.flatnonzero(person.any(axis)) for axis in (1, 0))
    if len(rows) == 0:
        rows, columns = (np.arange(length) for length in person.shape)
    centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    width, height = float(np.ptp(columns)), float(np.ptp(rows))
    extent = max(width, height, 16.0)
    if extent > 1.8 * width and rng.random() < _UPPER_PART:
        extent *= rng.uniform(0.25, 0.6)
        centre[1] = rows[0] + extent * 0.45
    side = extent * np.exp(rng.uniform(np.log(0.55), np.log(1.9)))
    centre += rng.uniform(-0.3, 0.3, 2) * max(extent, side)
    return (
        _kept_within_cut_borders(person, side, centre, angle)
        if rng.random() < _HEED_BORDERS
        else (side, centre)
    )


def _kept_within_cut_borders(
    person: NDArray[np.bool_], side: float, centre: NDArray[np.floating], angle: float
) -> tuple[float, NDArray[np.floating]]:
    # Who is cut off by the photo must be cut off by the crop as well. Even a wedge of scene below the cut
    # would teach that people end above the frame's edge.
    reach = 0.5 * (np.cos(np.radians(abs(angle))) + np.sin(np.radians(abs(angle))))
    for axis in (0, 1):
        line = np.asarray(person.any(axis))
        first, last = line[:3].any(), line[-3:].any()
        side = min(side, len(line) / (2 * reach)) if first and last else side
    for axis in (0, 1):
        line = np.asarray(person.any(axis))
        if line[:3].any():
            centre[axis] = max(centre[axis], side * reach)
        if line[-3:].any():
            centre[axis] = min(centre[axis], len(line) - side * reach)
    return side, centre
