"""Temporary files that last as long as the process."""

from __future__ import annotations

import tempfile
from pathlib import Path

_folders: list[tempfile.TemporaryDirectory[str]] = []


def temporary_folder() -> Path:
    """A new folder that is removed when the process ends.

    Raises:
        OSError: the folder for temporary files (TMPDIR) cannot be written to.
    """
    _folders.append(tempfile.TemporaryDirectory(prefix="autohair-video-"))
    return Path(_folders[-1].name)
