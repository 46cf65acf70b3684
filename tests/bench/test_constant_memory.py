from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from autohair_video import MattingPipeline
from autohair_video.bench.clip import BenchClip
from autohair_video.bench.end_to_end import time_end_to_end
from autohair_video.runtime.profiling import peak_memory_bytes
from tests.helpers.clips import make_clip
from tests.helpers.options import HARD


def test_peak_rss_keeps_its_maximum() -> None:
    before = peak_memory_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = bytearray(b"x" * 300_000_000)
    during = peak_memory_bytes()
    del held
    assert during is not None
    assert during >= 300_000_000
    assert peak_memory_bytes() == during


def test_memory_is_constant_in_clip_length(tmp_path: Path) -> None:
    load = partial(MattingPipeline, device="cpu", options=HARD)
    peaks = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        for frames in (60, 460):
            path = make_clip(tmp_path / f"{frames}.mp4", size=(320, 180), pts=range(frames))
            clip = BenchClip(path, path.name, 320, 180)
            peaks.append(
                fresh.submit(time_end_to_end, clip, tmp_path / "out.mp4", "#00ff00", load)
                .result()
                .peak_memory_bytes
            )
    if None in peaks:
        pytest.skip("this system does not tell")
    # 400 frames of samples and alpha are 120 MB
    assert peaks[1] <= 1.05 * peaks[0]
