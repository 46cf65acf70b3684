"""Heads of portraits and street photos with loose hair, with room for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic import shapes
from autohair_video.training.synthetic.canvas import Floats, Layer, cut_out, dilate, erode, soft_mask
from autohair_video.training.synthetic.head import Head, find_head
from autohair_video.training.synthetic.loose_hair import add_loose_hair
from autohair_video.training.synthetic.sources import Outlined, Sources

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LooseHead(Layer):
    """A layer of a head with loose hair, and ``hair`` (H, W), the hair's alpha."""

    hair: Floats


def loose_head(
    sources: Sources, rng: np.random.Generator, size: tuple[int, int], *, portraits: float = 0.7
) -> LooseHead:
    """Head and shoulders with loose hair, which stand on the lower edge of (height, width) px.

    ``portraits`` is the share of heads from portraits; the others are cut from street photos. Portraits
    that cut the head off, where hair is to have room, are drawn again.
    """
    portrait = rng.random() < portraits
    shrunk = rng.uniform(0.4, 0.8) if portrait else 1.0
    for _ in range(_TRIES):
        drawn = sources.portrait(rng) if portrait else sources.street_head(rng, room=rng.uniform(1, 2.2))
        core, tidy = _tidy(drawn, rng)
        head = find_head(core.alpha, tidy)
        if head is None or (portrait and not _whole(core.alpha, tidy, head)):
            continue
        if rng.random() < 0.35:
            core = _dyed(core, tidy, rng)
        placed = _standing(core, tidy, shrunk, size, rng)
        before = float(placed[2].sum())
        for _ in range(1 if rng.random() < 0.6 else 2):
            placed = add_loose_hair(*placed, rng, most=6000)
        if placed[2].sum() > _GROWN * before:
            break
    else:
        placed = _standing(core, tidy, shrunk, size, rng)
    colour, alpha, hair = placed
    layer = Layer.from_premultiplied(np.dstack([colour * alpha[..., None], alpha]))
    return LooseHead(layer.colour, alpha, hair)


# draws until there is a head with room for more hair, and how much more of it there must be
_TRIES: Final = 30
_GROWN: Final = 1.15


def _dyed(core: Layer, hair: Floats, rng: np.random.Generator) -> Layer:
    # hair of another colour: black to blond, red, grey, now and then any
    dark = rng.uniform(0.05, 1)
    tone: Array = dark * np.array([0.95, rng.uniform(0.55, 0.85), rng.uniform(0.25, 0.75)])
    if rng.random() < 0.25:
        tone = shapes.random_colour(rng) if rng.random() < 0.5 else np.full(3, dark)
    grey = core.colour.mean(-1, keepdims=True)
    own = grey[hair > 0.9]
    grain = grey / max(float(own.mean()) if len(own) else 0.5, 0.05)
    share = hair[..., None] * rng.uniform(0.7, 1)
    dyed = core.colour + share * (np.clip(tone * grain, 0, 1) - core.colour)
    return Layer(dyed.astype(np.float32), core.alpha)


def _whole(alpha: Floats, hair: Floats, head: Head) -> bool:
    # the photo cuts off little of the top of the head, of the chin and of the hair; and some is there
    chin = head.centre[1] + 0.8 * head.width_px
    cut = max(float((alpha[0] > 0.5).mean()), float((hair[:, [0, -1]] > 0.5).any(axis=1).mean()))
    return cut < 0.05 and chin < 1.1 * len(alpha) and bool(hair.sum() > _LEAST_HAIR * alpha.sum())


def _tidy(drawn: Outlined, rng: np.random.Generator) -> tuple[Layer, Floats]:
    # the person and the alpha of the hair, both a little inside the real outline
    mask = np.where(
        dilate(drawn.hair, 7), erode(drawn.person, int(rng.integers(3, 9))), erode(drawn.person, 2)
    )
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)) > 0
    edge_px, smooth_px = rng.uniform(1, 3), rng.uniform(1, 4)
    core = cut_out(drawn.photo, np.asarray(opened), edge_px=edge_px, smooth_px=smooth_px)
    return core, np.minimum(core.alpha, soft_mask(dilate(drawn.hair, 2), smooth_px=2, edge_px=2))


def _standing(
    core: Layer, hair: Floats, shrunk: float, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    # The square core at a share of the height, on the lower edge. Where its photo cut the shoulders they are
    # rounded off, so that nobody ends at an upright line in mid-air.
    height, width = size
    side = min(round(shrunk * height), width)
    alpha = core.alpha * _bust(core.alpha, hair) if side < width else core.alpha
    small = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in (core.colour, alpha, hair)]
    left = int(rng.integers(0, width - side + 1) * 0.5 + (width - side) * 0.25)
    way = int(rng.choice((-1, 1)))
    small = [np.ascontiguousarray(p[:, ::way]) for p in small]
    margins = (height - side, 0, left, width - side - left)
    colour = cv2.copyMakeBorder(small[0], *margins, cv2.BORDER_REPLICATE)
    alpha, hair = (cv2.copyMakeBorder(p, *margins, cv2.BORDER_CONSTANT, value=0) for p in small[1:])
    return np.clip(colour, 0, 1), np.clip(alpha, 0, 1), np.minimum(hair, alpha).clip(0, 1)


def _bust(alpha: Floats, hair: Floats) -> Floats:
    # 1 above the neck, and below it within shoulders as wide as the square is at its lower edge
    head = find_head(alpha, hair)
    if head is None or not (alpha[:, [0, -1]] > 0.5).any():
        return np.ones_like(alpha)
    side = len(alpha)
    x, y = np.arange(side, dtype=np.float32) + np.float32(0.5), np.arange(side, dtype=np.float32)[:, None]
    neck = head.centre[1] + 0.7 * head.width_px
    t = np.clip((y - neck) / max(0.6 * head.width_px, 1), 0, 1)
    room = np.where(x < head.centre[0], head.centre[0], side - head.centre[0]) - 2
    narrow = np.minimum(room, np.maximum(0.5 * room, 0.7 * head.width_px))
    reach = narrow + (room - narrow) * np.sqrt(1 - (1 - t) ** 2)
    inside = np.clip(reach - np.abs(x - head.centre[0]) + 0.5, 0, 1)
    return np.where(y < neck, 1, inside).astype(np.float32)


# share of a portrait that is hair, where more can grow
_LEAST_HAIR: Final = 0.04
