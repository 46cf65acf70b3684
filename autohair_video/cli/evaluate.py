"""How good the mattes of a folder are whose alpha is known."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autohair_video.cli.console import print_table, say, status_line
from autohair_video.cli.options import (
    AutomaticTrimapOption,
    JsonOption,
    QuietOption,
    lookahead_warnings,
    parse_trimap,
    with_trimap,
)
from autohair_video.cli.parameters import Given, Without, with_options
from autohair_video.options import PipelineOptions

if TYPE_CHECKING:
    from autohair_video.evaluate.datasets import RegionName


@with_options
def evaluate_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Clips or images beside NAME_alpha files.")
    ],
    pipeline: Annotated[PipelineOptions, Without(("matting.edges",))],
    given: Given,
    region: Annotated[
        str | None, typer.Option(help="unknown or whole; unknown where trimaps are given.")
    ] = None,
    no_person: Annotated[
        bool, typer.Option("--no-person", help="The images show no person: alpha should be 0.")
    ] = False,
    former_no_person: Annotated[
        bool, typer.Option("--nobody", hidden=True, help="Former name of --no-person.")
    ] = False,
    json_path: JsonOption = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PATH", help="Write a contact sheet (.png).")
    ] = None,
    trimap: AutomaticTrimapOption = "adaptive",
    quiet: QuietOption = False,
) -> None:
    """Matte every item of a folder whose alpha is known, and print the errors of the mattes."""
    pipeline = with_trimap(pipeline, parse_trimap(trimap))
    from autohair_video.evaluate.report import as_table
    from autohair_video.evaluate.runner import pipeline_engines, run_evaluation
    from autohair_video.matting.loading import load_pipeline

    for line in () if quiet else lookahead_warnings(pipeline.matting, given):
        say(f"note: {line}")
    with status_line(quiet=quiet) as show:
        evaluation = run_evaluation(
            folder,
            pipeline_engines(partial(load_pipeline, pipeline)),
            region=cast("RegionName | None", region),
            no_person=no_person or former_no_person,
            json_path=json_path,
            sheet_path=sheet,
            progress=show,
        )
    if not quiet:
        print_table(as_table(evaluation))
