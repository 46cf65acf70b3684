"""Squares about people: there and back; and the real networks on real people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.training.backgrounds import read_rgb
from autohair_video.training.blazepose import BlazePose, Square, unexplained


def scene(height: int = 300, width: int = 400) -> np.ndarray:
    """Two blobs, one of them cut off by the corner."""
    plane = np.zeros((height, width), np.float32)
    cv2.ellipse(plane, (150, 120), (30, 60), 20, 0, 360, 1.0, -1)
    cv2.circle(plane, (width - 10, height - 20), 50, 1.0, -1)
    return cv2.GaussianBlur(plane, (0, 0), 3)


@pytest.mark.parametrize(
    ("centre", "side", "down"),
    [
        ((150, 120), 180, (0, 1)),
        ((150, 120), 180, (0.6, 0.8)),
        ((150, 120), 180, (-1, 0)),
        ((395, 290), 240, (0, 1)),
        ((200, 150), 900, (0, 1)),
    ],
)
def test_a_crop_pasted_back_is_where_it_was(
    centre: tuple[float, float], side: float, down: tuple[float, float]
) -> None:
    """Also of squares that reach beyond the border or are larger than the picture."""
    picture = scene()
    square = Square(centre, side, down)
    back = square.paste(square.crop(picture, 256), 300, 400, outside=-1.0)
    inside = cv2.erode((back > -0.001).astype(np.uint8), np.ones((9, 9))) > 0
    assert inside.mean() > 0.1
    assert np.abs(back - picture)[inside].max() < (0.05 if side < 500 else 0.25)
    assert (back[~cv2.dilate(inside.astype(np.uint8), np.ones((25, 25))).astype(bool)] < 0.5).all()


def test_the_square_about_a_body_is_upright_and_holds_its_circle() -> None:
    """Someone lies with the head to the left: in the crop the head is above the hips."""
    square = Square.about_body(np.array([200.0, 100.0]), np.array([120.0, 100.0]))
    assert square.side == pytest.approx(2 * 1.25 * 80)
    inverse = cv2.invertAffineTransform(square.matrix(256))
    hips, top = (inverse @ [x, 100.0, 1] for x in (200, 120))
    assert hips == pytest.approx([127.5, 127.5], abs=1)
    assert top == pytest.approx([127.5, 127.5 - 256 / 2.5], abs=1)


def test_regions_that_no_mask_explains_get_a_square() -> None:
    seen, mask = np.zeros((200, 300), np.float32), np.zeros((200, 300), np.float32)
    seen[20:120, 10:60] = mask[10:130, 5:70] = 1
    seen[50:150, 200:280] = 1
    seen[190:192, 150:152] = 1
    (square,) = unexplained(seen, [mask])
    assert square.centre == (240, 100)
    assert square.side == pytest.approx(125)
    assert len(unexplained(seen, [])) == 2


@pytest.fixture(scope="module")
def pose(shared: Path) -> BlazePose:
    pytest.importorskip("ai_edge_litert")
    return BlazePose(shared / "init" / "teachers")


def test_a_street_photos_person_is_found_whole(pose: BlazePose, shared: Path) -> None:
    photo = read_rgb(shared / "data/people/ccp/image/0004.jpg")
    drawn = read_rgb(shared / "data/people/ccp/label/0004.png")[..., 0] > 0
    (person, *_) = pose.people(photo, np.zeros(drawn.shape, np.float32))
    mask = person.mask > 0.5
    assert (mask & drawn).sum() / (mask | drawn).sum() > 0.9
    x, y = person.head_square.centre
    assert drawn[round(y), round(x)]
    assert y < np.flatnonzero(drawn.any(1))[0] + 0.2 * np.ptp(np.flatnonzero(drawn.any(1)))


def test_two_people_side_by_side_are_two_and_a_sky_holds_none(pose: BlazePose, shared: Path) -> None:
    photo = read_rgb(shared / "data/people/ccp/image/0004.jpg")
    both = np.hstack([photo, photo[:, ::-1]])
    nobody = np.zeros(both.shape[:2], np.float32)
    people = pose.people(both, nobody)
    assert len(people) == 2
    centres = sorted(float(np.nonzero(p.mask > 0.5)[1].mean()) for p in people)
    assert centres[0] < photo.shape[1] < centres[1]
    sky = np.full((240, 320, 3), (120, 160, 220), np.uint8)
    assert pose.people(sky, np.zeros((240, 320), np.float32)) == []
