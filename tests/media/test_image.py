"""Still images: orientation, depth, alpha, round trips, and their one-line errors."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from autohair_video.errors import InputError, OptionError, OutputError
from autohair_video.media import read_gray, read_image, to_rgb, write_image
from tests.helpers.clips import picture


def _with_orientation(path: Path, orientation: int) -> Path:
    """Puts an EXIF block with the given orientation tag into a JPEG file."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp", ".jpg"])
def test_an_image_is_read_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), picture(0, 40, 30)[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])
    batch = read_image(path)
    assert (batch.format.is_rgb, batch.format.bit_depth, batch.pts) == (True, 8, (0,))
    rgb = torch.cat(batch.planes, dim=1)[0].permute(1, 2, 0).numpy()
    # JPEG has 4:2:0 chroma, soft at the edges of the colour areas.
    error = np.abs(rgb.astype(int) - picture(0, 40, 30))
    assert error.max() == 0 if suffix != ".jpg" else error.mean() < 4


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), picture(0, 40, 30))
    fmt = read_image(_with_orientation(path, 6)).format
    assert (fmt.width, fmt.height) == (30, 40)
    # Orientation 6: the first row is the right-hand side, so the bright quarter goes top right.
    luma = read_gray(path)[0, 0].float()
    assert luma[:18, 17:].mean() > 1.5 * luma[:18, :13].mean()


def test_sixteen_bit_becomes_twelve(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    levels = np.linspace(0, 65535, 64).astype(np.uint16)
    cv2.imwrite(str(path), np.repeat(levels[None, :, None], 3, axis=2))
    batch = read_image(path)
    assert batch.format.bit_depth == 12
    wanted = torch.from_numpy(levels.astype(np.float32)) / 65535
    assert (to_rgb(batch)[0, 0, 0] - wanted).abs().max() <= 0.51 / 4095


def test_alpha_is_dropped_and_the_colour_under_it_kept(tmp_path: Path) -> None:
    rgba = torch.tensor([200, 100, 50, 0], dtype=torch.uint8).view(4, 1, 1).expand(4, 5, 7)
    write_image(tmp_path / "a.png", rgba)
    assert [int(plane[0, 0, 0, 0]) for plane in read_image(tmp_path / "a.png").planes] == [200, 100, 50]


def test_gray_images_become_rgb(tmp_path: Path) -> None:
    gray = torch.arange(35, dtype=torch.uint8).view(1, 5, 7)
    write_image(tmp_path / "a.png", gray)
    assert torch.equal(read_gray(tmp_path / "a.png")[0], gray)
    assert all(torch.equal(plane[0], gray) for plane in read_image(tmp_path / "a.png").planes)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_written_images_round_trip(tmp_path: Path, channels: int, dtype: torch.dtype, suffix: str) -> None:
    top = 255 if dtype is torch.uint8 else 65535
    values = torch.linspace(0, top, channels * 6 * 5).round().int().numpy()
    image = torch.from_numpy(values.astype(np.uint8 if top == 255 else np.uint16))
    path = tmp_path / f"a{suffix}"
    write_image(path, image.view(1, channels, 6, 5))
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored = stored.reshape(6, 5, -1)[:, :, {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]]
    assert np.array_equal(np.moveaxis(stored, 2, 0), values.reshape(channels, 6, 5))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    rgba = torch.zeros(4, 5, 5, dtype=torch.uint8)
    with pytest.raises(OptionError, match="has no alpha"):
        write_image(tmp_path / "a.jpg", rgba)
    with pytest.raises(OptionError, match="has no 16 bit"):
        write_image(tmp_path / "a.webp", rgba.to(torch.uint16))
    with pytest.raises(OptionError, match="no image extension"):
        write_image(tmp_path / "a.gif", rgba)
    with pytest.raises(OutputError, match="does not exist"):
        write_image(tmp_path / "none" / "a.png", rgba)
    assert not list(tmp_path.iterdir())


def test_an_existing_image_is_replaced_only_when_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for level, overwrite in ((10, False), (20, True)):
        write_image(path, torch.full((1, 3, 3), level, dtype=torch.uint8), overwrite=overwrite)
    with pytest.raises(OutputError, match="exists"):
        write_image(path, torch.zeros(1, 3, 3, dtype=torch.uint8))
    assert int(read_gray(path).max()) == 20


def test_bad_images_get_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    cv2.imwrite(str(tmp_path / "float.tif"), np.zeros((4, 4, 3), np.float32))
    wrong = {
        "missing.png": "does not exist",
        "empty.png": "is empty",
        "text.png": "is not an image",
        "float.tif": "floating-point",
    }
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            read_image(tmp_path / name)


def test_an_interrupted_image_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Path, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8))
    assert not list(tmp_path.iterdir())
