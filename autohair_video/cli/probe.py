"""What a clip holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from autohair_video.cli.console import print_table, say


def probe_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="A clip, a URL or numbered stills.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a clip holds: streams, rate, rotation, colour, HDR, interlacing, and what to know of it."""
    from autohair_video.media.inspect import overview

    found = overview(source)
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    table = Table(show_header=False)
    for name, value in found.properties.items():
        table.add_row(name.replace("_", " "), _text(value))
    for track in found.tracks:
        parts = [_text(value) for name, value in track.items() if name not in ("index", "kind") and value]
        table.add_row(f"{track['kind']} {track['index']}", ", ".join(parts))
    print_table(table)
    for line in found.warnings:
        say(f"note: {line}")


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
