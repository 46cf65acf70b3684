"""The table of outputs: which row an extension chooses, and what each row makes of a frame's format."""

from __future__ import annotations

import av
import pytest

from autohair_video.errors import OptionError
from autohair_video.frames import FrameFormat
from autohair_video.media import PRESETS, codec_format, preset_for, preset_named
from autohair_video.media.presets import (
    PURPOSES,
    Role,
    codec_pixel_format,
    premultiplied,
    preset_for_purpose,
    purposes_of,
)


@pytest.mark.parametrize(
    ("path", "role", "name"),
    [
        ("a.mp4", "composite", "h264"),
        ("a.MKV", "composite", "h264"),
        ("a.mov", "alpha", "prores4444"),
        ("a.mkv", "alpha", "ffv1-alpha"),
        ("a.%05d.exr", "alpha", "exr"),
        ("a.webm", "composite", "av1"),
        ("a.webm", "alpha", "vp9-alpha"),
        ("a.mkv", "matte", "ffv1-matte"),
        ("a.mp4", "matte", "h264-matte"),
        ("a.%05d.png", "matte", "png-sequence"),
    ],
)
def test_the_extension_chooses(path: str, role: Role, name: str) -> None:
    assert preset_for(path, role=role) is preset_named(name)


@pytest.mark.parametrize(
    ("path", "role", "accepted"),
    [
        ("a.avi", "composite", ".mp4, .m4v, .mov, .mkv, .webm"),
        ("a.mp4", "alpha", ".mov, .webm, .mkv, .avi, name.%05d.png"),
        ("a.png", "matte", "name.%05d.png"),
        ("a", "alpha", ".mov, .webm"),
        ("a.exr", "alpha", "name.%05d.exr"),
    ],
)
def test_what_is_accepted_is_named(path: str, role: Role, accepted: str) -> None:
    with pytest.raises(OptionError, match=accepted):
        preset_for(path, role=role)
    with pytest.raises(OptionError, match=", ".join(PRESETS)):
        preset_named("h263")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("depth", [8, 9, 10, 12])
@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("size", [(64, 48), (17, 33), (16, 33)])
def test_every_row_asks_its_encoder_for_what_it_takes(
    preset: str, depth: int, subsampling: tuple[int, int], size: tuple[int, int]
) -> None:
    row = PRESETS[preset]
    if min(size) < row.min_side_px or size[0] % row.width_step:
        size = (64, 48)
    fmt = FrameFormat(*size, depth, *subsampling)
    codec = av.codec.Codec(row.codec, "w")
    assert codec_pixel_format(row, fmt) in {taken.name for taken in codec.video_formats or []}
    wanted = codec_format(row, fmt)
    assert codec_format(row, wanted) == wanted


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((8, 2, 2), "yuv420p"),
        ((8, 1, 1), "yuv444p"),
        ((9, 2, 1), "yuv422p10le"),
        ((12, 2, 2), "yuv420p10le"),
    ],
)
def test_h264_keeps_depth_and_chroma_as_far_as_it_can(source: tuple[int, int, int], target: str) -> None:
    assert codec_pixel_format(PRESETS["h264"], FrameFormat(64, 48, *source)) == target


@pytest.mark.parametrize(
    ("purpose", "role", "path", "name"),
    [
        ("premiere", "alpha", None, "prores4444"),
        ("after-effects", "alpha", "a.%04d.png", "png"),
        ("obs", "alpha", None, "vp9-alpha"),
        ("nuke", "alpha", None, "exr"),
        ("web", "alpha", "a.mp4", "stacked"),
        ("resolve", "composite", None, "prores422"),
        ("web", "composite", None, "h264"),
    ],
)
def test_a_program_gets_what_it_takes(purpose: str, role: Role, path: str | None, name: str) -> None:
    chosen = preset_for_purpose(purpose, role=role)
    assert (chosen if path is None else preset_for(path, role=role, purpose=purpose)).name == name


def test_a_purpose_refuses_files_it_cannot_open() -> None:
    with pytest.raises(OptionError, match=r"for nuke is written to name.%05d.exr"):
        preset_for("a.webm", role="alpha", purpose="nuke")
    with pytest.raises(OptionError, match="unknown purpose 'vegas': use premiere, resolve"):
        preset_for_purpose("vegas", role="alpha")


def test_sizes_that_a_codec_does_not_take_are_refused() -> None:
    with pytest.raises(OptionError, match="multiples of 16"):
        codec_format(PRESETS["cineform"], FrameFormat(65, 48))
    with pytest.raises(OptionError, match="from 32 px"):
        codec_format(PRESETS["cineform"], FrameFormat(64, 16))


def test_only_formats_with_a_choice_become_premultiplied() -> None:
    assert premultiplied(PRESETS["prores4444"]).alpha == "premultiplied"
    with pytest.raises(OptionError, match="straight by definition"):
        premultiplied(PRESETS["png"])
    with pytest.raises(OptionError, match="no alpha plane"):
        premultiplied(PRESETS["h264"])


def test_every_composite_and_cut_out_says_for_whom_it_is_or_is_an_archive_format() -> None:
    silent = {row.name for row in PRESETS.values() if row.role != "matte" and not purposes_of(row)}
    assert silent == {"ffv1-alpha", "h265"}
    assert all(name in PRESETS for names in PURPOSES.values() for name in names)
