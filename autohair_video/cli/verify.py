"""Outputs compared with their inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from autohair_video.cli.console import print_table

if TYPE_CHECKING:
    from autohair_video.verify.checks import Verification

_MARKS = {True: "ok", False: "FAILED", None: "-"}


def verify_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The clip that was matted.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="What came of it: a file, or name.%05d.png.")],
    preset: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="What it was written as, if not plain.")
    ] = None,
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="It was written with --premultiplied.")
    ] = False,
    linear: Annotated[bool, typer.Option("--linear", help="And with --linear.")] = False,
    start: Annotated[float | None, typer.Option("--start", help="As it was given for the job.")] = None,
    end: Annotated[float | None, typer.Option("--end", help="As it was given for the job.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Decode an output and compare it with its input: frames, times, sound, colour tags and alpha."""
    from autohair_video.verify.runner import verify

    result = verify(
        source,
        output,
        preset=preset,
        is_premultiplied=premultiplied,
        in_light=linear,
        start_s=start,
        end_s=end,
    )
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
