"""What is shown of a matted picture, and the words on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autohair_video.live.pipeline import MattedFrame
from autohair_video.live.settings import View
from autohair_video.media.camera import Picture

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (255, 255, 255)
_LETTERS: Final = 0.5
_SMALLEST_LETTERS: Final = 0.3
_LINE_PX: Final = 18
_MARGIN_PX: Final = 6
# What remains of the picture behind words.
_BEHIND_WORDS: Final = 0.35


def draw_view(view: View, matted: MattedFrame, composite: Picture | None) -> Picture:
    """(H, W, 3) uint8 BGR of one view; ``side`` is twice as wide.

    ``composite`` is needed by the views ``composite`` and ``side``.
    """
    if view == "original":
        return matted.picture
    if view == "matte":
        return _as_gray(matted.matte.alpha * 255)
    if view == "trimap" and matted.matte.trimap is not None:
        return _as_gray(matted.matte.trimap)
    if composite is None:
        raise ValueError(f"view {view} needs a composite")
    if view == "composite":
        return composite
    both: Picture = np.concatenate([matted.picture, composite], axis=1)
    return both


def draw_overlay_text(picture: Picture, lines: Sequence[str]) -> Picture:
    """A copy with lines of white text on a darkened strip at its top."""
    shown: Picture = picture.copy()
    strip = shown[: len(lines) * _LINE_PX + _MARGIN_PX]
    strip[:] = (strip * _BEHIND_WORDS).astype(np.uint8)
    for i, line in enumerate(lines, start=1):
        _write(shown, line, i * _LINE_PX)
    return shown


def _write(picture: NDArray[np.uint8], line: str, base: int) -> None:
    """One line, in smaller letters where it would not fit."""
    room = picture.shape[1] - 2 * _MARGIN_PX
    scale = _LETTERS
    while scale > _SMALLEST_LETTERS and cv2.getTextSize(line, _FONT, scale, 1)[0][0] > room:
        scale -= 0.02
    cv2.putText(picture, line, (_MARGIN_PX, base), _FONT, scale, _WHITE, 1, cv2.LINE_AA)


def _as_gray(plane: Tensor) -> Picture:
    gray = plane[0, 0].round().byte().cpu().numpy()
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)
