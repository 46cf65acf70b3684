from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from autohair_video import MattingPipeline
from autohair_video.bench.clip import prepare, talking_head
from tests.helpers.clips import make_clip, timeline


def test_talking_head_is_deterministic_person_with_hair() -> None:
    first, *_, last = talking_head(320, 180, 20)
    again = next(talking_head(320, 180, 1))
    assert first.shape == (180, 320, 3)
    assert np.array_equal(first, again)
    assert np.abs(first - last).mean() > 0.01
    matte = MattingPipeline(device="cpu").still(torch.from_numpy(first).permute(2, 0, 1)[None])
    assert matte.trimap is not None
    assert 0.03 < float((matte.trimap == 128).float().mean()) < 0.3
    assert float(matte.alpha[..., 60:, 140:170].mean()) > 0.9
    assert float(matte.alpha[..., :100, :40].mean()) < 0.1


def test_given_clip_is_used_in_place_up_to_frame_limit(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", pts=range(0, 40, 2), time_base=Fraction(1, 50))
    clip = prepare(tmp_path, source, None, 8, copied=False)
    assert (clip.path, clip.width, clip.height, clip.end_s) == (source, 64, 48, 8 / 25)
    assert prepare(tmp_path, source, None, 20, copied=False).end_s is None


def test_copied_clip_holds_only_the_frames_asked_for(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", size=(96, 54), pts=range(12))
    clip = prepare(tmp_path, source, None, 5, copied=True)
    assert clip.path != source
    assert len(timeline(clip.path)) == 5
    assert (clip.width, clip.height) == (96, 54)
    (tmp_path / "scaled").mkdir()
    scaled = prepare(tmp_path / "scaled", source, "360p", 2, copied=False)
    assert (scaled.width, scaled.height) == (640, 360)
