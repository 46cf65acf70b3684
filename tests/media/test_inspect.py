"""What is reported of a clip before a job."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.cli import run
from autohair_video.media.inspect import overview
from tests.helpers.clips import NTSC_FILM, make_clip, rotate_clip

PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}


def test_an_exact_rate_is_reported_and_is_not_variable(tmp_path: Path) -> None:
    found = overview(make_clip(tmp_path / "a.mp4", pts=range(30), time_base=NTSC_FILM, sound="aac"))
    assert Fraction(found.properties["rate"]) == 1 / NTSC_FILM
    assert found.properties["variable_rate"] is False
    assert [track["codec"] for track in found.tracks] == ["aac"]
    # milliseconds that take turns are one rate
    rounded = make_clip(tmp_path / "a.mkv", pts=range(30), time_base=NTSC_FILM)
    assert overview(rounded).properties["variable_rate"] is False


def test_warnings_before_a_job(tmp_path: Path) -> None:
    times = [33 * i + (i % 3) * 9 for i in range(40)]
    clip = make_clip(
        tmp_path / "a.mp4",
        pts=times,
        time_base=Fraction(1, 1000),
        last=40,
        pixel_format="yuv420p10le",
        tags=PQ,
    )
    found = overview(rotate_clip(clip, (0, 1, -1, 0)))
    text = " ".join(found.warnings)
    for part in ("variable rate: frames last 15.0 to 42.0 ms", "rotated by", "HDR", "no sound"):
        assert part in text
    assert (found.properties["transfer"], found.properties["size"]) == ("PQ", "48x64")
    assert found.properties["variable_rate"] is True
    plain = overview(make_clip(tmp_path / "b.mkv", size=(17, 33), codec="ffv1", pixel_format="yuv420p"))
    assert {"no colour matrix specified", "odd size"} <= {line.split(":")[0] for line in plain.warnings}


def test_a_still_has_neither_rate_nor_sound(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((48, 64, 3), np.uint8))
    found = overview(tmp_path / "p.png")
    assert found.properties["rate"] is found.properties["duration_s"] is None
    assert "no sound" not in found.warnings


def test_the_command_prints_a_table_or_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(4), options={"flags": "+ilme", "x264-params": "tff=1"})
    assert run(["probe", str(clip), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["interlaced"], report["size"], report["tracks"]) == (True, "64x48", [])
    assert run(["probe", str(clip)]) == 0
    out, err = capfd.readouterr()
    assert "64x48" in out
    assert "note: interlaced" in err
    assert run(["probe", str(tmp_path / "none.mp4")]) == 1
    assert "does not exist" in capfd.readouterr().err
