"""A camera matted as it runs: in a window, in the browser, or as another camera."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autohair_video.cli.console import print_table, say
from autohair_video.cli.options import QuietOption, parse_subject, parse_trimap, with_trimap
from autohair_video.cli.parameters import Given, Without, with_options
from autohair_video.errors import OptionError
from autohair_video.options import MattingOptions, PipelineOptions, Tier

if TYPE_CHECKING:
    from autohair_video.matting.pipeline import MattingPipeline

_SIZE = re.compile(r"(\d+)x(\d+)")


@with_options
def live_command(
    pipeline: Annotated[PipelineOptions, Without(("matting.temporal.lookahead",))],
    given: Given,
    camera: Annotated[
        str, typer.Option(help="A camera's number, /dev/video0, a URL, or a file that plays as one.")
    ] = "0",
    background: Annotated[
        list[str] | None,
        typer.Option("--bg", metavar="BACKGROUND", help="As in the bare call; several, to go through."),
    ] = None,
    size: Annotated[str, typer.Option(help="Width and height of what is shown, in pixels.")] = "640x360",
    fps: Annotated[float, typer.Option(help="Rate to ask of the camera and to aim at.")] = 30,
    preset: Annotated[
        str, typer.Option("--format", metavar="NAME", help="What r records: as in the bare call.")
    ] = "h264",
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where snapshots and clips go.")
    ] = Path(),
    serve: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Show it on a page in the browser: 127.0.0.1:8000."),
    ] = None,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Send the result to OBS, Zoom or Teams as a camera.")
    ] = False,
    window: Annotated[
        bool | None, typer.Option("--window/--no-window", help="Open a window; the default without --serve.")
    ] = None,
    adapt: Annotated[
        bool, typer.Option("--adapt/--no-adapt", help="Whether quality gives way to the rate.")
    ] = True,
    seconds: Annotated[
        float | None, typer.Option("--measure", metavar="SECONDS", help="Run so long, then print figures.")
    ] = None,
    trimap: Annotated[str, typer.Option(help="adaptive or fixed:EROSION,SIZE.")] = "adaptive",
    subject: Annotated[
        str, typer.Option(help="all, largest, a count, point:X,Y or box:X,Y,W,H in pixels of --size.")
    ] = "all",
    quiet: QuietOption = False,
) -> None:
    """Matte a camera as it runs; h in the window lists its keys."""
    width, height = _parse_size(size)
    pipeline = with_trimap(pipeline, parse_trimap(trimap))
    from autohair_video.live.run import LiveSinks, run_live
    from autohair_video.live.settings import LiveOptions
    from autohair_video.live.stats import as_table
    from autohair_video.matting.loading import load_pipeline

    def load(tier: Tier) -> MattingPipeline:
        return load_pipeline(replace(pipeline, tier=tier, matting=MattingOptions.for_tier(tier)))

    measured = run_live(
        camera,
        load=load,
        options=LiveOptions(
            width=width,
            height=height,
            rate=fps,
            adapt=adapt,
            backgrounds=tuple(background or ("blur", "#00b140")),
            folder=folder,
            preset=preset,
            tier=pipeline.tier,
            matting=live_matting(pipeline.matting, given),
            subject=parse_subject(subject),
        ),
        sinks=LiveSinks(
            window=serve is None if window is None else window,
            virtual_camera=virtual_camera,
            serve=serve,
        ),
        report=(lambda _: None) if quiet else say,
        seconds=seconds,
    )
    if seconds is not None:
        print_table(as_table(measured))


def live_matting(matting: MattingOptions, given: Given) -> MattingOptions:
    """The stages of a live session: its own defaults where the call gives no option.

    Live is causal: there is no frame after the newest one.
    """
    from autohair_video.live.settings import live_matting_options

    live = live_matting_options()
    every = matting.segment.every if "--segment-every" in given else live.segment.every
    expansions = matting.trimap.max_band_expansions if "--band-expansions" in given else 0
    return replace(
        matting,
        segment=replace(matting.segment, every=every),
        trimap=replace(matting.trimap, max_band_expansions=expansions),
        temporal=replace(live.temporal, mode="off" if matting.temporal.mode == "off" else "causal"),
    )


def _parse_size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text.lower())
    if found is None:
        raise OptionError(f"size {text!r} is not WIDTHxHEIGHT, like 640x360")
    return int(found[1]), int(found[2])
