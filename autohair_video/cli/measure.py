"""How good the mattes are, how others would do, and how fast it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autohair_video.cli.console import print_table, say, status_line
from autohair_video.cli.options import (
    AutomaticTrimapOption,
    DeviceOption,
    EveryOption,
    JsonOption,
    LookaheadOption,
    MatterOption,
    OverwriteOption,
    QuietOption,
    RoundsOption,
    SegmenterOption,
    TemporalOption,
    TierOption,
    parse_trimap,
    pipeline_loader,
)
from autohair_video.errors import OptionError
from autohair_video.options import TemporalOptions, Tier

if TYPE_CHECKING:
    from autohair_video.bench.runner import Size
    from autohair_video.evaluate.datasets import RegionName
    from autohair_video.evaluate.grid import Segment
    from autohair_video.matting.pipeline import MattingPipeline


def evaluate_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Clips or pictures beside NAME_alpha files.")
    ],
    region: Annotated[
        str | None, typer.Option(help="unknown or whole; unknown where trimaps are given.")
    ] = None,
    no_person: Annotated[
        bool, typer.Option("--no-person", "--nobody", help="The images show no person: alpha should be 0.")
    ] = False,
    json_path: JsonOption = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PATH", help="Write a contact sheet (.png).")
    ] = None,
    trimap: AutomaticTrimapOption = "adaptive",
    temporal: TemporalOption = "lookahead",
    lookahead: LookaheadOption = TemporalOptions.lookahead,
    rounds: RoundsOption = None,
    every: EveryOption = None,
    tier: TierOption = "fast",
    device: DeviceOption = "auto",
    segmenter: SegmenterOption = None,
    matter: MatterOption = None,
    quiet: QuietOption = False,
) -> None:
    """Matte every item of a folder whose alpha is known, and print how far off the mattes are."""
    load = pipeline_loader(
        tier=tier,
        device=device,
        trimap=parse_trimap(trimap),
        temporal=temporal,
        lookahead=lookahead,
        rounds=rounds,
        every=every,
        segmenter=segmenter,
        matter=matter,
    )
    from autohair_video.evaluate.report import as_table
    from autohair_video.evaluate.runner import pipeline_engines, run_evaluation

    with status_line(quiet=quiet) as show:
        evaluation = run_evaluation(
            folder,
            pipeline_engines(load),
            region=cast("RegionName | None", region),
            no_person=no_person,
            json_path=json_path,
            sheet_path=sheet,
            progress=show,
        )
    if not quiet:
        print_table(as_table(evaluation))


def compare_command(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture or a clip.")],
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
    frames: Annotated[int, typer.Option(help="Frames taken from a clip, evenly spaced.")] = 1,
    size: Annotated[int, typer.Option(help="Long side in pixels that frames are shrunk to.")] = 640,
    tier: TierOption = "fast",
    device: DeviceOption = "auto",
    segmenter: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of your own: a file or a name of weights list; may be given several times."
        ),
    ] = None,
    matter: MatterOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put every combination of segmenter, trimap and matting engine on one sheet: which serves a shot?"""
    chosen: list[str | None] = [*(segmenter or ())] or [None]
    loads = {s: cache(pipeline_loader(tier=tier, device=device, segmenter=s, matter=matter)) for s in chosen}
    from autohair_video.evaluate.grid import CompareOptions, run_compare

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


def bench_command(
    clip: Annotated[
        Path | None, typer.Argument(metavar="CLIP", help="A clip; without it, a talking head is generated.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="360p, 720p, 1080p or 4k; without it, as the clip is, or 720p.")
    ] = None,
    frames: Annotated[int, typer.Option(help="How many frames are timed.")] = 100,
    background: Annotated[
        str, typer.Option("--bg", metavar="BACKGROUND", help="As in the bare call.")
    ] = "#00b140",
    against: Annotated[
        str | None,
        typer.Option(metavar="CMD", help="Time another program too: it reads {clip} and may write {out}."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Time a live session instead, the clip being its camera.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long a live session is timed.")] = 20,
    json_path: JsonOption = None,
    trimap: AutomaticTrimapOption = "adaptive",
    temporal: TemporalOption = "lookahead",
    lookahead: LookaheadOption = TemporalOptions.lookahead,
    rounds: RoundsOption = None,
    every: EveryOption = None,
    tier: TierOption = "fast",
    device: DeviceOption = "auto",
    segmenter: SegmenterOption = None,
    matter: MatterOption = None,
    quiet: QuietOption = False,
) -> None:
    """Time a whole job, its stages and its floor: how fast is it, and where does the time go?"""
    load = pipeline_loader(
        tier=tier,
        device=device,
        trimap=parse_trimap(trimap),
        temporal=temporal,
        lookahead=lookahead,
        rounds=rounds,
        every=every,
        segmenter=segmenter,
        matter=matter,
    )
    if live:
        from autohair_video.bench.live import time_live_session
        from autohair_video.live.stats import as_table as as_live_table

        if clip is None:
            raise OptionError("--live needs a clip that plays as the camera")
        if size is not None or against is not None:
            raise OptionError("--live times the clip as it is: leave out --size and --against")
        as_tier = cast(Tier, tier)
        measured = time_live_session(
            clip, load, background, seconds=seconds, tier=as_tier, json_path=json_path, say=say
        )
        if not quiet:
            print_table(as_live_table(measured))
        return
    from autohair_video.bench.report import as_table
    from autohair_video.bench.runner import BenchOptions, run_bench

    options = BenchOptions(clip, cast("Size | None", size), frames, background, against)
    with status_line(quiet=quiet) as show:
        bench = run_bench(options, load, device=device, json_path=json_path, progress=show)
    if not quiet:
        print_table(as_table(bench))
