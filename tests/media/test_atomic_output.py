"""Outputs that appear whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autohair_video.errors import OutputError
from autohair_video.media.atomic_output import StagedOutput, check_output


def test_a_file_takes_its_name_at_commit(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("old")
    staged = StagedOutput(tmp_path / "a.mp4")
    staged.work_path.write_text("new")
    assert staged.work_path.suffix == ".mp4"
    assert (tmp_path / "a.mp4").read_text() == "old"
    staged.commit()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.mp4", "new")]


def test_a_sequence_takes_its_names_at_commit(tmp_path: Path) -> None:
    staged = StagedOutput(tmp_path / "a.%03d.png")
    for name in ("a.001.png", "a.002.png"):
        staged.work_path.with_name(name).write_text(name)
    assert not list(tmp_path.glob("*.png"))
    staged.commit()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.001.png", "a.002.png"]


@pytest.mark.parametrize("name", ["a.mp4", "a.%03d.png"])
def test_discarding_leaves_nothing(tmp_path: Path, name: str) -> None:
    StagedOutput(tmp_path / name).discard()
    assert not list(tmp_path.iterdir())


def test_the_longest_names_work(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".mp4")
    StagedOutput(path).commit()
    assert path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_an_error() -> None:
    check_output("/proc/a.mp4", overwrite=False)
    with pytest.raises(OutputError, match="cannot write to /proc"):
        StagedOutput("/proc/a.mp4")


def test_other_sequences_do_not_conflict(tmp_path: Path) -> None:
    for name in ("b.001.png", "a.x.png", "a.png"):
        (tmp_path / name).touch()
    check_output(tmp_path / "a.%03d.png", overwrite=False)
    (tmp_path / "a.0001.png").touch()
    with pytest.raises(OutputError, match=r"a\.0001\.png exists"):
        check_output(tmp_path / "a.%03d.png", overwrite=False)
