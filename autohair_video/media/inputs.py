"""What users may name as an input, and how FFmpeg opens it."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from autohair_video.errors import InputError, OptionError
from autohair_video.media.animated_webp import webp_as_clip
from autohair_video.media.atomic_output import is_sequence
from autohair_video.media.image_type import IMAGE_EXTENSIONS, is_animated_webp, is_still_image
from autohair_video.media.sequences import (
    PLACEHOLDER,
    check_gapless,
    find_stills,
    group_stills,
    without_gaps,
)
from autohair_video.options import MissingStills

STDIN: Final = "-"
DEFAULT_RATE: Final = Fraction(24)

# OpenCV reads no OpenEXR by default, so one such image is a clip of one frame.
_STILL_EXTENSIONS: Final = (
    *IMAGE_EXTENSIONS,
    *(".exr", ".jfif", ".jpe", ".avif", ".jp2", ".ppm", ".tga"),
)
_CLIP_EXTENSIONS: Final = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".webm", ".wmv"),
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HASHES: Final = re.compile(r"#+")
_DRIVE: Final = re.compile(r"[a-zA-Z]:[\\/]")

SourceLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Source:
    """A clip or a still: a file, a URL, or a sequence of numbered stills.

    ``location``: the path or URL; of a sequence with its number as ``%04d``.
    ``rate``: frames per second of a sequence; other inputs bring their own.
    ``missing``: what to do where stills lack between others of a sequence: ``error`` refuses, ``hold``
    shows the one before, ``skip`` closes the gap up.
    ``label``: the name in messages and of outputs, in place of the location.

    >>> Source.of("shots/a.####.exr").location
    'shots/a.%04d.exr'
    >>> Source.of("https://example.com/in/my%20clip.mp4?key=1").stem
    'my clip'
    """

    location: str
    rate: Fraction | None = None
    label: str | None = None
    missing: MissingStills = "error"

    @classmethod
    def of(
        cls,
        given: Source | SourceLike,
        rate: Fraction | None = None,
        missing: MissingStills = "error",
    ) -> Source:
        """The source that ``given`` names; ``#`` stands for a digit of a sequence's number, as in Nuke."""
        if isinstance(given, Source):
            return given
        text = os.fspath(given)
        if text == STDIN:
            return cls(text, label="stdin")
        name = Path(text).name
        if "#" in name and not _is_url(text) and not exists(text):
            text = str(Path(text).with_name(_HASHES.sub(lambda m: f"%0{len(m[0])}d", name, count=1)))
        return cls(text, rate, missing=missing)

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
        return not self.is_url and is_sequence(self.location) and not exists(self.location)

    @property
    def is_still(self) -> bool:
        """Whether it is one still image: by its content, or by its extension where it is missing."""
        return not (self.is_url or self.is_stdin or self.is_sequence) and is_still_image(Path(self.location))

    @property
    def stem(self) -> str:
        """Its name without folder, extension and number."""
        if self.is_url and not self.label:
            return PurePosixPath(unquote(urlsplit(self.location).path)).stem or "stream"
        stem = Path(str(self)).stem
        return PLACEHOLDER.sub("", stem).rstrip("._- ") or "sequence" if self.is_sequence else stem

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
        """What FFmpeg opens.

        Raises:
            InputError: an animated WebP cannot be converted, or the stills of a sequence not be linked.
        """
        if self.is_url:
            return self.location
        path = Path(self.location)
        if self.is_sequence:
            if self.missing != "error":
                path = without_gaps(path, self.missing)
            return local_url(str(Path(str(path.parent).replace("%", "%%")) / path.name))
        return local_url(webp_as_clip(path) if path.is_file() and is_animated_webp(path) else path)

    @property
    def demuxer(self) -> tuple[str | None, dict[str, str]]:
        """FFmpeg's demuxer and its options; None where FFmpeg finds out.

        Raises:
            InputError: as `files`.
        """
        if not self.is_sequence:
            return None, {}
        rate, first = self.rate or DEFAULT_RATE, next(iter(self._stills()))
        return "image2", {
            "framerate": str(rate),
            "start_number": str(first if self.missing == "error" else 0),
        }

    @property
    def decoder_options(self) -> dict[str, str]:
        """The decoder's: OpenEXR's linear light is read gamma-coded as sRGB, as other images are."""
        return {"apply_trc": "iec61966_2_1"} if _suffix(self.location) == ".exr" else {}

    def _stills(self) -> dict[int, Path]:
        path = Path(self.location)
        stills = find_stills(path)
        if self.missing == "error":
            check_gapless(path, stills)
        return stills


def find_sources(
    given: Sequence[SourceLike], *, rate: Fraction | None = None, missing: MissingStills = "error"
) -> list[Source]:
    """All inputs that files, folders, globs, sequences, URLs and ``-`` stand for, each once.

    A folder gives its clips and images in the order of their names; stills of one name with
    consecutive numbers are one sequence. Folders in it are left alone. A glob gives the files that match.

    Raises:
        InputError: a folder or a glob gives nothing.
    """
    found: list[Source] = []
    for item in given:
        text = os.fspath(item)
        if text == STDIN or _is_url(text) or is_file(text):
            found.append(Source.of(text, rate, missing))
        elif exists(text) and Path(text).is_dir():
            found += _in_folder(Path(text), rate, missing)
        elif glob.has_magic(text):
            found += [Source.of(path, rate) for path in _matching(text)]
        else:
            found.append(Source.of(text, rate, missing))
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


def _in_folder(folder: Path, rate: Fraction | None, missing: MissingStills) -> list[Source]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    stills = [file for file in files if _suffix(file) in _STILL_EXTENSIONS]
    clips = [Source(str(file)) for file in files if _suffix(file) in _CLIP_EXTENSIONS]
    images = [
        Source(str(path), rate, missing=missing) if is_numbered else Source(str(path))
        for path, is_numbered in group_stills(stills)
    ]
    found = sorted([*clips, *images], key=lambda source: source.location)
    if not found:
        raise InputError(f"folder {folder} holds no clip and no image")
    return found


def _matching(pattern: str) -> list[str]:
    known = (*_CLIP_EXTENSIONS, *_STILL_EXTENSIONS)
    paths = [path for path in sorted(glob.glob(pattern, recursive=True)) if Path(path).is_file()]  # noqa: PTH207
    media = [path for path in paths if _suffix(path) in known]
    if not paths:
        raise InputError(f"{pattern} matches no file")
    return media or paths


def exists(path: str | Path) -> bool:
    """Whether a path is there; one that the system cannot even look up is not.

    >>> exists("a" * 5000)
    False
    """
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def is_file(path: str | Path) -> bool:
    """Whether a path is a file, likewise."""
    return exists(path) and Path(path).is_file()


def local_url(path: str | Path) -> str:
    """What FFmpeg opens for a local path: a name with a colon would be taken for a protocol.

    >>> local_url("12:30.mp4"), local_url("clip.mp4")
    ('file:12:30.mp4', 'clip.mp4')
    """
    text = str(path)
    is_plain = ":" not in text or (os.name == "nt" and _DRIVE.match(text) and ":" not in text[2:])
    return text if is_plain else f"file:{text}"


def _is_url(text: str) -> bool:
    return bool(_URL.match(text)) and not exists(text)


def _suffix(path: str | Path) -> str:
    return Path(path).suffix.lower()
