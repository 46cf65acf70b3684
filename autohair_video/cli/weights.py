"""Which weights there are, whether they are unaltered, and adding others."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from autohair_video.cli.console import print_table, say, status_line
from autohair_video.errors import WeightsError

weights = typer.Typer(help="List, verify or add weights of the networks.")


@weights.command("list")
def list_command() -> None:
    """List the weights, the shipped ones first."""
    from autohair_video.weights import entries

    table = Table("name", "role", "tier", "architecture", "MB", "licence", "file", box=None)
    for entry in entries():
        size = f"{entry.bytes / 1e6:.1f}"
        about = (entry.role, entry.tier or "-", entry.architecture, size, entry.licence)
        table.add_row(entry.name, *about, str(entry.path))
    print_table(table)


@weights.command("verify")
def verify_command() -> None:
    """Compare every file's size and SHA-256 with its manifest; exit code 1 if one differs."""
    from autohair_video.weights import check_file, entries

    failed = False
    for entry in entries():
        try:
            check_file(entry)
            print(f"{entry.name}: ok")
        except WeightsError as exc:
            failed = True
            say(f"autohair-video: {exc}")
    if failed:
        raise typer.Exit(WeightsError.exit_code)


@weights.command("add")
def add_command(
    source: Annotated[str, typer.Argument(metavar="PATH_OR_URL", help="A weights file or its http(s) URL.")],
    sha256: Annotated[str | None, typer.Option(help="Its SHA-256; a URL needs one.")] = None,
    name: Annotated[str | None, typer.Option(help="The name to load it by; the file's without it.")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="Its network, where that cannot be detected: dim-vgg16-skip.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Refuse to download.")] = False,
) -> None:
    """Check a weights file and keep a copy, for --segmenter or --matting-net."""
    from autohair_video.weights import add

    with status_line() as show:
        entry = add(
            source,
            sha256=sha256,
            name=name,
            architecture=architecture,
            offline=offline or None,
            progress=lambda have, total: show(_progress(source, have, total)),
        )
    print(f"{entry.name}: {entry.role}, {entry.architecture}, {entry.path}")


def _progress(source: str, have: int, total: int | None) -> str:
    return f"{source}: {have / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB")
