"""Things with sharp edges, thin bars and holes: solids, hands, letters, bars, meshes, lace.

A painter paints on a `Canvas` of ``size`` px in place. Colours are RGB in 0..1, points are (x, y) in px.
"""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.canvas import Canvas

Array = NDArray[np.floating[Any]]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform number: each doubling is as likely as the next."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_colour(rng: np.random.Generator, *, hue: tuple[float, float] = (0, 1)) -> Array:
    """Any colour with its hue (0..1) in the given range: (3,) RGB."""
    saturation, value = rng.beta(1.5, 1.5), rng.beta(1.6, 1.2)
    return np.array(colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, saturation, value))


def shade(colour: Array, rng: np.random.Generator, low: float, high: float) -> Array:
    """The colour, darker or lighter by a random factor."""
    return np.asarray(colour * rng.uniform(low, high))


def walk(start: Array, headings: Array, length: float) -> Array:
    """The path (K + 1, 2) of K even steps, ``length`` px in all, along ``headings`` (K,) radians."""
    steps = np.stack([np.cos(headings), np.sin(headings)], 1) * (length / len(headings))
    return np.concatenate([start[None], start + np.cumsum(steps, 0)])


def blob(rng: np.random.Generator, centre: Array, radius: float, *, rough: float = 0.35) -> Array:
    """A smooth closed outline about ``centre``, an ellipse when ``rough`` is 0: (96, 2)."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    order = np.arange(1, 8)[:, None]
    swing, phase = rng.normal(0, rough, (7, 1)) / order**1.3, rng.uniform(0, 7, (7, 1))
    reach = radius * np.clip(1 + (swing * np.cos(order * t + phase)).sum(0), 0.15, 2)
    stretch = rng.uniform(0.6, 1.4)
    return np.asarray(centre + np.stack([reach * np.cos(t) * stretch, reach * np.sin(t) / stretch], 1))


def polygon(rng: np.random.Generator, centre: Array, radius: float) -> Array:
    """A polygon or star of K = 3 to 12 corners: (K, 2)."""
    n = int(rng.integers(3, 13))
    even = np.arange(n) * 2 * np.pi / n
    t = np.sort(rng.uniform(0, 2 * np.pi, n)) if rng.random() < 0.5 else even
    reach = radius * (rng.uniform(0.3, 1.1, n) if rng.random() < 0.6 else np.ones(n))
    t = t + rng.uniform(0, 7)
    return np.asarray(centre + np.stack([reach * np.cos(t), reach * np.sin(t)], 1))


def outline(rng: np.random.Generator, size: int) -> Array:
    """A random closed outline for a picture of ``size`` px: (K, 2)."""
    centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.12, 0.4) * size
    kind = rng.random()
    if kind < 0.55:
        return blob(rng, centre, radius, rough=rng.uniform(0.05, 0.6))
    return blob(rng, centre, radius, rough=0) if kind < 0.75 else polygon(rng, centre, radius)


def paint_solids(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """A few solid shapes, some with holes of every size, from windows to pin pricks."""
    for _ in range(int(rng.integers(1, 5))):
        canvas.fill(outline(rng, size), random_colour(rng))
    for _ in range(int(rng.choice([0, 0, 1, 3, 12, 40]))):
        centre, radius = rng.uniform(0.1, 0.9, 2) * size, between(rng, 1.5, 60)
        canvas.erase(blob(rng, centre, radius, rough=rng.uniform(0, 0.4)))


def paint_fingers(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """A hand-like shape: an arm, a palm, and four or five round, jointed fingers."""
    palm, scale = rng.uniform(0.35, 0.65, 2) * size, size * rng.uniform(0.08, 0.17)
    towards, skin = rng.uniform(0, 2 * np.pi), random_colour(rng, hue=(0.0, 0.11))
    canvas.stroke(walk(palm, np.array([towards + np.pi]), size), scale * 1.3, skin)
    canvas.fill(blob(rng, palm, scale, rough=0.1), skin)
    for i in range(int(rng.integers(4, 6))):
        angle = towards + (i - 2) * rng.uniform(0.15, 0.5)
        knuckle = walk(palm, np.array([angle]), scale * 0.7)[-1]
        joints = walk(knuckle, angle + np.cumsum(rng.normal(0, 0.25, 4)), scale * rng.uniform(1.6, 3.2))
        canvas.stroke(joints, scale * rng.uniform(0.22, 0.4), shade(skin, rng, 0.8, 1.15))


def paint_letters(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """Straight and round strokes as of writing."""
    for _ in range(int(rng.integers(1, 12))):
        at, unit = rng.uniform(0, 0.9, 2) * size, size * rng.uniform(0.04, 0.3)
        width, colour = unit * rng.uniform(0.04, 0.3), random_colour(rng)
        for _ in range(int(rng.integers(1, 4))):
            t = np.linspace(0, rng.choice([np.pi, 2 * np.pi]), 30) + rng.integers(4) * np.pi / 2
            arc = 0.5 + 0.5 * np.stack([np.cos(t) * 0.8, np.sin(t)], 1)
            straight = rng.choice([0, 0.5, 1], (3, 2))
            canvas.stroke(at + unit * (straight if rng.random() < 0.5 else arc), width, colour)


def paint_bars(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """Straight bars, cables and rods of all widths, some sagging."""
    t = np.linspace(0, 1, 24)[:, None]
    for _ in range(int(rng.integers(3, 30))):
        start, end = rng.uniform(-0.1, 1.1, (2, 2)) * size
        sag = 4 * t * (1 - t) * [0, rng.choice([0, 0, rng.uniform(0, 0.3)]) * size]
        canvas.stroke(start * (1 - t) + end * t + sag, between(rng, 0.4, 18), random_colour(rng))


def paint_mesh(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """A wire mesh or net, flat or bent round a cup, the far side seen through the near one."""
    start, side = rng.uniform(0.05, 0.3) * size, rng.uniform(0.4, 0.9) * size
    pitch = size * between(rng, 0.008, 0.09)
    width = min(between(rng, 0.6, 5), pitch * 0.45)
    colour = random_colour(rng) * rng.choice([0.5, 1])
    cup, shape, diagonal = rng.random() < 0.5, rng.uniform(0.7, 1.1), rng.random() < 0.4
    phase, wobble = rng.uniform(0, 7, 2), rng.normal(0, 0.15, 2) * pitch

    def wire(u: Array, v: Array, *, far: bool) -> Array:
        line = start + side * (_bend(u, v, shape, far=far) if cup else np.stack([u, v * shape], 1) / 2 + 0.5)
        return np.asarray(line + np.sin(line[:, ::-1] / pitch / 3 + phase) * wobble)

    for far in (True, False) if cup else (False,):
        for u, v in _grid(max(3, int(side / pitch / 2)), diagonal=diagonal):
            line, tone = wire(u, v, far=far), shade(colour, rng, 0.75, 1.25) * (0.55 if far else 1)
            for piece in np.array_split(np.arange(len(line)), min(6, len(line))):
                canvas.stroke(line[piece[0] : piece[-1] + 2], width, shade(tone, rng, 0.9, 1.1))
    if rng.random() < 0.5:
        t = np.linspace(-1, 1, 120)
        for end in (-1.0, 1.0):
            canvas.stroke(wire(t, np.full_like(t, end), far=False), width * rng.uniform(1, 3), colour)


def paint_lace(canvas: Canvas, size: int, rng: np.random.Generator) -> None:
    """A cloth with a repeated pattern of holes, and stitched rings."""
    colour, pitch = random_colour(rng), size * rng.uniform(0.02, 0.08)
    canvas.fill(outline(rng, size), colour)
    hole = blob(rng, np.zeros(2), pitch * rng.uniform(0.2, 0.46), rough=rng.uniform(0, 0.3))
    for row, y in enumerate(np.arange(0, size, pitch * 0.87)):
        for x in np.arange((row % 2) * pitch / 2, size, pitch):
            canvas.erase(hole + rng.normal((x, y), pitch * 0.04))
    ring = blob(rng, np.zeros(2), pitch * 0.8, rough=0)
    ring = np.concatenate([ring, ring[:1]])
    for centre in rng.uniform(0, size, (int(rng.integers(0, 60)), 2)):
        canvas.stroke(ring + centre, pitch * 0.12, shade(colour, rng, 0.7, 1))


def _grid(n: int, *, diagonal: bool) -> list[tuple[Array, Array]]:
    # Both families of 2 n + 1 lines over the square from -1 to 1, each as its u and v coordinates.
    t = np.linspace(-1, 1, 120)
    lines: list[tuple[Array, Array]] = []
    for level in np.arange(-n, n + 1) / n:
        even = np.full_like(t, level)
        for a, b in ((t, even), (even, t)):
            u, v = (a + b, a - b) if diagonal else (a, b)
            inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
            if inside.sum() > 1:
                lines.append((u[inside], v[inside]))
    return lines


def _bend(u: Array, v: Array, shape: float, *, far: bool) -> Array:
    # A cup in the unit square, seen from slightly above: u runs over the half that is turned to us,
    # or away from us, v from top to bottom, where the cup is narrower.
    x, depth = np.sin(u * np.pi / 2), np.cos(u * np.pi / 2) * (-1 if far else 1)
    narrow = 0.75 + 0.2 * shape * (1 - v) / 2
    return np.stack([x * narrow, v * 0.85 + 0.12 * depth], 1) / 2 + 0.5
