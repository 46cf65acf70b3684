"""What contact sheets are made of: labelled panels beside and below each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.evaluate.datasets import Picture

PANEL_PX: Final = 320
SHADE: Final = 32
_GAP_PX: Final = 8
_LINE_PX: Final = 26


def text_strip(lines: Sequence[str], *, width: int = PANEL_PX) -> Picture:
    """Dark strips with a line of text each."""
    strip = np.full((_LINE_PX * len(lines), width + _GAP_PX, 3), SHADE, np.uint8)
    for index, line in enumerate(lines):
        place = (4, _LINE_PX * (index + 1) - 8)
        cv2.putText(strip, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return strip


def stack(parts: Sequence[Picture], *, axis: int) -> Picture:
    """Pictures below (axis 0) or beside (axis 1) each other, padded to the largest."""
    across = max(part.shape[1 - axis] for part in parts)
    padded = []
    for part in parts:
        missing = [(0, 0), (0, 0), (0, 0)]
        missing[1 - axis] = (0, across - part.shape[1 - axis])
        padded.append(np.pad(part, missing, constant_values=SHADE))
    return np.concatenate(padded, axis=axis)


def coloured(view: NDArray[Any]) -> Picture:
    """(h, w) or (h, w, 3) as (h, w, 3)."""
    return np.asarray(view if view.ndim == 3 else np.dstack([view] * 3), np.uint8)


def as_bytes(values: NDArray[Any]) -> Picture:
    """0..1 as 0..255."""
    return np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8)
