"""What users may name as an input, and how FFmpeg opens it."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from autohair_video.errors import InputError, OptionError
from autohair_video.media.atomic_output import is_sequence

STDIN: Final = "-"
DEFAULT_RATE: Final = Fraction(24)
IMAGE_EXTENSIONS: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

# OpenCV reads no OpenEXR by default, so one such image is a clip of one frame.
_STILL_EXTENSIONS: Final = (*IMAGE_EXTENSIONS, ".exr")
_CLIP_EXTENSIONS: Final = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".webm", ".wmv"),
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HASHES: Final = re.compile(r"#+")
_PLACE: Final = re.compile(r"%(0?\d*)d")
_LAST_NUMBER: Final = re.compile(r"(.*?)(\d+)(\D*)")

SourceLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Source:
    """A clip or a still: a file, a URL, or a sequence of numbered stills.

    ``location``: the path or URL; of a sequence with its number as ``%04d``.
    ``rate``: frames per second of a sequence; other inputs bring their own.
    ``label``: the name in messages and of outputs, in place of the location.

    >>> Source.of("shots/a.####.exr").location
    'shots/a.%04d.exr'
    >>> Source.of("https://example.com/in/my%20clip.mp4?key=1").stem
    'my clip'
    """

    location: str
    rate: Fraction | None = None
    label: str | None = None

    @classmethod
    def of(cls, given: Source | SourceLike, rate: Fraction | None = None) -> Source:
        """The source that ``given`` names; ``#`` stands for a digit of a sequence's number, as in Nuke."""
        if isinstance(given, Source):
            return given
        text = os.fspath(given)
        if text == STDIN:
            return cls(text, label="stdin")
        name = Path(text).name
        if not _is_url(text) and not Path(text).exists() and "#" in name:
            text = str(Path(text).with_name(_HASHES.sub(lambda m: f"%0{len(m[0])}d", name, count=1)))
        return cls(text, rate)

    def __str__(self) -> str:
        return self.label or self.location

    @property
    def is_url(self) -> bool:
        """Whether FFmpeg fetches it from elsewhere."""
        return _is_url(self.location)

    @property
    def is_stdin(self) -> bool:
        """Whether it is to come on standard input (see `from_stdin`)."""
        return self.location == STDIN

    @property
    def is_sequence(self) -> bool:
        """Whether it is a sequence of numbered stills."""
        return not self.is_url and is_sequence(self.location) and not Path(self.location).exists()

    @property
    def is_still(self) -> bool:
        """Whether it is one still image, by its extension."""
        return not self.is_url and not self.is_sequence and _suffix(self.location) in IMAGE_EXTENSIONS

    @property
    def stem(self) -> str:
        """Its name without folder, extension and number."""
        if self.is_url and not self.label:
            return PurePosixPath(unquote(urlsplit(self.location).path)).stem or "stream"
        stem = Path(str(self)).stem
        return _PLACE.sub("", stem).rstrip("._- ") or "sequence" if self.is_sequence else stem

    @property
    def folder(self) -> Path:
        """Where outputs go by default: beside a file, else the working folder."""
        return Path() if self.is_url or self.label else Path(self.location).parent

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, or a sequence's stills in their order; nothing for a URL.

        Raises:
            InputError: the sequence has no stills, or a gap between them.
        """
        if self.is_url:
            return ()
        return tuple(self._stills().values()) if self.is_sequence else (Path(self.location),)

    @property
    def url(self) -> str:
        """What FFmpeg opens."""
        path = Path(self.location)
        return (
            str(Path(str(path.parent).replace("%", "%%")) / path.name) if self.is_sequence else self.location
        )

    @property
    def demuxer(self) -> tuple[str | None, dict[str, str]]:
        """FFmpeg's demuxer and its options; None where FFmpeg finds out.

        Raises:
            InputError: as `files`.
        """
        if not self.is_sequence:
            return None, {}
        rate = self.rate or DEFAULT_RATE
        return "image2", {"framerate": str(rate), "start_number": str(next(iter(self._stills())))}

    @property
    def decoder_options(self) -> dict[str, str]:
        """The decoder's: OpenEXR's linear light is read gamma-coded as sRGB, as other images are."""
        return {"apply_trc": "iec61966_2_1"} if _suffix(self.location) == ".exr" else {}

    def _stills(self) -> dict[int, Path]:
        path = Path(self.location)
        before, digits, after = _PLACE.split(path.name, maxsplit=1)
        name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
        if not path.parent.is_dir():
            raise InputError(f"folder {path.parent} of {path} does not exist")
        found = (name.fullmatch(file.name) for file in path.parent.iterdir())
        numbers = sorted(int(m[1]) for m in found if m and m[0] == f"{before}{m[1]}{after}")
        numbers = [n for n in dict.fromkeys(numbers) if _numbered(path, n).exists()]
        if not numbers:
            raise InputError(f"sequence {path}: no file has such a name (%{digits}d stands for the number)")
        missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
        if missing:
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"sequence {path}: still {missing[0]}{others} missing between {numbers[0]} and {numbers[-1]}"
            )
        return {n: _numbered(path, n) for n in numbers}


def find_sources(given: Sequence[SourceLike], *, rate: Fraction | None = None) -> list[Source]:
    """All inputs that files, folders, globs, sequences, URLs and ``-`` stand for, each once.

    A folder gives its clips and images in the order of their names; stills of one name with
    consecutive numbers are one sequence. Folders in it are left alone. A glob gives the files that match.

    Raises:
        InputError: a folder or a glob gives nothing.
    """
    found: list[Source] = []
    for item in given:
        text = os.fspath(item)
        if text == STDIN or _is_url(text) or Path(text).is_file():
            found.append(Source.of(text, rate))
        elif Path(text).is_dir():
            found += _in_folder(Path(text), rate)
        elif glob.has_magic(text):
            found += [Source.of(path, rate) for path in _matching(text)]
        else:
            found.append(Source.of(text, rate))
    return list(dict.fromkeys(found))


@contextmanager
def from_stdin() -> Iterator[Source]:
    """Standard input as a file that can be read more than once; it is gone after the block.

    Raises:
        InputError: nothing comes, or the folder for temporary files (TMPDIR) is full.
    """
    with tempfile.TemporaryDirectory(prefix="autohair-stdin-") as folder:
        path = Path(folder) / "stdin"
        try:
            with path.open("wb") as spool:
                shutil.copyfileobj(sys.stdin.buffer, spool)
        except OSError as exc:
            raise InputError(f"cannot keep standard input in {folder} ({exc.strerror})") from exc
        if not path.stat().st_size:
            raise InputError("nothing came on standard input")
        yield Source(str(path), label="stdin")


def parse_rate(text: str) -> Fraction:
    """Frames per second: ``24``, ``23.976`` (which is 24000/1001) or ``30000/1001``.

    >>> parse_rate("29.97"), parse_rate("25")
    (Fraction(30000, 1001), Fraction(25, 1))

    Raises:
        OptionError: it is not a positive number.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise OptionError(f"rate {text!r} is no number of frames per second: use 24, 23.976 or 30000/1001")
    ntsc = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    return ntsc if "." in text and abs(rate - ntsc) < Fraction(1, 200) else rate


def _in_folder(folder: Path, rate: Fraction | None) -> list[Source]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    stills = [file for file in files if _suffix(file) in _STILL_EXTENSIONS]
    clips = [Source(str(file)) for file in files if _suffix(file) in _CLIP_EXTENSIONS]
    found = sorted([*clips, *_sequences(stills, rate)], key=lambda source: source.location)
    if not found:
        raise InputError(f"folder {folder} holds no clip and no image")
    return found


def _sequences(stills: Iterable[Path], rate: Fraction | None) -> Iterator[Source]:
    """Stills with consecutive numbers as sequences, the others as they are."""

    def pattern(file: Path) -> str:
        match = _LAST_NUMBER.fullmatch(file.stem)
        if not match or "%" in file.name:
            return file.name
        digits = f"0{len(match[2])}" if match[2].startswith("0") or len(match[2]) > 3 else ""
        return f"{match[1]}%{digits}d{match[3]}{file.suffix}"

    for name, group in groupby(sorted(stills, key=pattern), key=pattern):
        files = list(group)
        sequence = Source(str(files[0].with_name(name)), rate)
        if len(files) > 1 and sequence.is_sequence and _is_gapless(sequence):
            yield sequence
        else:
            yield from (Source(str(file)) for file in files)


def _is_gapless(sequence: Source) -> bool:
    try:
        return bool(sequence.files)
    except InputError:
        return False


def _matching(pattern: str) -> list[str]:
    known = (*_CLIP_EXTENSIONS, *_STILL_EXTENSIONS)
    paths = [path for path in sorted(glob.glob(pattern, recursive=True)) if Path(path).is_file()]  # noqa: PTH207
    media = [path for path in paths if _suffix(path) in known]
    if not paths:
        raise InputError(f"{pattern} matches no file")
    return media or paths


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(_PLACE.sub(lambda m: f"%{m[1]}d" % number, path.name, count=1))


def _is_url(text: str) -> bool:
    return bool(_URL.match(text))


def _suffix(path: str | Path) -> str:
    return Path(path).suffix.lower()
