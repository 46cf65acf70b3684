"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and evaluation data; tests that need it skip without it."""
    folder = os.environ.get("AUTOHAIR_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("AUTOHAIR_SHARED does not name the folder with the real clips")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of a CUDA device; without one tests skip, or fail where AUTOHAIR_REQUIRE_GPU is set."""
    if not torch.cuda.is_available():
        missing = pytest.fail if os.environ.get("AUTOHAIR_REQUIRE_GPU") else pytest.skip
        missing("there is no CUDA device")
    return "cuda"
