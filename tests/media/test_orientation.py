"""Display matrices: all eight orientations as ffmpeg's autorotation displays them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autohair_video.media import ClipReader
from autohair_video.media.orientation import Orientation, orientation_of
from tests.helpers.clips import make_clip, rotate_clip
from tests.helpers.ffmpeg import displayed_frames

Matrix = tuple[float, float, float, float]

EIGHT: dict[str, Matrix] = {
    "upright": (1, 0, 0, 1),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "upside down": (-1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "anti-transposed": (0, -1, -1, 0),
}
SCALED: dict[str, Matrix] = {
    "twice": (2, 0, 0, 2),
    "wide": (2, 0, 0, 1),
    "wide, mirrored": (-2, 0, 0, 1),
    "half, clockwise": (0, 0.5, -0.5, 0),
    "tall, transposed": (0, 2, 1, 0),
    "all zeros": (0, 0, 0, 0),
}


def _luma(path: Path) -> np.ndarray:
    with ClipReader(path) as reader:
        return np.concatenate([batch.planes[0][:, 0].numpy() for batch in reader])


@pytest.mark.parametrize("name", [*EIGHT, *SCALED])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p"])
def test_frames_are_displayed_as_ffmpeg_does(tmp_path: Path, name: str, pixel_format: str) -> None:
    # full range, so that ffmpeg's conversion to gray leaves luma alone
    clip = make_clip(tmp_path / "a.mp4", pts=range(3), pixel_format=pixel_format, tags={"color_range": 2})
    rotate_clip(clip, (EIGHT | SCALED)[name])
    ours, theirs = _luma(clip), displayed_frames(clip)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("matrix", EIGHT.values(), ids=EIGHT)
def test_a_matrix_maps_points_where_the_standard_says(matrix: Matrix) -> None:
    a, b, c, d = (int(value * (1 << 16)) for value in matrix)
    plane = np.arange(6).reshape(2, 3)
    shown = orientation_of((a, b, 0, c, d, 0, 0, 0, 1 << 30)).apply(plane)
    # the corners of the stored frame, moved back into the positive quadrant
    for y, x in ((0, 0), (0, 2), (1, 0), (1, 2)):
        at_x = matrix[0] * x + matrix[2] * y + (2 if matrix[0] < 0 else 0) + (1 if matrix[2] < 0 else 0)
        at_y = matrix[1] * x + matrix[3] * y + (2 if matrix[1] < 0 else 0) + (1 if matrix[3] < 0 else 0)
        assert shown[int(at_y), int(at_x)] == plane[y, x]


def test_rotation_and_mirroring_describe_the_orientation() -> None:
    plane = np.arange(6).reshape(2, 3)
    for transposed, flipped_x, flipped_y in np.ndindex(2, 2, 2):
        orientation = Orientation(bool(transposed), bool(flipped_x), bool(flipped_y))
        mirrored = plane[:, ::-1] if orientation.is_mirrored else plane
        assert np.array_equal(orientation.apply(plane), np.rot90(mirrored, orientation.rotation // 90))
