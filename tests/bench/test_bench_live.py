"""A live session by the clock, as the command prints and leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autohair_video.cli import run

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"
OPTIONS = ["--trimap", "fixed:1,9", "--temporal", "off", "--band-expansions", "1", "--segment-every", "3"]
CALL = ["bench", str(SAMPLE), "--live", "--device", "cpu"]


def test_live_bench_reports_rate_latency_memory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "live.json"
    assert run([*CALL, "--seconds", "4", "--json", str(path), *OPTIONS]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    for words in ("fps", "median", "95th percentile", "dropped", "quality"):
        assert words in out
    content = json.loads(path.read_text())
    used = content["options"]
    assert (used["trimap"]["mode"], used["trimap"]["size"]) == ("fixed", 9)
    assert used["trimap"]["max_band_expansions"] == 1
    assert (used["temporal"]["mode"], used["segment"]["every"]) == ("off", 3)
    live = content["live"]
    assert (content["clip"], content["width"], content["height"]) == ("portrait.mp4", 640, 360)
    assert content["machine"]["device"] == "cpu"
    assert 0 < live["latency_median_s"] <= live["latency_p95_s"]
    assert live["frames"] > 1
    assert live["fps"] == pytest.approx((live["frames"] - 1) / live["seconds"])
    if Path("/proc/self/statm").exists():
        assert len(live["memory_by_tenths_bytes"]) == 11
        assert min(live["memory_by_tenths_bytes"]) > 0
        assert max(live["memory_by_tenths_bytes"]) <= live["memory_peak_bytes"]
        assert "memory by tenths of the time" in out


def test_live_bench_refuses_zero_seconds(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*CALL, "--seconds", "0"]) == 2
    assert "more than 0" in capfd.readouterr().err


@pytest.mark.parametrize("other", [["--size", "360p"], ["--against", "cp {clip} {out}"]])
def test_live_bench_refuses_size_and_against(other: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*CALL, *other]) == 2
    assert "leave out --size and --against" in capfd.readouterr().err


def test_live_bench_names_options_without_effect(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*CALL, "--seconds", "1", "--frames", "7", "--lookahead", "3"]) == 0
    err = capfd.readouterr().err
    assert "--frames has no effect with --live" in err
    assert "--lookahead has no effect with --live" in err
