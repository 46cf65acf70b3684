"""What inputs stand for, and reading those that are no plain files."""

from __future__ import annotations

import os
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import cv2
import numpy as np
import pytest
import torch

from autohair_video.compositing.background import open_background
from autohair_video.errors import InputError, OptionError, OutputError
from autohair_video.media import ClipReader, Source, check_output, find_sources, preset_named, to_rgb
from autohair_video.media.inputs import parse_rate
from tests.helpers.clips import make_clip, picture, sound_packets, timeline
from tests.helpers.writers import write


def _touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def _named(sources: list[Source], folder: Path) -> list[str]:
    return [str(Path(source.location).relative_to(folder)) for source in sources]


def test_a_folder_expands_to_clips_images_and_sequences(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _touch(folder, "b.MP4", "a.mov", "notes.txt", ".hidden.mp4", "photo.jpg", "IMG_7.jpg", "IMG_9.jpg")
    _touch(folder, "s.0098.exr", "s.0099.exr", "s.0100.exr", "t9.png", "t10.png", "t11.png")
    found = _named(find_sources([folder]), folder)
    assert found == ["IMG_7.jpg", "IMG_9.jpg", "a.mov", "b.MP4", "photo.jpg", "s.%04d.exr", "t%d.png"]
    (folder / "s.0100.exr").rename(folder / "s.0102.exr")
    assert "s.%04d.exr" not in _named(find_sources([folder]), folder)


NUMBERINGS = {
    "f01 to f12": ("f%02d.png", [f"f{n:02}.png" for n in range(1, 13)]),
    "f001 to f102": ("f%03d.png", [f"f{n:03}.png" for n in range(1, 103)]),
    "f998 to f1002": ("f%d.png", [f"f{n}.png" for n in range(998, 1003)]),
    "f1 to f12": ("f%d.png", [f"f{n}.png" for n in range(1, 13)]),
    "a gap": ("f%02d.png", [f"f{n:02}.png" for n in range(1, 13) if n != 7]),
}


@pytest.mark.parametrize(("pattern", "names"), NUMBERINGS.values(), ids=NUMBERINGS)
def test_a_folder_of_numbered_stills_is_one_clip(tmp_path: Path, pattern: str, names: list[str]) -> None:
    _touch(tmp_path / "in", *names)
    assert _named(find_sources([tmp_path / "in"]), tmp_path / "in") == [pattern]


def test_stills_that_are_not_numbered_in_a_row_are_single_images(tmp_path: Path) -> None:
    names = ["IMG_1001.jpg", "IMG_1007.jpg", "IMG_1020.jpg", "IMG_1044.jpg", "IMG_1051.jpg"]
    _touch(tmp_path / "in", *names)
    assert _named(find_sources([tmp_path / "in"]), tmp_path / "in") == names


def test_missing_stills_are_held_skipped_or_named(tmp_path: Path) -> None:
    for number in (1, 2, 3, 5, 6, 9):
        cv2.imwrite(str(tmp_path / f"f{number:02}.png"), np.full((8, 8, 3), number, np.uint8))
    with pytest.raises(
        InputError, match=r"still 4 and 2 more missing between 1 and 9: .*--missing hold or skip"
    ):
        ClipReader(tmp_path / "f%02d.png")
    shown = {}
    for missing in ("hold", "skip"):
        with ClipReader(Source.of(tmp_path / "f%02d.png", Fraction(25), missing)) as reader:
            batches = list(reader)
            assert [pts for b in batches for pts in b.pts] == list(
                range(len(torch.cat([b.planes[0] for b in batches])))
            )
        shown[missing] = torch.cat([batch.planes[0] for batch in batches])[:, 0, 0, 0].tolist()
    assert shown == {"hold": [1, 2, 3, 3, 5, 6, 6, 6, 9], "skip": [1, 2, 3, 5, 6, 9]}


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "c:\\users\\me\\clip.mp4", "2024-01-01T12:30:01.mp4", "rtmp://a.mp4"]
)
def test_a_file_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    clip = make_clip(tmp_path / "plain.mp4", sound="aac")
    Path(name).parent.mkdir(exist_ok=True, parents=True)
    clip.rename(name)
    (source,) = find_sources([name])
    assert not source.is_url
    with ClipReader(source) as reader:
        assert sum(len(batch) for batch in reader) == 12
    out = write(Path(name), Path("out:1.mp4"), preset_named("stacked"))
    assert len(timeline(out)) == 12
    assert sound_packets(out.rename("plain.mp4"))


def test_a_pipe_without_a_writer_is_refused(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "a.png")
    for name in ("a.mp4", "a.png"):
        with pytest.raises(InputError, match="is a pipe"):
            open_background(str(tmp_path / name), 8, 8)


def test_names_that_are_too_long_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        ClipReader(tmp_path / f"{'a' * 300}.mp4")
    with pytest.raises(OutputError, match="is too long: use at most 247 bytes"):
        check_output(tmp_path / f"{'a' * 250}.mp4", overwrite=False)
    clip = make_clip(tmp_path / f"{'b' * 246}.mp4")
    assert len(timeline(clip)) == 12


def test_inputs_are_taken_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "b.mp4", "a.mp4", "a.txt", "[x].mp4")
    monkeypatch.chdir(tmp_path)
    given = ["b.mp4", "*.mp4", "-", "https://example.com/a//b.mp4?c=*", "[x].mp4", "new.mp4"]
    wanted = ["b.mp4", "[x].mp4", "a.mp4", "-", "https://example.com/a//b.mp4?c=*", "new.mp4"]
    assert [source.location for source in find_sources(given)] == wanted
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no clip"):
        find_sources(["empty"])
    with pytest.raises(InputError, match="matches no file"):
        find_sources(["*.mxf"])


@pytest.mark.parametrize(
    ("location", "stem", "folder"),
    [
        ("in/a.b.mp4", "a.b", "in"),
        ("in/shot_####.png", "shot", "in"),
        ("in/%05d.exr", "sequence", "in"),
        ("http://example.com/", "stream", "."),
        ("-", "stdin", "."),
    ],
)
def test_outputs_are_named_after_the_input(location: str, stem: str, folder: str) -> None:
    source = Source.of(location)
    assert (source.stem, source.folder) == (stem, Path(folder))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
    ],
)
def test_rates_of_film_and_television_are_exact(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-24", "1/0", "fast", "nan"])
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"use 24, 23\.976"):
        parse_rate(text)


# Stills


def _write_stills(folder: Path, name: str, depth: int) -> None:
    for index in range(12):
        pixels = picture(index, 64, 48)[:, :, ::-1]
        data = pixels.astype(np.uint16) * 257 if depth == 16 else pixels
        assert cv2.imwrite(str(folder / (name % (index + 995))), data)


@pytest.mark.parametrize(
    ("name", "depth", "bits"),
    [("a.%04d.png", 8, 8), ("a.%04d.png", 16, 12), ("a_%d.jpg", 8, 8), ("a%06d.tif", 16, 12)],
)
def test_numbered_stills_are_a_clip(tmp_path: Path, name: str, depth: int, bits: int) -> None:
    folder = tmp_path / "100% of it"
    folder.mkdir()
    _write_stills(folder, name, depth)
    source = Source.of(folder / name, Fraction(24000, 1001))
    frame = Fraction(1001, 24000)
    with ClipReader(source, batch_size=12) as reader:
        assert reader.format.bit_depth == bits
        assert reader.info.expected_frames == 12
        batch = next(iter(reader))
    assert [pts * batch.time_base for pts in batch.pts] == [i * frame for i in range(12)]
    assert [pts * batch.time_base for pts in batch.durations] == [frame] * 12
    wanted = torch.from_numpy(np.stack([picture(i, 64, 48) for i in range(12)])).permute(0, 3, 1, 2)
    assert (to_rgb(batch) * 255 - wanted).abs().mean() < (2 if name.endswith("jpg") else 0.1)


def test_a_span_of_stills(tmp_path: Path) -> None:
    _write_stills(tmp_path, "a.%04d.png", 8)
    with ClipReader(Source.of(tmp_path / "a.####.png"), start_s=0.25, end_s=0.375, batch_size=9) as reader:
        batch = next(iter(reader))
        assert [pts * batch.time_base - reader.origin for pts in batch.pts] == [
            0,
            *(Fraction(i, 24) for i in (1, 2)),
        ]
    levels = to_rgb(batch)[:, 0, -1, -1] * 255
    assert levels.round().tolist() == [picture(i, 4, 4)[-1, -1, 0] for i in (6, 7, 8)]


def test_a_missing_still_is_named(tmp_path: Path) -> None:
    _write_stills(tmp_path, "a.%04d.png", 8)
    (tmp_path / "a.1000.png").unlink()
    with pytest.raises(InputError, match="still 1000 missing between 995 and 1006"):
        ClipReader(tmp_path / "a.####.png")


def test_exr_is_read_gamma_coded(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "l.%03d.exr"), "w", format="image2") as output:
        stream = output.add_stream("exr", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gbrpf32le"
        for index, light in enumerate((0.18, 1.0, 3.0)):
            frame = av.VideoFrame(64, 48, "gbrpf32le")
            for plane in frame.planes:
                np.frombuffer(memoryview(plane), np.float32)[:] = light
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with ClipReader(tmp_path / "l.###.exr") as reader:
        rgb = to_rgb(next(iter(reader)))
    # IEC 61966-2-1: 18 % gray is 0.461; what is brighter than white is white
    assert rgb.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.4614, 1, 1], abs=1e-3)


# From elsewhere


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_clip_is_read_from_a_server(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = find_sources([f"{address}/a.mp4"])
        with ClipReader(found[0]) as reader:
            times = [pts * reader.time_base for batch in reader for pts in batch.pts]
        with pytest.raises(InputError, match=r"/none\.mp4 .*404"):
            ClipReader(f"{address}/none.mp4")
        server.shutdown()
    assert times == [begin for begin, _ in timeline(clip)]
