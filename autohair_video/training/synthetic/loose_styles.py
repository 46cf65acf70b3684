"""What tells kinds of loose hair apart: ranges of the measures by which locks grow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np


@dataclass(frozen=True)
class LooseStyle:
    """How locks grow; lengths in head widths, angles in radians, all else relative.

    ``length`` is that of a lock, ``fall`` and ``wind`` how strongly weight and wind turn it, ``both`` whether
    the wind parts the hair, ``lift`` how far hair stands off the skull at its roots (0..1), ``curl`` the
    swing of the curls (over 1 makes loops) with period ``curl_length``, ``frizz`` the scatter of strands,
    ``flyaway`` the share of strands that leave it, ``fullness`` how many there are, ``lock`` the width of a
    lock, ``crowd`` the number of strands in it, ``solid`` the share of it that has no gaps, ``tone`` the
    brightness, ``front`` the share of locks before the person. ``roots`` says where they grow: all over the
    hair, from one place in it (``tail``), above the face (``brow``) or in its lower half (``chin``).
    ``plaited``: all is one plait.
    """

    roots: Literal["hair", "tail", "brow", "chin"] = "hair"

    length: tuple[float, float] = (0.6, 2.0)
    fall: float = 1.0
    wind: float = 0.0
    both: bool = False
    lift: float = 0.5
    curl: float = 0.1
    curl_length: float = 0.5
    frizz: float = 0.5
    flyaway: float = 0.06
    fullness: float = 1.0
    lock: float = 0.08
    crowd: float = 24
    solid: float = 0.5
    tone: float = 1.0
    front: float = 0.4
    plaited: bool = False


STYLES: Final[dict[str, LooseStyle]] = {
    "hanging": LooseStyle(lift=0.25),
    "blown": LooseStyle(fall=0.35, wind=2.0),
    "blown to both sides": LooseStyle(length=(0.8, 2.2), fall=0.35, wind=1.8, both=True),
    "curly": LooseStyle(
        length=(0.5, 1.5), fall=0.6, lift=0.9, curl=1.5, curl_length=0.22, frizz=1.2, lock=0.12
    ),
    "frizzy": LooseStyle(
        length=(0.4, 1.0), fall=0.2, lift=1, curl=0.8, curl_length=0.12, frizz=2.5, solid=0.2
    ),
    "wet": LooseStyle(lift=0.1, frizz=0.15, flyaway=0.02, lock=0.035, solid=0.9, tone=0.6, fullness=0.6),
    "thin": LooseStyle(
        length=(0.3, 0.7), fall=0.3, lift=1, flyaway=0.5, fullness=0.12, lock=0.02, crowd=2, solid=0
    ),
    "fly-aways": LooseStyle(
        length=(0.3, 1.2), fall=0.2, wind=0.5, flyaway=1, fullness=0.2, crowd=3, solid=0, front=0.6
    ),
    "fringe": LooseStyle("brow", length=(0.3, 0.6), fall=2, fullness=0.4, crowd=10, solid=0.2, front=1),
    "ponytail": LooseStyle("tail", length=(0.8, 2.0), fall=0.9, wind=0.4, lift=1, frizz=0.8, front=0.1),
    "plait": LooseStyle("tail", length=(0.8, 1.8), fall=1.5, lift=1, lock=0.1, plaited=True),
    "beard": LooseStyle(
        "chin", length=(0.2, 0.6), fall=2, lift=0.2, curl=0.4, curl_length=0.15, fullness=0.7, front=1
    ),
}
_SHARES: Final = (0.15, 0.17, 0.15, 0.13, 0.08, 0.06, 0.05, 0.08, 0.03, 0.05, 0.03, 0.02)


def random_style(rng: np.random.Generator, name: str | None = None) -> LooseStyle:
    """One of `STYLES`, or the one that is named, with its measures varied."""
    name = name or str(rng.choice(list(STYLES), p=_SHARES))
    style = STYLES[name]
    return replace(
        style,
        curl=style.curl * rng.uniform(0.5, 1.4),
        curl_length=style.curl_length * rng.uniform(0.7, 1.5),
        wind=style.wind * rng.uniform(0.6, 1.5),
        lift=min(1.0, style.lift * rng.uniform(0.6, 1.6)),
        frizz=style.frizz * rng.uniform(0.6, 1.6),
        lock=style.lock * rng.uniform(0.6, 1.5),
        solid=style.solid * rng.uniform(0.3, 1.2),
        fullness=style.fullness * rng.uniform(0.5, 1.5),
        flyaway=min(1.0, style.flyaway * rng.uniform(0.3, 2.5)),
        tone=style.tone * rng.uniform(0.85, 1.15),
    )
