"""Procedural prints for cloth."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE: Final = 256


def cloth_texture(
    weave: str,
    colour: tuple[float, float, float],
    second: tuple[float, float, float],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """One repeat of a print, (256, 256, 3) float32 linear RGB in 0.01 to 0.9.

    Args:
        weave: ``plain``, ``stripes``, ``checks``, ``dots`` or ``blotches``.
        colour: of the cloth.
        second: of the print.
        rng: decides widths and noise.
    """
    y, x = np.mgrid[:_SIZE, :_SIZE] / _SIZE
    width = rng.uniform(0.25, 0.65)
    if weave == "stripes":
        share = ((y if rng.random() < 0.7 else x) < width).astype(np.float64)
    elif weave == "checks":
        share = 0.5 * (x < width) + 0.5 * (y < width)
    elif weave == "dots":
        share = (np.hypot(x - 0.5, y - 0.5) < 0.6 * width).astype(np.float64)
    elif weave == "blotches":
        noise = cv2.GaussianBlur(rng.normal(0, 1, (_SIZE, _SIZE)), (0, 0), 14, borderType=cv2.BORDER_REFLECT)
        share = (noise > 0).astype(np.float64)
    else:
        share = np.zeros((_SIZE, _SIZE))
    cloth = np.array(colour) * (1 - share[..., None]) + np.array(second) * share[..., None]
    cloth = cloth * (1 + 0.05 * rng.normal(0, 1, (_SIZE, _SIZE, 1)))
    texture: NDArray[Any] = np.clip(cloth, 0.01, 0.9).astype(np.float32)
    return texture
