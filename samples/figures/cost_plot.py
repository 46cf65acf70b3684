"""Small line plots side by side, as SVG on white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, TOP, GAP = 400, 240, 56, 36, 40


@dataclass(frozen=True)
class Series:
    """One line: points from left to right."""

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


def draw_plot(panels: Sequence[tuple[str, Sequence[Series]]], *, unit: str) -> str:
    """The panels' captions stand below them; ``unit`` is that of all heights."""
    step = LEFT + WIDTH + GAP
    parts = [_panel(caption, series, LEFT + i * step, unit) for i, (caption, series) in enumerate(panels)]
    size = f'width="{step * len(panels)}" height="{TOP + HEIGHT + 50}"'
    style = 'font-family="sans-serif" font-size="12"'
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', ground, *parts, "</svg>", ""]
    )


def _panel(caption: str, series: Sequence[Series], left: int, unit: str) -> str:
    widest = _round_above(max(max(s.x) for s in series))
    highest = _round_above(max(max(s.y) for s in series))
    parts = [f'<text x="{left}" y="16" fill="#333">{unit}</text>']
    for i in range(5):
        share = i / 4
        x, y = left + share * WIDTH, TOP + (1 - share) * HEIGHT
        parts.append(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(_text(left - 6, y + 4, f"{share * highest:.6g}", "end"))
        parts.append(_text(x, TOP + HEIGHT + 16, f"{share * widest:.6g}", "middle"))
    parts.append(_text(left + WIDTH / 2, TOP + HEIGHT + 38, caption, "middle"))
    for row, line in enumerate(series):
        points = [
            (left + x / widest * WIDTH, TOP + (1 - y / highest) * HEIGHT)
            for x, y in zip(line.x, line.y, strict=True)
        ]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{line.colour}"/>' for x, y in points]
        parts.append(
            f'<text x="{left + 12}" y="{TOP + 16 + 16 * row}" fill="{line.colour}">{line.name}</text>'
        )
    return "\n".join(parts)


def _round_above(value: float) -> float:
    """A number at or above ``value`` whose quarters are round."""
    power = 10 ** math.floor(math.log10(value / 4))
    return next(4 * step * power for step in (1, 2, 2.5, 5, 10) if 4 * step * power >= value)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{text}</text>'
