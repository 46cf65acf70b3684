"""Readers that resume from a seek point: the same frames, without those before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
import torch

from autohair_video.frames import FrameBatch
from autohair_video.media import ClipReader
from autohair_video.media.seek_point import SeekPoint
from tests.helpers.clips import damage_packets, make_clip, picture, raw_h264

COUNT = 30
# Uneven, and not from 0 on.
TICKS = tuple(40 * n + 13 * (n % 3) for n in range(2, COUNT + 2))


def _clip(folder: Path, kind: str) -> Path:
    uneven: dict[str, Any] = {"pts": TICKS, "time_base": Fraction(1, 1000), "last": 40}
    plain: dict[str, Any] = {"pts": range(COUNT), "container": {}}
    if kind in ("mp4", "mkv"):
        return make_clip(folder / f"a.{kind}", options={"g": "6", "bf": "3"}, **uneven)
    if kind == "open groups":
        return make_clip(folder / "a.mp4", options={"x264-params": "keyint=6:open-gop=1:bframes=3"}, **uneven)
    if kind == "webm":
        return make_clip(folder / "a.webm", codec="libvpx-vp9", options={"g": "6"}, **uneven)
    if kind == "mov":
        return make_clip(folder / "a.mov", codec="prores_ks", pixel_format="yuv422p10le", **uneven)
    if kind == "ts":
        return make_clip(folder / "a.ts", codec="mpeg2video", options={"g": "6", "bf": "2"}, **plain)
    if kind == "avi":
        return make_clip(folder / "a.avi", codec="mpeg4", options={"g": "6"}, **plain)
    if kind == "interlaced":
        fields = {"x264-params": "tff=1:keyint=6", "flags": "+ilme+ildct"}
        return make_clip(folder / "a.mp4", options=fields, **uneven)
    if kind == "stills":
        for number in range(COUNT):
            cv2.imwrite(str(folder / f"a.{number:03}.png"), picture(number, 64, 48))
        return folder / "a.%03d.png"
    return raw_h264(make_clip(folder / "a.mp4", pts=range(COUNT), options={"g": "6"}), folder / "a.h264")


def _read(reader: ClipReader) -> tuple[list[FrameBatch], list[SeekPoint]]:
    batches, places = [], []
    for batch in reader:
        batches.append(batch)
        places.append(reader.seek_point(batch))
    return batches, places


def _assert_same(ours: Sequence[FrameBatch], given: Sequence[FrameBatch]) -> None:
    assert [(b.pts, b.durations) for b in ours] == [(b.pts, b.durations) for b in given]
    for a, b in zip(ours, given, strict=True):
        assert all(torch.equal(mine, other) for mine, other in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize("deinterlace", [True, False])
@pytest.mark.parametrize(
    "kind", ["mp4", "mkv", "open groups", "webm", "mov", "ts", "avi", "interlaced", "stills", "raw"]
)
def test_a_reader_resumes_from_a_seek_point(tmp_path: Path, kind: str, deinterlace: bool) -> None:
    clip = _clip(tmp_path, kind)
    with ClipReader(clip, batch_size=4, deinterlace=deinterlace) as reader:
        batches, places = _read(reader)
        notices = reader.notices
    for index, place in enumerate(places):
        with ClipReader(clip, batch_size=4, deinterlace=deinterlace) as reader:
            entered = reader.resume_from(place)
            assert entered == (kind != "raw")
            # what a stream without times holds can only be counted
            _assert_same(_read(reader)[0], batches[index + 1 :] if entered else batches)
            assert (reader.notices, reader.truncated) == (notices, None)


def test_a_trimmed_reader_resumes(tmp_path: Path) -> None:
    clip = _clip(tmp_path, "mp4")
    with ClipReader(clip, batch_size=4, start_s=0.3, end_s=1) as reader:
        batches, places = _read(reader)
    with ClipReader(clip, batch_size=4, start_s=0.3, end_s=1) as reader:
        origin = reader.origin
        assert reader.resume_from(places[1])
        _assert_same(_read(reader)[0], batches[2:])
        assert reader.origin == origin


def test_resuming_does_not_decode_the_beginning(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", pts=range(COUNT), options={"g": "6", "bf": "0"})
    with ClipReader(clip, batch_size=4) as reader:
        batches, places = _read(reader)
    damage_packets(clip, range(6, 12))
    with ClipReader(clip, batch_size=4) as reader:
        assert reader.resume_from(places[4])
        _assert_same(_read(reader)[0], batches[5:])
        assert reader.truncated is None


def test_resuming_verifies_the_frame_digest(tmp_path: Path) -> None:
    clip = _clip(tmp_path, "mp4")
    with ClipReader(clip, batch_size=4) as reader:
        batches, places = _read(reader)
    with ClipReader(clip, batch_size=4) as reader:
        assert not reader.resume_from(replace(places[2], digest=places[3].digest))
        _assert_same(_read(reader)[0], batches)


def test_notices_survive_resuming(tmp_path: Path) -> None:
    clip = _clip(tmp_path, "mp4")
    with ClipReader(clip, batch_size=4) as reader:
        _, places = _read(reader)
    with ClipReader(clip, batch_size=4) as reader:
        assert reader.resume_from(
            replace(places[2], damage=("near 0.1 s it is",), resized="resized", is_deinterlaced=True)
        )
        _read(reader)
        assert reader.truncated == f"{clip} is damaged: near 0.1 s it is; its frames end at 1.19 s"
        assert reader.notices == [f"{clip} is interlaced: its frames were deinterlaced", "resized"]


def test_resuming_at_the_end_yields_nothing(tmp_path: Path) -> None:
    clip = _clip(tmp_path, "mp4")
    with ClipReader(clip, batch_size=4) as reader:
        _, places = _read(reader)
    with ClipReader(clip, batch_size=4) as reader, av.open(str(clip)) as container:
        assert reader.resume_from(places[-1])
        assert list(reader) == []
        assert places[-1].pts == max(p.pts for p in container.demux(video=0) if p.size)
