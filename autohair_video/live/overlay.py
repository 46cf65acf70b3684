"""The views of a matted frame, and the text drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autohair_video.live.pipeline import MattedFrame
from autohair_video.live.settings import Settings, View
from autohair_video.live.stats import SessionStatus
from autohair_video.media.camera import BgrImage

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (255, 255, 255)
_FONT_SCALE: Final = 0.5
_MIN_FONT_SCALE: Final = 0.3
_LINE_PX: Final = 18
_MARGIN_PX: Final = 6
# Brightness of the image behind text, relative to the image itself.
_BACKDROP_BRIGHTNESS: Final = 0.35


def draw_view(view: View, matted: MattedFrame, composite: BgrImage | None) -> BgrImage:
    """(H, W, 3) uint8 BGR of one view; ``side`` is twice as wide.

    ``composite`` is required by the views ``composite`` and ``side``.
    """
    if view == "original":
        return matted.image
    if view == "matte":
        return _gray_to_bgr(matted.matte.alpha * 255)
    if view == "trimap" and matted.matte.trimap is not None:
        return _gray_to_bgr(matted.matte.trimap)
    if composite is None:
        raise ValueError(f"view {view} needs a composite")
    if view == "composite":
        return composite
    both: BgrImage = np.concatenate([matted.image, composite], axis=1)
    return both


def status_line(status: SessionStatus, settings: Settings) -> str:
    """Rate, latency, dropped frames and the viewer's settings in one line."""
    latency = "-" if status.latency_s is None else f"{1000 * status.latency_s:.0f} ms"
    parts = [f"{status.fps:.1f} fps", latency, f"dropped {status.dropped}", settings.view]
    parts += [f"quality {status.quality}/{status.qualities}", f"band {settings.band:.2g}"]
    parts += [] if settings.tier == "fast" else [settings.tier]
    parts += [] if settings.smoothing else ["no smoothing"]
    parts += ["frozen"] if settings.frozen else []
    if status.recorded_s is not None:
        parts.append(f"REC {status.recorded_s // 60}:{status.recorded_s % 60:02d}")
    return "  ".join(parts)


def draw_overlay_text(image: BgrImage, lines: Sequence[str]) -> BgrImage:
    """A copy with lines of white text on a darkened strip at the top."""
    shown: BgrImage = image.copy()
    strip = shown[: len(lines) * _LINE_PX + _MARGIN_PX]
    strip[:] = (strip * _BACKDROP_BRIGHTNESS).astype(np.uint8)
    for i, line in enumerate(lines, start=1):
        _put_line(shown, line, i * _LINE_PX)
    return shown


def _put_line(image: NDArray[np.uint8], line: str, baseline_px: int) -> None:
    """One line of text, in a smaller font where it would not fit."""
    width_px = image.shape[1] - 2 * _MARGIN_PX
    scale = _FONT_SCALE
    while scale > _MIN_FONT_SCALE and cv2.getTextSize(line, _FONT, scale, 1)[0][0] > width_px:
        scale -= 0.02
    cv2.putText(image, line, (_MARGIN_PX, baseline_px), _FONT, scale, _WHITE, 1, cv2.LINE_AA)


def _gray_to_bgr(plane: Tensor) -> BgrImage:
    gray = plane[0, 0].round().byte().cpu().numpy()
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)
