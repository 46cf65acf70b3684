"""Where training pictures come from: a manifest in TOML, so that no file name stands in the code.

The shipped manifest is ``sources.toml`` beside this file; ``--manifest`` names another. Each ``[[source]]``
table is a `Source`; paths in it are relative to the folder ``data`` of the training data.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from autohair_video.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Kind = Literal["teachers", "drawn", "keyed", "rendered"]
SHIPPED = Path(__file__).with_name("sources.toml")
_VIDEO = (".mp4", ".mkv", ".mov", ".webm")


@dataclass(frozen=True)
class Source:
    """One source of labelled people.

    Attributes:
        name: the folder of its labels.
        images: a glob for photographs or clips.
        kind: who labels them: the ``teachers``; a file ``drawn`` per picture (of classes 0 background,
            1 person, 2 hair); a green screen (``keyed``); or a renderer, whose RGBA pictures need no more
            (``rendered``, globbed below the cache).
        licence: of the files.
        credit: whom to name.
        share: how often it is drawn in training, relative to the others.
        frames: of a clip, about how many are taken.
        most: of pictures, how many at most, evenly spread.
        knows_hair: false where the hair is too small to be labelled.
        is_portrait: heads and shoulders, whose hair rendered foregrounds take their colours from.
        held_out_every: one in so many is for evaluation only, see `is_held_out`.
        drawn: the drawing of a picture, with ``{stem}`` for its name.
        guide: likewise a rough mask with which the teachers are compared.
        bystanders: a list of the pictures of which the drawing leaves people out; the first word of each line
            is a file's stem.
        credits: a table (TSV) with the columns ``file``, ``licence`` and ``author_or_url``.
        excluded: stems that are left out, with the reason.
    """

    name: str
    images: str
    kind: Kind
    licence: str
    credit: str
    share: float = 1.0
    frames: int = 16
    most: int | None = None
    knows_hair: bool = True
    is_portrait: bool = False
    held_out_every: int | None = None
    drawn: str | None = None
    guide: str | None = None
    bystanders: str | None = None
    credits: str | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(
                f"source {self.name}: unknown kind {self.kind!r}; use {', '.join(get_args(Kind))}"
            )
        if self.kind == "drawn" and self.drawn is None:
            raise InputError(f"source {self.name}: kind 'drawn' needs a path 'drawn' with {{stem}} in it")
        if self.share < 0 or min(self.frames, self.most or 1, self.held_out_every or 1) < 1:
            raise InputError(f"source {self.name}: share, frames, most and held_out_every must be positive")
        if not self.name or "/" in self.name:
            raise InputError(f"source {self.name!r}: a name is a folder's name, without '/'")

    def files(self, data: Path) -> list[Path]:
        """Its pictures or clips in the training data, in order of their names, without the excluded."""
        found = [path for path in sorted(data.glob(self.images)) if path.stem not in self.excluded]
        if self.most is None or len(found) <= self.most:
            return found
        return [found[i * len(found) // self.most] for i in range(self.most)]

    def is_held_out(self, stem: str) -> bool:
        """Whether a file is for evaluation only: of those whose names end in a number, one in so many."""
        number = re.search(r"\d+$", stem)
        return bool(self.held_out_every and number and int(number[0]) % self.held_out_every == 0)

    def beside(self, data: Path, pattern: str | None, stem: str) -> Path | None:
        """The file that ``drawn`` or ``guide`` names for a picture, if there is one."""
        path = data / pattern.format(stem=stem) if pattern else None
        return path if path is not None and path.is_file() else None

    def stems_with_bystanders(self, data: Path) -> set[str]:
        """Stems of the pictures in which people are not drawn."""
        listing = data / self.bystanders if self.bystanders else None
        lines = listing.read_text(encoding="utf-8").splitlines() if listing and listing.is_file() else []
        return {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}


def is_video(path: Path) -> bool:
    """Whether the file's ending is a video's."""
    return path.suffix.lower() in _VIDEO


def load_manifest(path: Path = SHIPPED) -> list[Source]:
    """The sources of a manifest, in its order.

    Raises:
        InputError: the file is missing or no TOML, or a source lacks a key, has one too many or a wrong
            value; the message names it in one line.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"{path}: the manifest cannot be read; check --manifest") from exc
    except tomllib.TOMLDecodeError as exc:
        raise InputError(f"{path}: not valid TOML: {exc}") from exc
    listed = tables.get("source", [])
    if not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
        raise InputError(f"{path}: 'source' has the wrong type; write [[source]] tables")
    sources = [_source(path, table) for table in listed]
    names = [source.name for source in sources]
    if not sources:
        raise InputError(f"{path}: holds no [[source]] table")
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two sources have the same name")
    return sources


def _source(path: Path, table: Mapping[str, Any]) -> Source:
    name = table.get("name", "without a name")
    known = {f.name: f for f in fields(Source)}
    unknown = sorted(set(table) - set(known))
    missing = [
        n
        for n, f in known.items()
        if n not in table and f.default is MISSING and f.default_factory is MISSING
    ]
    if unknown or missing:
        what = f"unknown key {unknown[0]!r}" if unknown else f"key {missing[0]!r} is missing"
        raise InputError(f"{path}: source {name}: {what}")
    for key, value in table.items():
        if not isinstance(value, _TYPES.get(key, str)) or (key in _NUMBERS and isinstance(value, bool)):
            raise InputError(f"{path}: source {name}: {key} = {value!r} has the wrong type")
    return Source(**table)


_NUMBERS = ("share", "frames", "most", "held_out_every")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "share": (int, float),
    "frames": int,
    "most": int,
    "held_out_every": int,
    "knows_hair": bool,
    "is_portrait": bool,
    "excluded": dict,
}
