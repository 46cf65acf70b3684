"""BlazePose: where people are, which square each of them fills, and a mask of each.

The two networks of MediaPipe Pose (Bazarevsky et al., "BlazePose", 2020) run from their TFLite files: the
detector finds a person's hips and the circle about the whole body, the landmark network answers for the
square about that circle with 39 landmarks, a presence score and a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.tflite import Picture, Probability, TFLiteNetwork

Point = NDArray[np.floating[Any]]
# Crops of both networks, px.
_DETECTOR_PX, _LANDMARK_PX = 224, 256
# The detector's strides and anchors per cell (MediaPipe, pose_detection: SSD with fixed anchor size).
_ANCHORS = ((8, 2), (16, 2), (32, 6))
_MIN_SCORE = 0.5
# Two detections whose heads overlap by more than this (IoU) are one person.
_SAME_HEAD_IOU = 0.3
# The square about a person is this much larger than the circle about the body (MediaPipe: 1.25).
_MARGIN = 1.25
# Overlapping parts of a picture in which the detector looks for smaller people, as a share of its sides.
_PART = 0.6
_PRESENCE = 0.5
# Landmarks: face 0 to 10, ears 7 and 8, then two auxiliary ones: middle of the hips, and a point of the
# circle about the body, above the head.
_FACE, _EARS, _HIPS, _TOP = slice(0, 11), (7, 8), 33, 34
_EMPTY_LOGIT = -20.0


@dataclass(frozen=True)
class Square:
    """A square of a picture, in px: its centre (x, y), its side, and the direction that is down in it."""

    centre: tuple[float, float]
    side: float
    down: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def about_body(cls, hips: Point, top: Point) -> Square:
        """The upright square about a body's circle: its centre, the hips, and its point above the head."""
        axis = hips - top
        radius = max(float(np.hypot(*axis)), 1.0)
        x, y = axis / radius
        return cls((float(hips[0]), float(hips[1])), 2 * _MARGIN * radius, (float(x), float(y)))

    def matrix(self, size_px: int) -> NDArray[np.float64]:
        """(2, 3): from pixels of a crop of ``size_px`` to pixels of the picture."""
        (x, y), scale = self.down, self.side / size_px
        turn = np.array([[y, x], [-x, y]]) * scale
        # both count pixel centres from 0, so the crop's middle is at (size - 1) / 2
        shift = np.array(self.centre) - 0.5 - turn @ np.full(2, (size_px - 1) / 2)
        return np.hstack([turn, shift[:, None]])

    def crop(self, picture: NDArray[Any], size_px: int) -> NDArray[Any]:
        """The square of a picture (H, W, C) at ``size_px``; beyond the border the border is repeated."""
        shrink = self.side / size_px
        if shrink > 1.5:
            picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrink)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(
                picture,
                self.matrix(size_px),
                (size_px, size_px),
                flags=flags,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def paste(self, plane: Probability, height: int, width: int, *, outside: float) -> Probability:
        """A crop's plane (S, S) back in a picture's frame (H, W), ``outside`` where the square is not."""
        forward = self.matrix(len(plane))
        return np.asarray(
            cv2.warpAffine(plane, forward, (width, height), flags=cv2.INTER_LINEAR, borderValue=outside),
            np.float32,
        )


@dataclass(frozen=True)
class PosedPerson:
    """One person: mask (H, W) float32 in 0..1, landmarks (39, 2) in px of the picture, presence in 0..1."""

    mask: Probability
    landmarks: Point
    presence: float

    @property
    def next_square(self) -> Square:
        """The square to look at again, by the landmarks of the first look."""
        return Square.about_body(self.landmarks[_HIPS], self.landmarks[_TOP])

    @property
    def head_square(self) -> Square:
        """Head and shoulders, as the hair segmenter wants them: four times the head's width."""
        face = self.landmarks[_FACE]
        ears = float(np.hypot(*(self.landmarks[_EARS[0]] - self.landmarks[_EARS[1]])))
        radius = float(np.hypot(*(self.landmarks[_HIPS] - self.landmarks[_TOP])))
        # of a head in profile the ears tell no width; a head is about a quarter of the body's radius high
        side = 4 * max(1.2 * ears, 0.22 * radius)
        x, y = face.mean(axis=0)
        return Square((float(x), float(y) + 0.05 * side), side)

    def is_cut_at_hips(self, height: int) -> bool:
        """Whether the frame ends above the hips: the mask is poor at such torsos."""
        return bool(self.landmarks[_HIPS, 1] > height)


class BlazePose:
    """People of a picture with their masks; ``folder`` holds the two TFLite files.

    Raises:
        JobError: the extra ``train`` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._detector = TFLiteNetwork(folder / "pose_detection.tflite")
        self._landmark = TFLiteNetwork(folder / "pose_landmark_full.tflite")
        self._anchors = _anchor_centres()

    def people(self, picture: Picture, seen: Probability, *, most: int = 8) -> list[PosedPerson]:
        """At most ``most`` people of a picture (H, W, 3) uint8 RGB.

        ``seen`` (H, W) in 0..1 is a segmenter's answer: its regions that no detected person explains are
        tried too.
        """
        found: list[PosedPerson] = []
        for square in self.detect(picture)[:most]:
            self._add(found, picture, square)
        for square in unexplained(seen, [person.mask for person in found])[: most - len(found)]:
            self._add(found, picture, square)
        return found

    def detect(self, picture: Picture) -> list[Square]:
        """The squares about the people that the detector finds in a picture and in four parts of it."""
        height, width = picture.shape[:2]
        rows, columns = round(height * _PART), round(width * _PART)
        parts = [(0, 0, height, width)]
        parts += [(y, x, rows, columns) for y in (0, height - rows) for x in (0, width - columns)]
        heads, scores, squares = [], [], []
        for top, left, tall, wide in parts:
            part = picture[top : top + tall, left : left + wide]
            for score, head, hips, circle in self._detections(part):
                offset = np.array([left, top])
                heads.append([*(head[:2] + offset), *head[2:]])
                squares.append(Square.about_body(hips + offset, circle + offset))
                scores.append(score)
        kept = cv2.dnn.NMSBoxes(heads, scores, _MIN_SCORE, _SAME_HEAD_IOU) if heads else []
        return [squares[int(index)] for index in kept]

    def _detections(self, part: Picture) -> list[tuple[float, Point, Point, Point]]:
        """Score, head's box (x, y, w, h), hips and circle's point (x, y), in px of the part."""
        height, width = part.shape[:2]
        side = max(height, width)
        square = Square((width / 2, height / 2), float(side))
        inner = np.zeros((side, side, 3), np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        inner[top : top + height, left : left + width] = part
        small = cv2.resize(inner, (_DETECTOR_PX, _DETECTOR_PX), interpolation=cv2.INTER_AREA)
        boxes, logits = self._detector(small / np.float32(127.5) - 1)
        matrix = square.matrix(_DETECTOR_PX)
        found = []
        for index in np.flatnonzero(logits[:, 0] > 0):
            values = boxes[index].reshape(-1, 2) + self._anchors[index] * [[1], [0], [1], [1], [1], [1]]
            size = values[1]
            points = np.stack([values[0] - size / 2, values[2], values[3]])
            corner, hips, circle = points @ matrix[:, :2].T + matrix[:, 2]
            score = float(1 / (1 + np.exp(-min(float(logits[index, 0]), 100.0))))
            found.append((score, np.array([*corner, *(size * square.side / _DETECTOR_PX)]), hips, circle))
        return found

    def look(self, picture: Picture, square: Square) -> PosedPerson:
        """What the landmark network says of one square."""
        crop = square.crop(picture, _LANDMARK_PX) / np.float32(255)
        marks, presence, logits = self._landmark(crop)[:3]
        matrix = square.matrix(_LANDMARK_PX)
        points = marks.reshape(39, 5)[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        pasted = square.paste(logits[..., 0], *picture.shape[:2], outside=_EMPTY_LOGIT)
        mask = 1 / (1 + np.exp(-np.clip(pasted, -20, 20)))
        return PosedPerson(np.asarray(mask, np.float32), points, float(presence[0]))

    def _add(self, found: list[PosedPerson], picture: Picture, square: Square) -> None:
        """Add who is in the square, looked at twice, unless nobody or somebody found before is."""
        first = self.look(picture, square)
        if first.presence < _PRESENCE:
            return
        second = self.look(picture, first.next_square)
        person = second if second.presence >= _PRESENCE else first
        if not any(_contained(person.mask, other.mask) > 0.7 for other in found):
            found.append(person)


def unexplained(seen: Probability, masks: Sequence[Probability]) -> list[Square]:
    """Squares about the regions of ``seen`` (H, W) that no mask covers for the most part, largest first."""
    covered = np.max([np.zeros_like(seen), *masks], axis=0) > 0.5
    region = np.asarray(seen > 0.5, np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(region)
    squares = []
    for index in range(1, len(stats)):
        left, top, width, height, area = (int(v) for v in stats[index])
        left_over = ~covered[parts == index]
        if area > 0.002 * seen.size and left_over.mean() > 0.5:
            centre = (left + width / 2, top + height / 2)
            squares.append((area, Square(centre, _MARGIN * max(width, height))))
    return [square for _, square in sorted(squares, key=lambda pair: -pair[0])]


def _contained(one: Probability, other: Probability) -> float:
    """The share of the smaller of two masks that lies in the other: a part of a person is no second one."""
    first, second = one > 0.5, other > 0.5
    return float((first & second).sum() / max(1, min(first.sum(), second.sum())))


def _anchor_centres() -> Point:
    """(2254, 2): the centres x, y of the detector's anchors in px of its input, in its order."""
    centres = []
    for stride, count in _ANCHORS:
        cells = _DETECTOR_PX // stride
        y, x = np.mgrid[:cells, :cells]
        grid = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)
