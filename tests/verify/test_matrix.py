"""Every format with clips of every kind, by our own verification and by the system's FFmpeg."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import NTSC_FILM, VFR_MS, join_tracks, make_clip, make_sound, rotate_clip, timeline
from numpy.typing import NDArray
from writing import disc, write

from autohair_video.media import PRESETS, Preset, probe
from autohair_video.media.presets import premultiplied
from autohair_video.verify import verify_as

PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
WIDE = (96, 64)
# The formats that clips of every kind go through; the others take the two hardest.
MAIN = ("prores4444", "vp9-alpha", "ffv1-alpha", "h264", "h265", "ffv1-matte")
HARD_KINDS = ("vfr", "ten bit")


def _vfr(folder: Path) -> Path:
    return make_clip(
        folder / "in.mp4", size=WIDE, pts=VFR_MS[:4], time_base=Fraction(1, 1000), last=40, sound="aac"
    )


def _film(folder: Path) -> Path:
    return make_clip(folder / "in.mp4", size=WIDE, pts=range(4), time_base=NTSC_FILM)


def _rotated(folder: Path) -> Path:
    return rotate_clip(make_clip(folder / "in.mp4", size=WIDE, pts=range(3)), (0, 1, -1, 0))


def _ten_bit(folder: Path) -> Path:
    return make_clip(folder / "in.mp4", size=WIDE, pts=range(3), pixel_format="yuv420p10le", tags=PQ)


def _odd(folder: Path) -> Path:
    return make_clip(folder / "in.mkv", size=(67, 49), pts=range(3), codec="ffv1", pixel_format="yuv420p")


def _many_tracks(folder: Path) -> Path:
    clip = make_clip(folder / "film.mp4", size=WIDE, pts=range(10))
    tones = [make_sound(folder / f"{n}.m4a", channels=n) for n in (1, 2)]
    return join_tracks(clip, *tones, target=folder / "in.mkv", subtitles="Hello")


KINDS: dict[str, Callable[[Path], Path]] = {
    "vfr": _vfr,
    "23.976": _film,
    "rotated": _rotated,
    "ten bit": _ten_bit,
    "odd": _odd,
    "tracks": _many_tracks,
}


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """The system's ffprobe, which README's test command installs."""
    path = shutil.which("ffprobe")
    if path is None:
        pytest.skip("no ffprobe on this system")
    return path


def _told(ffprobe: str, path: Path) -> dict[str, Any]:
    entries = "packet=stream_index,pts_time,duration_time:stream"
    call = [ffprobe, "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    told: dict[str, Any] = json.loads(subprocess.run(call, capture_output=True, check=True).stdout)
    return told


def _cases() -> list[tuple[str, str]]:
    cases = []
    for name, row in PRESETS.items():
        for kind in KINDS if name in MAIN else HARD_KINDS:
            if not (name == "utvideo" and kind == "vfr") and not (kind == "odd" and row.width_step > 1):
                cases.append((name, kind))
    return cases


@pytest.mark.parametrize(("name", "kind"), _cases())
def test_the_matrix(tmp_path: Path, ffprobe: str, name: str, kind: str) -> None:
    source, row = KINDS[kind](tmp_path), PRESETS[name]
    target = tmp_path / f"out{row.default_extension}"
    write(source, target, row)
    result = verify_as(row, source, target)
    assert result.failures == ()
    if not row.is_numbered and name != "webp":
        _check_by_ffprobe(_told(ffprobe, target), row, source)


def _check_by_ffprobe(told: dict[str, Any], row: Preset, source: Path) -> None:
    (video,) = (s for s in told["streams"] if s["codec_type"] == "video")
    times = [float(p["pts_time"]) for p in told["packets"] if p["stream_index"] == video["index"]]
    slack = {"mp4": 1e-6, "mov": 1e-6, "gif": 0.011}.get(next(iter(row.muxers.values())), 0.0011)
    begins = [float(begin) for begin, _ in timeline(source)]
    shift = begins[0] if "gif" in row.muxers.values() or row.name == "apng" else 0
    if row.name != "apng":
        assert sorted(times) == pytest.approx([begin - shift for begin in begins], abs=slack)
    info = probe(source)
    beside, below = row.arrangement == "side-by-side", row.arrangement == "stacked"
    size = info.format.width * (1 + beside), info.format.height * (1 + below)
    assert (video["width"], video["height"]) == size
    if info.format.transfer == 16 and row.role != "matte" and not row.is_rgb:
        tags = video["color_space"], video["color_primaries"], video["color_transfer"]
        assert tags == ("bt2020nc", "bt2020", "smpte2084")
        assert "10" in video["pix_fmt"] or "12" in video["pix_fmt"] or row.depths == (8,)
    if row.role != "matte" and set(row.muxers.values()) - {"gif", "apng"}:
        assert sum(s["codec_type"] == "audio" for s in told["streams"]) == len(info.audio)


@pytest.mark.parametrize(
    "name",
    # FFmpeg reads no animated WebP: the matrix reads it by OpenCV.
    [n for n, row in PRESETS.items() if row.role == "alpha" and row.arrangement == "single" and n != "webp"],
)
def test_another_ffmpeg_reads_the_alpha(tmp_path: Path, ffprobe: str, name: str) -> None:
    row, target = PRESETS[name], tmp_path / f"out{PRESETS[name].default_extension}"
    source = make_clip(tmp_path / "in.mp4", size=WIDE, pts=range(3))
    write(source, target, row)
    wanted = disc(*WIDE)[0, 0].numpy()
    if name == "gif":
        wanted = (wanted * 255 + 0.5 >= 128).astype(np.float32)
    deep = row.depths[0] > 8
    alpha = _alpha_by_ffmpeg(target, vp9=name == "vp9-alpha", deep=deep)
    assert alpha.shape == (3, 64, 96)
    # Half floats have 11 bits, ProRes is decoded to 12; VP9's and CineForm's alpha is not lossless.
    codecs = {"vp9-alpha": 12 / 255, "cineform": 2 / 255, "exr": 1 / 1023, "prores4444": 0.75 / 1023}
    slack = codecs.get(name)
    if slack is None:
        assert row.is_lossless or name == "gif"
        slack = 0.51 / ((1 << min(row.depths[0], 10)) - 1) + 1 / 65535
    assert np.abs(alpha - wanted).max() <= slack


def _alpha_by_ffmpeg(path: Path, *, vp9: bool, deep: bool) -> NDArray[np.float64]:
    decoder = ["-c:v", "libvpx-vp9"] if vp9 else []
    form = ["-pix_fmt", "rgba64le"]
    if path.suffix != ".exr":
        form = ["-vf", "alphaextract", "-pix_fmt", "gray16le" if deep else "gray"]
    call = ["ffmpeg", "-v", "error", *decoder, "-i", str(path), *form, "-f", "rawvideo", "-"]
    data = subprocess.run(call, capture_output=True, check=True).stdout
    samples = np.frombuffer(data, "<u2" if deep else np.uint8)
    samples = samples.reshape(-1, 64, 96, 4)[..., 3] if path.suffix == ".exr" else samples.reshape(-1, 64, 96)
    return samples / np.iinfo(samples.dtype).max


def test_premultiplied_colours_are_straight_ones_times_alpha(tmp_path: Path, ffprobe: str) -> None:
    source = make_clip(tmp_path / "in.mp4", size=WIDE, pts=range(2))
    pictures = {}
    for name, row in (("straight", PRESETS["animation"]), ("over", premultiplied(PRESETS["animation"]))):
        write(source, tmp_path / f"{name}.mov", row)
        call = ["ffmpeg", "-v", "error", "-i", str(tmp_path / f"{name}.mov"), "-pix_fmt", "rgba"]
        data = subprocess.run([*call, "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
        pictures[name] = np.frombuffer(data, np.uint8).reshape(-1, 64, 96, 4).astype(float) / 255
    alpha = pictures["straight"][..., 3:]
    assert (pictures["over"][..., 3:] == alpha).all()
    assert np.abs(pictures["over"][..., :3] - pictures["straight"][..., :3] * alpha).max() < 2 / 255
