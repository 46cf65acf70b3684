"""Augmentations change what they say and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from autohair_video.training.augment import (
    camouflaged,
    squeezed_photo,
    with_clutter,
    with_gaps,
    with_hands,
    with_motion_blur,
    with_other_clothes,
    with_shadows,
)


def test_other_clothes_change_colours_and_nothing_else() -> None:
    """The network must not learn that people come in the photos' colours only."""
    rng = np.random.default_rng(3)
    plain = np.full((64, 64, 3), (0.2, 0.3, 0.4), np.float32)
    dressed = [with_other_clothes(plain, rng) for _ in range(40)]
    assert all(d.shape == plain.shape and d.min() >= 0 and d.max() <= 1.001 for d in dressed)
    spread = np.stack([d[-1, 0] for d in dressed]).std(axis=0)
    assert spread.min() > 0.05


def test_some_clothes_are_white_and_some_black() -> None:
    """A coat of one tone, as bright as its own folds let it be: its darkest channel tells white from red."""
    rng = np.random.default_rng(4)
    folds = np.full((32, 32, 3), 0.5, np.float32)
    darkest = np.array([with_other_clothes(folds, rng)[-1].min(axis=-1).mean() for _ in range(200)])
    assert (darkest > 0.65).mean() > 0.1
    assert (darkest < 0.15).mean() > 0.1


def test_shadows_darken_a_part_and_brighten_nothing() -> None:
    picture, shares = np.full((64, 64, 3), 0.8, np.float32), []
    for seed in range(20):
        made = with_shadows(picture, np.random.default_rng(seed))
        assert made.dtype == np.float32
        assert 0 < made.min() <= made.max() <= np.float32(0.8)
        shares.append((made[..., 0] < 0.7).mean())
    assert np.mean(shares) > 0.2
    assert min(shares) < 0.5 < max(shares)


def test_gaps_lie_in_the_body_below_the_head_and_near_its_outline() -> None:
    body = np.zeros((128, 128, 1), np.float32)
    body[10:, 40:90] = 1
    opened = []
    for seed in range(30):
        pierced = with_gaps(body, np.random.default_rng(seed))
        assert (pierced <= body).all()
        opened.append(1 - pierced[..., 0][body[..., 0] > 0].mean())
        assert pierced[10:30, 40:90].min() == 1
    assert min(opened) > 0
    assert max(opened) < 0.3
    close_up = np.ones((128, 128, 1), np.float32)
    assert np.array_equal(with_gaps(close_up, np.random.default_rng(0)), close_up)


def test_hands_before_a_body_hide_hair_and_leave_what_is_around_it() -> None:
    rng, size = np.random.default_rng(4), 128
    alpha, hair = np.zeros((size, size, 1), np.float32), np.zeros((size, size, 1), np.float32)
    alpha[20:, 40:90], hair[20:60, 40:90] = 1, 1
    cloth = np.full((size, size, 3), 0.5, np.float32)
    seen = [with_hands(cloth, hair, alpha, rng) for _ in range(6)]
    covered = [np.abs(person - cloth).max(axis=-1) > 0.02 for person, _ in seen]
    assert sum(hand.any() for hand in covered) >= 5
    assert not any(hand[alpha[..., 0] == 0].any() for hand in covered)
    assert all(0 < hand[alpha[..., 0] == 1].mean() < 0.9 for hand in covered if hand.any())
    assert all((left <= hair).all() for _, left in seen)
    assert any((left < hair).any() for _, left in seen)


def test_a_moving_part_is_smeared_in_colour_and_alpha_alike() -> None:
    """Whatever the blur, a white person's premultiplied colour stays its alpha, and none is added."""
    layer = np.zeros((96, 96, 4), np.float32)
    layer[30:66, 30:66] = 1
    smeared = []
    for seed in range(20):
        made = with_motion_blur(layer, np.random.default_rng(seed))
        assert np.allclose(made[..., :3], made[..., 3:], atol=1e-5)
        assert -1e-5 <= made.min() <= made.max() <= 1 + 1e-5
        smeared.append(((made[..., 3] > 0.02) & (made[..., 3] < 0.98)).mean())
    assert min(smeared) < 0.01 < 0.05 < max(smeared)


def test_a_scene_takes_on_the_colour_of_the_person_in_parts_or_as_a_whole() -> None:
    scene, person = np.full((64, 64, 3), 0.6, np.float32), np.zeros((64, 64, 3), np.float32)
    scene[::4], person[..., 0], alpha = 0.7, 0.8, np.zeros((64, 64, 1), np.float32)
    assert np.array_equal(camouflaged(scene, person, alpha, np.random.default_rng(0)), scene)
    alpha[20:50, 20:50], red = 1, []
    for seed in range(12):
        made = camouflaged(scene, person, alpha, np.random.default_rng(seed))
        assert made.dtype == np.float32
        assert 0 <= made.min() <= made.max() <= 1
        red.append((made[..., 0] - made[..., 1] > 0.2).mean())
    assert 0 < min(red) < 0.5 < 0.99 < max(red)


def test_clutter_covers_a_part_of_the_scene() -> None:
    scene, photos = np.full((64, 64, 3), 0.5, np.float32), [np.zeros((80, 80, 3), np.uint8)]
    for seed in range(12):
        made = with_clutter(scene, photos, np.random.default_rng(seed))
        changed = (np.abs(made - scene) > 0.02).any(-1).mean()
        assert (made.shape, made.dtype) == (scene.shape, scene.dtype)
        assert 0 <= made.min() <= made.max() <= 1
        assert 0 < changed < 1


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (60, 60), (60, 90)])
def test_a_photo_of_nobody_is_squeezed_with_all_of_its_short_side(size: tuple[int, int]) -> None:
    """Large things look smaller in it than in a square crop, and none is cut at the short side's ends."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    photo = np.dstack([255 * y / (height - 1), 255 * x / (width - 1), 0 * x]).round().astype(np.uint8)
    for seed in range(12):
        square = squeezed_photo(photo, np.random.default_rng(seed), 48)
        assert square.shape == (48, 48, 3)
        spans = [float(np.ptp(square[..., channel])) for channel in (0, 1)]
        short, long = (spans[0], spans[1]) if height <= width else (spans[1], spans[0])
        assert short > 0.95
        # up to 1.8 times the short side, less half a pixel of the result at either end
        assert 0.9 * min(size) / max(size) < long < 1.8 * min(size) / max(size) + 0.02
