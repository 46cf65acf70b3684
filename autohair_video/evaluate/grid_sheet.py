"""What a comparison found, and its contact sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from autohair_video.compositing.foreground import estimate_foreground
from autohair_video.evaluate.datasets import Picture
from autohair_video.evaluate.metrics import Alpha
from autohair_video.evaluate.panels import PANEL_PX, as_bytes, coloured, stack, text_strip

Window = tuple[slice, slice]

ENGINES: Final[Mapping[str, str]] = {
    "dim": "DIM",
    "cf": "closed-form",
    "knn": "KNN",
    "lbdm": "learning-based",
    "lkm": "large-kernel",
    "rw": "random walk",
}
_LINE_CHARACTERS: Final = 34
# Plain backgrounds to choose from: green, magenta, blue, yellow, light and dark grey.
_PLAIN: Final = (
    (0, 177, 64),
    (214, 0, 147),
    (20, 80, 220),
    (240, 200, 0),
    (225, 225, 225),
    (24, 24, 24),
)
_HAIR: Final = 0.3
# What a doubtful pixel counts for outside hair, beside 1 in hair.
_BARE_EDGE: Final = 1e-4


@dataclass(frozen=True)
class Cell:
    """What one engine made of one trimap: (h, w) alpha in 0..1, or the reason why there is none."""

    engine: str
    duration_s: float
    alpha: Alpha | None
    reason: str = ""


@dataclass(frozen=True)
class ComparedTrimap:
    """A segmenter's trimap, (h, w) of 0, 128 and 255, and a cell for each engine."""

    segmenter: str
    name: str
    trimap: Picture
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ComparedFrame:
    """A frame at its working size, (h, w, 3) RGB, and its combinations.

    ``seen``: for each segmenter's name an (h, w, 3) picture, person white and hair red.
    ``window``: the rows and columns that hold the most hair in doubt. ``plain``: the background.
    """

    label: str
    image: Picture
    seen: Mapping[str, Picture]
    window: Window
    plain: tuple[int, int, int]
    trimaps: tuple[ComparedTrimap, ...]


@dataclass(frozen=True)
class Comparison:
    """All that was compared, frame by frame."""

    frames: tuple[ComparedFrame, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each reason why cells are empty, beginning with the engines concerned."""
        engines: dict[str, dict[str, None]] = {}
        for cell in (cell for frame in self.frames for row in frame.trimaps for cell in row.cells):
            if cell.reason:
                engines.setdefault(cell.reason, {})[ENGINES[cell.engine]] = None
        return tuple(f"{', '.join(names)}: {reason}" for reason, names in engines.items())


def comparison_sheet(comparison: Comparison, *, crop: bool = True) -> Picture:
    """(H, W, 3) uint8 RGB: the frames' blocks below each other, with the hair at 100 % if ``crop``."""
    return stack([_block(frame, crop=crop) for frame in comparison.frames], axis=0)


def probability_view(person: Alpha, hair: Alpha) -> Picture:
    """(h, w, 3): person white, hair red."""
    body = person - hair
    return as_bytes(np.dstack([person, body, body]))


def window_of_doubt(person: Alpha, hair: Alpha) -> Window:
    """A panel's worth of the picture, where the most hair is in doubt: that is at its rim."""
    height, width = (min(PANEL_PX, side) for side in person.shape)
    doubt = (1 - np.abs(2 * person - 1)) * np.where(hair > _HAIR, 1, _BARE_EDGE)
    total = cv2.integral(doubt, sdepth=cv2.CV_64F)
    columns = total[:, width:] - total[:, :-width]
    held = columns[height:] - columns[:-height]
    # Of windows that hold the same, the one in their middle.
    top, left = np.argwhere(held >= 0.999 * held.max()).mean(axis=0).round().astype(int).tolist()
    return slice(top, top + height), slice(left, left + width)


def contrasting_plain(image: Picture, trimap: Picture) -> tuple[int, int, int]:
    """The plain colour that subject and band, where the old background shows, come least near to."""
    subject = image[trimap > 0] if trimap.any() else image.reshape(-1, 3)
    colours, plain = _lab(subject), _lab(np.array(_PLAIN))
    # Lightness counts twice: it is what shows a strand.
    gaps = [np.linalg.norm((colours - colour) * (2, 1, 1), axis=1) for colour in plain]
    nearest = [np.percentile(gap, 10) for gap in gaps]
    return _PLAIN[int(np.argmax(nearest))]


def _lab(colours: NDArray[Any]) -> NDArray[Any]:
    """(n, 3) RGB in 0..255 as CIE L*a*b*."""
    rgb = np.asarray(colours[None] / 255, np.float32)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0])


def _block(frame: ComparedFrame, *, crop: bool) -> Picture:
    """A frame's part of the sheet."""
    height, width = frame.image.shape[:2]
    # A picture that fits a panel is shown at 100 % anyway.
    window = frame.window if crop and max(height, width) > PANEL_PX else None
    first = [_panel(f"{width}x{height}", frame.image, window)]
    first += [_panel(f"{name}: hair red", view, window) for name, view in frame.seen.items()]
    rows = [text_strip([frame.label], width=len(first) * PANEL_PX), stack(first, axis=1)]
    for row in frame.trimaps:
        panels = [_panel(f"{row.segmenter} {row.name}", row.trimap, window)]
        panels += [_cell_panel(cell, frame, window) for cell in row.cells]
        rows.append(stack(panels, axis=1))
    return stack(rows, axis=0)


def _cell_panel(cell: Cell, frame: ComparedFrame, window: Window | None) -> Picture:
    name = ENGINES[cell.engine]
    if cell.alpha is None:
        reason = textwrap.wrap(cell.reason, _LINE_CHARACTERS, break_on_hyphens=False)
        return text_strip([f"{name}: no alpha", *reason])
    composite = _composite(frame.image, cell.alpha, frame.plain)
    return _panel(f"{name}  {cell.duration_s:.2f} s", composite, window)


def _composite(image: Picture, alpha: Alpha, plain: tuple[int, int, int]) -> Picture:
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    matte = torch.from_numpy(alpha)[None, None]
    foreground, _ = estimate_foreground(rgb, matte)
    background = torch.tensor(plain).view(1, 3, 1, 1) / 255
    return as_bytes(torch.lerp(background, foreground, matte)[0].permute(1, 2, 0).numpy())


def _panel(title: str, view: Picture, window: Window | None) -> Picture:
    """The title, the view shrunk to a panel, and its window at 100 %."""
    scale = min(1.0, PANEL_PX / max(view.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in view.shape[:2])
    lines = textwrap.wrap(title, _LINE_CHARACTERS)
    parts = [text_strip(lines), cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)]
    parts += [] if window is None else [view[window]]
    return stack([coloured(part) for part in parts], axis=0)
