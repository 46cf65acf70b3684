"""Mattes and scores every item of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from autohair_video.errors import OptionError
from autohair_video.evaluate.datasets import (
    Evaluation,
    Image,
    InferAlpha,
    MatteClip,
    MatteImage,
    Progress,
    RegionName,
    evaluate_empty_folder,
    evaluate_stills_folder,
    evaluate_trimap_folder,
    evaluate_video_folder,
    find_layout,
)
from autohair_video.evaluate.metrics import Alpha
from autohair_video.evaluate.report import write_json, write_sheet
from autohair_video.frames import Matte
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.atomic_output import check_output
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import read_image
from autohair_video.media.reader import ClipReader


@dataclass(frozen=True)
class Engines:
    """What is evaluated: one callable for each layout of `datasets`."""

    infer: InferAlpha
    matte_clip: MatteClip
    matte_image: MatteImage


def run_evaluation(
    folder: Path,
    engines: Engines,
    *,
    region: RegionName | None = None,
    no_person: bool = False,
    json_path: Path | None = None,
    sheet_path: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Mattes and scores every item of ``folder``; its layout decides which engine runs.

    ``empty``: the folder holds images without people, whose alpha should be 0.
    ``region`` is "unknown" (the default where trimaps are given) or "whole". ``json_path`` and
    ``sheet_path`` are overwritten when given.

    Raises:
        OptionError: the region is unknown, or needs trimaps that the folder does not have.
        InputError: the folder holds no items, or files that do not match each other.
        JobError: an engine's mattes have the wrong number or size.
        OutputError: a report cannot be written.
    """
    for path in (json_path, sheet_path):
        if path is not None:
            check_output(path, overwrite=True)
    if region not in (None, "unknown", "whole"):
        raise OptionError(f"unknown region {region!r}: use unknown or whole")
    layout = "empty" if no_person else find_layout(folder)
    if layout != "trimap" and region == "unknown":
        raise OptionError(f"{folder} has no trimaps: only --region whole can be measured there")
    if layout == "trimap":
        evaluation = evaluate_trimap_folder(
            folder, engines.infer, region=region or "unknown", progress=progress
        )
    elif layout == "video":
        evaluation = evaluate_video_folder(folder, engines.matte_clip, progress=progress)
    elif layout == "empty":
        evaluation = evaluate_empty_folder(folder, engines.matte_image, progress=progress)
    else:
        evaluation = evaluate_stills_folder(folder, engines.matte_image, progress=progress)
    if json_path is not None:
        write_json(evaluation, json_path)
    if sheet_path is not None:
        write_sheet(evaluation, sheet_path)
    return evaluation


def pipeline_engines(load: Callable[[], MattingPipeline]) -> Engines:
    """Engines of a `MattingPipeline`, loaded when the first item is matted."""
    loaded = cache(load)

    def infer(image: Image, trimap: Image) -> Alpha:
        return np.asarray(loaded().image(image, trimap))

    def matte_clip(clip: Path) -> Iterator[Matte]:
        with ClipReader(clip) as reader:
            for _, matte in loaded().frames(reader):
                yield matte

    def matte_image(path: Path) -> Matte:
        return loaded().still(to_rgb(read_image(path)))

    return Engines(infer, matte_clip, matte_image)
