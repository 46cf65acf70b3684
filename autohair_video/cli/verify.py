"""Outputs compared with their inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from autohair_video.cli.console import print_table
from autohair_video.cli.parameters import Only, with_options
from autohair_video.options import JobOptions

if TYPE_CHECKING:
    from autohair_video.verify.checks import Verification

# What decides how an output compares with its input.
_OF_THE_JOB = (
    "preset",
    "premultiplied",
    "blend.linear",
    "blend.despill",
    "start_s",
    "end_s",
    "deinterlace",
)
_MARKS = {True: "ok", False: "FAILED", None: "-"}


@with_options
def verify_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The clip that was matted.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="What came of it: a file, or name.%05d.png.")],
    job: Annotated[JobOptions, Only(_OF_THE_JOB)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Decode an output and compare it with its input: frames, times, audio, colour tags and alpha.

    Give the options that the job was given.
    """
    from autohair_video.verify.runner import verify

    result = verify(source, output, job)
    if as_json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print_verification(result)
    if not result.passed:
        raise typer.Exit(1)


def print_verification(result: Verification) -> None:
    """The table of one output."""
    table = Table("check", "expected", "found", "", title=f"{result.output} ({result.preset})")
    for check in result.checks:
        table.add_row(check.name, check.expected, check.found, _MARKS[check.passed])
    print_table(table)
