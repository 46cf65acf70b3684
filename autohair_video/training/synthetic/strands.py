"""Rendered hair, fur and fuzz: strands with exact sub-pixel alpha, still or swaying.

A strand is a curve grown from a root: its heading bends, waves, frizzes and falls along its length,
and it is drawn towards the guide strand of its clump. Width tapers to the tip, colour runs from a
darker root through a highlight. The strands of a clump share what makes it one; fly-aways leave it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.canvas import Canvas, Layer

Array = NDArray[np.floating[Any]]

_ZONES: Final = 8  # runs of even colour and width along a strand


@dataclass(frozen=True)
class StrandStyle:
    """How strands grow; lengths in pixels, angles in radians.

    ``bend`` is the spread of a clump's turn over its whole length, ``wave`` the swing of the
    heading (over 2 makes loops) with period ``wave_px``, ``frizz`` the random turn per step,
    ``fall`` how far gravity turns the heading down, ``spread`` the scatter of first headings.
    ``pull`` (0..1) draws tips together, ``flyaway`` is the share of strands that leave their clump,
    ``taper`` the share of the width that is lost at the tip.
    """

    length_px: float = 80.0
    width_px: float = 0.6
    clump: int = 12
    pull: float = 0.6
    bend: float = 0.6
    wave: float = 0.2
    wave_px: float = 60.0
    frizz: float = 0.02
    fall: float = 0.3
    spread: float = 0.3
    flyaway: float = 0.05
    taper: float = 0.7
    steps: int = 24


@dataclass(frozen=True)
class Strands:
    """N strands of K points each.

    ``points`` (N, K, 2) are (x, y) in px, ``widths`` (N, K) px, ``colours`` (N, K, 3) RGB in 0..1.
    """

    points: Array
    widths: Array
    colours: Array

    def __len__(self) -> int:
        return len(self.points)


# What tells the kinds apart: ranges of `StrandStyle`'s measures at a scale of 1.
STYLES: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "straight": {"length_px": (60, 260), "bend": (0.1, 0.6), "wave": (0, 0.1), "fall": (0.2, 1.2)},
    "wavy": {"length_px": (60, 220), "wave": (0.3, 0.9), "wave_px": (40, 120), "fall": (0.2, 1)},
    "curly": {
        "length_px": (80, 260),
        "bend": (0.3, 1.2),
        "wave": (1.2, 2.6),
        "wave_px": (25, 80),
        "frizz": (0.02, 0.1),
        "pull": (0.5, 0.95),
    },
    "frizzy": {
        "length_px": (30, 140),
        "wave": (0.3, 1.2),
        "wave_px": (15, 60),
        "frizz": (0.08, 0.25),
        "spread": (0.4, 1),
        "flyaway": (0.1, 0.5),
    },
    "afro": {
        "length_px": (15, 70),
        "wave": (1.5, 3),
        "wave_px": (8, 25),
        "frizz": (0.1, 0.3),
        "spread": (0.5, 1.2),
        "fall": (0, 0),
    },
    "short": {"length_px": (8, 40), "bend": (0.1, 0.8), "fall": (0, 0.4), "spread": (0.2, 0.7)},
    "fur": {
        "length_px": (10, 60),
        "bend": (0.2, 0.9),
        "wave": (0, 0.4),
        "wave_px": (15, 50),
        "fall": (0, 0.5),
        "spread": (0.1, 0.5),
        "taper": (0.7, 1),
    },
    "fuzz": {
        "length_px": (3, 16),
        "wave": (0.3, 1.5),
        "wave_px": (4, 15),
        "spread": (0.6, 1.5),
        "pull": (0, 0),
        "fall": (0, 0),
    },
    "wisps": {
        "length_px": (40, 220),
        "bend": (0.5, 2),
        "wave": (0, 0.5),
        "spread": (0.3, 1),
        "flyaway": (0.4, 1),
        "pull": (0, 0.4),
    },
}
_COMMON: Final = {"pull": (0.1, 0.9), "flyaway": (0, 0.15), "taper": (0.3, 0.95)}
_WIDTHS_PX: Final = (0.2, 1.1)


def random_style(rng: np.random.Generator, kind: str, *, scale: float = 1.0) -> StrandStyle:
    """A style of one of `STYLES` with random measures; ``scale`` 1 is for a head of some 300 px."""
    ranges = {**_COMMON, **STYLES[kind]}
    drawn: dict[str, Any] = {name: rng.uniform(*ends) for name, ends in ranges.items()}
    style = StrandStyle(**drawn)
    length_px, wave_px = style.length_px * scale, style.wave_px * scale
    return replace(
        style,
        length_px=length_px,
        wave_px=wave_px,
        width_px=float(np.exp(rng.uniform(*np.log(_WIDTHS_PX)))) * scale**0.5,
        clump=int(rng.choice([4, 8, 16, 30])),
        # A few points for each wave, and for each bend.
        steps=int(np.clip(6 + 8 * style.wave * length_px / wave_px + length_px / 12, 8, 48)),
    )


def grow(
    roots: Array, headings: Array, colours: Array, style: StrandStyle, rng: np.random.Generator
) -> Strands:
    """Grow one strand from each root.

    Args:
        roots: (N, 2) px; neighbours in this order share a clump.
        headings: (N,) radians; 0 is to the right, pi / 2 is down.
        colours: (N, 3) the hair's own colour at the roots, RGB in 0..1; shading is added to it.
        style: how the strands grow.
        rng: decides the rest.
    """
    n, k = len(roots), style.steps
    clump = np.arange(n) // max(style.clump, 1)
    first = clump * max(style.clump, 1)
    leaves = rng.random(n) < style.flyaway
    heading = _headings(headings, clump, leaves, style, rng)
    length = style.length_px * rng.uniform(0.6, 1.2, clump.max(initial=0) + 1)[clump]
    length = length * rng.uniform(0.7, 1.1, n) * np.where(leaves, rng.uniform(0.5, 1.6, n), 1)
    step = (length / (k - 1))[:, None, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
    points = roots[:, None] + np.concatenate([np.zeros((n, 1, 2)), np.cumsum(step[:, 1:], 1)], 1)
    s = np.linspace(0, 1, k)
    weight = (style.pull * np.where(leaves, 0.1, rng.uniform(0.6, 1, n)))[:, None] * s**0.7
    guide = points[first] + (roots - roots[first])[:, None] * (1 - 0.7 * s)[None, :, None]
    points = points + weight[..., None] * (guide - points)
    widths = style.width_px * rng.lognormal(0, 0.25, n)[:, None] * (1 - style.taper * s**2)
    return Strands(points, widths, _shade(colours, clump, k, rng))


def paint(canvas: Canvas, strands: Strands) -> None:
    """Paint the strands in their order, the last one in front."""
    k = strands.points.shape[1]
    cuts = np.unique(np.linspace(0, k - 1, min(_ZONES, k - 1) + 1).astype(int))
    for points, widths, colours in zip(strands.points, strands.widths, strands.colours, strict=True):
        for start, stop in pairwise(cuts):
            middle = (start + stop) // 2
            canvas.stroke(points[start : stop + 1], float(widths[middle]), colours[middle])


def sway(
    strands: Strands,
    *,
    frames: int,
    height: int,
    width: int,
    amplitude: float = 0.15,
    period: float = 24.0,
    samples: int = 4,
) -> Iterator[Layer]:
    """The same strands in a gentle wind: ``frames`` layers of that size, each with its exact alpha.

    Every strand turns about its root, the more the nearer the tip, by up to ``amplitude`` radians;
    the gust runs across the picture and repeats after ``period`` frames. Roots stay where they are
    and strands keep their lengths.
    """
    steps = np.diff(strands.points, axis=1)
    s = np.linspace(0, 1, strands.points.shape[1])[1:]
    lag = strands.points[:, :1, 0] / max(width, 1) * np.pi
    for frame in range(frames):
        turn = amplitude * s[None] * np.sin(2 * np.pi * frame / period - lag)
        cos, sin = np.cos(turn), np.sin(turn)
        x = cos * steps[..., 0] - sin * steps[..., 1]
        y = sin * steps[..., 0] + cos * steps[..., 1]
        moved = np.cumsum(np.stack([x, y], -1), 1) + strands.points[:, :1]
        canvas = Canvas(height, width, samples=samples)
        paint(canvas, replace(strands, points=np.concatenate([strands.points[:, :1], moved], 1)))
        yield canvas.layer()


def _headings(
    headings: Array,
    clump: NDArray[np.intp],
    leaves: NDArray[np.bool_],
    style: StrandStyle,
    rng: np.random.Generator,
) -> Array:
    n, k = len(headings), style.steps
    count = int(clump.max(initial=0)) + 1
    s = np.linspace(0, 1, k)[None]
    start = headings + rng.normal(0, style.spread, count)[clump] + rng.normal(0, 0.08, n)
    start = start + np.where(leaves, rng.normal(0, style.spread + 0.4, n), 0)
    turn = rng.normal(0, style.bend, count)[clump] + rng.normal(0, 0.25 * style.bend + 0.02, n)
    turn = turn * np.where(leaves, 1.8, 1)
    phase = rng.uniform(0, 2 * np.pi, count)[clump] + rng.normal(0, 0.4, n)
    period = style.wave_px * rng.lognormal(0, 0.2, count)[clump] * rng.lognormal(0, 0.07, n)
    angle = start[:, None] + turn[:, None] * s
    swing = style.wave * rng.uniform(0.6, 1.2, count)[clump] * rng.choice([-1, 1], count)[clump]
    angle = angle + swing[:, None] * np.minimum(1, 4 * s) * np.sin(
        2 * np.pi * s * (style.length_px / np.maximum(period, 1))[:, None] + phase[:, None]
    )
    angle = angle + np.cumsum(rng.normal(0, style.frizz + 1e-9, (n, k)), 1)
    # Gravity turns a heading towards straight down, the shorter way round.
    to_down = np.angle(np.exp(1j * (np.pi / 2 - angle)))
    return np.asarray(angle + style.fall * s * to_down)


def _shade(colours: Array, clump: NDArray[np.intp], k: int, rng: np.random.Generator) -> Array:
    n = len(colours)
    count = int(clump.max(initial=0)) + 1
    s = np.linspace(0, 1, k)[None]
    root, tip = rng.uniform(0.55, 1.0), rng.uniform(0.9, 1.3)
    light = root + (tip - root) * np.minimum(1, 2.5 * s)
    centre = rng.uniform(0.15, 0.7) + rng.normal(0, 0.08, count)[clump]
    gloss = rng.uniform(0, 0.7) * np.exp(-(((s - centre[:, None]) / rng.uniform(0.08, 0.25)) ** 2))
    strand = rng.lognormal(0, rng.uniform(0.05, 0.3), n) * rng.lognormal(0, 0.12, count)[clump]
    tint = colours * strand[:, None] * (1 + rng.normal(0, 0.03, (n, 3)))
    shaded = tint[:, None] * light[..., None] + (gloss * rng.uniform(0.1, 0.5))[..., None] * (
        0.3 + 0.7 * tint[:, None]
    )
    return np.clip(shaded, 0, 1)
