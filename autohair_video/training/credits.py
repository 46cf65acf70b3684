"""Credits that the sources' licences ask for, from the manifest and the tables beside the data."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from autohair_video.errors import InputError
from autohair_video.training.manifest import Source

_HEADER = """# Credits

Whose photographs, clips and assets the weights were trained on. None of these files is part of this
repository. Written by `autohair-video train credits`; creators are named by the link to their work, as
CC BY 2.0 (section 4b) and CC BY 4.0 (section 3a) ask.
"""


def write_credits(data: Path, sources: Sequence[Source], out: Path) -> int:
    """Write a Markdown table of the sources and a list of each file that has a credit of its own.

    Returns:
        How many files are listed.

    Raises:
        InputError: a source's table is missing, or lacks a column.
    """
    lists = [(source, sorted(_files(data, source))) for source in sources if source.credits]
    lines = [_HEADER, "| source | licence | credit |", "| --- | --- | --- |"]
    lines += [f"| {source.name} | {source.licence} | {source.credit} |" for source in sources]
    for source, files in lists:
        lines += ["", f"## {source.name}", ""]
        lines += [f"- {file}: <{link}> ({licence})" for file, licence, link in files]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(len(files) for _, files in lists)


def _files(data: Path, source: Source) -> Iterator[tuple[str, str, str]]:
    """Name, licence and link of each file that is used and listed."""
    path, used = data / (source.credits or ""), {file.name for file in source.files(data)}
    if not path.is_file():
        raise InputError(f"{path}: the credits of source {source.name} are missing")
    with path.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            try:
                file, licence, link = row["file"], row["licence"], row["author_or_url"]
            except KeyError as exc:
                raise InputError(f"{path}: has no column {exc}") from exc
            if file in used:
                used.discard(file)
                # some rows name an id behind the link
                yield file, licence, link.split()[0]
    if used:
        raise InputError(f"{path}: lists no credit for {min(used)}")
