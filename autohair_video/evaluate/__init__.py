"""How good the mattes are: measures, folders with true alpha, and reports.

    metrics   SAD, MAD, MSE, Grad, Conn, band MAD, IoU, dtSSD, MESSDdt as pure functions
    folders   mattes every item of a folder and measures it
    engines   the networks as what is measured
    report    the result as a table, as JSON and as a contact sheet
    compare   segmenters, trimaps and engines on one frame; comparison holds and draws the result
    sheet     the panels that contact sheets are made of

`run_evaluation` does it all for one folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autohair_video.errors import OptionError
from autohair_video.evaluate.folders import (
    Evaluation,
    ItemResult,
    MatteClip,
    MatteImage,
    Progress,
    RegionName,
    Solve,
    evaluate_nobody_folder,
    evaluate_stills_folder,
    evaluate_trimap_folder,
    evaluate_video_folder,
    find_layout,
)
from autohair_video.evaluate.report import as_table, write_json, write_sheet
from autohair_video.media.staging import check_output

__all__ = [
    "Engines",
    "Evaluation",
    "ItemResult",
    "as_table",
    "evaluate_nobody_folder",
    "evaluate_stills_folder",
    "evaluate_trimap_folder",
    "evaluate_video_folder",
    "find_layout",
    "run_evaluation",
    "write_json",
    "write_sheet",
]


@dataclass(frozen=True)
class Engines:
    """What is measured, one callable for each layout of `folders`."""

    solve: Solve
    matte_clip: MatteClip
    matte_image: MatteImage


def run_evaluation(
    folder: Path,
    engines: Engines,
    *,
    region: RegionName | None = None,
    nobody: bool = False,
    json_path: Path | None = None,
    sheet_path: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Mattes and measures every item of ``folder``, whose layout decides which engine is asked.

    ``nobody``: the folder holds pictures without people, whose alpha should be 0.
    ``region`` is "unknown" (the default where trimaps are given) or "whole". ``json_path`` and
    ``sheet_path`` are written when given, over what is there.

    Raises:
        OptionError: the region is unknown, or needs trimaps that the folder does not have.
        InputError: the folder holds no items, or files that do not fit each other.
        JobError: an engine's mattes have the wrong number or size.
        OutputError: a report cannot be written.
    """
    for path in (json_path, sheet_path):
        if path is not None:
            check_output(path, overwrite=True)
    if region not in (None, "unknown", "whole"):
        raise OptionError(f"unknown region {region!r}: use unknown or whole")
    layout = "nobody" if nobody else find_layout(folder)
    if layout != "trimap" and region == "unknown":
        raise OptionError(f"{folder} has no trimaps: only --region whole can be measured there")
    if layout == "trimap":
        evaluation = evaluate_trimap_folder(
            folder, engines.solve, region=region or "unknown", progress=progress
        )
    elif layout == "video":
        evaluation = evaluate_video_folder(folder, engines.matte_clip, progress=progress)
    elif layout == "nobody":
        evaluation = evaluate_nobody_folder(folder, engines.matte_image, progress=progress)
    else:
        evaluation = evaluate_stills_folder(folder, engines.matte_image, progress=progress)
    if json_path is not None:
        write_json(evaluation, json_path)
    if sheet_path is not None:
        write_sheet(evaluation, sheet_path)
    return evaluation
