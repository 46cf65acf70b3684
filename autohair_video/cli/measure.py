"""How good the mattes are: figures against true alpha."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autohair_video.cli.choices import (
    DeviceOption,
    MatterOption,
    QuietOption,
    SegmenterOption,
    TemporalOption,
    TierOption,
    matter_loader,
    parse_trimap,
)
from autohair_video.cli.console import print_table, status_line

if TYPE_CHECKING:
    from autohair_video.evaluate.folders import RegionName


def evaluate_command(
    folder: Annotated[Path, typer.Argument(help="Clips or pictures beside NAME_alpha files.")],
    region: Annotated[
        str | None, typer.Option(help="unknown or whole; unknown where trimaps are given.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Write the figures as JSON.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PATH", help="Write a contact sheet (.png).")
    ] = None,
    trimap: Annotated[str, typer.Option(help="adaptive or fixed:EROSION,SIZE.")] = "adaptive",
    temporal: TemporalOption = "causal",
    tier: TierOption = "fast",
    device: DeviceOption = "auto",
    segmenter: SegmenterOption = None,
    matter: MatterOption = None,
    quiet: QuietOption = False,
) -> None:
    """Matte every item of a folder whose alpha is known, and print how far off the mattes are."""
    load = matter_loader(
        tier=tier,
        device=device,
        trimap=parse_trimap(trimap),
        temporal=temporal,
        segmenter=segmenter,
        matter=matter,
    )
    from autohair_video.evaluate import as_table, run_evaluation
    from autohair_video.evaluate.engines import automatic

    with status_line(quiet=quiet) as show:
        evaluation = run_evaluation(
            folder,
            automatic(load),
            region=cast("RegionName | None", region),
            json_path=json_path,
            sheet_path=sheet,
            progress=show,
        )
    if not quiet:
        print_table(as_table(evaluation))
