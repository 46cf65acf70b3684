"""Every format with clips of every kind, by our own verification and by the system's FFmpeg."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from autohair_video.errors import OptionError, OutputError
from autohair_video.media import PRESETS, Preset, probe
from autohair_video.media.presets import premultiplied
from autohair_video.verify.runner import verify_output
from tests.helpers.clips import NTSC_FILM, VFR_MS, join_tracks, make_clip, make_sound, rotate_clip, timeline
from tests.helpers.writers import disc, write

PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
WIDE = (96, 64)


def _vfr(folder: Path) -> Path:
    return make_clip(
        folder / "in.mp4", size=WIDE, pts=VFR_MS[:4], time_base=Fraction(1, 1000), last=40, sound="aac"
    )


def _film(folder: Path) -> Path:
    return make_clip(folder / "in.mp4", size=WIDE, pts=range(4), time_base=NTSC_FILM, sound="aac")


def _rotated(folder: Path) -> Path:
    clip = make_clip(folder / "in.mp4", size=WIDE, pts=range(3), sound="aac")
    return rotate_clip(clip, (0, 1, -1, 0))


def _ten_bit(folder: Path) -> Path:
    return make_clip(
        folder / "in.mp4", size=WIDE, pts=range(3), pixel_format="yuv420p10le", tags=PQ, sound="aac"
    )


def _odd(folder: Path) -> Path:
    return make_clip(folder / "in.mkv", size=(67, 49), pts=range(3), codec="ffv1", sound="aac")


def _many_tracks(folder: Path) -> Path:
    clip = make_clip(folder / "film.mp4", size=WIDE, pts=range(10))
    tones = [make_sound(folder / f"{n}.m4a", channels=n) for n in (1, 2)]
    return join_tracks(clip, *tones, target=folder / "in.mkv", subtitles="Hello")


def _silent(folder: Path) -> Path:
    return make_clip(folder / "in.mp4", size=WIDE, pts=range(3))


KINDS: dict[str, Callable[[Path], Path]] = {
    "vfr": _vfr,
    "23.976": _film,
    "rotated": _rotated,
    "ten bit": _ten_bit,
    "odd": _odd,
    "tracks": _many_tracks,
    "silent": _silent,
}
# What a format cannot hold is refused, in these words.
REFUSED = {
    ("cineform", "odd"): "format cineform takes widths that are multiples of 16, not 67x49 px: choose",
    ("utvideo", "vfr"): "AVI holds frames of one rate, and this clip's varies",
}
CASES = [(name, kind) for name in PRESETS for kind in KINDS]


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """The system's ffprobe, which README's test command installs."""
    path = shutil.which("ffprobe")
    if path is None:
        pytest.skip("no ffprobe on this system")
    return path


def _probe(ffprobe: str, path: Path) -> dict[str, Any]:
    """Streams and packets; the video is decoded to count its frames."""
    entries = "packet=stream_index,pts_time,duration_time:stream:stream_side_data"
    form = ["-f", "image2"] if "%" in path.name else []
    call = [
        ffprobe,
        "-v",
        "error",
        *form,
        "-count_frames",
        "-show_entries",
        entries,
        "-of",
        "json",
        str(path),
    ]
    probed: dict[str, Any] = json.loads(subprocess.run(call, capture_output=True, check=True).stdout)
    return probed


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case not in REFUSED])
def test_the_matrix(tmp_path: Path, ffprobe: str, name: str, kind: str) -> None:
    source, row = KINDS[kind](tmp_path), PRESETS[name]
    target = tmp_path / f"out{row.default_extension}"
    notices: list[str] = []
    write(source, target, row, notices=notices)
    result = verify_output(row, source, target)
    assert result.failures == ()
    if name == "webp":
        # FFmpeg reads no animated WebP
        _check_webp(target, source)
        return
    probed = _probe(ffprobe, target)
    _check_video(probed, row, source)
    if not row.is_numbered:
        _check_times(probed, row, source)
        _check_tracks(probed, row, source, target, _probe(ffprobe, source), notices)


@pytest.mark.parametrize(("name", "kind"), REFUSED)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    source, row = KINDS[kind](tmp_path), PRESETS[name]
    before = sorted(tmp_path.iterdir())
    with pytest.raises((OptionError, OutputError), match=re.escape(REFUSED[name, kind])):
        write(source, tmp_path / f"out{row.default_extension}", row)
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "out.partial.avi"] == before


def _streams(probed: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [stream for stream in probed["streams"] if stream["codec_type"] == kind]


def _check_webp(target: Path, source: Path) -> None:
    """By libwebp, through Pillow."""
    times, fmt = timeline(source), probe(source).format
    with Image.open(target) as image:
        assert (image.size, image.n_frames) == ((fmt.width, fmt.height), len(times))
        for index, (_, length) in enumerate(times):
            image.seek(index)
            image.load()
            assert image.info["duration"] == pytest.approx(1000 * length, abs=1.1)


def _check_video(probed: dict[str, Any], row: Preset, source: Path) -> None:
    (video,) = _streams(probed, "video")
    assert int(video["nb_read_frames"]) == len(timeline(source))
    info = probe(source)
    beside, below = row.arrangement == "side-by-side", row.arrangement == "stacked"
    size = info.format.width * (1 + beside), info.format.height * (1 + below)
    assert (video["width"], video["height"]) == size
    assert not any("rotation" in data for data in video.get("side_data_list", ()))
    if info.format.transfer == 16 and row.role != "matte" and not row.is_rgb:
        tags = video["color_space"], video["color_primaries"], video["color_transfer"]
        assert tags == ("bt2020nc", "bt2020", "smpte2084")
    if info.format.bit_depth == 10 and max(row.depths) > 8:
        assert re.search("10|12|16|48|64|f32", video["pix_fmt"])


def _check_times(probed: dict[str, Any], row: Preset, source: Path) -> None:
    (video,) = _streams(probed, "video")
    packets = [p for p in probed["packets"] if p["stream_index"] == video["index"]]
    muxer = next(iter(row.muxers.values()))
    slack = {"mp4": 1e-6, "mov": 1e-6, "gif": 0.011}.get(muxer, 0.0011)
    given = timeline(source)
    if muxer == "apng":
        # Debian's ffprobe sees the stored rate, and not the pictures' own times
        return
    # these begin when they are shown
    shift = given[0][0] if muxer in ("gif", "avi") else 0
    begins = sorted(float(p["pts_time"]) for p in packets)
    assert begins == pytest.approx([float(begin - shift) for begin, _ in given], abs=slack)
    end = _end_s(video, packets)
    assert end == pytest.approx(float(sum(given[-1]) - shift), abs=2 * slack)


def _end_s(video: dict[str, Any], packets: list[dict[str, Any]]) -> float:
    """When the video ends: by the track's length where the container has one, else by its last packet."""
    if "duration" in video:
        return float(video.get("start_time", 0)) + float(video["duration"])
    return max(float(p["pts_time"]) + float(p["duration_time"]) for p in packets)


def _check_tracks(
    probed: dict[str, Any],
    row: Preset,
    source: Path,
    target: Path,
    given: dict[str, Any],
    notices: list[str],
) -> None:
    """Every sound track is there, in sync with the picture, copied or reported as re-encoded."""
    muxer = next(iter(row.muxers.values()))
    wanted, found = _streams(given, "audio"), _streams(probed, "audio")
    if row.role == "matte" or muxer in ("gif", "apng"):
        assert found == []
        return
    assert [s["channels"] for s in found] == [s["channels"] for s in wanted]
    copied = [s["codec_name"] for s in found] == [s["codec_name"] for s in wanted]
    assert copied != any("re-encoded" in line for line in notices)
    if wanted and copied:
        assert _hashes(target) == _hashes(source)
    for ours, theirs in zip(found, wanted, strict=True):
        # what is re-encoded has a lead-in of its own
        assert abs(_offset_s(probed, ours) - _offset_s(given, theirs)) < (0.003 if copied else 0.06)
    lines = len(_streams(given, "subtitle"))
    kept = len(_streams(probed, "subtitle"))
    assert kept == lines or any("subtitle track 1 (subrip) was left out" in line for line in notices)
    assert kept == lines or muxer != "matroska"


def _hashes(path: Path) -> list[str]:
    """A digest of each sound track's packets."""
    call = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a?", "-c", "copy"]
    done = subprocess.run([*call, "-f", "streamhash", "-"], capture_output=True, check=False, text=True)
    return [line.split(",")[-1] for line in done.stdout.splitlines()]


def _offset_s(probed: dict[str, Any], sound: dict[str, Any]) -> float:
    """How long after the picture a sound begins."""
    begins: dict[int, float] = {}
    for packet in probed["packets"]:
        time_s = float(packet["pts_time"])
        begins[packet["stream_index"]] = min(time_s, begins.get(packet["stream_index"], time_s))
    (video,) = _streams(probed, "video")
    return begins[sound["index"]] - begins[video["index"]]


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


@pytest.mark.parametrize("in_light", [False, True])
@pytest.mark.parametrize("name", ["prores4444", "ffv1-alpha", "animation", "cineform", "utvideo"])
def test_premultiplied_colours_are_straight_ones_times_alpha(
    tmp_path: Path, ffprobe: str, name: str, in_light: bool
) -> None:
    source = make_clip(tmp_path / "in.mp4", size=WIDE, pts=range(2), pixel_format="yuv444p")
    straight, over = PRESETS[name], premultiplied(PRESETS[name], in_light=in_light)
    pictures = []
    for number, row in enumerate((straight, over)):
        target = write(source, tmp_path / f"{number}{row.default_extension}", row)
        assert verify_output(row, source, target).failures == ()
        pictures.append(_rgba_by_ffmpeg(target))
    alpha = pictures[0][..., 3:]
    assert np.abs(pictures[1][..., 3:] - alpha).max() < 0.01
    colours = pictures[0][..., :3]
    wanted = _bt709(_light(colours) * alpha) if in_light else colours * alpha
    assert np.abs(pictures[1][..., :3] - wanted).max() < 5 / 255
    assert np.abs(_bt709(_light(colours) * alpha) - colours * alpha).max() > 0.1


def _rgba_by_ffmpeg(path: Path) -> NDArray[np.float64]:
    call = ["ffmpeg", "-v", "error", "-i", str(path), "-pix_fmt", "rgba64le", "-f", "rawvideo", "-"]
    data = subprocess.run(call, capture_output=True, check=True).stdout
    return np.frombuffer(data, "<u2").reshape(-1, 64, 96, 4) / 65535


def _light(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of ITU-R BT.709's curve, item 1.2."""
    return np.where(coded < 0.081, coded / 4.5, ((coded + 0.099) / 1.099) ** (1 / 0.45))


def _bt709(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
