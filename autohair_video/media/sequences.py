"""Numbered stills: which files of a folder are one sequence, and which numbers are missing."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from autohair_video.errors import InputError
from autohair_video.media.temporary import temporary_folder
from autohair_video.options import MissingStills

PLACEHOLDER: Final = re.compile(r"%(0?\d*)d")
_LAST_NUMBER: Final = re.compile(r"(.*?)(\d+)(\D*)")
# With fewer stills, or less of them, numbered files with gaps are taken for single images.
_LEAST_STILLS: Final = 5
_LEAST_PRESENT: Final = 0.75


def numbered_path(pattern: Path, number: int) -> Path:
    """The file of a number in a sequence.

    >>> numbered_path(Path("a.%03d.png"), 7).name
    'a.007.png'
    """
    return pattern.with_name(PLACEHOLDER.sub(lambda m: f"%{m[1]}d" % number, pattern.name, count=1))


def find_stills(pattern: Path) -> dict[int, Path]:
    """The files of a sequence by their numbers, in rising order, with the gaps that it has.

    Raises:
        InputError: there is none, or the folder does not exist.
    """
    before, digits, after = PLACEHOLDER.split(pattern.name, maxsplit=1)
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    if not pattern.parent.is_dir():
        raise InputError(f"folder {pattern.parent} of {pattern} does not exist")
    found = (name.fullmatch(file.name) for file in pattern.parent.iterdir())
    numbers = sorted({int(m[1]) for m in found if m})
    numbers = [n for n in numbers if numbered_path(pattern, n).exists()]
    if not numbers:
        raise InputError(f"sequence {pattern}: no file has such a name (%{digits}d stands for the number)")
    return {n: numbered_path(pattern, n) for n in numbers}


def missing_numbers(stills: Mapping[int, Path]) -> list[int]:
    """The numbers that lack between the first and the last still."""
    return sorted(set(range(min(stills), max(stills) + 1)) - set(stills))


def check_gapless(pattern: Path, stills: Mapping[int, Path]) -> None:
    """Raises InputError, naming what is missing, if stills lack between the first and the last."""
    missing = missing_numbers(stills)
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"sequence {pattern}: still {missing[0]}{others} missing between {min(stills)} and "
            f"{max(stills)}: add it, or choose --missing hold or skip"
        )


def group_stills(files: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Paths of single images, and patterns (with True) of those that are sequences.

    Numbers may be padded with zeros to one width, as in f01 to f120, or not at all, as in f8 to f11.
    """
    groups: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    for file in files:
        match = _LAST_NUMBER.fullmatch(file.stem)
        if match is None or "%" in file.name:
            yield file, False
        else:
            groups[match[1], match[3], file.suffix].append(file)
    for (before, after, suffix), group in groups.items():
        for width, members in _by_width(group, len(before)).items():
            digits = f"0{width}" if width else ""
            pattern = members[0].with_name(f"{before}%{digits}d{after}{suffix}")
            if _is_sequence(members, len(before)):
                yield pattern, True
            else:
                yield from ((file, False) for file in members)


def _by_width(group: list[Path], begin: int) -> dict[int, list[Path]]:
    """The files by the width that their numbers are padded to, 0 for none.

    Of numbers without a leading zero those fit in as well that are at least as wide.
    """
    texts = {file: _digits(file, begin) for file in group}
    padded = sorted({len(text) for text in texts.values() if text.startswith("0") and len(text) > 1})
    members: dict[int, list[Path]] = defaultdict(list)
    for file, text in texts.items():
        if text.startswith("0") and len(text) > 1:
            members[len(text)].append(file)
        else:
            members[max((width for width in padded if width <= len(text)), default=0)].append(file)
    if set(members) == {0} and len({len(text) for text in texts.values()}) == 1:
        # All of one width: four digits and more are padding, fewer may continue at the next width.
        width = len(next(iter(texts.values())))
        return {width if width > 3 else 0: group}
    return dict(sorted(members.items()))


def _digits(file: Path, begin: int) -> str:
    match = re.match(r"\d+", file.stem[begin:])
    return match[0] if match else ""


def _is_sequence(members: list[Path], begin: int) -> bool:
    numbers = {int(_digits(file, begin)) for file in members}
    span = max(numbers) - min(numbers) + 1
    if len(numbers) == span:
        return span > 1
    return len(numbers) >= _LEAST_STILLS and len(numbers) >= _LEAST_PRESENT * span


@cache
def without_gaps(pattern: Path, missing: MissingStills) -> Path:
    """A sequence of links to the stills of another one, in a folder that lasts as long as the process.

    ``missing``: ``hold`` repeats the still before a gap, ``skip`` closes the gap up.

    Raises:
        InputError: the folder for temporary files (TMPDIR) cannot be written to.
    """
    stills = find_stills(pattern)
    try:
        folder = temporary_folder()
        linked = folder / f"%d{pattern.suffix}"
        numbers = sorted(stills) if missing == "skip" else range(min(stills), max(stills) + 1)
        last = stills[min(stills)]
        for place, number in enumerate(numbers):
            last = stills.get(number, last)
            _link(last.resolve(), numbered_path(linked, place))
    except OSError as exc:
        folder_name = tempfile.gettempdir()
        raise InputError(f"cannot link the stills of {pattern} in {folder_name} ({exc.strerror})") from exc
    return linked


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:
        # Windows may refuse links.
        shutil.copyfile(file, link)
