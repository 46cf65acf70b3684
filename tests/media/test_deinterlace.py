"""Interlaced clips: one whole frame for each, at its own time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from autohair_video.media import ClipReader, probe, to_rgb
from tests.helpers.clips import make_clip, timeline


@pytest.fixture
def combed(tmp_path: Path) -> Path:
    """A white bar that moves 8 px between the fields of each frame."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        stream.codec_context.options = {"flags": "+ilme+ildct", "x264-params": "tff=1", "qp": "4"}
        for index in range(4):
            luma = np.full((64, 96), 40, np.uint8)
            for field in (0, 1):
                left = 10 + 16 * index + 8 * field
                luma[field::2, left : left + 12] = 220
            frame = av.VideoFrame(96, 64, "yuv444p")
            for plane, samples in zip(frame.planes, (luma, luma * 0 + 128, luma * 0 + 128), strict=True):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(64, -1)
                rows[:, :96] = samples
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _combing(path: Path, *, deinterlace: bool) -> float:
    """How much each line differs from the two beside it, where these agree; mean over the clip."""
    with ClipReader(path, batch_size=10, deinterlace=deinterlace) as reader:
        luma = to_rgb(next(iter(reader))).mean(dim=1)
    above, line, below = luma[:, :-2], luma[:, 1:-1], luma[:, 2:]
    agreed = (above - below).abs() < 0.05
    return float((line - above).abs()[agreed].mean())


def test_deinterlacing_keeps_frame_times(combed: Path) -> None:
    assert probe(combed).is_interlaced
    assert _combing(combed, deinterlace=True) < 0.25 * _combing(combed, deinterlace=False)
    frame = Fraction(1, 25)
    assert timeline(combed) == [(i * frame, frame) for i in range(4)]


def test_interlacing_is_reported_either_way(combed: Path) -> None:
    for deinterlace, text in ((True, "were deinterlaced"), (False, "was taken as it is")):
        with ClipReader(combed, deinterlace=deinterlace) as reader:
            assert sum(len(batch) for batch in reader) == 4
            assert text in reader.notices[0]


def test_progressive_clips_are_left_alone(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", pts=range(3))
    with ClipReader(clip) as reader:
        assert not any(reader.is_deinterlaced for _ in reader)
        assert reader.notices == []
