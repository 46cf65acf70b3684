"""What probe says of clips of all kinds, and its one line for what is no clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.media import probe
from tests.helpers.clips import VFR_MS, make_clip, make_sound


def test_a_clip_is_described(tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": 1}
    path = make_clip(
        tmp_path / "a.mp4",
        pixel_format="yuv420p10le",
        tags=tags,
        aspect=Fraction(4, 3),
        sound="aac",
    )
    info = probe(path)
    fmt = info.format
    assert (fmt.width, fmt.height, fmt.bit_depth, fmt.chroma_size) == (64, 48, 10, (24, 32))
    assert (fmt.matrix, fmt.primaries, fmt.transfer, fmt.full_range) == (9, 9, 14, False)
    assert fmt.sample_aspect_ratio == Fraction(4, 3)
    assert (info.codec, info.frames, info.rate, info.is_vfr) == ("h264", 12, 25, False)
    assert info.duration_s == pytest.approx(12 / 25)
    assert [(s.codec, s.channels, s.sample_rate) for s in info.audio] == [("aac", 2, 48000)]
    assert not info.has_alpha
    assert not info.is_still


def test_frames_are_expected_from_duration_and_rate_where_none_are_counted(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mkv"))
    assert info.frames is None
    assert info.expected_frames == 12


def test_a_variable_rate_is_noticed(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=VFR_MS, time_base=Fraction(1, 1000), last=40)
    assert probe(clip).is_vfr


def test_alpha_is_noticed_though_the_decoder_drops_it(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.webm",
        codec="libvpx-vp9",
        pixel_format="yuva420p",
        options={"auto-alt-ref": "0"},
        time_base=Fraction(1, 1000),
        pts=range(0, 400, 40),
        last=40,
    )
    assert probe(clip).has_alpha


def test_an_image_is_a_still(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 9, 3), np.uint8))
    info = probe(tmp_path / "a.png")
    assert info.is_still
    assert info.format.is_rgb


def _with_cover(path: Path) -> Path:
    """A sound file with a picture as its cover."""
    tone = make_sound(path.with_suffix(".m4a"))
    with av.open(str(tone)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        cover = output.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        output.mux(cover.encode(av.VideoFrame(16, 16, "yuvj420p")))
        output.mux(cover.encode(None))
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return path


def test_each_wrong_input_gets_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "text.txt").write_text("This is no film.\n" * 40)
    wrong = {
        tmp_path / "missing.mp4": "does not exist",
        tmp_path: "is a folder",
        tmp_path / "empty.mp4": "is empty",
        tmp_path / "noise.mp4": "is not a video",
        tmp_path / "text.txt": "is not a video",
        make_sound(tmp_path / "tone.m4a"): "holds sound but no video",
        _with_cover(tmp_path / "cover.mp4"): "holds sound but no video",
    }
    for path, message in wrong.items():
        with pytest.raises(InputError, match=message) as caught:
            probe(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
