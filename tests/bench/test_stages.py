from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from autohair_video import MattingPipeline
from autohair_video.bench.clip import BenchClip
from autohair_video.bench.end_to_end import time_codec_baseline, time_end_to_end
from autohair_video.bench.stages import StageTime, time_encoder, time_matting
from tests.helpers.clips import make_clip
from tests.helpers.options import HARD

STAGES = {
    "decode",
    "upload",
    "convert",
    "segment",
    "temporal",
    "trimap",
    "matte",
    "foreground",
    "composite",
    "download",
}
LOAD = partial(MattingPipeline, device="cpu", options=HARD)


@pytest.fixture
def clip(tmp_path: Path) -> BenchClip:
    return BenchClip(make_clip(tmp_path / "a.mp4", pts=range(12)), "a.mp4", 64, 48, end_s=10 / 25)


def test_every_stage_is_timed_per_batch(clip: BenchClip) -> None:
    stages = time_matting(clip, "#00ff00", LOAD)
    assert {stage.name for stage in stages} >= STAGES
    # ten frames in batches of two, the first of which may wait for those after it
    assert {len(stage.batches_ms) for stage in stages if stage.name in ("segment", "composite")} <= {4, 5}
    segment = next(stage for stage in stages if stage.name == "segment")
    low, high = segment.spread_ms
    assert 0 < low <= segment.median_ms <= high


def test_encoder_delay_counts_in_the_mean(clip: BenchClip, tmp_path: Path) -> None:
    (encode,) = time_encoder(clip.path, tmp_path / "again.mp4")
    assert encode.mean_ms * 12 > 2 * sum(encode.batches_ms)


def test_job_and_codec_baseline_write_the_same_frames(clip: BenchClip, tmp_path: Path) -> None:
    job = time_end_to_end(clip, tmp_path / "job.mp4", "#00ff00", LOAD)
    baseline = time_codec_baseline(clip, tmp_path / "baseline.mp4")
    assert job.frames == baseline.frames == 10
    assert job.fps == pytest.approx(10 / job.wall_s)
    assert job.cpu_s > 0


def test_quartiles_of_a_single_batch() -> None:
    assert StageTime("segment", 2.0, (3.0,)).spread_ms == (3.0, 3.0)
