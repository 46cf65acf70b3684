"""Trimaps for training: from the exact alpha, but of the kinds that users and the product make.

All take alpha (H, W) float32 in 0..1 and give (H, W) float32 of 0 (background), 0.5 (unknown) and
1 (foreground).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch

from autohair_video.matting import trimap as product
from autohair_video.training.backgrounds import noise
from autohair_video.training.synthetic.canvas import Floats
from autohair_video.training.synthetic.shapes import between

_WRONG: Final = 0.1  # a known pixel that is further than this from alpha is wrong


def random_trimap(alpha: Floats, rng: np.random.Generator) -> Floats:
    """One of the kinds below with random measures, a third of them with islands.

    The product's forms draw on a hard or guessed mask and can be wrong; where more than 1.5 %
    (fixed form) or 4 % (adaptive) of the picture is, the truth's own band takes their place.
    """
    made = _without_islands(alpha, rng)
    return with_islands(made, rng) if rng.random() < 0.33 else made


def loose_trimap(alpha: Floats, rng: np.random.Generator) -> Floats:
    """A trimap for loose hair: half of them the product's adaptive form, where it has no more than 4 % wrong.

    The others are the truth's own band, which reaches up to 80 px out, as the band of a segmenter does that
    is in doubt of all that hair may cover.
    """
    made = segmenter_trimap(alpha, rng) if rng.random() < 0.5 else None
    if made is None or wrong_share(made, alpha) > 0.04:
        inward_px, outward_px = between(rng, 1, 25), between(rng, 2, 80)
        made = band_trimap(alpha, inward_px=inward_px, outward_px=outward_px)
    return with_islands(made, rng) if rng.random() < 0.2 else made


def with_islands(trimap: Floats, rng: np.random.Generator) -> Floats:
    """The trimap with a few more unknown spots, as a segmenter in doubt leaves them in and beside bodies.

    There the matter must see that nothing is mixed.
    """
    height, width = trimap.shape
    made, long_side = trimap.copy(), max(height, width)
    for _ in range(int(rng.integers(1, 4))):
        waver = noise(rng, long_side, cells=int(rng.integers(2, 9)))[:height, :width, 0]
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        radii = np.exp(rng.uniform(np.log(0.03), np.log(0.35), 2)) * long_side
        rows, columns = np.ogrid[:height, :width]
        far = ((rows - y) / radii[0]) ** 2 + ((columns - x) / radii[1]) ** 2
        made[far < 2 * waver] = 0.5
    return np.asarray(made, np.float32)


def with_guess(trimap: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
    """The trimap with a segmenter's guess in its unknown pixels, or in three of ten none.

    The guess is about alpha without what is thin, blurred, more or less sure, and wavering in large patches,
    so that it can be wrong there. It is told by values from 0.25 (background) to 0.75 (foreground).
    """
    if rng.random() < 0.3:
        return trimap
    height, width = alpha.shape
    seen = alpha
    if rng.random() < 0.6:
        side = 2 * int(np.exp(rng.uniform(0, np.log(12)))) + 1
        kind = cv2.MORPH_OPEN if rng.random() < 0.6 else cv2.MORPH_CLOSE
        seen = cv2.morphologyEx(seen, kind, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    seen = cv2.GaussianBlur(seen, (0, 0), float(np.exp(rng.uniform(np.log(0.7), np.log(8)))))
    waver = noise(rng, max(height, width), cells=int(rng.integers(2, 24)))[:height, :width, 0] - 0.5
    sure, unsteady = between(rng, 0.8, 10), rng.uniform(0, 10)
    guess = 1 / (1 + np.exp(-(sure * (2 * seen - 1) + unsteady * waver)))
    return np.where(trimap == 0.5, 0.25 + 0.5 * guess, trimap).astype(np.float32)


def _without_islands(alpha: Floats, rng: np.random.Generator) -> Floats:
    draw = rng.random()
    if draw < 0.2:
        size = int(rng.integers(3, 41))
        made = fixed_trimap(alpha, size=size, erosion=int(rng.integers(1, size // 2 + 1)))
        if wrong_share(made, alpha) < 0.015:
            return made
    elif draw < 0.45:
        made = segmenter_trimap(alpha, rng)
        if wrong_share(made, alpha) < 0.04:
            return made
    elif draw < 0.5:
        return band_trimap(alpha, inward_px=rng.uniform(25, 120), outward_px=rng.uniform(25, 120))
    inward_px, outward_px = np.exp(rng.uniform(0, np.log(25), 2))
    tolerance = float(rng.choice([0.006, 0.006, 0.015, 0.04]))
    return band_trimap(alpha, inward_px=inward_px, outward_px=outward_px, tolerance=tolerance)


def band_trimap(alpha: Floats, *, inward_px: float, outward_px: float, tolerance: float = 0.006) -> Floats:
    """The truth's own band: what is mixed by more than ``tolerance``, and all that is near it.

    ``inward_px`` and ``outward_px`` are how far the band reaches into solid fore- and background. A
    razor-sharp edge has no mixed pixels: there the distance to the other side counts.
    """
    background, solid = alpha <= tolerance, alpha >= 1 - tolerance
    if background.all() or solid.all():
        return solid.astype(np.float32)
    mixed_or_solid = cv2.distanceTransform(background.astype(np.uint8), cv2.DIST_L2, 5)
    mixed_or_background = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 5)
    known = np.full(alpha.shape, 0.5, np.float32)
    known[solid & (mixed_or_background > inward_px)] = 1
    known[background & (mixed_or_solid > outward_px)] = 0
    return known


def fixed_trimap(alpha: Floats, *, size: int, erosion: int) -> Floats:
    """The product's fixed form, of the mask alpha > 0.5."""
    mask = torch.from_numpy(alpha > 0.5)[None, None]
    return _values(product.fixed_trimap(mask, erosion=erosion, size=size))


def segmenter_trimap(alpha: Floats, rng: np.random.Generator) -> Floats:
    """The product's adaptive form, of what a coarse segmenter might make of the picture.

    Its person is the alpha at full to a sixth of the size, blurred, wavering at the edge and
    more or less sure of itself; its hair is where a good share of the pixels is mixed.
    """
    height, width = alpha.shape
    stride = float(rng.choice([1, 2, 3, 4, 6]))
    small = (round(width / stride), round(height / stride))
    person = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
    person = cv2.GaussianBlur(person, (0, 0), float(rng.uniform(0.6, 2.5)))
    waver = noise(rng, max(small), cells=int(rng.integers(3, 16)))[: small[1], : small[0], 0]
    person = person + (waver - 0.5) * 4 * person * (1 - person) * rng.uniform(0, 0.6)
    person = 0.5 + (person - 0.5) * rng.uniform(1, 3)
    hair = cv2.resize(4 * alpha * (1 - alpha), small, interpolation=cv2.INTER_AREA)
    hair = cv2.blur(hair, (5, 5)) * rng.uniform(0, 3)
    maps = torch.from_numpy(np.stack([person, hair]).clip(0, 1).astype(np.float32))[:, None, None]
    band = float(rng.uniform(0.7, 1.6))
    return _values(product.adaptive_trimap(maps[0], maps[1], size=(height, width), band=band))


def wrong_share(trimap: Floats, alpha: Floats) -> float:
    """Share of all pixels that are known, but off from alpha by more than 0.1."""
    return float(((trimap != 0.5) & (np.abs(trimap - alpha) > _WRONG)).mean())


def _values(trimap: torch.Tensor) -> Floats:
    table = np.zeros(256, np.float32)
    table[product.UNKNOWN], table[product.FOREGROUND] = 0.5, 1
    return np.asarray(table[trimap[0, 0].numpy()])
