"""A key is exact where person and screen have one colour each, and removes the screen's spill."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from autohair_video.training.keying import NoScreenError, key_screen

GREEN = np.array([30, 200, 60], np.float32)


def soft_person(size: int = 200) -> np.ndarray:
    disc = cv2.circle(np.zeros((size, size), np.float32), (size // 2, size // 2), size // 4, 1.0, -1)
    return cv2.GaussianBlur(disc, (0, 0), 2)


@pytest.mark.parametrize("colour", [(200, 150, 120), (30, 30, 35), (235, 235, 235), (120, 40, 160)])
def test_alpha_of_a_soft_edge_before_an_uneven_screen(colour: tuple[int, int, int]) -> None:
    alpha = soft_person()[..., None]
    light = np.linspace(0.8, 1.1, 200)[None, :, None]
    rng = np.random.default_rng(0)
    frame = alpha * colour + (1 - alpha) * GREEN * light + rng.normal(0, 1.5, (200, 200, 3))
    clean, keyed = key_screen(frame.clip(0, 255).astype(np.uint8))
    error = np.abs(keyed - alpha[..., 0])
    assert error.mean() < 0.01
    assert np.percentile(error, 99.5) < 0.1
    assert error.max() < 0.25
    assert keyed[:20].max() < 0.02
    assert keyed[90:110, 90:110].min() == 1
    solid = clean[alpha[..., 0] > 0.7].astype(int)
    assert (solid[:, 1] - np.maximum(solid[:, 0], solid[:, 2])).max() <= 30


def test_a_picture_without_screen_is_refused() -> None:
    with pytest.raises(NoScreenError):
        key_screen(np.full((50, 50, 3), (180, 170, 20), np.uint8))
