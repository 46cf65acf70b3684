"""Atomic replacement of a file: readers see the old content or the new, never a part of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path to write to, which replaces ``path`` when the block ends; removed if the block raises.

    It is a hidden file in the same folder with the same suffix, so that libraries that choose a format by it
    work. ``durable``: also flush file and folder to the disk, so that the file survives a power failure.

    Raises:
        OSError: the file cannot be flushed or renamed.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        if durable:
            flush_to_disk(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        flush_to_disk(path.parent)


def flush_to_disk(path: Path) -> None:
    """Wait until a file or folder is on the disk; does nothing for a folder on Windows.

    Raises:
        OSError: the disk is full or fails.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
