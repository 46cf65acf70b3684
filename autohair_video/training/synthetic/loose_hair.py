"""Loose hair for heads that have tidy hair: blown, hanging, curly, wet, thin, tied, plaited; fringes, beards.

find_head -> random_tresses (locks of strands, rooted in the hair that is there) -> draw_tresses
add_loose_hair does it all for one picture, add_blowing_hair for the frames of a clip
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from autohair_video.training.synthetic.canvas import Floats, disc_kernel, motion_kernel
from autohair_video.training.synthetic.head import find_head
from autohair_video.training.synthetic.loose_styles import LooseStyle, random_style
from autohair_video.training.synthetic.shapes import between
from autohair_video.training.synthetic.tresses import draw_tresses, random_tresses, swayed

Layers = tuple[Floats, Floats, Floats]
"""Straight RGB (S, S, 3), person alpha and hair alpha (S, S), all in 0..1."""


def add_loose_hair(
    image: Floats,
    person: Floats,
    hair: Floats,
    rng: np.random.Generator,
    *,
    style: LooseStyle | None = None,
    most: int = 2500,
) -> Layers:
    """A person's layer with loose hair grown from the hair that it has; unchanged where it shows no hair.

    Alpha is never less than before, and hair is the strands' own alpha where they are alone. To be called
    before the person is put on a background, on colours that hold nothing of the old one.

    Args:
        image: (H, W, 3) straight RGB in 0..1.
        person: (H, W) alpha in 0..1, hair included.
        hair: (H, W) alpha of the hair in 0..1.
        rng: the same state gives the same hair.
        style: of `random_style`; one at random without it.
        most: number of strands at most; over 2500 they are painted finer too.
    """
    return next(add_blowing_hair(image, person, hair, rng, frames=1, style=style, most=most))


def add_blowing_hair(
    image: Floats,
    person: Floats,
    hair: Floats,
    rng: np.random.Generator,
    *,
    frames: int = 8,
    style: LooseStyle | None = None,
    most: int = 2500,
) -> Iterator[Layers]:
    """`add_loose_hair` for ``frames`` frames, in which wind moves the strands; the person stands still."""
    head = find_head(person, hair)
    style = style or random_style(rng)
    tresses = None if head is None else random_tresses(image, head, style, rng, most=most)
    if head is None or tresses is None:
        yield from [(image, person, hair)] * frames
        return
    height, width = person.shape
    light = _light(height, width, rng)
    kernel = _random_blur(head.width_px, rng)
    amplitude, phase, pace = rng.uniform(0.05, 0.3), rng.uniform(0, 7), rng.uniform(0.15, 0.6)
    samples = 4 if max(height, width) <= 320 or most > 2500 else 3
    for frame in range(frames):
        moved = swayed(tresses, phase=phase + pace * frame, amplitude=amplitude) if frames > 1 else tresses
        behind, front = draw_tresses(moved, height, width, samples=samples)
        for layer in (behind, front):
            layer[..., :3] = np.minimum(layer[..., :3] * light, layer[..., 3:])
        if kernel is not None:
            behind, front = (np.clip(cv2.filter2D(layer, -1, kernel), 0, 1) for layer in (behind, front))
        yield laid(image, person, hair, behind, front)


def laid(image: Floats, person: Floats, hair: Floats, behind: Floats, front: Floats) -> Layers:
    """A person's layer between two premultiplied (H, W, 4) layers of hair (Porter and Duff, 1984, over)."""
    over, own = front[..., 3], person * (1 - front[..., 3])
    rest = (1 - over) * (1 - person)
    alpha = np.maximum(np.minimum(over + own + rest * behind[..., 3], 1), person)
    strands = over + (1 - over) * hair + rest * behind[..., 3]
    colour = front[..., :3] + own[..., None] * image + rest[..., None] * behind[..., :3]
    straight = np.where(alpha[..., None] > 1e-3, colour / np.maximum(alpha, 1e-3)[..., None], image)
    return (
        np.clip(straight, 0, 1).astype(np.float32),
        alpha.astype(np.float32),
        np.minimum(strands, alpha).astype(np.float32),
    )


def _light(height: int, width: int, rng: np.random.Generator) -> Floats:
    grid = rng.uniform(0.75, 1.25, (4, 4, 1)).astype(np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[..., None], np.float32)


def _random_blur(head_px: float, rng: np.random.Generator) -> Floats | None:
    draw = rng.random()
    if draw < 0.2:
        return disc_kernel(max(0.6, head_px * between(rng, 0.004, 0.04)))
    if draw < 0.3:
        return motion_kernel(max(2.0, head_px * between(rng, 0.02, 0.15)), rng.uniform(0, np.pi))
    return None
