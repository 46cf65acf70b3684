"""Atomic outputs: written under a temporary name in the same folder, renamed when complete."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from autohair_video.errors import OutputError

# Bytes of a file's name, on all common file systems.
_LONGEST_NAME: Final = 255
_NUMBER: Final = re.compile(r"%0?\d*d")


def is_sequence(path: str | Path) -> bool:
    """Whether ``path`` names a numbered image sequence.

    >>> is_sequence("matte.%05d.png"), is_sequence("100%.mp4")
    (True, False)
    """
    return bool(_NUMBER.search(Path(path).name))


def make_folder(path: Path) -> None:
    """Makes a folder for outputs, and those that it lies in, unless it is there.

    Raises:
        OutputError: the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot make output folder {path} ({exc.strerror})") from exc


def check_output(path: str | Path, *, overwrite: bool, inputs: Sequence[str | Path] = ()) -> None:
    """Checks before any work is done that ``path`` can be written.

    Raises:
        OutputError: its folder is missing or not a folder, it is a folder itself, it is one of
            ``inputs``, or it is there already and ``overwrite`` is false.
    """
    path = Path(path)
    if len(os.fsencode(partial_path(path).name)) > _LONGEST_NAME:
        shown = f"{path.name[:40]}...{path.suffix}"
        spare = _LONGEST_NAME - len(".partial")
        raise OutputError(f"output name {shown} is too long: use at most {spare} bytes")
    if path.is_dir():
        raise OutputError(f"output {path} is a folder: name a file in it")
    if path.parent.exists() and not path.parent.is_dir():
        raise OutputError(f"output folder {path.parent} is a file: name a folder")
    if not path.parent.is_dir():
        raise OutputError(f"output folder {path.parent} does not exist: create it first")
    present = present_files(path)
    sources = {Path(source).resolve() for source in inputs}
    if any(file.resolve() in sources for file in present):
        raise OutputError(f"output {path} is the input itself: choose another name")
    if present and not overwrite:
        raise OutputError(f"output {present[0]} exists: choose another name or allow overwriting")


class StagedOutput:
    """A file, or the folder of a numbered sequence, that takes its name only at `commit`.

    Write to ``work_path``, then call `commit` or `discard`. ``replace_stale``: what a killed run left for
    the same output is removed first.

    Raises:
        OutputError: nothing can be created in the output's folder.
    """

    def __init__(self, path: str | Path, *, replace_stale: bool = False) -> None:
        self.path = Path(path)
        token = (
            hashlib.sha256(self.path.name.encode()).hexdigest()[:8] if replace_stale else secrets.token_hex(4)
        )
        # Hidden, short enough for any file system, and with the extension that muxers go by.
        aside = f".{self.path.stem[:64]}.{token}.part"
        try:
            if is_sequence(self.path):
                self._aside = self.path.with_name(aside.replace("%", ""))
                if replace_stale:
                    self.discard()
                self._aside.mkdir()
                self.work_path = self._aside / self.path.name
            else:
                self._aside = self.work_path = self.path.with_name(aside + self.path.suffix)
                if replace_stale:
                    self.discard()
                self._aside.touch(exist_ok=False)
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path.parent} ({exc.strerror})") from exc

    def commit_partial(self) -> Path:
        """Commits an incomplete output under `partial_path`, and returns that."""
        self.path = partial_path(self.path)
        for older in present_files(self.path):
            older.unlink()
        if self._aside.is_dir():
            for image in list(self._aside.iterdir()):
                image.replace(partial_path(image))
        self.commit()
        return self.path

    def commit(self) -> None:
        """Gives the output its name, in place of a file that had it."""
        try:
            if self._aside.is_dir():
                for image in sorted(self._aside.iterdir()):
                    image.replace(self.path.with_name(image.name))
                    # Where both names are of one file already, the system leaves both.
                    image.unlink(missing_ok=True)
                self._aside.rmdir()
            else:
                self._aside.replace(self.path)
        except OSError as exc:
            # What took hours to encode is kept.
            reason = f"cannot name {self.path} ({exc.strerror})"
            raise OutputError(f"{reason}: it is complete as {self._aside}; rename that") from exc

    def discard(self) -> None:
        """Removes what has been written."""
        if self._aside.is_dir():
            shutil.rmtree(self._aside, ignore_errors=True)
        else:
            self._aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a small UTF-8 file atomically, replacing an existing one.

    Raises:
        OutputError: it cannot be written.
    """
    staged = StagedOutput(path)
    try:
        staged.work_path.write_text(text, encoding="utf-8")
    except OSError as exc:
        staged.discard()
        raise OutputError(f"cannot write {path} ({exc.strerror})") from exc
    staged.commit()


def partial_path(path: Path) -> Path:
    """The name of an incomplete output.

    >>> partial_path(Path("out.mov")).name
    'out.partial.mov'
    """
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def present_files(path: Path) -> list[Path]:
    """The files that writing to ``path`` would replace: one, or those of a sequence."""
    if not is_sequence(path):
        return [path] if path.exists() else []
    if not path.parent.is_dir():
        return []
    before, after = _NUMBER.split(path.name, maxsplit=1)
    name = re.compile(re.escape(before) + r"\d+" + re.escape(after))
    return [file for file in path.parent.iterdir() if name.fullmatch(file.name)]
