"""Chroma keying: alpha of people before a green screen, and their colours without its spill."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.tflite import Picture, Probability


class NoScreenError(Exception):
    """There is no screen in a picture."""


# Green's excess over red and blue, relative to the screen's, below which a pixel is surely solid, and above
# which it is surely screen.
_SOLID, _SCREEN = 0.15, 0.85
# The window in which solid colours and the screen's colour are taken for a mixed pixel's, as a share of the
# long side.
_NEAR_SHARE, _SCREEN_SHARE = 0.08, 0.25
# Mixed pixels reach so far into what looks solid, as a share of the long side: red hides a rest of green.
_RIM_SHARE = 0.012
# Pixels with this share of the screen's excess are the screen.
_PURE = 0.9
# The least excess of green (of 1) in at least this share of a picture that is before a screen.
_LEAST_EXCESS, _LEAST_SHARE = 0.12, 0.1


def key_screen(picture: Picture) -> tuple[Picture, Probability]:
    """A frame without green spill (H, W, 3) uint8 and its alpha (H, W) in 0..1.

    A colour difference key (Vlahos' "Ultimatte" patents) tells solid pixels and screen; between them alpha is
    the projection on the line from the screen's colour nearby to the solid colour nearby, and so exact where
    these two do not vary. Parts too thin to have solid pixels keep the colour difference.

    Raises:
        NoScreenError: too little of the picture is green.
    """
    colour = picture.astype(np.float32) / 255
    excess = _green_excess(colour)
    wanted = max(_LEAST_EXCESS, 0.6 * float(np.percentile(excess, 98)))
    sure = excess > wanted
    if sure.mean() < _LEAST_SHARE:
        raise NoScreenError("no green screen in the picture: it cannot be keyed")
    screen, _ = _local_mean(colour, sure, _SCREEN_SHARE)
    # without the mixed pixels that the first estimate took for screen
    sure &= excess > _PURE * _green_excess(screen)
    screen, _ = _local_mean(colour, cv2.erode(sure.astype(np.uint8), np.ones((3, 3))) > 0, _SCREEN_SHARE)
    relative = excess / np.maximum(_green_excess(screen), _LEAST_EXCESS / 2)
    rim = 2 * round(max(colour.shape[:2]) * _RIM_SHARE) + 1
    solid = cv2.erode(np.asarray(relative < _SOLID, np.uint8), np.ones((rim, rim), np.uint8)) > 0
    inner, is_near = _local_mean(colour, solid, _NEAR_SHARE)
    line = inner - screen
    along = ((colour - screen) * line).sum(-1) / np.maximum((line**2).sum(-1), 1e-4)
    alpha = np.where(is_near & (relative <= _SCREEN), along, 1 - relative)
    alpha = np.where(solid, 1.0, alpha)
    # what the codec's noise makes of pure screen and of solid pixels is neither
    alpha = np.clip((alpha - 0.06) / 0.88, 0, 1).astype(np.float32)
    return _despilled(colour, alpha), alpha


def _green_excess(colour: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(colour[..., 1] - np.maximum(colour[..., 0], colour[..., 2]), np.float32)


def _local_mean(
    colour: NDArray[Any], where: NDArray[np.bool_], share: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The mean colour nearby of the pixels ``where``, of all of them where none is near; and where one is."""
    side = round(max(colour.shape[:2]) * share) | 1
    weight = where.astype(np.float32)[..., None]
    near = cv2.blur(np.dstack([colour * weight, weight]), (side, side))
    overall = colour[where].mean(axis=0) if where.any() else colour.mean(axis=(0, 1))
    known = np.minimum(near[..., 3:] * 1e3, 1)
    mean = near[..., :3] / np.maximum(near[..., 3:], 1e-6)
    blend = known * mean + (1 - known) * overall
    return np.asarray(blend, np.float32), np.asarray(near[..., 3] > 1e-3)


def _despilled(colour: NDArray[Any], alpha: Probability) -> Picture:
    """Green no higher than the larger of red and blue, in the measure of alpha."""
    clean = colour.copy()
    clean[..., 1] -= alpha * np.maximum(_green_excess(colour), 0)
    return np.asarray(np.rint(clean * 255), np.uint8)
