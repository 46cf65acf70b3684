"""How fast a job or a live session is, and where the time goes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autohair_video.cli.console import print_table, say, status_line
from autohair_video.cli.live import live_matting
from autohair_video.cli.options import (
    AutomaticTrimapOption,
    JsonOption,
    QuietOption,
    lookahead_warnings,
    parse_trimap,
    with_trimap,
)
from autohair_video.cli.parameters import Given, Without, with_options
from autohair_video.errors import OptionError
from autohair_video.options import PipelineOptions

if TYPE_CHECKING:
    from autohair_video.bench.runner import Size

_DEFAULT_FRAMES = 100


@with_options
def bench_command(
    pipeline: Annotated[PipelineOptions, Without(("matting.edges",))],
    given: Given,
    clip: Annotated[
        Path | None, typer.Argument(metavar="CLIP", help="A clip; without it, a talking head is generated.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="360p, 720p, 1080p or 4k; without it, as the clip is, or 720p.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help=f"How many frames are timed, {_DEFAULT_FRAMES} without it.")
    ] = None,
    background: Annotated[
        str, typer.Option("--bg", metavar="BACKGROUND", help="As in the bare call.")
    ] = "#00b140",
    against: Annotated[
        str | None,
        typer.Option(metavar="CMD", help="Time another program too: it reads {clip} and may write {out}."),
    ] = None,
    pairs: Annotated[int, typer.Option(help="How often both programs run with --against.")] = 3,
    live: Annotated[
        bool, typer.Option("--live", help="Time a live session instead, the clip being its camera.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long a live session is timed.")] = 20,
    json_path: JsonOption = None,
    trimap: AutomaticTrimapOption = "adaptive",
    quiet: QuietOption = False,
) -> None:
    """Time a whole job, its stages and decoding with encoding alone: where does the time go?"""
    pipeline = with_trimap(pipeline, parse_trimap(trimap))
    if live:
        if size is not None or against is not None:
            raise OptionError("--live times the clip as it is: leave out --size and --against")
        # there is no frame after the newest one
        unused = ["--lookahead"] * ("--lookahead" in given) + ["--frames"] * (frames is not None)
        for flag in () if quiet else unused:
            say(f"note: {flag} has no effect with --live")
        pipeline = replace(pipeline, matting=live_matting(pipeline.matting, given))
        _bench_live(clip, pipeline, background, seconds=seconds, json_path=json_path, quiet=quiet)
        return
    from autohair_video.bench.report import as_table
    from autohair_video.bench.runner import BenchOptions, run_bench
    from autohair_video.matting.loading import load_pipeline

    for line in () if quiet else lookahead_warnings(pipeline.matting, given):
        say(f"note: {line}")
    count = _DEFAULT_FRAMES if frames is None else frames
    options = BenchOptions(clip, cast("Size | None", size), count, background, against, pairs)
    load = partial(load_pipeline, pipeline)
    with status_line(quiet=quiet) as show:
        bench = run_bench(options, load, device=pipeline.device, json_path=json_path, progress=show)
    if not quiet:
        print_table(as_table(bench))


def _bench_live(
    clip: Path | None,
    pipeline: PipelineOptions,
    background: str,
    *,
    seconds: float,
    json_path: Path | None,
    quiet: bool,
) -> None:
    if clip is None:
        raise OptionError("--live needs a clip that plays as the camera")
    from autohair_video.bench.live import time_live_session
    from autohair_video.live.settings import LiveOptions
    from autohair_video.live.stats import as_table
    from autohair_video.matting.loading import load_pipeline

    stats = time_live_session(
        clip,
        partial(load_pipeline, pipeline),
        LiveOptions(backgrounds=(background,), tier=pipeline.tier, matting=pipeline.matting),
        seconds=seconds,
        json_path=json_path,
        report=say,
    )
    if not quiet:
        print_table(as_table(stats))
