"""Results of a grid comparison, its contact sheet, and the panels that all contact sheets are made of."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from autohair_video.compositing.foreground import estimate_foreground
from autohair_video.evaluate.datasets import Image
from autohair_video.evaluate.metrics import Alpha

Window = tuple[slice, slice]

ENGINES: Final[Mapping[str, str]] = {
    "dim": "DIM",
    "cf": "closed-form",
    "knn": "KNN",
    "lbdm": "learning-based",
    "lkm": "large-kernel",
    "rw": "random walk",
}
PANEL_PX: Final = 320
BACKGROUND_GREY: Final = 32
_GAP_PX: Final = 8
_LINE_PX: Final = 26
_LINE_CHARACTERS: Final = 34
# Plain backgrounds to choose from: green, magenta, blue, yellow, light and dark grey.
_BACKGROUND_COLOURS: Final = (
    (0, 177, 64),
    (214, 0, 147),
    (20, 80, 220),
    (240, 200, 0),
    (225, 225, 225),
    (24, 24, 24),
)
_MIN_HAIR_PROBABILITY: Final = 0.3
# Weight of an uncertain pixel outside hair, relative to 1 in hair: decides only where there is no hair.
_NON_HAIR_WEIGHT: Final = 1e-4


@dataclass(frozen=True)
class Cell:
    """One engine's (h, w) alpha in 0..1 for one trimap, or the reason why there is none."""

    engine: str
    duration_s: float
    alpha: Alpha | None
    reason: str = ""


@dataclass(frozen=True)
class ComparedTrimap:
    """A segmenter's trimap, (h, w) of 0, 128 and 255, and a cell for each engine."""

    segmenter: str
    name: str
    trimap: Image
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ComparedFrame:
    """A frame at its working size, (h, w, 3) RGB, and its combinations.

    ``probability_views``: for each segmenter's name an (h, w, 3) image, person white and hair red.
    ``window``: the rows and columns with the most uncertain hair. ``background``: RGB in 0..255.
    """

    label: str
    image: Image
    probability_views: Mapping[str, Image]
    window: Window
    background: tuple[int, int, int]
    trimaps: tuple[ComparedTrimap, ...]


@dataclass(frozen=True)
class Comparison:
    """All combinations, frame by frame."""

    frames: tuple[ComparedFrame, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each reason why cells are empty, starting with the engines concerned."""
        engines: dict[str, dict[str, None]] = {}
        for cell in (cell for frame in self.frames for row in frame.trimaps for cell in row.cells):
            if cell.reason:
                engines.setdefault(cell.reason, {})[ENGINES[cell.engine]] = None
        return tuple(f"{', '.join(names)}: {reason}" for reason, names in engines.items())


def comparison_sheet(comparison: Comparison, *, crop: bool = True) -> Image:
    """(H, W, 3) uint8 RGB: the frames' blocks below each other, with the hair at 100 % if ``crop``."""
    return stack([_block(frame, crop=crop) for frame in comparison.frames], axis=0)


def probability_view(person: Alpha, hair: Alpha) -> Image:
    """(h, w, 3): person white, hair red."""
    skin = person - hair
    return to_uint8(np.dstack([person, skin, skin]))


def uncertain_hair_window(person: Alpha, hair: Alpha) -> Window:
    """The window of panel size with the most uncertain hair, which lies at its boundary."""
    height, width = (min(PANEL_PX, side) for side in person.shape)
    uncertainty = (1 - np.abs(2 * person - 1)) * np.where(hair > _MIN_HAIR_PROBABILITY, 1, _NON_HAIR_WEIGHT)
    total = cv2.integral(uncertainty, sdepth=cv2.CV_64F)
    columns = total[:, width:] - total[:, :-width]
    held = columns[height:] - columns[:-height]
    # of equal windows, the one in their middle
    top, left = np.argwhere(held >= 0.999 * held.max()).mean(axis=0).round().astype(int).tolist()
    return slice(top, top + height), slice(left, left + width)


def contrasting_colour(image: Image, trimap: Image) -> tuple[int, int, int]:
    """The plain colour farthest from the colours of subject and band, where the old background shows."""
    subject = image[trimap > 0] if trimap.any() else image.reshape(-1, 3)
    colours, candidates = _lab(subject), _lab(np.array(_BACKGROUND_COLOURS))
    # lightness counts twice: it decides whether a strand is visible
    gaps = [np.linalg.norm((colours - colour) * (2, 1, 1), axis=1) for colour in candidates]
    nearest = [np.percentile(gap, 10) for gap in gaps]
    return _BACKGROUND_COLOURS[int(np.argmax(nearest))]


def _lab(colours: NDArray[Any]) -> NDArray[Any]:
    """(n, 3) RGB in 0..255 as CIE L*a*b*."""
    rgb = np.asarray(colours[None] / 255, np.float32)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0])


def _block(frame: ComparedFrame, *, crop: bool) -> Image:
    """A frame's part of the sheet."""
    height, width = frame.image.shape[:2]
    # an image that fits a panel is shown at 100 % anyway
    window = frame.window if crop and max(height, width) > PANEL_PX else None
    first = [_panel(f"{width}x{height}", frame.image, window)]
    first += [_panel(f"{name}: hair red", view, window) for name, view in frame.probability_views.items()]
    rows = [text_strip([frame.label], width=len(first) * PANEL_PX), stack(first, axis=1)]
    for row in frame.trimaps:
        panels = [_panel(f"{row.segmenter} {row.name}", row.trimap, window)]
        panels += [_cell_panel(cell, frame, window) for cell in row.cells]
        rows.append(stack(panels, axis=1))
    return stack(rows, axis=0)


def _cell_panel(cell: Cell, frame: ComparedFrame, window: Window | None) -> Image:
    name = ENGINES[cell.engine]
    if cell.alpha is None:
        reason = textwrap.wrap(cell.reason, _LINE_CHARACTERS, break_on_hyphens=False)
        return text_strip([f"{name}: no alpha", *reason])
    composite = _composite(frame.image, cell.alpha, frame.background)
    return _panel(f"{name}  {cell.duration_s:.2f} s", composite, window)


def _composite(image: Image, alpha: Alpha, background: tuple[int, int, int]) -> Image:
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    matte = torch.from_numpy(alpha)[None, None]
    foreground, _ = estimate_foreground(rgb, matte)
    plain = torch.tensor(background).view(1, 3, 1, 1) / 255
    return to_uint8(torch.lerp(plain, foreground, matte)[0].permute(1, 2, 0).numpy())


def _panel(title: str, view: Image, window: Window | None) -> Image:
    """The title, the view downscaled to a panel, and its window at 100 %."""
    scale = min(1.0, PANEL_PX / max(view.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in view.shape[:2])
    lines = textwrap.wrap(title, _LINE_CHARACTERS)
    parts = [text_strip(lines), cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)]
    parts += [] if window is None else [view[window]]
    return stack([to_rgb(part) for part in parts], axis=0)


def text_strip(lines: Sequence[str], *, width: int = PANEL_PX) -> Image:
    """Dark strips with a line of text each."""
    strip = np.full((_LINE_PX * len(lines), width + _GAP_PX, 3), BACKGROUND_GREY, np.uint8)
    for index, line in enumerate(lines):
        place = (4, _LINE_PX * (index + 1) - 8)
        cv2.putText(strip, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return strip


def stack(parts: Sequence[Image], *, axis: int) -> Image:
    """Images below (axis 0) or beside (axis 1) each other, padded to the largest."""
    across = max(part.shape[1 - axis] for part in parts)
    padded = []
    for part in parts:
        missing = [(0, 0), (0, 0), (0, 0)]
        missing[1 - axis] = (0, across - part.shape[1 - axis])
        padded.append(np.pad(part, missing, constant_values=BACKGROUND_GREY))
    return np.concatenate(padded, axis=axis)


def to_rgb(view: NDArray[Any]) -> Image:
    """(h, w) or (h, w, 3) as (h, w, 3)."""
    return np.asarray(view if view.ndim == 3 else np.dstack([view] * 3), np.uint8)


def to_uint8(values: NDArray[Any]) -> Image:
    """0..1 as 0..255."""
    return np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8)
