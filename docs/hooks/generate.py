"""Pages of the documentation that are generated from the package: commands, formats and the changelog."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
COPIED = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs when it has collected the pages."""
    pages = {"reference/cli.md": cli_reference(), "reference/formats.md": formats_matrix()}
    for name, source in COPIED.items():
        pages[name] = (
            (ROOT / source)
            .read_text(encoding="utf-8")
            .replace("(docs/", "(")
            .replace("(CHANGELOG.md)", "(changelog.md)")
        )
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def cli_reference() -> str:
    """All commands with their arguments and options, as Markdown."""
    from typer.main import get_command

    from autohair_video.cli.app import app

    return "\n".join(["# Command line", *_command("autohair-video", get_command(app), 2)])


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    """A command and those below it."""
    if not getattr(command, "hidden", False) or level == 2:
        yield f"\n{'#' * level} `{name}`\n"
        yield _plain(command.help or "")
        rows = [row for row in map(_row, command.params) if row]
        if rows:
            yield "\n| option | default | meaning |\n| --- | --- | --- |"
            yield from rows
    for child, below in sorted(getattr(command, "commands", {}).items()):
        # the bare call is a command of its own inside the program
        yield from _command("autohair-video" if child == "matte" else f"{name} {child}", below, level + 1)


def _row(parameter: Any) -> str | None:
    if getattr(parameter, "hidden", False):
        return None
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [(parameter.metavar or parameter.name).upper()]
    default = parameter.default
    shown = "" if default in (None, False, (), []) or callable(default) else f"`{default}`"
    label = " ".join(f"`{name}`" for name in names)
    return f"| {label} | {shown} | {_plain(getattr(parameter, 'help', None) or '')} |"


def _plain(text: str) -> str:
    """Help in one paragraph, safe in a table."""
    return re.sub(r"\s+", " ", text.replace("\b", "")).replace("|", "\\|").replace("<", "&lt;").strip()


def formats_matrix() -> str:
    """The output formats, as ``autohair-video formats`` prints them."""
    from autohair_video.media.presets import format_rows

    rows = [row.as_dict() for row in format_rows()]
    heads = list(rows[0])
    lines = [
        "# Output formats",
        "",
        "What `autohair-video formats` prints. The extension of an output chooses "
        "the format, unless `--format` or `--for` does.",
        "",
    ]
    lines += [f"| {' | '.join(head.replace('_', ' ') for head in heads)} |", "| " + "--- | " * len(heads)]
    lines += [f"| {' | '.join(_plain(str(row[head])) for head in heads)} |" for row in rows]
    return "\n".join(lines) + "\n"
