"""Disks that fill up, and folders that cannot be written: one line, what plays is kept, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import pytest
import torch

from autohair_video import MattingPipeline, Report, TemporalOptions, process
from autohair_video.cli import run
from autohair_video.errors import OutputError
from autohair_video.frames import FrameBatch, FrameFormat
from autohair_video.jobs.sinks import SinkFrame, SinkGroup
from autohair_video.media import ClipWriter, preset_for, preset_named
from tests.helpers.clips import make_clip, timeline
from tests.helpers.options import HARD as MATTING

HARD = ("--trimap", "fixed:0,0", "--temporal", "off", "--device", "cpu")
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Makes a disk in memory, with the options of mount(8)."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(options: str) -> Path:
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if sys.platform != "linux" or not shutil.which("mount"):
            pytest.skip("only Linux has tmpfs")
        if subprocess.run(call, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not permitted")
        return folder

    yield mounted
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _noise(width: int, height: int, count: int) -> Iterator[FrameBatch]:
    """Frames that no encoder makes small, one by one."""
    random = torch.Generator().manual_seed(0)
    fmt = FrameFormat(width, height)
    for index in range(count):
        shapes = (height, width), (height // 2, width // 2), (height // 2, width // 2)
        y, u, v = (torch.randint(16, 236, (1, 1, *s), generator=random, dtype=torch.uint8) for s in shapes)
        yield FrameBatch((y, u, v), fmt, (index,), (1,), Fraction(1, 25))


def _stills(folder: Path, count: int) -> Path:
    for number, batch in enumerate(_noise(160, 120, count)):
        cv2.imwrite(str(folder / f"n.{number:02}.png"), batch.planes[0][0, 0].numpy())
    return folder / "n.%02d.png"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "names", [["o.mp4"], ["o.mov"], ["o.mkv"], ["p.mov", "o.mp4"], ["a.mov"], ["c.webm"]]
)
def test_full_disk_keeps_a_playable_partial_output(mount: Mount, names: list[str]) -> None:
    disk = mount("size=1200k")
    presets = {"p.mov": preset_named("prores422"), "a.mov": preset_named("prores4444")}
    writers = []

    def write() -> None:
        for batch in _noise(192, 128, 200):
            SinkGroup(writers).write([SinkFrame(batch, _alpha(writer, batch)) for writer in writers])

    def in_all(names: list[str]) -> None:
        if not names:
            write()
            return
        preset = presets.get(names[0]) or preset_for(names[0], role="composite")
        with ClipWriter(disk / names[0], preset, FrameFormat(192, 128), Fraction(1, 25)) as writer:
            writers.append(writer)
            in_all(names[1:])

    with pytest.raises(OutputError, match=r"cannot write .*\.(mp4|mov|mkv|webm): the disk is full$"):
        in_all(names)
    kept = [f"{name[0]}.partial{name[1:]}" for name in names]
    assert _names(disk) == sorted(kept)
    for name in kept:
        assert len(timeline(disk / name)) > 4


def _alpha(writer: ClipWriter, batch: FrameBatch) -> torch.Tensor | None:
    return torch.full((1, 1, 128, 192), 0.5) if writer.path.name == "a.mov" else None


@pytest.mark.parametrize(("name", "preset"), [("o.mov", "prores422"), ("o.%02d.png", "png-frames")])
def test_full_disk_is_reported_in_one_line(
    tmp_path: Path, mount: Mount, capfd: pytest.CaptureFixture[str], name: str, preset: str
) -> None:
    stills, disk = _stills(tmp_path, 24), mount("size=300k")
    call = [str(stills), "--bg", str(stills), "-o", str(disk / name), "--format", preset]
    assert run([*call, *HARD]) == 1
    kept = f"{name[:-4]}.partial{name[-4:]}"
    line = f"autohair-video: cannot write {disk / name}: the disk is full; kept so far: {disk / kept}\n"
    assert capfd.readouterr() == ("", line)
    count = len(timeline(disk / kept))
    assert 3 < count < 24
    assert _names(disk) == ([kept % n for n in range(1, count + 1)] if "%" in name else [kept])


def test_resumable_job_continues_once_there_is_space(tmp_path: Path, mount: Mount) -> None:
    stills, disk = _stills(tmp_path, 24), mount("size=1m")
    pipeline = MattingPipeline(device="cpu", options=replace(MATTING, temporal=TemporalOptions(mode="off")))

    def go_on() -> Report:
        return process(
            stills, disk / "o.mov", background=stills, pipeline=pipeline, resume=True, segment_s=0.1
        )

    with pytest.raises(
        OutputError, match=r"cannot write .*(full|No space).*; the same call resumes from .*resume$"
    ):
        go_on()
    assert "o.mov.resume" in _names(disk)
    assert not [name for name in _names(disk) if name.startswith(".")]
    assert list((disk / "o.mov.resume").glob("*.mov"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    assert go_on().frames == 24
    assert _names(disk) == ["o.mov"]
    assert len(timeline(disk / "o.mov")) == 24


def test_still_on_a_full_disk_leaves_nothing(
    tmp_path: Path, mount: Mount, capfd: pytest.CaptureFixture[str]
) -> None:
    photo, disk = _stills(tmp_path, 1).with_name("n.00.png"), mount("size=4k")
    assert run([str(photo), "--bg", str(photo), "-o", str(disk / "o.png"), *HARD]) == 1
    text = "No space left on device"
    assert capfd.readouterr() == ("", f"autohair-video: cannot write {disk / 'o.png'} ({text})\n")
    assert _names(disk) == []


@pytest.mark.parametrize("extra", [[], ["--resume"], ["--output-dir", "made"]])
def test_unwritable_folder_is_reported_before_the_job(
    tmp_path: Path, mount: Mount, capfd: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(3))
    disk = mount("ro")
    if extra[:1] == ["--output-dir"]:
        call, text = ["-o", "o.mov", "--output-dir", str(disk / "made")], "cannot make output folder"
    else:
        call, text = ["-o", str(disk / "o.mov"), *extra], "cannot write to"
    assert run([str(clip), *call, *HARD]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"autohair-video: {text} {disk}")
    assert "Read-only file system" in err
    assert _names(disk) == []
    assert _names(tmp_path) == ["a.mp4", "disk"]
