"""Reading: times, rotation, pixel formats, spans, damaged files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from autohair_video.errors import InputError, OptionError
from autohair_video.media import ClipReader, to_rgb
from tests.helpers.clips import (
    NTSC_FILM,
    VFR_MS,
    damage_packets,
    join_tracks,
    make_clip,
    make_sound,
    picture,
    raw_h264,
    rotate_clip,
    timeline,
)


def _rgb(path: Path) -> torch.Tensor:
    with ClipReader(path) as reader:
        return torch.cat([to_rgb(batch) for batch in reader]) * 255


@pytest.mark.parametrize(
    ("pts", "time_base", "last"),
    [
        (range(0, 20020, 1001), NTSC_FILM / 1001, 1001),
        (VFR_MS, Fraction(1, 1000), 40),
        (range(3600, 3600 * 14, 3600), Fraction(1, 90000), 3600),
        ([0], Fraction(1, 30), 1),
    ],
    ids=["23.976", "vfr", "late start", "one frame"],
)
def test_pts_and_durations_are_those_of_the_stream(
    tmp_path: Path, pts: Sequence[int], time_base: Fraction, last: int
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=pts, time_base=time_base, last=last)
    times = [pts * time_base for pts in [*pts, pts[-1] + last]]
    assert timeline(clip) == [(a, b - a) for a, b in pairwise(times)]


def test_batches_have_one_format_and_at_most_their_size(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    with ClipReader(clip, batch_size=5) as reader:
        batches = list(reader)
        assert [len(batch) for batch in batches] == [5, 5, 2]
        assert {batch.format for batch in batches} == {reader.format}
        assert reader.truncated is None
        assert reader.origin == 0


# The display matrices that phones write, and where a bright top left quarter must then be seen.
@pytest.mark.parametrize(
    ("matrix", "rotation", "corner"),
    [
        ((0, 1, -1, 0), 270, (0, 1)),
        ((-1, 0, 0, -1), 180, (1, 1)),
        ((0, -1, 1, 0), 90, (1, 0)),
    ],
    ids=["clockwise", "upside down", "counter-clockwise"],
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p"])
def test_frames_are_turned_upright(
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    rotation: int,
    corner: tuple[int, int],
    pixel_format: str,
) -> None:
    clip = rotate_clip(
        make_clip(tmp_path / "a.mp4", pixel_format=pixel_format, aspect=Fraction(4, 3)), matrix
    )
    with ClipReader(clip) as reader:
        fmt = reader.format
        assert reader.info.rotation == rotation
        turned = rotation != 180
        assert (fmt.width, fmt.height) == ((48, 64) if turned else (64, 48))
        assert fmt.sample_aspect_ratio == (Fraction(3, 4) if turned else Fraction(4, 3))
        first = next(iter(reader))
    luma = first.planes[0][0, 0].float()
    h, w = luma.shape[0] // 2, luma.shape[1] // 2
    quarters = {(r, c): luma[r * h :, c * w :][:h, :w].mean() for r in (0, 1) for c in (0, 1)}
    assert max(quarters, key=quarters.__getitem__) == corner


def test_a_rotated_clip_keeps_the_matrix_of_its_coded_size(tmp_path: Path) -> None:
    clip = rotate_clip(make_clip(tmp_path / "a.mp4", size=(640, 360), pts=[0]), (0, 1, -1, 0))
    with ClipReader(clip) as reader:
        assert reader.format.matrix == 6


@pytest.mark.parametrize(
    ("codec", "pixel_format", "depth", "chroma"),
    [
        ("ffv1", "yuv444p", 8, (1, 1)),
        ("ffv1", "yuv422p10le", 10, (2, 1)),
        ("ffv1", "yuv420p12le", 12, (2, 2)),
        ("ffv1", "yuv440p", 8, (1, 1)),
        ("ffv1", "yuva420p", 8, (2, 2)),
        ("ffv1", "yuv420p16le", 12, (2, 2)),
        ("ffv1", "gbrp10le", 10, (1, 1)),
        ("ffv1", "bgra", 8, (1, 1)),
        ("ffv1", "gray", 8, (2, 2)),
        ("ffv1", "gray16le", 12, (2, 2)),
        ("rawvideo", "nv12", 8, (2, 2)),
        ("rawvideo", "yuyv422", 8, (2, 1)),
        ("mjpeg", "yuvj420p", 8, (2, 2)),
        ("png", "rgb24", 8, (1, 1)),
        ("png", "rgb48be", 12, (1, 1)),
    ],
)
def test_every_pixel_format_keeps_depth_and_image(
    tmp_path: Path, codec: str, pixel_format: str, depth: int, chroma: tuple[int, int]
) -> None:
    path = tmp_path / ("a.mkv" if codec in ("ffv1", "mjpeg") else "a.nut")
    clip = make_clip(
        path, pts=[0, 40], time_base=Fraction(1, 1000), last=40, codec=codec, pixel_format=pixel_format
    )
    with ClipReader(clip) as reader:
        fmt = reader.format
        assert fmt.bit_depth == depth
        assert (fmt.subsample_x, fmt.subsample_y) == chroma
    wanted = torch.from_numpy(np.stack([picture(i, 64, 48) for i in (0, 1)])).float()
    if "gray" in pixel_format:
        wanted = (wanted @ torch.tensor([0.299, 0.587, 0.114]))[..., None].expand(-1, -1, -1, 3)
    # Chroma is soft along the edges of the quarters; their insides and the ramp must be right.
    error = (_rgb(clip).permute(0, 2, 3, 1) - wanted).abs()
    error[:, 20:28] = error[:, :, 28:36] = 0
    assert error.max() <= (12 if codec == "mjpeg" else 4)


@pytest.mark.parametrize("size", [(17, 33), (1, 1)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    clip = make_clip(tmp_path / "a.mkv", size=size, codec="ffv1")
    with ClipReader(clip) as reader:
        assert sum(len(batch) for batch in reader) == 12
        assert (reader.format.width, reader.format.height) == size


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "libx264"), (".mkv", "libx264"), (".ts", "libx264"), (".avi", "mpeg4")],
)
@pytest.mark.parametrize("options", [{"g": "250"}, {"g": "4"}])
def test_a_span_has_the_frames_that_begin_in_it(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    clip = make_clip(tmp_path / f"a{suffix}", pts=range(40), codec=codec, options=options, container={})
    with ClipReader(clip) as reader:
        whole = [reader.time_base * pts for batch in reader for pts in batch.pts]
    with ClipReader(clip, start_s=0.4, end_s=1.2) as reader:
        part = [reader.time_base * pts for batch in reader for pts in batch.pts]
        assert reader.origin == part[0]
    assert part == whole[10:30]


def test_a_span_without_frames_is_an_error(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="no frame between"):
        ClipReader(clip, start_s=9)
    with pytest.raises(OptionError, match="does not lie after"):
        ClipReader(clip, start_s=2, end_s=1)
    with pytest.raises(OptionError, match="negative"):
        ClipReader(clip, start_s=-1)


def test_a_free_running_clock_is_to_be_moved_to_zero(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.ts", container={})
    with ClipReader(clip) as reader:
        first = next(iter(reader))
        assert first.pts[0] > 0
        assert abs(first.pts[0] * reader.time_base - reader.origin) < Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_clip_gives_what_decodes_and_says_so(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"a{suffix}", pts=range(50), options={"g": "10", "crf": "5"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    with ClipReader(clip) as reader:
        count = sum(len(batch) for batch in reader)
        assert 10 < count < 50
        assert reader.truncated is not None
        end_s = float(sum(timeline(clip)[-1]))
        assert reader.truncated == f"{clip} breaks off at {end_s:.2f} s of 2.00 s"
        assert end_s == pytest.approx(count / 25, abs=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.mp4", "mpeg4", "yuv420p"),
    ],
)
def test_damage_in_mid_clip_is_reported_and_the_rest_read(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    clip = make_clip(
        tmp_path / name,
        pts=range(30),
        size=(160, 120),
        codec=codec,
        pixel_format=pixel_format,
        options={"g": "5"},
    )
    damage_packets(clip, [12])
    with ClipReader(clip) as reader:
        times = [pts for batch in reader for pts in batch.pts]
        assert 24 < len(times) <= 30
        assert reader.truncated is not None
        # decoders that work on several frames at once tell of one a little later
        pattern = rf"{name} is damaged: near 0\.[4-7]\d s a .*; its frames end at 1\.20 s$"
        assert re.search(pattern, reader.truncated)


def test_damage_behind_the_end_that_was_asked_for_is_none(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(30), size=(160, 120), options={"g": "5", "bf": "0"})
    damage_packets(clip, [12])
    for end_s, is_damaged in ((0.48, False), (0.8, True)):
        with ClipReader(clip, end_s=end_s) as reader:
            assert sum(len(batch) for batch in reader) > 10
            assert (reader.truncated is not None) == is_damaged


def test_sound_longer_than_video_is_no_damage(tmp_path: Path) -> None:
    """Where the container tells no more than the length of the whole file."""
    clip, tone = make_clip(tmp_path / "film.mp4", pts=range(10)), make_sound(tmp_path / "t.m4a", seconds=2)
    film = join_tracks(clip, tone, target=tmp_path / "a.mkv")
    _forget_durations(film)
    with ClipReader(film) as reader:
        assert sum(len(batch) for batch in reader) == 10
        assert reader.truncated is None
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    with ClipReader(film) as reader:
        assert sum(len(batch) for batch in reader) <= 10
        assert reader.truncated is not None


def _forget_durations(path: Path) -> None:
    """Renames Matroska's tags for the lengths of the tracks."""
    data = path.read_bytes()
    assert data.count(b"DURATION") == 2
    path.write_bytes(data.replace(b"DURATION", b"REMARKED"))


def test_a_recording_that_begins_between_key_frames_is_undamaged(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.ts", pts=range(40), options={"g": "10", "bf": "0"}, container={})
    data = clip.read_bytes()
    clip.write_bytes(data[len(data) // 3 // 188 * 188 :])
    with ClipReader(clip) as reader:
        assert 15 < sum(len(batch) for batch in reader) < 35
        assert reader.truncated is None


def test_a_clip_that_changes_size_is_scaled_to_its_first_frame(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{w}.ts", size=(w, 48), container={}) for w in (64, 96)]
    clip = tmp_path / "joined.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    with ClipReader(clip) as reader:
        batches = list(reader)
    assert {(b.format.width, b.format.height) for b in batches} == {(64, 48)}
    assert sum(len(b) for b in batches) >= 20
    pts = [pts for batch in batches for pts in batch.pts]
    assert pts == sorted(set(pts))


def test_frames_without_pts_follow_at_the_stream_rate(tmp_path: Path) -> None:
    clip = raw_h264(make_clip(tmp_path / "a.mp4"), tmp_path / "a.h264")
    assert [length for _, length in timeline(clip)] == [Fraction(1, 25)] * 12


@pytest.mark.parametrize("name", ["asl_again.mkv", "sam2_juggle.mp4"])
def test_real_clips_agree_with_their_packets(shared: Path, name: str) -> None:
    path = shared / "data" / "clips" / name
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = sorted(p.pts for p in container.demux(stream) if p.size)
    with ClipReader(path, batch_size=16) as reader:
        assert [pts for batch in reader for pts in batch.pts] == packets
        assert reader.truncated is None
