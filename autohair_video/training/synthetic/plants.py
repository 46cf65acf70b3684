"""Things that grow: branches with leaves and flowers, grass, thistles and dandelions, feathers.

A painter paints on a `Canvas` of ``size`` px in place. Colours are RGB in 0..1, points are (x, y) in px.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autohair_video.training.synthetic.canvas import Canvas
from autohair_video.training.synthetic.shapes import Array, between, blob, random_colour, shade, walk


def paint_plant(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """Branches with leaves and flowers, or only some of these."""
    wood = random_colour(rng, hue=(0.04, 0.3)) * 0.7
    twigs: list[tuple[Array, float]] = []
    for _ in range(int(rng.integers(1, 5))):
        root = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.1)]) * size
        angle, length = -np.pi / 2 + rng.normal(0, 0.4), size * rng.uniform(0.15, 0.35)
        width, depth = size * rng.uniform(0.004, 0.03), int(rng.integers(2, 6))
        twigs += _branch(canvas, root, angle, length, wood, rng, width=width, depth=depth)
    twigs = [twigs[i] for i in rng.permutation(len(twigs))]
    leaf_px, slim = size * rng.uniform(0.02, 0.14), rng.uniform(0.15, 0.5)
    green = random_colour(rng, hue=(0.12, 0.45) if rng.random() < 0.8 else (0, 1))
    leaves = int(between(rng, 8, 400)) if rng.random() < 0.85 else 0
    for point, angle in twigs[:leaves]:
        tone = shade(green, rng, 0.5, 1.4) + rng.normal(0, 0.03, 3)
        _leaf(canvas, point, angle + rng.normal(0, 0.9), leaf_px * rng.uniform(0.5, 1.2), slim, tone, rng)
    petal, flowers = random_colour(rng), int(rng.integers(1, 20)) if rng.random() < 0.4 else 0
    for point, _ in twigs[-flowers:] if flowers else []:
        _flower(canvas, point, leaf_px * rng.uniform(0.6, 1.5), petal, rng)


def paint_grass(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """Tapered blades from below."""
    tone, t = random_colour(rng, hue=(0.1, 0.4)), np.linspace(0, 1, 14)[:, None]
    for x in rng.uniform(0, size, int(rng.integers(20, 400))):
        lean, height = rng.normal(0, 0.25), size * rng.uniform(0.2, 0.9)
        spine = [x, size] + height * np.concatenate([lean * t**2, -t], 1)
        half = size * rng.uniform(0.001, 0.012) * (1 - t**1.5) * [1, 0]
        canvas.fill(np.concatenate([spine + half, (spine - half)[::-1]]), shade(tone, rng, 0.5, 1.5))


def paint_spikes(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """Thistles, dandelions, pine and cactus needles: heads on stems, thin spikes all round."""
    wood, tone = random_colour(rng, hue=(0.04, 0.4)), random_colour(rng)
    s = np.linspace(0, 1, 6)[:, None]
    for _ in range(int(rng.integers(1, 9))):
        head, radius = rng.uniform(0.1, 0.9, 2) * size, size * rng.uniform(0.03, 0.22)
        foot = np.array([head[0] + rng.normal(0, 0.15) * size, size * 1.05])
        bow = 4 * s * (1 - s) * [rng.normal(0, 0.06) * size, 0]
        canvas.stroke(foot * (1 - s) + head * s + bow, size * rng.uniform(0.002, 0.02), wood)
        core, width = radius * rng.uniform(0.05, 0.7), rng.uniform(0.3, 2.5)
        for angle in rng.uniform(0, 2 * np.pi, int(between(rng, 20, 500))):
            headings = angle + rng.normal(0, 0.25) * s[1:, 0]
            spike = walk(head, headings, radius * rng.uniform(0.7, 1.1))
            colour = shade(tone, rng, 0.6, 1.3)
            canvas.stroke(spike[:4], width, colour)
            canvas.stroke(spike[3:], width / 2, colour)
            if width < 1 and rng.random() < 0.3:  # the tuft at the end of a dandelion's seed
                canvas.fill(blob(rng, spike[-1], rng.uniform(0.5, 2.5), rough=0.1), colour)
        canvas.fill(blob(rng, head, core, rough=0.1), shade(tone, rng, 0.5, 1))


def paint_feather(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """A few feathers: a bent shaft with fine barbs that split here and there."""
    for _ in range(int(rng.integers(1, 4))):
        tone, length = random_colour(rng), size * rng.uniform(0.3, 0.8)
        heading = rng.uniform(0, 7) + rng.normal(0, 0.8) * np.linspace(0, 1, 40)
        shaft = walk(rng.uniform(0.2, 0.8, 2) * size, heading, length)
        slant, breadth, split = rng.uniform(0.5, 1.1), length * rng.uniform(0.1, 0.3), 0.0
        for s in np.linspace(0.08, 0.99, int(length * rng.uniform(0.8, 2))):
            i = int(s * 39)
            split = rng.normal(0, 0.3) if rng.random() < 0.05 else split
            reach = breadth * np.sin(np.pi * min(1, s * 0.85 + 0.15)) ** 0.6
            for side in (-1, 1):
                barb = heading[i] + side * (slant + split + np.linspace(-0.2, 0, 5))
                path = walk(shaft[i], barb, reach * rng.uniform(0.85, 1))
                canvas.stroke(path, rng.uniform(0.25, 1), shade(tone, rng, 0.7, 1.2))
        canvas.stroke(shaft, max(0.5, length * 0.008), tone * 0.7 + 0.2)


def _branch(
    canvas: Canvas,
    root: Array,
    angle: float,
    length: float,
    colour: Array,
    rng: np.random.Generator,
    *,
    width: float,
    depth: int,
) -> Iterator[tuple[Array, float]]:
    # Paints the branch and what grows from it; gives points and headings of the outer twigs.
    headings = angle + np.cumsum(rng.normal(0, 0.12, 8))
    path = walk(root, headings, length)
    for i, heading in enumerate(headings):
        canvas.stroke(path[i : i + 2], width * (1 - 0.05 * i), shade(colour, rng, 0.8, 1.2))
        if depth <= 2:
            yield path[i + 1], float(heading)
    for _ in range(int(rng.integers(2, 5)) if depth > 0 else 0):
        i = int(rng.integers(3, 9))
        fork, shorter = float(headings[i - 1]) + rng.normal(0, 0.6), length * rng.uniform(0.5, 0.85)
        yield from _branch(canvas, path[i], fork, shorter, colour, rng, width=width * 0.6, depth=depth - 1)


def _leaf(
    canvas: Canvas,
    root: Array,
    angle: float,
    length: float,
    slim: float,
    colour: Array,
    rng: np.random.Generator,
) -> None:
    # Two halves of unlike light and a vein; one in five has a toothed rim.
    s = np.linspace(0, 1, 12)
    half = slim * length * np.sin(np.pi * s**0.8) * rng.uniform(0.4, 1)
    if rng.random() < 0.2:
        half = half * (1 + 0.25 * (np.arange(12) % 2))
    spine = np.stack([s * length, rng.normal(0, 0.15) * length * s * (1 - s)], 1)
    upper, lower = spine + half[:, None] * [0, 1], spine - half[:, None] * [0, 1]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    canvas.fill(root + np.concatenate([upper, lower[::-1]]) @ turn, colour)
    canvas.fill(root + np.concatenate([upper, spine[::-1]]) @ turn, shade(colour, rng, 0.75, 1.2))
    canvas.stroke(root + spine @ turn, max(0.25, length * 0.02), shade(colour, rng, 0.6, 1.3))


def _flower(canvas: Canvas, centre: Array, radius: float, colour: Array, rng: np.random.Generator) -> None:
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(4, 14)), endpoint=False):
        petal, tone = angle + rng.normal(0, 0.1), shade(colour, rng, 0.8, 1.2)
        _leaf(canvas, centre, petal, radius, rng.uniform(0.2, 0.5), tone, rng)
    canvas.fill(blob(rng, centre, radius * 0.25, rough=0.05), random_colour(rng, hue=(0.05, 0.2)))
