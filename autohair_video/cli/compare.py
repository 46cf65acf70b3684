"""Segmenters, trimaps and matting engines side by side on one sheet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autohair_video.cli.console import say, status_line
from autohair_video.cli.options import OverwriteOption, QuietOption, parse_trimap
from autohair_video.cli.parameters import Only, with_options
from autohair_video.options import PipelineOptions

if TYPE_CHECKING:
    from autohair_video.evaluate.grid import Segment
    from autohair_video.matting.pipeline import MattingPipeline


@with_options
def compare_command(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="An image or a clip.")],
    pipeline: Annotated[PipelineOptions, Only(("tier", "device", "matting_net"))],
    sheet: Annotated[
        Path | None, typer.Option("-o", "--output", help="The sheet (.png); without it, beside the input.")
    ] = None,
    engines: Annotated[
        str | None,
        typer.Option(help="Some of dim,cf,knn,lbdm,lkm,rw: DIM and PyMatting's. All without it."),
    ] = None,
    trimap: Annotated[
        list[str] | None,
        typer.Option(help="adaptive or fixed:EROSION,SIZE; may be given several times."),
    ] = None,
    segmenter: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of your own: a file or a name of weights list; may be given several times."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames taken from a clip, evenly spaced.")] = 1,
    size: Annotated[int, typer.Option(help="Long side in pixels that frames are shrunk to.")] = 640,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put every combination of segmenter, trimap and matting engine on one sheet: which serves a shot?"""
    from autohair_video.evaluate.grid import CompareOptions, run_compare
    from autohair_video.matting.loading import load_pipeline

    chosen: list[str | None] = [*(segmenter or ())] or [None]
    loads = {name: cache(partial(load_pipeline, replace(pipeline, segmenter=name))) for name in chosen}
    options = CompareOptions(frames=frames, long_side_px=size)
    if engines is not None:
        options = replace(options, engines=tuple(name.strip() for name in engines.split(",")))
    if trimap:
        options = replace(options, trimaps=tuple(parse_trimap(text) for text in trimap))
    target = sheet or source.with_name(f"{source.stem}_compared.png")
    with status_line(quiet=quiet) as show:
        comparison = run_compare(
            source,
            target,
            pipeline=loads[chosen[0]],
            segmenters={name: partial(_segmenter, load) for name, load in loads.items() if name},
            options=options,
            overwrite=overwrite,
            progress=show,
        )
    if not quiet:
        for line in comparison.failures:
            say(f"note: {line}")
        print(target)


def _segmenter(load: Callable[[], MattingPipeline]) -> Segment:
    return load().segment
