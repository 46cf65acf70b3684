"""The real teachers on a real portrait."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.errors import JobError
from autohair_video.training.agreement import agree
from autohair_video.training.backgrounds import read_rgb
from autohair_video.training.teachers import Teachers, TFLiteTeacher


@pytest.fixture(scope="module")
def teachers(shared: Path) -> Teachers:
    pytest.importorskip("ai_edge_litert")
    return Teachers(shared / "init" / "teachers", shared / "init" / "deeplabv3_mobilenetv2_voc.safetensors")


@pytest.fixture(scope="module")
def portrait(shared: Path) -> np.ndarray:
    """Wider than it is high, so that the two sides' margins differ."""
    whole = read_rgb(shared / "data" / "people" / "interfaces" / "001.jpg", long_side=480)
    return np.ascontiguousarray(whole[: int(0.8 * len(whole))])


def test_each_view_is_in_its_place_and_has_its_mirror_image(teachers: Teachers, portrait: np.ndarray) -> None:
    for picture in (portrait, np.ascontiguousarray(portrait.transpose(1, 0, 2))):
        views = teachers.person_views(picture)
        assert views.shape == (6, *picture.shape[:2])
        assert views.dtype == np.float32
        assert 0 <= views.min() <= views.max() <= 1
        assert np.array_equal(views[0], teachers.person(picture))
        flipped = teachers.person_views(np.ascontiguousarray(picture[:, ::-1]))
        for even in (0, 2, 4):
            assert np.array_equal(flipped[even], views[even + 1][:, ::-1])


def test_all_views_see_the_same_person(teachers: Teachers, portrait: np.ndarray) -> None:
    seen = teachers.person_views(portrait) > 0.5
    shares = [(seen[0] & view).sum() / (seen[0] | view).sum() for view in seen]
    assert min(shares) > 0.85


def test_a_portrait_gets_a_label_that_is_trusted_almost_everywhere(
    teachers: Teachers, portrait: np.ndarray
) -> None:
    person, hair, weight = vars(agree(teachers(portrait))).values()
    assert weight.mean() > 0.8
    assert 0.2 < person.mean() < 0.95
    assert 0.01 < hair.mean() < person.mean()
    assert (hair <= person + 0.01).all()


def test_nobody_is_seen_where_nobody_is(teachers: Teachers) -> None:
    sky = np.broadcast_to(np.linspace(120, 230, 240)[:, None, None], (240, 320, 3)).astype(np.uint8)
    agreed = agree(teachers(cv2.GaussianBlur(sky, (0, 0), 2)))
    assert (agreed.person > 0.5).mean() < 0.01


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(JobError, match=r"pip install 'autohair-video\[train\]'"):
        TFLiteTeacher(Path("any.tflite"))
