"""Outputs that are as promised pass; each thing that can go wrong with one is found."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from autohair_video.cli import run
from autohair_video.errors import OptionError
from autohair_video.media import PRESETS, Preset
from autohair_video.media.presets import premultiplied
from autohair_video.options import BlendOptions, JobOptions
from autohair_video.verify.runner import detect_preset, verify
from tests.helpers.clips import make_clip
from tests.helpers.writers import write


def failures(source: Path, target: Path, preset: Preset | None = None) -> list[str]:
    name = None if preset is None else preset.name
    return [check.name for check in verify(source, target, JobOptions(preset=name)).failures]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", pts=range(4), size=(96, 64), sound="aac")


def test_a_premultiplied_file_is_no_straight_one(tmp_path: Path, clip: Path) -> None:
    target = write(clip, tmp_path / "out.mov", premultiplied(PRESETS["prores4444"]))
    assert failures(clip, target) == ["colours"]
    assert verify(clip, target, JobOptions(premultiplied=True)).passed
    straight = write(clip, tmp_path / "straight.mov", PRESETS["prores4444"])
    assert not verify(clip, straight, JobOptions(premultiplied=True)).passed


@pytest.mark.parametrize("name", ["prores4444", "animation"])
def test_premultiplied_light_is_distinguished_from_straight(tmp_path: Path, clip: Path, name: str) -> None:
    target = write(clip, tmp_path / "out.mov", premultiplied(PRESETS[name], in_light=True))
    assert verify(clip, target, JobOptions(premultiplied=True, blend=BlendOptions(linear=True))).passed
    straight = write(clip, tmp_path / "straight.mov", PRESETS[name])
    assert not verify(clip, straight, JobOptions(premultiplied=True, blend=BlendOptions(linear=True))).passed


def test_alpha_that_is_not_there_is_missed(tmp_path: Path, clip: Path) -> None:
    target = write(clip, tmp_path / "out.mov", PRESETS["prores422"])
    assert "alpha" in failures(clip, target, PRESETS["prores4444"])
    assert failures(clip, target) == []


def test_lost_late_and_other_frames_are_found(tmp_path: Path, clip: Path) -> None:
    row = PRESETS["ffv1-alpha"]
    late = write(clip, tmp_path / "late.mkv", row, delay=1)
    assert {"pts", "sound 1 begins"} & set(failures(clip, late))
    short = make_clip(tmp_path / "short.mp4", pts=range(3), size=(96, 64), sound="aac")
    assert {"frames", "duration"} <= set(failures(clip, write(short, tmp_path / "short.mkv", row)))
    other = make_clip(tmp_path / "other.mkv", pts=range(4), size=(96, 64), codec="ffv1")
    assert "opaque pixels" not in failures(other, write(other, tmp_path / "o.mkv", row))
    small = make_clip(tmp_path / "small.mp4", pts=range(4), sound="aac")
    assert "size" in failures(clip, write(small, tmp_path / "small.mkv", row))


def test_lost_sound_and_altered_colours_are_found(tmp_path: Path, clip: Path) -> None:
    row = PRESETS["prores4444"]
    assert failures(clip, write(clip, tmp_path / "silent.mov", row, sound=False)) == ["sound tracks"]
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16}
    wide = make_clip(tmp_path / "wide.mp4", pts=range(4), size=(96, 64), sound="aac", tags=tags)
    narrow = write(clip, tmp_path / "narrow.mov", row)
    assert {"matrix", "primaries", "transfer"} <= set(failures(wide, narrow))
    differing = {check.name: (check.expected, check.found) for check in verify(wide, narrow).failures}
    assert differing["transfer"] == ("PQ (16)", "unspecified (2)")


def test_a_file_that_breaks_off_is_found(tmp_path: Path, clip: Path) -> None:
    target = write(clip, tmp_path / "out.mkv", PRESETS["ffv1-alpha"])
    target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    assert "frames" in failures(clip, target)


def test_formats_are_recognised(tmp_path: Path, clip: Path) -> None:
    assert detect_preset(write(clip, tmp_path / "a.mov", PRESETS["animation"])).name == "animation"
    assert detect_preset(write(clip, tmp_path / "a.mkv", PRESETS["ffv1-matte"])).name == "ffv1-matte"
    odd = make_clip(tmp_path / "odd.mkv", codec="mpeg4")
    with pytest.raises(OptionError, match="--format"):
        detect_preset(odd)


def test_the_command_prints_a_table_or_json_and_fails_with_its_output(
    tmp_path: Path, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = write(clip, tmp_path / "out.mov", premultiplied(PRESETS["prores4444"]))
    assert run(["verify", str(clip), str(target), "--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert report["passed"] is False
    assert [c["name"] for c in report["checks"] if c["passed"] is False] == ["colours"]
    assert run(["verify", str(clip), str(target), "--premultiplied"]) == 0
    out = capfd.readouterr().out
    assert "premultiplied, by" in out
    assert "FAILED" not in out


STREAMS = {
    "mpeg2.ts": ("mpeg2video", "mp2"),
    "h264.ts": ("libx264", "aac"),
    "a.m2ts": ("libx264", "ac3"),
    "a.mts": ("libx264", "ac3"),
    "a.vob": ("mpeg2video", "ac3"),
    "a.flv": ("libx264", "aac"),
}


@pytest.mark.parametrize("target", ["o.mp4", "o.mov", "o.webm"])
@pytest.mark.parametrize("name", STREAMS)
def test_clips_whose_clock_starts_anywhere_pass(tmp_path: Path, name: str, target: str) -> None:
    codec, sound = STREAMS[name]
    source = make_clip(tmp_path / name, codec=codec, sound=sound, options={"bf": "2"}, container={})
    row = PRESETS[{"o.mp4": "stacked", "o.mov": "prores4444", "o.webm": "vp9-alpha"}[target]]
    assert failures(source, write(source, tmp_path / target, row), row) == []


@pytest.mark.parametrize("name", ["prores4444", "ffv1-alpha", "vp9-alpha"])
def test_untagged_vp8_with_alpha_passes(tmp_path: Path, name: str) -> None:
    source = make_clip(
        tmp_path / "in.webm",
        codec="libvpx",
        pixel_format="yuva420p",
        options={"auto-alt-ref": "0"},
        time_base=Fraction(1, 1000),
        pts=range(0, 400, 40),
        last=40,
    )
    row = PRESETS[name]
    target = write(source, tmp_path / f"out{row.default_extension}", row, keep_alpha=True)
    assert failures(source, target, row) == []
