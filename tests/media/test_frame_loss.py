"""Frames that are lost in mid-clip, in codecs whose decoders say nothing of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from autohair_video.media import ClipReader
from tests.helpers.clips import VFR_MS, make_clip

CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "hevc": ("libx265", {"x265-params": "log-level=none:keyint=8:min-keyint=8:open-gop=1:bframes=3"}),
    "h264": ("libx264", {"g": "8", "bf": "2"}),
    "vp9": ("libvpx-vp9", {"g": "8", "auto-alt-ref": "0", "deadline": "realtime"}),
    "vp8": ("libvpx", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "6"}),
    "av1": ("libsvtav1", {"g": "8", "preset": "12", "svtav1-params": "pred-struct=1"}),
    "mpeg2": ("mpeg2video", {"g": "8", "bf": "2"}),
    "mpeg4": ("mpeg4", {"g": "8", "bf": "2"}),
}
MS = Fraction(1, 1000)


def _clip(path: Path, codec: str, pts: Sequence[int] = range(0, 24 * 40, 40)) -> Path:
    name, options = CODECS[codec]
    # The containers of MPEG-2 and MPEG-4 count at the encoder's rate.
    if codec in ("mpeg2", "mpeg4"):
        return make_clip(path, pts=range(24), codec=name, options=options, container={})
    step = 5 if codec == "av1" else 1  # SVT-AV1 takes at most 240 ticks per second
    clusters = {"cluster_time_limit": "160"} if path.suffix == ".mkv" else None
    return make_clip(
        path,
        size=(96, 64),
        pts=[t // step for t in pts],
        time_base=step * MS,
        last=40 // step,
        codec=name,
        options=options,
        container=clusters,
    )


def _emptied(clip: Path, numbers: Sequence[int]) -> Path:
    """Zeros over whole packets of the video, by their place in the file."""
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        spots = [(packets[n].pos, packets[n].size) for n in numbers]
    data = bytearray(clip.read_bytes())
    for begin, size in spots:
        data[begin : begin + size + 8] = bytes(size + 8)
    clip.write_bytes(data)
    return clip


def _read(clip: Path) -> tuple[int, str | None]:
    with ClipReader(clip, batch_size=4) as reader:
        return sum(len(batch) for batch in reader), reader.truncated


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_whole_clip_has_no_loss(tmp_path: Path, codec: str, suffix: str) -> None:
    if codec == "vp8" and suffix == ".mp4":
        pytest.skip("MP4 holds no VP8")
    assert _read(_clip(tmp_path / f"a{suffix}", codec)) == (24, None)


@pytest.mark.parametrize("codec", ["hevc", "h264", "vp9", "vp8", "av1"])
def test_a_variable_rate_is_no_loss(tmp_path: Path, codec: str) -> None:
    times = [*VFR_MS, *(time + 900 for time in VFR_MS)]
    assert _read(_clip(tmp_path / "a.mkv", codec, times)) == (24, None)


@pytest.mark.parametrize("codec", ["hevc", "vp9", "h264", "vp8", "av1"])
def test_a_hole_is_reported_with_its_place(tmp_path: Path, codec: str) -> None:
    clip = _emptied(_clip(tmp_path / "a.mkv", codec), range(9, 15))
    count, truncated = _read(clip)
    assert 5 < count < 24
    assert truncated is not None
    found: Any = re.search(r"is damaged: near (\d\.\d\d) s .*; its frames end at \d\.\d\d s$", truncated)
    assert found is not None, truncated
    assert 0.2 < float(found[1]) < 0.75
