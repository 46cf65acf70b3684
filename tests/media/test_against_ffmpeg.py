"""Order, times and orientation of frames, as the system's ffmpeg presents them: a reader that is not ours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from autohair_video.media import ClipReader
from tests.helpers.clips import make_clip, rotate_clip
from tests.helpers.ffmpeg import displayed_frames, displayed_times

CONTAINERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"bf": "3", "g": "8"}),
    "h264.mov": ("libx264", "yuv422p", {"bf": "0", "g": "8"}),
    "h264.mkv": ("libx264", "yuv420p", {"bf": "3", "g": "8"}),
    "h264.ts": ("libx264", "yuv420p", {"bf": "2", "g": "8"}),
    "h264.flv": ("libx264", "yuv420p", {"bf": "2", "g": "8"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none:bframes=3:keyint=8"}),
    "hevc.mkv": ("libx265", "yuv420p10le", {"x265-params": "log-level=none:open-gop=1:keyint=8"}),
    "vp8.webm": ("libvpx", "yuv420p", {"deadline": "realtime", "lag-in-frames": "5", "auto-alt-ref": "1"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"deadline": "realtime"}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"bf": "2", "g": "8"}),
    "mpeg2.ts": ("mpeg2video", "yuv420p", {"bf": "2", "g": "8"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "8"}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
    "ffv1.mkv": ("ffv1", "yuv444p", {}),
    "raw.nut": ("rawvideo", "yuv420p", {}),
}


def _frames(path: Path) -> tuple[np.ndarray, list[Fraction]]:
    with ClipReader(path, deinterlace=False) as reader:
        batches = list(reader)
        assert reader.truncated is None
        times = [pts * reader.time_base for batch in batches for pts in batch.pts]
        luma = np.concatenate([batch.planes[0][:, 0].numpy() for batch in batches]).astype(float)
        luma /= reader.format.max_value / 255
    return luma, [time - times[0] for time in times]


@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_and_times_are_those_that_ffmpeg_presents(tmp_path: Path, name: str) -> None:
    codec, pixel_format, options = CONTAINERS[name]
    clip = make_clip(
        tmp_path / name,
        size=(96, 64),
        pts=range(20),
        codec=codec,
        pixel_format=pixel_format,
        options=options,
        container={},
        sound="aac" if name.endswith((".mp4", ".mov", ".flv")) else None,
    )
    ours, times = _frames(clip)
    theirs, their_times = displayed_frames(clip), displayed_times(clip)
    assert len(ours) == len(theirs) == 20
    # bars differ by 61 levels from frame to frame; ranges by at most 20
    assert np.abs(ours - theirs)[:, 40:60, 56:88].mean(axis=(1, 2)).max() < 25
    assert max(abs(a - b) for a, b in zip(times, their_times, strict=True)) <= Fraction(1, 1000)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "prores_ks", "mpeg4"])
def test_mirrored_clips_of_every_codec_are_displayed_as_by_ffmpeg(tmp_path: Path, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    pixel_format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    clip = make_clip(
        tmp_path / "a.mov",
        size=(96, 64),
        pts=range(4),
        codec=codec,
        pixel_format=pixel_format,
        options=options,
    )
    rotate_clip(clip, (0, -1, -1, 0))
    ours, _ = _frames(clip)
    theirs = displayed_frames(clip)
    assert ours.shape == theirs.shape == (4, 96, 64)
    assert np.abs(ours - theirs).mean() < 20
