from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest

from autohair_video.training.synthetic import loose_hair
from autohair_video.training.synthetic.head import find_head
from autohair_video.training.synthetic.loose_hair import add_blowing_hair, add_loose_hair
from autohair_video.training.synthetic.loose_styles import STYLES, random_style
from autohair_video.training.synthetic.tresses import Tresses, draw_tresses, random_tresses, swayed

SIZE = 192
BROWN = np.float32([0.4, 0.25, 0.1])


def bust() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A round head of 60 px with brown hair above its face, on shoulders that stand on the lower edge."""
    person, hair, face = (np.zeros((SIZE, SIZE), np.uint8) for _ in range(3))
    cv2.circle(person, (96, 90), 30, 255, -1)
    cv2.ellipse(person, (96, 192), (70, 55), 0, 0, 360, 255, -1)
    cv2.rectangle(person, (84, 110), (108, 150), 255, -1)
    cv2.circle(hair, (96, 90), 30, 255, -1)
    cv2.ellipse(face, (96, 100), (20, 26), 0, 0, 360, 255, -1)
    hair[face > 0] = 0
    hair[112:] = 0
    image = np.where(hair[..., None] > 0, BROWN, np.float32([0.8, 0.6, 0.5])).astype(np.float32)
    return image, *(cv2.blur(plane, (3, 3)) / np.float32(255) for plane in (person, hair))


@pytest.fixture(autouse=True)
def in_focus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loose_hair, "_random_blur", lambda head_px, rng: None)


def test_the_skull_is_found_under_its_hair() -> None:
    _, person, hair = bust()
    head = find_head(person, hair)
    assert head is not None
    assert head.width_px == pytest.approx(60, abs=5)
    assert head.centre == pytest.approx([96, 90], abs=5)
    assert head.face[100, 96]
    assert not head.face[66, 96]


def test_nobody_and_bald_people_are_left_as_they_are() -> None:
    image, person, hair = bust()
    for body, on_top in ((person, hair * 0), (person * 0, hair * 0)):
        result = add_loose_hair(image, body, on_top, np.random.default_rng(0))
        for given, got in zip((image, body, on_top), result, strict=True):
            np.testing.assert_array_equal(given, got)


@pytest.mark.parametrize("name", list(STYLES))
def test_every_style_grows_beyond_the_person_and_takes_nothing_away(name: str) -> None:
    image, person, hair = bust()
    grown = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        colour, alpha, strands = add_loose_hair(image, person, hair, rng, style=random_style(rng, name))
        assert colour.dtype == alpha.dtype == strands.dtype == np.float32
        assert (alpha >= person).all()
        assert (strands <= alpha).all()
        assert colour.min() >= 0
        assert max(float(colour.max()), float(alpha.max())) <= 1
        new = alpha[person == 0]
        grown += float(new.sum())
        np.testing.assert_allclose(strands[person == 0], new, atol=1e-6)
    # a fringe and a beard lie before the face
    assert grown > (0 if name == "fringe" else 30)


def test_blown_hair_reaches_most_of_a_head_width_beyond_the_skull() -> None:
    image, person, hair = bust()
    reached = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        style = random_style(rng, "blown to both sides")
        _, alpha, _ = add_loose_hair(image, person, hair, rng, style=style)
        columns = np.flatnonzero((alpha[:120] > 0.3).any(axis=0))
        reached.append(max(66 - columns[0], columns[-1] - 126) / 60)
    assert np.median(reached) > 0.7


@pytest.mark.parametrize("name", ["hanging", "blown", "curly", "wet", "ponytail", "plait"])
def test_strands_hang_together_with_the_head(name: str) -> None:
    image, person, hair = bust()
    loose = total = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        _, alpha, _ = add_loose_hair(image, person, hair, rng, style=random_style(rng, name))
        _, parts = cv2.connectedComponents((alpha > 0.02).astype(np.uint8), connectivity=8)
        loose += int(((parts != parts[90, 96]) & (parts > 0)).sum())
        total += int(((alpha > 0.02) & (person == 0)).sum())
    assert loose < 0.03 * total


def test_roots_lie_in_the_hair() -> None:
    image, person, hair = bust()
    head = find_head(person, hair)
    assert head is not None
    near = cv2.dilate(head.hair.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        tresses = random_tresses(image, head, random_style(rng, "blown"), rng)
        assert tresses is not None
        x, y = tresses.points[:, 0].round().astype(int).T
        assert near[y, x].mean() > 0.95


def test_new_hair_has_the_colour_of_the_hair() -> None:
    image, person, hair = bust()
    rng = np.random.default_rng(3)
    colour, alpha, _ = add_loose_hair(image, person, hair, rng, style=random_style(rng, "blown"))
    new = colour[(person == 0) & (alpha > 0.5)]
    hue = np.median(new / new.sum(axis=1, keepdims=True), axis=0)
    assert hue == pytest.approx(BROWN / BROWN.sum(), abs=0.03)


def test_alpha_of_strands_is_the_share_of_their_pixels_that_they_cover() -> None:
    rng = np.random.default_rng(1)
    start, end = rng.uniform(8, 56, (2, 60, 1, 2))
    points = start + np.linspace(0, 1, 6)[None, :, None] * (end - start)
    widths, colours = rng.uniform(0.2, 2, 60), np.ones((3, 3))
    tresses = Tresses(points, widths, rng.integers(0, 3, 60), colours, np.zeros(60, bool))
    behind, front = draw_tresses(tresses, 64, 64, samples=4)
    assert not front.any()
    large = replace(tresses, points=4 * points, widths=4 * widths)
    covered = draw_tresses(large, 256, 256, samples=1)[0][..., 3]
    assert set(np.unique(covered)) == {0.0, 1.0}
    share = covered.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(behind[..., 3], share, atol=1 / 255)


def test_strands_are_about_as_wide_as_asked() -> None:
    line = np.stack([np.linspace(4, 60, 11), np.linspace(9, 47, 11)], 1)[None]
    for width in (0.5, 1.0, 2.0):
        one = Tresses(line, np.array([width]), np.zeros(1, int), np.ones((1, 3)), np.ones(1, bool))
        area = float(draw_tresses(one, 64, 64)[1][..., 3].sum())
        length = float(np.hypot(*(line[0, -1] - line[0, 0])))
        assert 0.3 * width * length < area < 1.1 * width * length


def test_a_composite_of_the_new_layer_is_that_of_its_parts() -> None:
    rng = np.random.default_rng(2)
    image, ground = rng.random((2, 20, 20, 3)).astype(np.float32)
    person, hair = rng.random((2, 20, 20)).astype(np.float32)
    alphas = rng.random((2, 20, 20, 1)).astype(np.float32)
    behind, front = (np.dstack([rng.random((20, 20, 3)) * a, a]).astype(np.float32) for a in alphas)
    colour, alpha, _ = loose_hair.laid(image, person, hair, behind, front)
    scene = ground * (1 - behind[..., 3:]) + behind[..., :3]
    scene = scene * (1 - person[..., None]) + person[..., None] * image
    scene = scene * (1 - front[..., 3:]) + front[..., :3]
    alpha = alpha[..., None]
    np.testing.assert_allclose(alpha * colour + (1 - alpha) * ground, scene, atol=1e-5)


def test_the_same_state_gives_the_same_hair() -> None:
    once, again, other = (add_loose_hair(*bust(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(once[1], other[1])


def test_wind_moves_the_tips_and_neither_roots_nor_person() -> None:
    image, person, hair = bust()
    head = find_head(person, hair)
    assert head is not None
    rng = np.random.default_rng(0)
    tresses = random_tresses(image, head, random_style(rng, "blown"), rng)
    assert tresses is not None
    now, later = (swayed(tresses, phase=phase) for phase in (0.0, 1.0))
    np.testing.assert_array_equal(now.points[:, 0], later.points[:, 0])
    moved = np.hypot(*(now.points - later.points).transpose(2, 0, 1)).mean(axis=0)
    assert moved[-1] > 2 * moved[moved.size // 2] > 0
    lengths = [np.hypot(*np.diff(t.points, axis=1).transpose(2, 0, 1)).sum(1) for t in (tresses, now)]
    np.testing.assert_allclose(*lengths, rtol=1e-3)

    style = random_style(rng, "blown")
    frames = list(islice(add_blowing_hair(image, person, hair, rng, frames=8, style=style), 8))
    assert len(frames) == 8
    assert all((alpha >= person).all() for _, alpha, _ in frames)
    steps = [float(np.abs(a[1] - b[1]).mean()) for a, b in pairwise(frames)]
    apart = float(np.abs(frames[0][1] - frames[-1][1]).mean())
    assert 0 < max(steps) < 0.1
    assert apart > 0
