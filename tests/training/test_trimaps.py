"""Trimaps as the training draws them: what an island may change, and where one lies."""

from __future__ import annotations

import numpy as np

from autohair_video.training.trimaps import band_trimap, random_trimap, with_guess, with_islands


def disc(side: int = 160, radius: float = 50) -> np.ndarray:
    """(side, side) alpha of a disc with a soft edge."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.clip((radius - np.hypot(x, y)) / 4 + 0.5, 0, 1).astype(np.float32)


def test_islands_make_known_pixels_unknown_and_change_nothing_else() -> None:
    given = band_trimap(disc(), inward_px=4, outward_px=4)
    kept, drowned = given.copy(), []
    for seed in range(30):
        made = with_islands(given, np.random.default_rng(seed))
        assert (made.dtype, made.shape) == (given.dtype, given.shape)
        changed = made != given
        assert (made[changed] == 0.5).all()
        assert (given[changed] != 0.5).all()
        drowned.append(changed.mean())
    assert np.array_equal(given, kept), "the trimap itself is left alone"
    assert np.mean(np.array(drowned) > 0) > 0.8
    assert max(drowned) < 1


def test_islands_fit_frames_that_are_not_square() -> None:
    wide = np.zeros((60, 150), np.float32)
    places = [with_islands(wide, np.random.default_rng(seed)) == 0.5 for seed in range(40)]
    assert np.mean([place[:, 100:].any() for place in places]) > 0.3
    assert np.mean([place[:, :50].any() for place in places]) > 0.3


def test_some_trimaps_are_unsure_far_from_any_edge() -> None:
    """Inside the body and out in the background, as a segmenter in doubt leaves it."""
    alpha = disc()
    inside, outside = disc(radius=20) == 1, disc(radius=76) == 0
    made = [random_trimap(alpha, np.random.default_rng(seed)) == 0.5 for seed in range(60)]
    assert 0.1 < np.mean([unknown[inside].any() for unknown in made]) < 0.6
    assert 0.1 < np.mean([unknown[outside].any() for unknown in made]) < 0.6


def test_a_guess_tells_of_alpha_in_the_unknown_only_and_can_be_wrong() -> None:
    alpha = disc()
    given = band_trimap(alpha, inward_px=15, outward_px=15)
    unknown = given == 0.5
    sides, wrong, told = [], [], 0
    for seed in range(80):
        made = with_guess(given, alpha, np.random.default_rng(seed))
        assert np.array_equal(made[~unknown], given[~unknown])
        guess = made[unknown]
        assert guess.min() >= 0.25
        assert guess.max() <= 0.75
        if np.ptp(guess) > 0:
            told += 1
            sides.append(guess[alpha[unknown] > 0.9].mean() - guess[alpha[unknown] < 0.1].mean())
            wrong.append(np.mean((guess > 0.5) != (alpha[unknown] > 0.5)))
    assert 0.5 < told / 80 < 0.9
    assert np.mean(np.array(sides) > 0) > 0.9
    assert np.mean(np.array(wrong) > 0.1) > 0.1
