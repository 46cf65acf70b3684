"""docs/tuning.md lists the constants of matting/ and tracking/ with their present values."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autohair_video"
MODULES = sorted(path for name in ("matting", "tracking") for path in (PACKAGE / name).glob("*.py"))


def _constants(path: Path) -> dict[str, str]:
    """Name and value of each module-level constant."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    names = []
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return {name: repr(getattr(module, name)) for name in names if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name)}


def _rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "tuning.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_every_constant_is_listed_with_its_value() -> None:
    listed = {(file, name.strip("`"), value.strip("`")) for name, value, _, file, _ in _rows()}
    present = {
        (path.relative_to(PACKAGE).as_posix(), name, value)
        for path in MODULES
        for name, value in _constants(path).items()
    }
    assert listed == present


def test_every_row_has_a_unit_and_a_source() -> None:
    assert all(len(row) == 5 and all(row) for row in _rows())


@pytest.mark.parametrize("package", ["matting", "tracking"])
def test_package_docstring_lists_every_module(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""
    listed = re.findall(r"^ *(\w+)  ", docstring, re.MULTILINE)
    present = {path.stem for path in MODULES if path.parent.name == package} - {"__init__"}
    assert sorted(listed) == sorted(present)
