"""Output of an evaluation: a table, a JSON file and a contact sheet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from rich.table import Table

from autohair_video.evaluate.contact_sheet import BACKGROUND_GREY, PANEL_PX, to_uint8
from autohair_video.evaluate.datasets import Evaluation, Image, ItemResult, Panels
from autohair_video.media.atomic_output import write_text
from autohair_video.media.image import write_image

UNITS: Final[Mapping[str, str]] = {
    "SAD": "/1000",
    "MAD": "x1e3",
    "MSE": "x1e3",
    "Grad": "/1000",
    "Conn": "/1000",
    "band": "MAD within 10 px of the true edge, x1e3",
    "translucency": "% of pixels with alpha 0.05 to 0.95 far from the true edge",
    "region MAD": "within NAME_region.png, x1e3",
    "dtSSD": "x1e2",
    "MESSDdt": "x1e3",
    "IoU": "0..1, higher is better",
}
_STRIP_PX: Final = 26
_PANELS: Final = ("input", "trimap", "truth", "ours", "error x2")


def as_table(evaluation: Evaluation) -> Table:
    """One row for each item and one for the mean, for a rich console."""
    mean = evaluation.mean
    where = "unknown pixels" if evaluation.region == "unknown" else "whole frame"
    units = ", ".join(f"{name} {UNITS[name]}" for name in mean)
    table = Table(title=f"{evaluation.folder.name} ({where})", caption=units)
    table.add_column("item")
    for name in mean:
        table.add_column(name, justify="right")
    for item in evaluation.items:
        table.add_row(item.name, *(_printed(key, item.scores[key]) for key in mean))
    table.add_section()
    table.add_row("mean", *(_printed(key, value) for key, value in mean.items()), style="bold")
    return table


def as_json(evaluation: Evaluation) -> str:
    """Folder, units, mean and items as a JSON text; a metric that is undefined is null."""
    content = {
        "folder": evaluation.folder.name,
        "layout": evaluation.layout,
        "region": evaluation.region,
        "units": {name: UNITS[name] for name in evaluation.mean},
        "mean": _nulled(evaluation.mean),
        "items": [{"name": i.name, "scores": _nulled(i.scores)} for i in evaluation.items],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def contact_sheet(evaluation: Evaluation) -> Image:
    """(H, W, 3) uint8 RGB: a row for each item with input, trimap, truth, ours and error.

    Of a clip the frame with the largest MAD is shown. Images are downscaled to 320 px width, never upscaled.
    """
    rows = [_strip(list(_PANELS))]
    for item in evaluation.items:
        rows += [_strip([_heading(item)]), _row(item.panels)]
    return np.vstack(rows)


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Writes `as_json`.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, as_json(evaluation))


def write_sheet(evaluation: Evaluation, path: Path) -> None:
    """Writes `contact_sheet`, in the format of the path's extension, over what is there."""
    sheet = torch.from_numpy(contact_sheet(evaluation)).permute(2, 0, 1)
    write_image(path, sheet, overwrite=True)


def _printed(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if name == "IoU" else f"{value:.2f}"


def _nulled(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def _heading(item: ItemResult) -> str:
    scores = "  ".join(f"{name} {_printed(name, value)}" for name, value in item.scores.items())
    return f"{item.panels.label}   {scores}"


def _strip(texts: list[str]) -> Image:
    """A dark strip as wide as the sheet, its texts evenly spaced."""
    strip = np.full((_STRIP_PX, PANEL_PX * len(_PANELS), 3), BACKGROUND_GREY, np.uint8)
    step = strip.shape[1] // len(texts)
    for index, text in enumerate(texts):
        place = (index * step + 8, _STRIP_PX - 8)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return strip


def _row(panels: Panels) -> Image:
    error = np.clip(np.abs(panels.alpha - panels.truth) * 2, 0, 1)
    heat = cv2.applyColorMap(to_uint8(error), cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.uint8)
    views = (panels.image, panels.trimap, to_uint8(panels.truth), to_uint8(panels.alpha), heat)
    return np.hstack([_thumbnail(view, panels.image.shape[:2]) for view in views])


def _thumbnail(view: Image | None, size: tuple[int, ...]) -> Image:
    """``view`` of an image of ``size`` (height, width) in a cell of panel width; an empty cell if None."""
    scale = min(1.0, PANEL_PX / size[1])
    height, width = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    cell = np.full((height, PANEL_PX, 3), BACKGROUND_GREY, np.uint8)
    if view is not None:
        small = cv2.resize(np.ascontiguousarray(view), (width, height), interpolation=cv2.INTER_AREA)
        cell[:, :width] = small if small.ndim == 3 else small[..., None]
    return cell
