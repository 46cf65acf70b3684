"""Writing with real encoders: times, samples, alpha, colour tags, sound, and outputs that appear whole."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from autohair_video.errors import InputError, OptionError, OutputError
from autohair_video.frames import FrameBatch, FrameFormat
from autohair_video.media import (
    PRESETS,
    ClipReader,
    ClipWriter,
    Preset,
    codec_format,
    preset_for,
    probe,
    read_gray,
    to_rgb,
)
from tests.helpers.clips import (
    NTSC_FILM,
    VFR_MS,
    make_clip,
    make_sound,
    rotate_clip,
    sound_packets,
    timeline,
)


def _rewrite(
    source: Path,
    target: Path,
    preset: Preset | None = None,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    alpha: Tensor | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Reads a clip and writes it with its sound; ``alpha`` (1, 1, H, W) goes with every frame."""
    role = "composite" if alpha is None else "alpha"
    preset = preset or preset_for(target, role=role)  # type: ignore[arg-type]
    with (
        ClipReader(source, start_s=start_s, end_s=end_s) as reader,
        ClipWriter(
            target,
            preset,
            reader.format,
            reader.time_base,
            copy_from=source,
            origin=reader.origin,
            until=reader.until,
            overwrite=overwrite,
        ) as writer,
    ):
        for batch in reader:
            writer.write(batch, None if alpha is None else alpha.expand(len(batch), -1, -1, -1))
    return writer.notices


def _read(path: Path) -> FrameBatch:
    """The whole clip as one batch."""
    with ClipReader(path, batch_size=1000) as reader:
        return next(iter(reader))


def _ramp(width: int, height: int) -> Tensor:
    """Alpha of every level, with fully clear and fully opaque ends."""
    return torch.linspace(-0.1, 1.1, width).clamp(0, 1).expand(1, 1, height, width)


def _alpha_plane(path: Path, *, decoder: str | None = None) -> Tensor:
    """The alpha planes of a clip, (N, H, W) in 0..1."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        frames = [frame for packet in container.demux(stream) for frame in context.decode(packet)]
    planes = []
    for frame in frames:
        plane = frame.planes[3]
        depth = frame.format.components[3].bits
        rows = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16)
        rows = rows.reshape(plane.height, -1)[:, : plane.width]
        planes.append(torch.from_numpy(rows.astype(np.float32) / ((1 << depth) - 1)))
    return torch.stack(planes)


def test_the_last_frame_keeps_its_length_after_a_long_first_one(tmp_path: Path) -> None:
    # as webcams begin; the track of such a clip, counted in decoding order, is already long enough
    pts = (0, *range(67, 2212, 33))
    fmt, milliseconds = FrameFormat(64, 48), Fraction(1, 1000)
    luma = torch.full((len(pts), 1, 48, 64), 100, dtype=torch.uint8)
    chroma = torch.full((len(pts), 1, 24, 32), 128, dtype=torch.uint8)
    lengths = (67, *(33,) * (len(pts) - 1))
    with ClipWriter(tmp_path / "out.mp4", PRESETS["h264"], fmt, milliseconds) as writer:
        writer.write(FrameBatch((luma, chroma, chroma), fmt, pts, lengths, milliseconds))
    assert timeline(tmp_path / "out.mp4") == [
        (time * milliseconds, length * milliseconds) for time, length in zip(pts, lengths, strict=True)
    ]


@pytest.mark.parametrize(
    ("pts", "time_base", "last", "size"),
    [
        (range(0, 20020, 1001), NTSC_FILM / 1001, 1001, (64, 48)),
        (range(20), NTSC_FILM, 1, (64, 48)),
        (VFR_MS, Fraction(1, 1000), 40, (64, 48)),
        (range(3600, 3600 * 14, 3600), Fraction(1, 90000), 3600, (64, 48)),
        ([7], Fraction(1, 30), 3, (64, 48)),
        (range(5), Fraction(1, 25), 1, (17, 33)),
        (range(5), Fraction(1, 25), 1, (16, 33)),
        (range(5), Fraction(1, 25), 1, (1, 1)),
    ],
    ids=["23.976", "1001 ticks", "vfr", "late start", "one frame", "17x33", "16x33", "1x1"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_keep_their_times(
    tmp_path: Path,
    pts: Sequence[int],
    time_base: Fraction,
    last: int,
    size: tuple[int, int],
    suffix: str,
) -> None:
    even = size == (64, 48)
    source = make_clip(
        tmp_path / ("in.mp4" if even else "in.mkv"),
        pts=pts,
        time_base=time_base,
        last=last,
        size=size,
        codec="libx264" if even else "ffv1",
        sound="aac" if even else None,
    )
    target = tmp_path / f"out{suffix}"
    _rewrite(source, target)
    before, after = timeline(source), timeline(target)
    if suffix == ".mkv":
        assert [t for t, _ in after] == [Fraction(floor(t * 1000 + 0.5), 1000) for t, _ in before]
        assert after[-1][1] == pytest.approx(before[-1][1], abs=0.001)
    else:
        assert after == before
        length = sum(before[-1]) - before[0][0]
        assert probe(target).duration_s == pytest.approx(float(length), abs=0.0001)
    info = probe(target)
    assert (info.format.width, info.format.height) == size


def test_a_rotated_clip_is_written_upright(tmp_path: Path) -> None:
    source = rotate_clip(make_clip(tmp_path / "in.mp4"), (0, 1, -1, 0))
    _rewrite(source, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.format.width, info.format.height, info.rotation) == (48, 64, 0)
    error = to_rgb(_read(tmp_path / "out.mp4")) - to_rgb(_read(source))
    assert error.abs().mean() < 0.02


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [
        ("yuv420p", (64, 48)),
        ("yuv422p", (64, 48)),
        ("yuv444p", (17, 33)),
        ("yuvj420p", (64, 48)),
        ("yuv420p10le", (64, 48)),
        ("yuv444p10le", (64, 48)),
    ],
)
def test_unchanged_frames_reach_the_encoder_sample_by_sample(
    tmp_path: Path, pixel_format: str, size: tuple[int, int]
) -> None:
    lossless = replace(PRESETS["h264"], options={"qp": "0", "preset": "ultrafast"})
    source = make_clip(tmp_path / "in.mp4", pixel_format=pixel_format, size=size)
    _rewrite(source, tmp_path / "out.mp4", lossless)
    before, after = _read(source), _read(tmp_path / "out.mp4")
    assert after.format == before.format
    for a, b in zip(before.planes, after.planes, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("full_range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 5])
def test_a_converted_frame_stays_within_two_levels(tmp_path: Path, matrix: int, full_range: int) -> None:
    tags = {"colorspace": matrix, "color_range": full_range}
    source = make_clip(tmp_path / "in.mkv", pixel_format="yuv420p", tags=tags, codec="ffv1")
    alpha = torch.ones(1, 1, 48, 64)
    fine = replace(PRESETS["prores4444"], options={"profile": "4444", "qscale": "1"})
    _rewrite(source, tmp_path / "out.mov", fine, alpha=alpha)
    before, after = _read(source), _read(tmp_path / "out.mov")
    assert (after.format.full_range, after.format.chroma_size) == (False, (48, 64))
    error = (to_rgb(after) - to_rgb(before)).abs() * 255
    # ProRes itself is not lossless: where it has a hard edge to code, it rings a little.
    assert error.quantile(0.99) <= 2
    assert error.max() <= 6


def test_colour_tags_and_aspect_are_kept(tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    source = make_clip(tmp_path / "in.mp4", pixel_format="yuv420p10le", tags=tags, aspect=Fraction(4, 3))
    for name in ("out.mp4", "out.mkv"):
        _rewrite(source, tmp_path / name)
        assert probe(tmp_path / name).format == probe(source).format


def test_full_range_clips_stay_full_range(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pixel_format="yuvj420p")
    _rewrite(source, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").format.full_range


def test_rgb_clips_become_bt709(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", pixel_format="bgr0")
    _rewrite(source, tmp_path / "out.mp4")
    fmt = probe(tmp_path / "out.mp4").format
    assert (fmt.matrix, fmt.full_range, fmt.chroma_size) == (1, False, (24, 32))
    error = to_rgb(_read(tmp_path / "out.mp4")) - to_rgb(_read(source))
    assert error.abs().mean() < 0.02


def test_prores_alpha_is_exact(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    _rewrite(source, tmp_path / "out.mov", alpha=_ramp(64, 48))
    info = probe(tmp_path / "out.mov")
    assert (info.codec, info.has_alpha) == ("prores", True)
    alpha = _alpha_plane(tmp_path / "out.mov")
    assert alpha.shape == (12, 48, 64)
    assert (alpha - _ramp(64, 48)[0]).abs().max() <= 1 / 1023
    assert (alpha[:, :, 0] == 0).all()
    assert (alpha[:, :, -1] == 1).all()


@pytest.mark.parametrize("size", [(64, 48), (17, 33)])
def test_vp9_alpha_round_trips(tmp_path: Path, size: tuple[int, int]) -> None:
    source = make_clip(tmp_path / "in.mkv", size=size, codec="ffv1", pts=range(5))
    _rewrite(source, tmp_path / "out.webm", alpha=_ramp(*size))
    assert probe(tmp_path / "out.webm").has_alpha
    alpha = _alpha_plane(tmp_path / "out.webm", decoder="libvpx-vp9")
    assert alpha.shape == (5, size[1], size[0])
    assert (alpha - _ramp(*size)[0]).abs().max() <= 8 / 255


@pytest.mark.parametrize("size", [(64, 48), (17, 33), (1, 1)])
@pytest.mark.parametrize(("name", "levels"), [("matte.mkv", 0.51), ("matte.mp4", 4)])
def test_mattes_round_trip_as_gray(tmp_path: Path, size: tuple[int, int], name: str, levels: float) -> None:
    source = make_clip(tmp_path / "in.mkv", size=size, codec="ffv1", pts=range(5))
    _rewrite(source, tmp_path / name, preset_for(name, role="matte"), alpha=_ramp(*size))
    matte = to_rgb(_read(tmp_path / name))
    assert ((matte - _ramp(*size)).abs() * 255).max() <= levels
    assert timeline(tmp_path / name) == timeline(source)


def test_a_png_sequence_is_numbered_and_exact(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(3))
    pattern = tmp_path / "matte.%05d.png"
    _rewrite(source, pattern, preset_for(pattern, role="matte"), alpha=_ramp(64, 48))
    images = sorted(path.name for path in tmp_path.glob("*.png"))
    assert images == ["matte.00001.png", "matte.00002.png", "matte.00003.png"]
    assert ((read_gray(tmp_path / images[2]) / 255 - _ramp(64, 48)).abs() * 255).max() <= 0.51
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(OutputError, match=r"matte\.0000\d\.png exists"):
        _rewrite(source, pattern, preset_for(pattern, role="matte"), alpha=_ramp(64, 48))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_packet_by_packet(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(60), sound="aac")
    assert _rewrite(source, tmp_path / f"out{suffix}") == []
    before, after = sound_packets(source), sound_packets(tmp_path / f"out{suffix}")
    assert [data for _, data in after] == [data for _, data in before]
    # Matroska has no time before zero and milliseconds only.
    slack = 1 / 1000 if suffix == ".mkv" else 0
    shift = _first_time(tmp_path / f"out{suffix}") - _first_time(source)
    assert all(abs((b - shift) - a) <= slack for (a, _), (b, _) in zip(before, after, strict=True))


def _first_time(path: Path) -> Fraction:
    return timeline(path)[0][0]


def test_a_late_video_stays_late_against_its_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(5, 30), sound="aac")
    _rewrite(source, tmp_path / "out.mp4")
    assert timeline(tmp_path / "out.mp4") == timeline(source)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(source)


@pytest.mark.parametrize(
    ("sound", "source", "target", "codec"),
    [
        ("aac", "in.mp4", "out.webm", "opus"),
        ("pcm_s16le", "in.mov", "out.mp4", "aac"),
        ("libopus", "in.mkv", "out.mov", "aac"),
    ],
)
def test_sound_that_a_container_cannot_hold_is_reencoded(
    tmp_path: Path, sound: str, source: str, target: str, codec: str
) -> None:
    clip = make_clip(tmp_path / source, pts=range(50), sound=sound)
    alpha = None if target == "out.mp4" else _ramp(64, 48)
    notices = _rewrite(clip, tmp_path / target, alpha=alpha)
    assert len(notices) == 1
    assert "re-encoded" in notices[0]
    for (a, _), (b, _) in zip(timeline(clip), timeline(tmp_path / target), strict=True):
        assert abs(a - b) <= Fraction(1, 1000)
    (track,) = probe(tmp_path / target).audio
    assert (track.codec, track.channels, track.sample_rate) == (codec, 2, 48000)
    with av.open(str(tmp_path / target)) as container:
        frames = list(container.decode(audio=0))
        assert sum(frame.samples for frame in frames) / 48000 == pytest.approx(2.0, abs=0.05)
        middle = frames[len(frames) // 2].to_ndarray()
        assert 0.1 < np.abs(middle).max() < 0.3


def test_a_span_begins_at_zero_and_its_sound_with_it(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(100), sound="aac")
    _rewrite(source, tmp_path / "out.mp4", start_s=1.0, end_s=3.0)
    assert timeline(tmp_path / "out.mp4") == [(Fraction(i, 25), Fraction(1, 25)) for i in range(50)]
    before, after = sound_packets(source), sound_packets(tmp_path / "out.mp4")
    kept = [(time - 1, data) for time, data in before if 1 <= time < 3]
    assert [data for _, data in after] == [data for _, data in kept]
    assert all(abs(a - b) < 1 / 48000 for (a, _), (b, _) in zip(after, kept, strict=True))


def test_a_transport_stream_is_moved_to_zero_with_its_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.ts", pts=range(50), sound="aac", container={})
    _rewrite(source, tmp_path / "out.mp4")
    before, after = timeline(source), timeline(tmp_path / "out.mp4")
    lag = after[0][0] - before[0][0]
    assert 0 <= after[0][0] < Fraction(1, 10)
    assert [t - lag for t, _ in after] == [t for t, _ in before]
    heard_before, heard_after = sound_packets(source), sound_packets(tmp_path / "out.mp4")
    assert len(heard_after) == len(heard_before)
    assert heard_after[5][0] - heard_before[5][0] == pytest.approx(lag, abs=0.001)


def _fail_midway(source: Path, target: Path) -> None:
    with (
        ClipReader(source) as reader,
        ClipWriter(target, PRESETS["h264"], reader.format, reader.time_base, overwrite=True) as writer,
    ):
        writer.write(next(iter(reader)))
        raise RuntimeError("the job dies")


def test_an_existing_output_survives_a_failure(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(60))
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(RuntimeError, match="dies"):
        _fail_midway(source, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_nothing_has_the_final_name_before_the_end(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    with ClipReader(source) as reader:
        writer = ClipWriter(tmp_path / "out.mp4", PRESETS["h264"], reader.format, reader.time_base)
        for batch in reader:
            writer.write(batch)
        assert not (tmp_path / "out.mp4").exists()
        writer.close()
    assert timeline(tmp_path / "out.mp4") == timeline(source)


def test_overwriting_must_be_allowed(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        _rewrite(source, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    _rewrite(source, tmp_path / "out.mp4", overwrite=True)
    assert timeline(tmp_path / "out.mp4") == timeline(source)


def test_bad_outputs_are_refused_before_any_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    fmt = probe(source).format
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    wrong = {
        source: (OutputError, "is the input itself"),
        tmp_path / "link.mp4": (OutputError, "is the input itself"),
        tmp_path / "none" / "out.mp4": (OutputError, "does not exist"),
        source / "out.mp4": (OutputError, "is a file"),
        tmp_path / "folder.mp4": (OutputError, "is a folder"),
        tmp_path / "out.avi": (OptionError, "is written to .mp4"),
    }
    for path, (kind, message) in wrong.items():
        with pytest.raises(kind, match=message) as caught:
            ClipWriter(path, PRESETS["h264"], fmt, Fraction(1, 25), copy_from=source, overwrite=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        ClipWriter(tmp_path / "out.mp4", PRESETS["h264"], fmt, Fraction(1, 25), copy_from=tmp_path / "no.mp4")
    assert not list(tmp_path.glob(".*"))


def test_a_clip_without_frames_is_not_left_behind(tmp_path: Path) -> None:
    fmt = probe(make_clip(tmp_path / "in.mp4")).format
    with (
        pytest.raises(OutputError, match="no frame"),
        ClipWriter(tmp_path / "out.mp4", PRESETS["h264"], fmt, Fraction(1, 25)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_sound_longer_or_shorter_than_the_video_is_kept_whole(tmp_path: Path) -> None:
    for frames in (5, 200):
        clip = make_clip(tmp_path / f"{frames}.mp4", pts=range(frames))
        tone = make_sound(tmp_path / f"{frames}.m4a", seconds=2.0)
        joined = _join(clip, tone, tmp_path / f"joined{frames}.mp4")
        _rewrite(joined, tmp_path / f"out{frames}.mp4")
        assert sound_packets(tmp_path / f"out{frames}.mp4") == sound_packets(joined)
        assert timeline(tmp_path / f"out{frames}.mp4") == timeline(joined)


def _join(clip: Path, tone: Path, target: Path) -> Path:
    """The video of one file with the sound of another, packets as they are."""
    index_first = {"movflags": "+faststart"}
    with (
        av.open(str(clip)) as a,
        av.open(str(tone)) as b,
        av.open(str(target), "w", container_options=index_first) as output,
    ):
        streams = [
            (a, a.streams.video[0], output.add_stream_from_template(a.streams.video[0], opaque=True)),
            (b, b.streams.audio[0], output.add_stream_from_template(b.streams.audio[0])),
        ]
        for container, source, stream in streams:
            for packet in container.demux(source):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return target


def test_codec_format_needs_no_conversion() -> None:
    fmt = FrameFormat(64, 48, bit_depth=12, subsample_x=1, subsample_y=1)
    assert codec_format(PRESETS["h264"], fmt).bit_depth == 10
    assert codec_format(PRESETS["h264"], fmt).chroma_size == (48, 64)
    assert codec_format(PRESETS["vp9-alpha"], fmt).chroma_size == (24, 32)
    again = codec_format(PRESETS["prores4444"], replace(fmt, full_range=True))
    assert codec_format(PRESETS["prores4444"], again) == again


@pytest.mark.parametrize("name", ["asl_again.mkv", "asl_walk.mkv", "sam2_bedroom.mp4"])
def test_real_clips_keep_frames_and_times(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "data" / "clips" / name
    quick = replace(PRESETS["h264"], options={"preset": "ultrafast"})
    _rewrite(source, tmp_path / "out.mp4", quick)
    assert timeline(tmp_path / "out.mp4") == timeline(source)
    before, after = probe(source), probe(tmp_path / "out.mp4")
    assert after.format == before.format
    end = sum(timeline(source)[-1])
    assert sum(timeline(tmp_path / "out.mp4")[-1]) == end


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_clips_are_written_as_h265(tmp_path: Path, frames: int) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=range(frames))
    _rewrite(source, tmp_path / "out.mp4", PRESETS["h265"])
    assert timeline(tmp_path / "out.mp4") == timeline(source)


def test_truncated_sound_is_reported(tmp_path: Path) -> None:
    """The picture of a file that was cut short can be whole, where the sound lies behind it."""
    film, tone = make_clip(tmp_path / "film.mp4", pts=range(5)), make_sound(tmp_path / "t.m4a", seconds=2)
    clip = _join(film, tone, tmp_path / "a.mp4")
    with av.open(str(clip)) as container:
        places = [packet.pos for packet in container.demux(audio=0) if packet.size]
    clip.write_bytes(clip.read_bytes()[: places[len(places) // 3]])
    (line,) = _rewrite(clip, tmp_path / "b.mkv")
    assert re.fullmatch(r"sound track 1 breaks off at 0\.6\d s of 2\.0\d s", line)
    assert timeline(tmp_path / "b.mkv") == timeline(film)


@pytest.mark.parametrize("count", [1, 8, 11, 20])
def test_times_in_milliseconds_keep_the_clips_length(tmp_path: Path, count: int) -> None:
    """At 30 fps some frames last 33 ms and some 34, and B-frames mix their order: the sum is the clip's."""
    times = [round(1000 * i / 30) for i in range(count + 1)]
    out, fmt = tmp_path / "out.mp4", FrameFormat(64, 48)
    grey = torch.full((1, 1, 24, 32), 128, dtype=torch.uint8)
    with ClipWriter(out, PRESETS["h264"], fmt, Fraction(1, 1000), rate=Fraction(30)) as writer:
        for index, (begin, end) in enumerate(pairwise(times)):
            luma = (torch.arange(64) * 3 + torch.arange(48)[:, None] + 4 * index) % 256
            planes = (luma.to(torch.uint8)[None, None], grey, grey)
            writer.write(FrameBatch(planes, fmt, (begin,), (end - begin,), Fraction(1, 1000)))
    ends = [(b.pts[-1] + b.durations[-1]) * b.time_base for b in ClipReader(out, batch_size=1)]
    assert ends[-1] == Fraction(times[-1], 1000)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="threads have no such priorities here")
def test_encoders_do_not_keep_realtime_priority(tmp_path: Path) -> None:
    """SVT-AV1 would, as root: every thread of the highest real-time priority."""

    def scheduling() -> set[int]:
        return {os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()}

    before = scheduling()
    with ClipReader(make_clip(tmp_path / "in.mp4", pts=range(6))) as reader:
        batch = next(iter(reader))
        with ClipWriter(
            tmp_path / "a.webm", PRESETS["av1"], reader.format, reader.time_base, origin=reader.origin
        ) as writer:
            writer.write(batch)
            assert scheduling() == before
    assert scheduling() == before
