"""The packages' docstrings name their modules."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["cli", "jobs"])
def test_package_docstring_lists_its_modules(package: str) -> None:
    module = import_module(f"autohair_video.{package}")
    assert module.__file__ is not None
    files = {path.stem for path in Path(module.__file__).parent.glob("*.py")} - {"__init__"}
    listed = re.findall(r"^ *(\w+) {2,}\S", module.__doc__ or "", re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == files
