"""Stills and animations, distinguished by content."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from autohair_video.compositing.background import open_background
from autohair_video.errors import InputError
from autohair_video.media import ClipReader, Source, read_image
from tests.helpers.clips import make_clip, picture

KINDS = {
    "a.jfif": "JPEG",
    "a.jpe": "JPEG",
    "photo": "JPEG",
    "upload.dat": "PNG",
    "a.avif": "AVIF",
    "a.jp2": "JPEG2000",
    "a.ppm": "PPM",
    "a.tga": "TGA",
    "a.png": "PNG",
    "a.webp": "WEBP",
    "a.tif": "TIFF",
    "a.bmp": "BMP",
}


@pytest.mark.parametrize("name", KINDS)
def test_images_are_stills_whatever_their_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(picture(3, 64, 48)).save(path, KINDS[name], quality=95)
    assert Source.of(path).is_still
    batch = read_image(path)
    rgb = torch.cat(batch.planes, dim=1)[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(rgb - picture(3, 64, 48)).mean() < 6


def _animation(count: int = 4) -> list[Image.Image]:
    frames = []
    for index in range(count):
        rgba = np.dstack([picture(index, 32, 24), np.full((24, 32), 40 + 50 * index, np.uint8)])
        rgba[:, :8, 3] = 255
        frames.append(Image.fromarray(rgba))
    return frames


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_animations_are_clips_with_their_times_and_alpha(tmp_path: Path, name: str) -> None:
    path, frames = tmp_path / name, _animation()
    lossless = {"lossless": True, "exact": True} if name == "a.webp" else {}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[80, 120, 40, 200], loop=0, **lossless
    )
    assert not Source.of(path).is_still
    with ClipReader(path, keep_alpha=True) as reader:
        batches = list(reader)
        begins = [float(pts * reader.time_base) for b in batches for pts in b.pts]
    assert begins == pytest.approx([0, 0.08, 0.2, 0.24])
    assert float(batches[-1].durations[-1] * reader.time_base) == pytest.approx(0.2, abs=0.17)
    for index, frame in enumerate(frames):
        alpha = torch.cat([b.alpha for b in batches if b.alpha is not None])[index, 0]
        wanted = np.asarray(frame)[..., 3] / 255
        assert np.abs(alpha.numpy() - wanted).max() < 0.01
        red = torch.cat([b.planes[0] for b in batches])[index, 0].numpy().astype(int)
        assert np.abs(red - np.asarray(frame)[..., 0]).max() <= 1


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_an_animated_background_moves(tmp_path: Path, name: str) -> None:
    path, frames = tmp_path / name, _animation()
    opaque = [frame.convert("RGB") for frame in frames]
    opaque[0].save(path, save_all=True, append_images=opaque[1:], duration=100, loop=0)
    background = open_background(str(path), 32, 24)
    shown = background.rgb_at([Fraction(0), Fraction(1, 5), Fraction(2, 5)])
    assert not torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], shown[2])
    background.close()


def test_a_movie_without_extension_is_a_clip(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4").rename(tmp_path / "upload")
    assert not Source.of(clip).is_still


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", ".png"), ("LA", ".png"), ("RGBA", ".webp"), ("RGBA", ".tif")]
)
def test_a_stills_alpha_is_kept(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    alpha = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1))
    image = Image.fromarray(np.dstack([picture(0, 32, 24), alpha])).convert(mode)
    image.save(path, lossless=True, exact=True) if suffix == ".webp" else image.save(path)
    batch = read_image(path, keep_alpha=True)
    assert batch.alpha is not None
    assert np.abs(batch.alpha[0, 0].numpy() * 255 - alpha).max() < 0.51
    assert read_image(path).alpha is None
    if mode == "RGBA":
        rgb = torch.cat(batch.planes, dim=1)[0].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(rgb - picture(0, 32, 24))[:, 1:].max() <= 1


def test_sixteen_bit_alpha_and_exif_orientation(tmp_path: Path) -> None:
    rgba = np.dstack([picture(0, 32, 24), np.full((24, 32), 9, np.uint8)]).astype(np.uint16) * 257
    rgba[:, :16, 3] = 65535
    cv2.imwrite(str(tmp_path / "a.png"), rgba)
    batch = read_image(tmp_path / "a.png", keep_alpha=True)
    assert batch.alpha is not None
    assert batch.alpha[0, 0, 0, 0] == 1
    assert batch.alpha[0, 0, 0, -1] == pytest.approx(9 / 255, abs=1e-4)
    turned = Image.fromarray((rgba // 257).astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.webp", exif=exif, lossless=True, exact=True)
    batch = read_image(tmp_path / "b.webp", keep_alpha=True)
    assert batch.alpha is not None
    assert batch.alpha.shape[2:] == (batch.format.height, batch.format.width)


def test_white_of_five_bits_is_white(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as output:
        stream = output.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb555le"
        frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 255, np.uint8), format="rgb24")
        output.mux(stream.encode(frame.reformat(format="rgb555le")))
        output.mux(stream.encode(None))
    with ClipReader(tmp_path / "a.avi") as reader:
        assert reader.info.pixel_format == "rgb555le"
        assert all(plane.min() == 255 for plane in next(iter(reader)).planes)


def test_an_animation_that_is_cut_short_gets_one_line(tmp_path: Path) -> None:
    frames = _animation()
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        ClipReader(path)
    assert "\n" not in str(caught.value)
