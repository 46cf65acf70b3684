"""Whole jobs with real networks: names, times, sound, order of checks, and what is left after a failure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from autohair_video import (
    BlendOptions,
    InputError,
    Matte,
    MattingPipeline,
    OptionError,
    OutputError,
    Progress,
    SubjectOptions,
    process,
)
from autohair_video.jobs.sinks import Sink, render
from autohair_video.jobs.spec import ClipOutputSpec
from autohair_video.media import ClipReader, preset_named, read_image, to_rgb
from tests.helpers.clips import (
    VFR_MS,
    damage_packets,
    make_clip,
    make_sound,
    picture,
    rotate_clip,
    sound_packets,
    timeline,
)
from tests.helpers.options import CLOSER, HARD, NEVER

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"


@pytest.fixture(scope="module")
def pipeline() -> MattingPipeline:
    return MattingPipeline(device="cpu", options=HARD)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _solid(path: Path, levels: Sequence[int], *, fps: int = 5, size: tuple[int, int] = (64, 48)) -> Path:
    """A lossless gray clip whose frames are each of one level."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, level in enumerate(levels):
            rgb = np.full((size[1], size[0], 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _rgb(path: Path) -> torch.Tensor:
    """(N, 3, H, W) of a whole clip in 0..255."""
    with ClipReader(path) as reader:
        return torch.cat([to_rgb(batch) for batch in reader]) * 255


# Names


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["a_cutout.mov"]),
        ({"background": "transparent"}, ["a_cutout.mov"]),
        ({"preset": "vp9-alpha"}, ["a_cutout.webm"]),
        ({"background": "#00ff00"}, ["a_00ff00.mp4"]),
        ({"background": "Blur"}, ["a_Blur.mp4"]),
        ({"matte": "m.mkv"}, ["m.mkv"]),
        ({"matte": "m.%03d.png"}, ["m.001.png", "m.002.png"]),
        ({"matte": "m.mp4", "background": "white"}, ["a_white.mp4", "m.mp4"]),
        ({"matte": "m.mkv", "preset": "prores4444"}, ["a_cutout.mov", "m.mkv"]),
    ],
)
def test_default_clip_output_is_beside_the_input(
    tmp_path: Path, pipeline: MattingPipeline, asked: dict[str, str], names: list[str]
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(2))
    if "matte" in asked:
        asked = asked | {"matte": str(tmp_path / asked["matte"])}
    report = process(clip, pipeline=pipeline, **asked)  # type: ignore[arg-type]
    assert _files(tmp_path) == sorted(["a.mp4", *names])
    assert report.frames == 2
    assert len(report.outputs) == len(names) or "%03d" in asked["matte"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["p_cutout.png"]),
        ({"background": "beach.png"}, ["p_beach.png"]),
        ({"matte": "m.png"}, ["m.png"]),
        ({"matte": "m.tif", "background": "blur"}, ["m.tif", "p_blur.png"]),
    ],
)
def test_default_still_output_is_beside_the_input(
    tmp_path: Path, pipeline: MattingPipeline, asked: dict[str, str], names: list[str]
) -> None:
    for name in ("p.jpg", "beach.png"):
        cv2.imwrite(str(tmp_path / name), picture(0, 64, 48))
    folder = {key: str(tmp_path / name) if "." in name else name for key, name in asked.items()}
    report = process(tmp_path / "p.jpg", pipeline=pipeline, **folder)  # type: ignore[arg-type]
    assert _files(tmp_path) == sorted(["beach.png", "p.jpg", *names])
    assert sorted(path.name for path in report.outputs) == names


def test_paths_may_be_path_like(tmp_path: Path, pipeline: MattingPipeline) -> None:
    class Named(os.PathLike[str]):
        def __init__(self, path: Path) -> None:
            self._path = path

        def __fspath__(self) -> str:
            return str(self._path)

    clip = make_clip(tmp_path / "a.mp4", pts=range(2))
    cv2.imwrite(str(tmp_path / "b.png"), picture(0, 20, 10))
    output, matte = tmp_path / "o.mp4", tmp_path / "m.mkv"
    process(
        Named(clip),
        Named(output),
        background=Named(tmp_path / "b.png"),
        matte=Named(matte),
        pipeline=pipeline,
    )
    assert _files(tmp_path) == ["a.mp4", "b.png", "m.mkv", "o.mp4"]


# Times


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv"])
@pytest.mark.parametrize(
    ("pts", "time_base", "last"),
    [
        (range(0, 6006, 1001), Fraction(1, 24000), 1001),
        (VFR_MS, Fraction(1, 1000), 40),
        ([0], Fraction(1, 30), 1),
    ],
    ids=["23.976", "vfr", "one frame"],
)
def test_composite_keeps_timestamps_and_audio(
    tmp_path: Path, pipeline: MattingPipeline, name: str, pts: Sequence[int], time_base: Fraction, last: int
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=pts, time_base=time_base, last=last, sound="aac")
    report = process(clip, tmp_path / name, background="navy", pipeline=pipeline)
    assert report.notices == ()
    _assert_same_times(timeline(tmp_path / name), timeline(clip), exact=name != "o.mkv")
    ours, given = sound_packets(tmp_path / name), sound_packets(clip)
    assert [data for _, data in ours] == [data for _, data in given]
    assert all(abs(a - b) < Fraction(1, 1000) for (a, _), (b, _) in zip(ours, given, strict=True))


@pytest.mark.parametrize("name", ["o.mov", "o.webm", "m.mkv", "m.mp4"])
@pytest.mark.parametrize("size", [(64, 48), (17, 33), (1, 1)])
def test_alpha_outputs_keep_timestamps_and_odd_sizes(
    tmp_path: Path, pipeline: MattingPipeline, name: str, size: tuple[int, int]
) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", size=size, pts=VFR_MS[:4], time_base=Fraction(1, 1000), pixel_format="yuv444p"
    )
    path = tmp_path / name
    if name.startswith("m"):
        process(clip, matte=path, pipeline=pipeline)
    else:
        process(clip, path, pipeline=pipeline)
    _assert_same_times(timeline(path), timeline(clip), exact=name in ("o.mov", "m.mp4"))
    with ClipReader(path) as reader:
        assert (reader.format.width, reader.format.height) == size


@pytest.mark.parametrize("size", [(17, 33), (1, 1)])
def test_odd_sizes_are_composited(tmp_path: Path, pipeline: MattingPipeline, size: tuple[int, int]) -> None:
    clip = make_clip(tmp_path / "a.mp4", size=size, pts=range(3), pixel_format="yuv444p")
    process(clip, tmp_path / "o.mp4", background="#408020", pipeline=pipeline)
    assert timeline(tmp_path / "o.mp4") == timeline(clip)
    assert _rgb(tmp_path / "o.mp4").shape == (3, 3, size[1], size[0])


def test_rotation_is_applied(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = rotate_clip(make_clip(tmp_path / "a.mp4", pts=range(3)), (0, 1, -1, 0))
    process(clip, tmp_path / "o.mp4", background="black", matte=tmp_path / "m.mkv", pipeline=pipeline)
    for path in (tmp_path / "o.mp4", tmp_path / "m.mkv"):
        with ClipReader(path) as reader:
            assert (reader.format.width, reader.format.height, reader.info.rotation) == (48, 64, 0)
    assert timeline(tmp_path / "o.mp4") == timeline(clip)


def test_start_and_end_trim_audio_too(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(25), sound="aac")
    process(clip, tmp_path / "o.mp4", background="red", start_s=0.2, end_s=0.6, pipeline=pipeline)
    frame = Fraction(1, 25)
    assert timeline(tmp_path / "o.mp4") == [(i * frame, frame) for i in range(10)]
    begins = [begin for begin, _ in sound_packets(tmp_path / "o.mp4")]
    assert 0 <= begins[0] < Fraction(1, 30)
    assert begins[-1] < Fraction(4, 10)


def test_background_clip_starts_with_the_output(tmp_path: Path, pipeline: MattingPipeline) -> None:
    levels = (20, 90, 160, 230)
    clip = _solid(tmp_path / "a.mkv", [128] * 8)
    process(
        clip,
        tmp_path / "o.mkv",
        background=_solid(tmp_path / "b.mkv", levels),
        start_s=0.6,
        pipeline=pipeline,
    )
    shown = _rgb(tmp_path / "o.mkv").mean(dim=(1, 2, 3))
    assert shown.tolist() == pytest.approx([20, 90, 160, 230, 20], abs=3)


# Real clips


@pytest.mark.parametrize(
    ("name", "end_s"),
    [
        ("asl_eat.mkv", None),
        ("asl_want.mkv", 0.2),
        ("asl_milk.mkv", 0.15),
        ("sam2_bedroom.mp4", 0.1),
        ("one-by-one-person-detection.mp4", 0.2),
    ],
)
def test_real_clips_keep_frame_count_timestamps_and_duration(
    shared: Path, tmp_path: Path, pipeline: MattingPipeline, name: str, end_s: float | None
) -> None:
    clip = shared / "data" / "clips" / name
    report = process(clip, tmp_path / "o.mp4", background="skyblue", end_s=end_s, pipeline=pipeline)
    with ClipReader(clip, end_s=end_s) as reader:
        times = [
            (pts * reader.time_base, length * reader.time_base)
            for batch in reader
            for pts, length in zip(batch.pts, batch.durations, strict=True)
        ]
    assert timeline(tmp_path / "o.mp4") == times
    assert (report.frames, report.notices) == (len(times), ())
    with av.open(str(tmp_path / "o.mp4")) as output:
        stream = output.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == times[-1][0] + times[-1][1] - times[0][0]
        assert len(output.streams.audio) == 0


def test_person_is_kept_and_background_replaced(shared: Path, tmp_path: Path) -> None:
    clip = shared / "data" / "clips" / "asl_eat.mkv"
    process(
        clip,
        tmp_path / "o.mp4",
        background="#00ff00",
        matte=tmp_path / "m.mkv",
        end_s=0.05,
        pipeline=MattingPipeline(device="cpu", options=CLOSER),
    )
    with ClipReader(clip, end_s=0.05) as reader:
        given = torch.cat([to_rgb(batch) for batch in reader]) * 255
    alpha, shown = _rgb(tmp_path / "m.mkv")[:, :1] / 255, _rgb(tmp_path / "o.mp4")
    assert 0.1 < (alpha == 1).float().mean() < 0.9
    person, rest = (alpha == 1).expand_as(shown), (alpha == 0).expand_as(shown)
    assert (shown - given)[person].abs().mean() < 4
    green = torch.tensor([0.0, 255.0, 0.0]).view(3, 1, 1).expand_as(shown)
    assert (shown - green)[rest].abs().mean() < 4


def test_clip_without_a_person_shows_only_the_background(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = _solid(tmp_path / "a.mkv", [90] * 3)
    cv2.imwrite(str(tmp_path / "b.png"), picture(0, 64, 48)[:, :, ::-1])
    process(
        clip, tmp_path / "o.mp4", background=tmp_path / "b.png", matte=tmp_path / "m.mkv", pipeline=pipeline
    )
    assert _rgb(tmp_path / "m.mkv").mean() < 0.5
    wanted = torch.from_numpy(picture(0, 64, 48)).permute(2, 0, 1).float()
    assert (_rgb(tmp_path / "o.mp4") - wanted).abs().mean() < 4


# A clip's own trimaps


def _moving_trimaps(count: int) -> list[np.ndarray]:
    """Known left and right of an edge that moves, 48 x 64."""
    return [
        np.where(np.arange(64) < 8 + 2 * n, 0, 255).astype(np.uint8) * np.ones((48, 1), np.uint8)
        for n in range(count)
    ]


def _trimap_files(folder: Path, kind: str, trimaps: Sequence[np.ndarray]) -> Path:
    if kind == "stills":
        for n, trimap in enumerate(trimaps, start=1):
            _write_png(folder / f"t.{n:05d}.png", trimap)
        return folder / "t.%05d.png"
    path = folder / "t.mkv"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=25)
        height, width = trimaps[0].shape
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        for trimap in trimaps:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(trimap, format="gray")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["stills", "video"])
def test_given_clip_trimaps_decide_frame_by_frame(
    tmp_path: Path, pipeline: MattingPipeline, kind: str
) -> None:
    clip, trimaps = make_clip(tmp_path / "a.mp4"), _moving_trimaps(12)
    given = _trimap_files(tmp_path, kind, trimaps)
    report = process(clip, matte=tmp_path / "m.mkv", trimap=given, pipeline=pipeline)
    assert (report.frames, report.notices) == (12, ())
    matte = _rgb(tmp_path / "m.mkv")[:, 0].round()
    assert torch.equal(matte, torch.from_numpy(np.stack(trimaps)).float())


def test_given_trimaps_are_trimmed_with_the_clip(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip, trimaps = make_clip(tmp_path / "a.mp4"), _moving_trimaps(12)
    given = _trimap_files(tmp_path, "stills", trimaps)
    process(clip, matte=tmp_path / "m.mkv", trimap=given, start_s=0.2, end_s=0.32, pipeline=pipeline)
    matte = _rgb(tmp_path / "m.mkv")[:, 0].round()
    assert torch.equal(matte, torch.from_numpy(np.stack(trimaps[5:8])).float())


def test_mismatched_trimaps_are_refused(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    few = _trimap_files(tmp_path, "video", _moving_trimaps(7))
    with pytest.raises(InputError, match="one for each frame"):
        process(clip, matte=tmp_path / "m.mkv", trimap=few, pipeline=pipeline)
    assert "m.mkv" not in _files(tmp_path)
    many = _trimap_files(tmp_path, "video", _moving_trimaps(20))
    assert any(
        "more frames" in line
        for line in process(clip, matte=tmp_path / "m.mkv", trimap=many, pipeline=pipeline).notices
    )
    small = _trimap_files(tmp_path, "video", [trimap[:40] for trimap in _moving_trimaps(12)])
    with pytest.raises(InputError, match=r"64x40.*64x48.*one size"):
        process(clip, matte=tmp_path / "n.mkv", trimap=small, pipeline=pipeline)


# Stills


def _write_png(path: Path, pixels: Any) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def test_given_trimap_decides_a_still(tmp_path: Path, pipeline: MattingPipeline) -> None:
    photo = _write_png(tmp_path / "p.png", picture(0, 64, 48)[:, :, ::-1])
    trimap = np.zeros((48, 64), np.uint8)
    trimap[:, 20:], trimap[:, 40:] = 128, 255
    given = _write_png(tmp_path / "t.png", trimap)
    report = process(photo, tmp_path / "o.png", trimap=given, matte=tmp_path / "m.png", pipeline=pipeline)
    assert report.notices == ()
    rgba = cv2.imread(str(tmp_path / "o.png"), cv2.IMREAD_UNCHANGED)
    matte = cv2.imread(str(tmp_path / "m.png"), cv2.IMREAD_UNCHANGED)
    assert rgba.shape == (48, 64, 4)
    assert matte.shape == (48, 64)
    assert (rgba[..., 3] == matte).all()
    assert (matte[:, :20] == 0).all()
    assert (matte[:, 40:] == 255).all()
    # straight: the colours of the subject, not multiplied by alpha
    assert (rgba[:, 40:, 2::-1] == picture(0, 64, 48)[:, 40:]).all()


def test_composited_still_shows_subject_and_background(tmp_path: Path, pipeline: MattingPipeline) -> None:
    photo = _write_png(tmp_path / "p.png", picture(0, 64, 48)[:, :, ::-1])
    trimap = np.zeros((48, 64), np.uint8)
    trimap[:, 32:] = 255
    given = _write_png(tmp_path / "t.png", trimap)
    process(photo, tmp_path / "o.png", background="#123456", trimap=given, pipeline=pipeline)
    shown = cv2.imread(str(tmp_path / "o.png"), cv2.IMREAD_UNCHANGED)[:, :, ::-1]
    assert (shown[:, 32:] == picture(0, 64, 48)[:, 32:]).all()
    assert (shown[:, :32] == (0x12, 0x34, 0x56)).all()


def test_background_clip_behind_a_still_shows_its_first_frame(
    tmp_path: Path, pipeline: MattingPipeline
) -> None:
    photo = _write_png(tmp_path / "p.png", np.full((48, 64, 3), 90, np.uint8))
    behind = _solid(tmp_path / "b.mkv", (50, 200))
    trimap = _write_png(tmp_path / "t.png", np.zeros((48, 64), np.uint8))
    process(photo, tmp_path / "o.png", background=behind, trimap=trimap, pipeline=pipeline)
    assert np.abs(cv2.imread(str(tmp_path / "o.png")).astype(int) - 50).max() <= 2


def test_trimap_with_other_grays_is_quantised_with_a_notice(
    tmp_path: Path, pipeline: MattingPipeline
) -> None:
    photo = _write_png(tmp_path / "p.png", picture(0, 64, 48))
    trimap = _write_png(tmp_path / "t.png", np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1)))
    report = process(photo, tmp_path / "o.png", trimap=trimap, pipeline=pipeline)
    assert len(report.notices) == 1
    assert str(trimap) in report.notices[0]


def test_16_bit_stills_keep_their_depth(tmp_path: Path, pipeline: MattingPipeline) -> None:
    pixels = picture(0, 64, 48)[:, :, ::-1].astype(np.uint16) * 257
    photo = _write_png(tmp_path / "p.png", pixels)
    trimap = _write_png(tmp_path / "t.png", np.full((48, 64), 255, np.uint8))
    process(photo, tmp_path / "o.png", trimap=trimap, matte=tmp_path / "m.png", pipeline=pipeline)
    process(photo, tmp_path / "o.jpg", background="white", trimap=trimap, pipeline=pipeline)
    rgba = cv2.imread(str(tmp_path / "o.png"), cv2.IMREAD_UNCHANGED)
    matte = cv2.imread(str(tmp_path / "m.png"), cv2.IMREAD_UNCHANGED)
    assert (rgba.dtype, matte.dtype) == (np.uint16, np.uint16)
    assert (rgba[..., 3] == 65535).all()
    # read with 12 bit
    assert np.abs(rgba[..., :3].astype(int) - pixels).max() <= 8
    assert np.abs(cv2.imread(str(tmp_path / "o.jpg")).astype(int) - picture(0, 64, 48)[:, :, ::-1]).mean() < 4


# Order of checks, and what is left behind


def _bad_clips(folder: Path) -> dict[str, Path]:
    """Name of the fault -> a file that cannot be matted."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video, whatever its name says\n" * 40)
    (folder / "text.png").write_text("not a picture\n" * 40)
    make_sound(folder / "sound.m4a")
    return {
        "missing": folder / "missing.mp4",
        "missing picture": folder / "missing.png",
        "zero bytes": folder / "empty.mp4",
        "no video": folder / "text.mp4",
        "no picture": folder / "text.png",
        "sound only": folder / "sound.m4a",
        "folder": folder,
    }


@pytest.mark.parametrize(
    "fault",
    ["missing", "missing picture", "zero bytes", "no video", "no picture", "sound only", "folder"],
)
def test_bad_input_is_refused_before_loading_networks(tmp_path: Path, fault: str) -> None:
    source = _bad_clips(tmp_path)[fault]
    before = _files(tmp_path)
    with pytest.raises(InputError, match=source.name):
        process(source, pipeline=NEVER)
    assert _files(tmp_path) == before


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"background": "nosuchcolour"}, OptionError),
        ({"background": "missing.jpg"}, InputError),
        ({"background": "a.txt"}, InputError),
        ({"output": "nowhere/o.mov"}, OutputError),
        ({"output": "a.txt/o.mov"}, OutputError),
        ({"output": "there.mov"}, OutputError),
        ({"output": "a.mp4", "background": "red", "overwrite": True}, OutputError),
        ({"output": "b.mp4", "background": "b.mp4", "overwrite": True}, OutputError),
        ({"output": "o.mp4"}, OptionError),
        ({"output": "o.xyz", "background": "red"}, OptionError),
        ({"output": "o.mov", "preset": "vp9-alpha"}, OptionError),
        ({"output": "o.mp4", "preset": "h264"}, OptionError),
        ({"preset": "vp8"}, OptionError),
        ({"output": "o.mov", "matte": "o.mov"}, OptionError),
        ({"matte": "m.png"}, OptionError),
        ({"trimap": "t.png"}, OptionError),
        ({"start_s": 60.0}, InputError),
        ({"start_s": -1.0}, OptionError),
        ({"start_s": 2.0, "end_s": 1.0}, OptionError),
    ],
)
def test_bad_clip_options_are_refused_before_loading_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        make_clip(Path(name), pts=range(2))
    Path("a.txt").write_text("text")
    Path("there.mov").write_text("older")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error):
        process("a.mp4", pipeline=NEVER, **asked)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"output": "o.jpg"}, OptionError, "no alpha.*background"),
        ({"output": "o.mp4"}, OptionError, "image extension"),
        ({"matte": "m.mkv"}, OptionError, "image extension"),
        ({"matte": "m.%03d.png"}, OptionError, "one image"),
        ({"preset": "h264"}, OptionError, "is a still image"),
        ({"end_s": 1.0}, OptionError, "is a still image"),
        ({"trimap": "missing.png"}, InputError, "missing.png"),
        ({"trimap": "small.png"}, InputError, "8x6.*64x48"),
        ({"output": "small.png", "trimap": "small.png", "overwrite": True}, OutputError, "input"),
        ({"background": "missing.png"}, InputError, "missing.png"),
    ],
)
def test_bad_still_options_are_refused_before_loading_networks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_png(Path("p.png"), picture(0, 64, 48))
    _write_png(Path("small.png"), np.zeros((6, 8), np.uint8))
    with pytest.raises(error, match=text):
        process("p.png", pipeline=NEVER, **asked)
    assert _files(tmp_path) == ["p.png", "small.png"]


class StoppedError(Exception):
    """Raised in the middle of a job."""


@pytest.mark.parametrize("stop", [StoppedError, KeyboardInterrupt])
@pytest.mark.parametrize("older", [False, True])
def test_aborted_job_leaves_nothing(
    tmp_path: Path, pipeline: MattingPipeline, stop: type[BaseException], older: bool
) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(40), sound="aac")
    if older:
        (tmp_path / "o.mp4").write_text("older")
    before = _files(tmp_path)
    seen: list[list[str]] = []

    def stop_half_way(progress: Progress) -> None:
        seen.append(_files(tmp_path))
        if progress.frames >= 20:
            raise stop

    with pytest.raises(stop):
        process(
            clip,
            tmp_path / "o.mp4",
            background="red",
            matte=tmp_path / "m.%02d.png",
            overwrite=True,
            pipeline=pipeline,
            on_progress=stop_half_way,
        )
    # two outputs under way, neither of them under its name
    assert {len(names) for names in seen} == {len(before) + 2}
    assert _files(tmp_path) == before
    assert not older or (tmp_path / "o.mp4").read_text() == "older"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("fault", ["breaks off at", "is damaged: near"])
def test_truncated_clip_keeps_every_decoded_frame(
    tmp_path: Path, pipeline: MattingPipeline, fault: str, resume: bool
) -> None:
    sound = "aac" if "damaged" in fault else None
    # what the damage does depends on how x264 shares its work among threads
    options = {"g": "6", "threads": "2"}
    clip = make_clip(tmp_path / "a.mp4", size=(160, 120), pts=range(30), options=options, sound=sound)
    if "damaged" in fault:
        damage_packets(clip, [14])
    else:
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    seen: list[Progress] = []
    (tmp_path / "o.partial.mp4").write_text("older")
    with pytest.raises(InputError, match=rf"a\.mp4 {fault} .*; kept so far: [^;]*o\.partial\.mp4, [^;]*$"):
        process(
            clip,
            tmp_path / "o.mp4",
            background="red",
            matte=tmp_path / "m.%02d.png",
            pipeline=pipeline,
            resume=resume,
            segment_s=0.16,
            on_progress=seen.append,
        )
    frames = seen[-1].frames
    assert 10 < frames < 30
    stills = [f"m.{number:02}.partial.png" for number in range(1, frames + 1)]
    assert _files(tmp_path) == sorted(["a.mp4", "o.partial.mp4", *stills])
    times = timeline(tmp_path / "o.partial.mp4")
    assert times == timeline(clip)
    assert len(times) == frames
    # the sound ends with the picture
    assert sound is None or sound_packets(tmp_path / "o.partial.mp4")[-1][0] < sum(times[-1])


@pytest.mark.parametrize(
    ("blend", "outputs", "ineffective"),
    [
        (BlendOptions(light_wrap=0.5), {"output": "o.png"}, "light wrap"),
        (BlendOptions(light_wrap=0.5), {"output": "o.png", "background": "red"}, None),
        (BlendOptions(linear=True), {"matte": "m.png", "trimap_out": "t.png"}, "linear"),
        (BlendOptions(despill="green"), {"matte": "m.png"}, "despill"),
        (BlendOptions(despill="green"), {"foreground": "f.png"}, None),
        (BlendOptions(linear=True), {"output": "o.png"}, None),
        (BlendOptions(linear=True), {"matte": "m.png", "background": "red"}, None),
    ],
)
def test_ineffective_options_are_reported(
    tmp_path: Path,
    pipeline: MattingPipeline,
    blend: BlendOptions,
    outputs: dict[str, str],
    ineffective: str | None,
) -> None:
    photo = _write_png(tmp_path / "p.png", picture(0, 64, 48))
    paths = {key: name if key == "background" else tmp_path / name for key, name in outputs.items()}
    notices = process(photo, blend=blend, pipeline=pipeline, **paths).notices  # type: ignore[arg-type]
    assert len(notices) == (ineffective is not None)
    assert ineffective is None or (ineffective in notices[0] and "no effect" in notices[0])


def test_transcoded_audio_is_reported(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(3), sound="aac")
    report = process(clip, tmp_path / "o.webm", pipeline=pipeline)
    assert "Opus" in " ".join(report.notices)


def test_progress_counts_every_frame(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip, photo = make_clip(tmp_path / "a.mp4", pts=range(10)), tmp_path / "p.png"
    cv2.imwrite(str(photo), picture(0, 64, 48))
    seen: list[Progress] = []
    report = process(clip, matte=tmp_path / "m.mkv", pipeline=pipeline, on_progress=seen.append)
    assert all(a.frames < b.frames for a, b in pairwise(seen))
    assert seen[-1] == Progress(report.frames, 10)
    process(
        clip, matte=tmp_path / "n.mkv", start_s=0.2, end_s=0.32, pipeline=pipeline, on_progress=seen.append
    )
    assert seen[-1] == Progress(3, 3)
    process(photo, pipeline=pipeline, on_progress=seen.append)
    assert seen[-1] == Progress(1, 1)


def test_still_with_alpha_one_is_unchanged(tmp_path: Path, pipeline: MattingPipeline) -> None:
    photo = _write_png(tmp_path / "p.png", picture(3, 31, 17)[:, :, ::-1])
    trimap = _write_png(tmp_path / "t.png", np.full((17, 31), 255, np.uint8))
    process(photo, tmp_path / "o.png", background="lime", trimap=trimap, pipeline=pipeline)
    assert torch.equal(to_rgb(read_image(tmp_path / "o.png")), to_rgb(read_image(photo)))


def _assert_same_times(
    ours: list[tuple[Fraction, Fraction]], given: list[tuple[Fraction, Fraction]], *, exact: bool
) -> None:
    """Equal to the tick, or to the millisecond in which Matroska and WebM count."""
    slack = Fraction(0) if exact else Fraction(1, 1000)
    assert len(ours) == len(given)
    for (begin, length), (other, long) in zip(ours, given, strict=True):
        assert abs(begin - other) <= slack
        assert abs(length - long) <= slack


# Interrupted, but not in vain


def test_failed_job_keeps_partial_outputs(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(40), sound="aac")
    before = _files(tmp_path)

    def fail_half_way(progress: Progress) -> None:
        if progress.frames >= 20:
            raise InputError("the background breaks off")

    with pytest.raises(InputError, match=r"breaks off; kept so far: .*o\.partial\.mp4"):
        process(
            clip,
            tmp_path / "o.mp4",
            background="red",
            matte=tmp_path / "m.%02d.png",
            pipeline=pipeline,
            on_progress=fail_half_way,
        )
    stills = [name for name in _files(tmp_path) if name.startswith("m.")]
    assert _files(tmp_path) == sorted([*before, *stills, "o.partial.mp4"])
    # what still waited for the encoder is given up
    assert 12 <= len(stills) <= 20
    assert stills[0] == "m.01.partial.png"
    assert timeline(tmp_path / "o.partial.mp4") == timeline(clip)[: len(stills)]


def test_size_change_within_a_clip_is_reported(tmp_path: Path, pipeline: MattingPipeline) -> None:
    parts = [make_clip(tmp_path / f"{w}.ts", size=(w, 48), container={}) for w in (64, 96)]
    clip = tmp_path / "joined.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = process(clip, tmp_path / "o.mp4", background="red", pipeline=pipeline)
    assert len(report.notices) == 1
    assert re.search(r"joined\.ts changes from 64x48 to 96x48 at 0\.\d+ s", report.notices[0])


# Clips that bring alpha


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "prores_ks"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9")]
)
def test_input_alpha_limits_the_matte_unless_replaced(
    tmp_path: Path, pipeline: MattingPipeline, name: str, codec: str
) -> None:
    """A clip of which all that the pipeline would keep is transparent in its left half."""
    pixels = {"prores_ks": "yuva444p10le"}.get(codec, "yuva420p")
    with av.open(str(tmp_path / name), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.options = {"auto-alt-ref": "0"} if codec == "libvpx-vp9" else {}
        for index in range(3):
            rgba = np.dstack([picture(index, 64, 48), np.full((48, 64), 255, np.uint8)])
            rgba[:, :32, 3] = 0
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixels)
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with ClipReader(tmp_path / name, keep_alpha=True) as reader:
        batch = next(iter(reader))
    assert batch.alpha is not None
    matte = Matte(torch.ones(3, 1, 48, 64), batch.pts, batch.durations, batch.time_base)
    target = ClipOutputSpec(tmp_path / "m.mkv", "matte", preset_named("ffv1-matte"))
    (drawn,) = render([Sink(target, batch.format, None)], batch, matte)
    assert drawn.alpha is not None
    assert drawn.alpha[..., :30].max() < 0.03
    assert drawn.alpha[..., 34:].min() > 0.97
    with ClipReader(tmp_path / name) as reader:
        assert next(iter(reader)).alpha is None
    process(tmp_path / name, matte=tmp_path / "m.mkv", pipeline=pipeline)
    process(tmp_path / name, matte=tmp_path / "n.mkv", pipeline=pipeline, input_alpha="replace")
    assert (_rgb(tmp_path / "m.mkv") <= _rgb(tmp_path / "n.mkv") + 1).all()
    assert _rgb(tmp_path / "m.mkv")[..., :30].max() < 8


# Subject


def test_point_subject_is_kept_and_drop_mask_removed(
    tmp_path: Path,
) -> None:
    """The sample's person twice, side by side; the drop picture has another size than the frames."""
    with ClipReader(SAMPLE, batch_size=1) as reader:
        person = to_rgb(next(iter(reader)))[0].permute(1, 2, 0).numpy()
    person = cv2.resize((person * 255).astype(np.uint8), (160, 90), interpolation=cv2.INTER_AREA)
    clip = tmp_path / "two.mkv"
    with av.open(str(clip), "w") as output:
        stream: Any = output.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 90, "yuv444p"
        for _ in range(3):
            rgb = np.ascontiguousarray(np.hstack([person, person]))
            output.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        output.mux(stream.encode(None))
    drop = np.zeros((180, 640), np.uint8)
    drop[140:] = 255
    cv2.imwrite(str(tmp_path / "drop.png"), drop)
    closer = MattingPipeline(device="cpu", options=replace(HARD, segment=CLOSER.segment))
    alpha = {}
    for name, subject in (
        ("all", SubjectOptions()),
        ("right", SubjectOptions(choice="point", place=(240, 60), drop=tmp_path / "drop.png")),
    ):
        matte = tmp_path / f"{name}.mkv"
        process(clip, matte=matte, subject=subject, pipeline=closer)
        alpha[name] = _rgb(matte)[:, 0] > 128
    assert alpha["all"][:, :, :160].float().mean() > 0.1
    assert not alpha["right"][:, :, :160].any()
    assert not alpha["right"][:, 71:].any()
    assert torch.equal(alpha["right"][:, :69, 160:], alpha["all"][:, :69, 160:])


@pytest.mark.parametrize("resume", [False, True])
def test_late_subject_time_is_reported_when_length_is_unknown(
    tmp_path: Path, pipeline: MattingPipeline, resume: bool
) -> None:
    clip = make_clip(tmp_path / "a.mkv", pts=range(5), container={"live": "1"})
    subject = SubjectOptions(choice="point", place=(30, 20), at_s=0.2)
    report = process(clip, background="red", subject=subject, resume=resume, pipeline=pipeline)
    assert report.frames == 5
    (line,) = [line for line in report.notices if "time" in line]
    assert line.startswith("the subject's time 0.2 s lies past the last frame at 0.16 s")
    in_time = replace(subject, at_s=0.16)
    report = process(clip, background="red", subject=in_time, pipeline=pipeline, overwrite=True)
    assert not [line for line in report.notices if "time" in line]
