"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and evaluation data; tests that need it skip without it."""
    folder = os.environ.get("AUTOHAIR_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("AUTOHAIR_SHARED does not name the folder with the real clips")
    return Path(folder).resolve()
