"""The table of outputs."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from autohair_video.cli.console import print_table

_HEADINGS = {
    "name": "--format",
    "content": "shows",
    "files": "files",
    "codec": "codec",
    "pixel_formats": "pixel formats",
    "alpha": "alpha",
    "sample_range": "range",
    "purposes": "--for",
}


def formats_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """List the output formats: files, codec, pixel formats, straight or premultiplied, and for whom."""
    from autohair_video.media.presets import format_rows

    rows = [row.as_dict() for row in format_rows()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(*_HEADINGS.values())
    for row in rows:
        table.add_row(*(row[column] for column in _HEADINGS))
    print_table(table)
