from __future__ import annotations

import cv2
import numpy as np
import pytest

from autohair_video.training.synthetic.canvas import Canvas, Layer
from autohair_video.training.synthetic.strands import (
    STYLES,
    Strands,
    StrandStyle,
    grow,
    paint,
    random_style,
    sway,
)

SIZE = 96


def some_strands(style: StrandStyle, *, seed: int = 1, count: int = 60) -> Strands:
    rng = np.random.default_rng(seed)
    roots = rng.uniform(0.3 * SIZE, 0.7 * SIZE, (count, 2))
    return grow(roots, rng.uniform(0, 7, count), rng.random((count, 3)), style, rng)


def painted(strands: Strands, *, samples: int = 4) -> Layer:
    canvas = Canvas(SIZE, SIZE, samples=samples)
    paint(canvas, strands)
    return canvas.layer()


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2])
@pytest.mark.parametrize("width", [0.75, 1.5, 3.0, 6.0])
def test_a_straight_stroke_covers_what_its_geometry_says(angle: float, width: float) -> None:
    start = np.array([48.3, 47.6])
    end = start + 40 * np.array([np.cos(angle), np.sin(angle)])
    canvas = Canvas(SIZE, SIZE, samples=4)
    canvas.stroke(np.stack([start, end]), width, np.ones(3))
    alpha = canvas.layer().alpha

    # Brute force: 16 x 16 points in every pixel, each inside or outside the round-ended line.
    y, x = (np.mgrid[: 16 * SIZE, : 16 * SIZE] + 0.5) / 16
    along = np.clip((x - start[0]) * np.cos(angle) + (y - start[1]) * np.sin(angle), 0, 40)
    distance = np.hypot(x - start[0] - along * np.cos(angle), y - start[1] - along * np.sin(angle))
    truth = (distance <= width / 2).reshape(SIZE, 16, SIZE, 16).mean((1, 3))

    one_sample = 1 / 4
    assert alpha.sum() == pytest.approx(truth.sum(), abs=1.2 * 40 * one_sample)
    assert np.abs(alpha - truth).max() < 1.3 * one_sample


def test_alpha_and_colour_are_the_means_over_the_samples_in_painting_order() -> None:
    strands = some_strands(StrandStyle(length_px=40, width_px=0.25, taper=0, steps=6))
    samples = 4
    cover = np.zeros((SIZE * samples, SIZE * samples), bool)
    colour = np.zeros((SIZE * samples, SIZE * samples, 3))
    for points, colours in zip(strands.points, strands.colours, strict=True):
        for k in range(5):
            one = np.zeros(cover.shape, np.uint8)
            ends = np.round((points[k : k + 2] * samples - 0.5) * 16).astype(np.int32)
            cv2.polylines(one, [ends], isClosed=False, color=1, thickness=1, shift=4)
            cover |= one > 0
            colour[one > 0] = np.round(colours[k] * 255) / 255
    blocks = (SIZE, samples, SIZE, samples)
    alpha = cover.reshape(blocks).mean((1, 3))
    premultiplied = colour.reshape(*blocks, 3).mean((1, 3))

    layer = painted(strands)

    assert 0.02 < alpha.mean() < 0.9
    np.testing.assert_allclose(layer.alpha, alpha, atol=1e-5)
    np.testing.assert_allclose(layer.colour * layer.alpha[..., None], premultiplied, atol=3e-3)


def test_thin_strands_dim_instead_of_vanishing_when_the_picture_is_made_smaller() -> None:
    layer = painted(some_strands(StrandStyle(length_px=40, width_px=0.25)))
    small = cv2.resize(layer.alpha, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    assert small.mean() == pytest.approx(layer.alpha.mean(), rel=1e-4)
    assert 0 < small[small > 0].mean() < 0.6


def test_colour_goes_on_beyond_the_strands_and_takes_nothing_from_the_empty_samples() -> None:
    style = StrandStyle(length_px=30, width_px=0.3)
    rng = np.random.default_rng(0)
    roots = rng.uniform(30, 60, (40, 2))
    red = np.tile([0.8, 0.0, 0.0], (40, 1))
    strands = grow(roots, rng.uniform(0, 7, 40), red, style, rng)
    reddish = Strands(strands.points, strands.widths, np.broadcast_to([0.8, 0, 0], (40, 24, 3)))
    colour = painted(reddish).colour
    np.testing.assert_allclose(colour, np.broadcast_to([0.8, 0, 0], colour.shape), atol=0.01)


def test_over_gives_what_painting_one_after_the_other_would() -> None:
    front = painted(some_strands(StrandStyle(length_px=40), seed=2))
    back = painted(some_strands(StrandStyle(length_px=40), seed=3))
    both = front.over(back)
    ground = np.full((SIZE, SIZE, 3), 0.37)

    def onto(layer: Layer, below: np.ndarray) -> np.ndarray:
        alpha = layer.alpha[..., None]
        return layer.colour * alpha + below * (1 - alpha)

    np.testing.assert_allclose(onto(both, ground), onto(front, onto(back, ground)), atol=2e-3)


@pytest.mark.parametrize("kind", STYLES)
def test_every_kind_of_hair_covers_some_pixels_partly_and_repeats_with_its_seed(kind: str) -> None:
    def rendered() -> Layer:
        rng = np.random.default_rng(5)
        return painted(some_strands(random_style(rng, kind, scale=0.3), seed=9))

    first, second = rendered(), rendered()
    assert ((first.alpha > 0.05) & (first.alpha < 0.95)).sum() > 20
    np.testing.assert_array_equal(first.alpha, second.alpha)
    np.testing.assert_array_equal(first.colour, second.colour)


def test_swaying_moves_tips_and_leaves_roots_and_lengths() -> None:
    style = StrandStyle(length_px=40, width_px=1, fall=0, flyaway=0, pull=0, frizz=0, wave=0)
    rng = np.random.default_rng(4)
    roots = np.stack([np.linspace(20, 76, 12), np.full(12, 80.0)], 1)
    strands = grow(roots, np.full(12, -np.pi / 2), rng.random((12, 3)), style, rng)

    frames = list(sway(strands, frames=25, height=SIZE, width=SIZE, amplitude=0.4, period=24))

    alphas = np.stack([frame.alpha for frame in frames])
    assert len(frames) == 25
    # One period later everything is where it was.
    np.testing.assert_array_equal(alphas[0], alphas[24])
    change = np.abs(np.diff(alphas, axis=0)).mean((0, 2))
    assert change[78:82].mean() < 0.3 * change[45:60].mean()
    # The strands keep their length and width, hence their area, give or take what they overlap.
    areas = alphas.sum((1, 2))
    assert areas.std() < 0.08 * areas.mean()


def test_no_wind_is_the_still_picture() -> None:
    strands = some_strands(StrandStyle(length_px=40))
    (frame,) = sway(strands, frames=1, height=SIZE, width=SIZE, amplitude=0)
    np.testing.assert_allclose(frame.alpha, painted(strands).alpha, atol=1 / 16 + 1e-6)
    assert np.abs(frame.alpha - painted(strands).alpha).mean() < 1e-3
