"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# What a test needs follows from the fixtures that it uses.
MARKER_OF_FIXTURE = {"cuda": "gpu", "browser": "browser", "display": "display", "mount": "root"}
ROOT = Path(__file__).parents[1]
SLOW = frozenset(
    line
    for line in (ROOT / "tests" / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use, and by the list of slow ones."""
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        file, _, _ = item.nodeid.partition("::")
        if file in SLOW or item.nodeid.partition("[")[0] in SLOW:
            item.add_marker("slow")


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
