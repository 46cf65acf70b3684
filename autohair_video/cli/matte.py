"""The bare call: a clip or a still image in, matted files out."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from autohair_video.cli.config import take_config
from autohair_video.cli.console import stop_on_signal
from autohair_video.cli.jobs import JobReporter, print_plans
from autohair_video.cli.options import (
    QuietOption,
    choose_subject,
    lookahead_warnings,
    parse_trimap,
    trimap_file,
    with_trimap,
)
from autohair_video.cli.parameters import Given, with_options
from autohair_video.options import JobOptions, PipelineOptions

# They make the trimaps that a call with its own does without.
_AUTOMATIC_TRIMAP = ("--band-expansions", "--segment-every", "--segmenter")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(version("autohair-video"))
        except PackageNotFoundError:
            print("unknown: not installed")
        raise typer.Exit


@with_options
def matte_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Clips, images, folders, globs, image sequences (shot.####.exr), URLs, - for a pipe.",
        ),
    ],
    job: JobOptions,
    pipeline: PipelineOptions,
    given: Given,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the result goes; without it, beside the input. Several are written in one pass.",
        ),
    ] = None,
    trimap: Annotated[
        str, typer.Option(help="adaptive, fixed:EROSION,SIZE, or file:PATH for trimaps of your own.")
    ] = "adaptive",
    subject: Annotated[
        str, typer.Option(help="Who is kept: all, largest, a count, point:X,Y[@TIME] or box:X,Y,W,H[@TIME].")
    ] = "all",
    mask: Annotated[
        str | None,
        typer.Option(metavar="PATH[@TIME]", help="Who is kept, as a mask of the frame at that second."),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip inputs whose outputs all exist.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be done, and about what it takes; write nothing."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--verify", help="Decode the outputs and compare them with the input.")
    ] = False,
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
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    """Matte a clip or a still image: what the bare call does."""
    own_trimaps = trimap_file(trimap)
    if own_trimaps is None:
        pipeline = with_trimap(pipeline, parse_trimap(trimap, or_file=True))
    job = replace(job, trimap=own_trimaps, subject=choose_subject(subject, mask, job.subject))
    from autohair_video.jobs.batch import expand_inputs, run_batch
    from autohair_video.jobs.spec import make_job_spec

    specs = [
        make_job_spec(source, output, job)
        for source in expand_inputs(inputs, rate=job.rate, missing=job.missing)
    ]
    notices = [*_tier_notices(pipeline), *lookahead_warnings(pipeline.matting, given)]
    if own_trimaps is not None:
        unused = [flag for flag in _AUTOMATIC_TRIMAP if flag in given]
        notices += [f"{flag} has no effect: the trimaps are your own" for flag in unused]
    if dry_run:
        print_plans(specs, pipeline, notices)
        return
    with JobReporter(specs, notices, check=check, quiet=quiet) as reporter, stop_on_signal() as stop:
        outcomes = run_batch(specs, pipeline, skip_existing=skip_existing, on_start=reporter.start, stop=stop)
        for outcome in outcomes:
            reporter.report(outcome)
    reporter.summarize()


def _tier_notices(pipeline: PipelineOptions) -> list[str]:
    from autohair_video.weights import for_tier

    used = [
        None if pipeline.segmenter else for_tier("segmenter", pipeline.tier),
        None if pipeline.matting_net else for_tier("matting", pipeline.tier),
    ]
    if all(entry is None or entry.tier == pipeline.tier for entry in used):
        return []
    return [
        f"tier {pipeline.tier} has no networks of its own yet: those of the fast tier ran on larger frames"
    ]
