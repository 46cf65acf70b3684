"""The bare call: a clip or a picture in, matted files out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, cast

import typer

from autohair_video.cli.config import take_config
from autohair_video.cli.jobs import plan_jobs, run_jobs
from autohair_video.cli.options import (
    DeviceOption,
    EveryOption,
    LookaheadOption,
    MatterOption,
    OverwriteOption,
    QuietOption,
    RoundsOption,
    SegmenterOption,
    TemporalOption,
    TierOption,
    parse_input_alpha,
    parse_trimap,
    pipeline_loader,
    subject_options,
    trimap_file,
)
from autohair_video.options import BlendOptions, EdgeOptions, Screen, TemporalOptions, Tier


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(version("autohair-video"))
        except PackageNotFoundError:
            print("unknown: not installed")
        raise typer.Exit


def matte_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Clips, pictures, folders, globs, numbered stills (shot.####.exr), URLs, - for a pipe.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the result goes; without it, beside the input. Several are written in one pass.",
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", help="The folder of all outputs; {name} in -o is the input's name."),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Pass over inputs whose outputs are all there.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Work in parts that outlive a crash; the same call then goes on."),
    ] = False,
    segment: Annotated[float, typer.Option("--segment-s", help="Length of these parts, in seconds.")] = 10,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Tell what would be done, and about what it takes; write nothing."),
    ] = False,
    input_alpha: Annotated[
        str,
        typer.Option(
            "--input-alpha",
            help="Of a clip with alpha: keep (nothing gets more opaque than it was) or replace.",
        ),
    ] = "keep",
    rate: Annotated[
        str | None, typer.Option("--rate", help="Frames per second of numbered stills (24 without it).")
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            "--bg",
            metavar="BACKGROUND",
            help="A picture, a clip, a colour (#00ff00, white), blur, or transparent (the default).",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="A name that autohair-video formats lists; else by extension."
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PROGRAM",
            help="Choose the format for premiere, resolve, fcp, after-effects, web, obs, nuke or unscreen.",
        ),
    ] = None,
    premultiplied: Annotated[
        bool,
        typer.Option(
            "--premultiplied", help="Write colours multiplied by alpha, not straight; light, with --linear."
        ),
    ] = False,
    matte: Annotated[
        Path | None,
        typer.Option("--matte", help="Write alpha as gray: .mkv (lossless), .mp4, .png, name.%05d.png."),
    ] = None,
    foreground: Annotated[
        Path | None,
        typer.Option("--foreground", help="Write the subject's own colours, without alpha."),
    ] = None,
    trimap_out: Annotated[
        Path | None, typer.Option("--trimap-out", help="Write the trimap: files as for --matte.")
    ] = None,
    trimap: Annotated[
        str,
        typer.Option(help="adaptive, fixed:EROSION,SIZE, or file:PATH for trimaps of your own."),
    ] = "adaptive",
    temporal: TemporalOption = "lookahead",
    lookahead: LookaheadOption = TemporalOptions.lookahead,
    rounds: RoundsOption = None,
    every: EveryOption = None,
    subject: Annotated[
        str,
        typer.Option(help="Who is kept: all, largest, a count, point:X,Y[@TIME] or box:X,Y,W,H[@TIME]."),
    ] = "all",
    mask: Annotated[
        str | None,
        typer.Option(metavar="PATH[@TIME]", help="Who is kept, as a mask of the frame at that second."),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="A picture, white where all is kept.")] = None,
    drop: Annotated[Path | None, typer.Option(help="A picture, white where nothing is kept.")] = None,
    choke: Annotated[float, typer.Option(help="Shrink the matte by so many px; grow if negative.")] = 0.0,
    feather: Annotated[float, typer.Option(help="Blur the matte by so many px.")] = 0.0,
    gamma: Annotated[
        float, typer.Option("--gamma-matte", help="Above 1 makes what is half covered denser.")
    ] = 1.0,
    black_point: Annotated[float, typer.Option(help="Alpha up to this becomes 0.")] = 0.0,
    white_point: Annotated[float, typer.Option(help="Alpha from this on becomes 1.")] = 1.0,
    despill: Annotated[
        str, typer.Option(help="Take a screen's light off the subject: green, blue or off.")
    ] = "off",
    linear: Annotated[bool, typer.Option("--linear", help="Blend in linear light.")] = False,
    light_wrap: Annotated[
        float, typer.Option(help="How much of the background's light the edge takes on, 0 to 1.")
    ] = 0.0,
    tier: TierOption = "fast",
    device: DeviceOption = "auto",
    segmenter: SegmenterOption = None,
    matter: MatterOption = None,
    start: Annotated[float | None, typer.Option("--start", help="Second of the clip to begin at.")] = None,
    end: Annotated[float | None, typer.Option("--end", help="Second to end at.")] = None,
    check: Annotated[
        bool, typer.Option("--verify", help="Decode the outputs and compare them with the input.")
    ] = False,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace/--no-deinterlace", help="What becomes of interlaced frames.")
    ] = True,
    overwrite: OverwriteOption = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            is_eager=True,
            callback=take_config,
            help='Options as TOML (bg = "blur"); those of the command line win.',
        ),
    ] = None,
    quiet: QuietOption = False,
    # taken out of every command's arguments before they are parsed; here for the help
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    """Matte a clip or a picture: what the bare call does."""
    given = trimap_file(trimap)
    blend = BlendOptions(cast(Screen, despill), linear, light_wrap)
    who = subject_options(subject, mask, keep, drop)
    load = pipeline_loader(
        tier=tier,
        device=device,
        trimap=None if given else parse_trimap(trimap, or_file=True),
        temporal=temporal,
        edges=EdgeOptions(choke, feather, black_point, white_point, gamma),
        lookahead=lookahead,
        rounds=rounds,
        every=every,
        segmenter=segmenter,
        matter=matter,
    )
    from autohair_video.jobs.batch import expand_inputs
    from autohair_video.jobs.spec import make_job_spec

    requests = [
        make_job_spec(
            source,
            output,
            background=background,
            matte=matte,
            foreground=foreground,
            trimap_out=trimap_out,
            trimap=given,
            subject=who,
            blend=blend,
            preset=preset,
            purpose=purpose,
            premultiplied=premultiplied,
            start_s=start,
            end_s=end,
            overwrite=overwrite,
            deinterlace=deinterlace,
            output_dir=output_dir,
            resume=resume,
            segment_s=segment,
            keep_alpha=parse_input_alpha(input_alpha),
        )
        for source in expand_inputs(inputs, rate=rate)
    ]
    notices = _tier_notices(tier, segmenter, matter)
    ignored = {"--rounds": rounds, "--segment-every": every, "--segmenter": segmenter} if given else {}
    notices += _ineffective_option_notices(temporal, lookahead, ignored)
    if dry_run:
        plan_jobs(requests, load)
        return
    run_jobs(requests, load, skip_existing=skip_existing, check=check, notices=notices, quiet=quiet)


def _ineffective_option_notices(temporal: str, lookahead: int, ignored: Mapping[str, object]) -> list[str]:
    """A line for each option that changes nothing; ``ignored``: those without effect on given trimaps."""
    lines = []
    if temporal != "lookahead" and lookahead != TemporalOptions.lookahead:
        lines.append(f"--lookahead has no effect with --temporal {temporal}")
    lines += [
        f"{name} has no effect: the trimaps are your own"
        for name, value in ignored.items()
        if value is not None
    ]
    return lines


def _tier_notices(tier: str, segmenter: str | None, matter: str | None) -> list[str]:
    from autohair_video.weights import for_tier

    chosen = cast(Tier, tier)
    used = [
        None if segmenter else for_tier("segmenter", chosen),
        None if matter else for_tier("matting", chosen),
    ]
    if all(entry is None or entry.tier == tier for entry in used):
        return []
    return [f"tier {tier} has no networks of its own yet: those of the fast tier looked at larger frames"]
