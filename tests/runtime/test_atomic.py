"""Atomic replacement: the old content stays until the new one is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from autohair_video.runtime.atomic import atomic_write


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_content_replaces_the_old_and_nothing_else_is_left(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with atomic_write(path, durable=durable) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.suffix == ".json"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_keeps_the_old_content_and_removes_the_part(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
