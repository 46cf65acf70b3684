"""Still images through OpenCV: RGB planes in, gray, RGB or straight RGBA out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from autohair_video.errors import InputError, OptionError, OutputError
from autohair_video.frames import MATRIX_RGB, FrameBatch, FrameFormat
from autohair_video.media.atomic_output import StagedOutput, check_output
from autohair_video.media.decode import check_input_file
from autohair_video.media.image_type import IMAGE_EXTENSIONS
from autohair_video.media.orientation import Orientation

_ALPHA_EXTENSIONS: Final = (".png", ".webp", ".tif", ".tiff")
_DEEP_EXTENSIONS: Final = (".png", ".tif", ".tiff")
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
# The empty last chunk with its checksum. libpng prints its own line about a file without it.
_PNG_END: Final = b"IEND\xaeB`\x82"
_EXIF_WAYS: Final = tuple(Orientation(*bits) for bits in product((False, True), repeat=3))
_PRIMARIES_BT709: Final = 1
_TRANSFER_SRGB: Final = 13


def is_image(path: str | Path) -> bool:
    """Whether ``path`` names a still image, by its extension.

    >>> is_image("photo.JPG"), is_image("clip.mp4")
    (True, False)
    """
    return Path(path).suffix.lower() in IMAGE_EXTENSIONS


def read_image(path: str | Path, *, keep_alpha: bool = False) -> FrameBatch:
    """An image as one frame of RGB planes with pts 0, upright as its EXIF orientation says.

    Files of 8 bit give 8-bit planes, files of 16 bit give 12-bit planes. Gray becomes RGB; the colour under
    alpha is kept as stored (straight). ``keep_alpha``: hand out the file's alpha, if it has any.

    Raises:
        InputError: the file is missing, empty, not an image, or holds floating-point samples.
    """
    pixels = _load(Path(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    alpha = _load_alpha(Path(path), pixels) if keep_alpha else None
    depth = 8
    if pixels.dtype == np.uint16:
        depth = 12
        pixels = ((pixels.astype(np.uint32) * 4095 + 32767) // 65535).astype(np.int16)
    blue, green, red = (torch.from_numpy(np.ascontiguousarray(p)) for p in np.moveaxis(pixels, 2, 0))
    height, width = red.shape
    fmt = FrameFormat(
        width,
        height,
        bit_depth=depth,
        subsample_x=1,
        subsample_y=1,
        matrix=MATRIX_RGB,
        full_range=True,
        primaries=_PRIMARIES_BT709,
        transfer=_TRANSFER_SRGB,
    )
    planes = red[None, None], green[None, None], blue[None, None]
    return FrameBatch(planes, fmt, pts=(0,), durations=(0,), time_base=Fraction(1), alpha=alpha)


def read_gray(path: str | Path) -> Tensor:
    """A trimap or mask as (1, 1, H, W) uint8; colour is weighed to gray, 16 bit reduced to 8.

    Raises:
        InputError: as `read_image`.
    """
    return torch.from_numpy(_load(Path(path), cv2.IMREAD_GRAYSCALE))[None, None]


def image_depth(path: str | Path, *, alpha: bool = False) -> int:
    """Bits per sample, 8 or 16, that the image format of ``path`` holds at most.

    >>> image_depth("matte.png"), image_depth("photo.jpg")
    (16, 8)

    Raises:
        OptionError: the format is unknown, or ``alpha`` is asked for and it has none.
    """
    extension = Path(path).suffix.lower()
    if extension not in IMAGE_EXTENSIONS:
        raise OptionError(f"{path} has no image extension: use {', '.join(IMAGE_EXTENSIONS)}")
    if alpha and extension not in _ALPHA_EXTENSIONS:
        raise OptionError(f"{path}: {extension} has no alpha; use {', '.join(_ALPHA_EXTENSIONS)}")
    return 16 if extension in _DEEP_EXTENSIONS else 8


def write_image(path: str | Path, image: Tensor, *, overwrite: bool = False) -> None:
    """Writes gray, RGB or straight RGBA, atomically; the extension chooses the format.

    ``image``: (C, H, W) or (1, C, H, W) with C of 1, 3 or 4; uint8, or uint16 where the format has
    16 bit.

    Raises:
        OptionError: the format is unknown, or cannot hold alpha or 16 bit.
        OutputError: the file exists and ``overwrite`` is false, or it cannot be written.
    """
    path = Path(path)
    _check_image_format(path, image)
    check_output(path, overwrite=overwrite)
    pixels = np.moveaxis(image.reshape(image.shape[-3:]).cpu().numpy(), 0, 2)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    written, data = cv2.imencode(path.suffix, np.ascontiguousarray(pixels[:, :, order]))
    if not written:
        raise OutputError(f"cannot encode {path} as an image")
    staged = StagedOutput(path)
    try:
        staged.work_path.write_bytes(data.tobytes())
    except OSError as exc:
        staged.discard()
        raise OutputError(f"cannot write {path} ({exc.strerror})") from exc
    except BaseException:
        # Ctrl-C too leaves nothing behind.
        staged.discard()
        raise
    staged.commit()


def _check_image_format(path: Path, image: Tensor) -> None:
    channels = image.shape[-3]
    if channels not in (1, 3, 4) or image.dtype not in (torch.uint8, torch.uint16):
        raise ValueError(f"an image of shape {tuple(image.shape)} and {image.dtype}")
    depth = image_depth(path, alpha=channels == 4)
    if image.dtype == torch.uint16 and depth < 16:
        raise OptionError(f"{path}: {path.suffix} has no 16 bit; use {', '.join(_DEEP_EXTENSIONS)}")


def _load(path: Path, flags: int) -> NDArray[Any]:
    check_input_file(path, "image")
    try:
        # Bytes, not the path: OpenCV cannot open every name that the system allows.
        data = np.fromfile(path, np.uint8)
        if data[:8].tobytes() == _PNG_START and _PNG_END not in data[-4096:].tobytes():
            raise InputError(f"{path} is cut short: its end is missing")
        with silenced_opencv():
            pixels = cv2.imdecode(data, flags)
        if pixels is None or (pixels.dtype == np.uint8 and _is_premultiplied_by_opencv(path, data)):
            pixels = _decoded_by_pillow(path, flags)
    except (OSError, cv2.error) as exc:
        raise InputError(f"{path} cannot be read as an image") from exc
    if pixels is None:
        raise InputError(f"{path} is not an image that can be read")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} holds floating-point samples: save it with 8 or 16 bit first")
    return pixels


_opencv_lock = Lock()
_opencv_silencers = 0
_opencv_level = 0


@contextmanager
def _pillow_image(path: Path) -> Iterator[Image.Image]:
    """An opened file; what Pillow warns of in a damaged one is the caller's to report."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            yield image


def _is_premultiplied_by_opencv(path: Path, data: NDArray[np.uint8]) -> bool:
    """Whether a file is TIFF with straight alpha, by which OpenCV multiplies colours of 8 bit."""
    if data[:4].tobytes() not in (b"II*\0", b"MM\0*"):
        return False
    try:
        with _pillow_image(path) as image:
            return image.mode in ("RGBA", "LA")
    except (OSError, ValueError, SyntaxError):
        return False


def _decoded_by_pillow(path: Path, flags: int) -> NDArray[Any] | None:
    """What OpenCV does not read (Targa, in some builds AVIF), as BGR; None if Pillow fails too."""
    try:
        with _pillow_image(path) as image:
            upright = ImageOps.exif_transpose(image)
            if flags == cv2.IMREAD_GRAYSCALE:
                return np.asarray(upright.convert("L"))
            if flags == cv2.IMREAD_UNCHANGED and "A" in upright.getbands():
                return np.ascontiguousarray(np.asarray(upright.convert("RGBA"))[..., [2, 1, 0, 3]])
            return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[..., ::-1])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _load_alpha(path: Path, colours: NDArray[Any]) -> Tensor | None:
    """(1, 1, H, W) float32 in 0..1, turned by EXIF as ``colours`` were; None without alpha."""
    stored = _load(path, cv2.IMREAD_UNCHANGED)
    if stored.ndim != 3 or stored.shape[2] != 4:
        return None
    turned = next((way for way in _EXIF_WAYS if _same(way.apply(stored), colours)), Orientation())
    alpha = turned.apply(stored[..., 3]).astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    if alpha.shape != colours.shape[:2]:
        return None
    return torch.from_numpy(np.ascontiguousarray(alpha))[None, None]


def _same(stored: NDArray[Any], colours: NDArray[Any]) -> bool:
    return stored.shape[:2] == colours.shape[:2] and np.array_equal(stored[..., :3], colours)


@contextmanager
def silenced_opencv() -> Iterator[None]:
    """Silences OpenCV on stderr: errors say the same better.

    Its log level is global: it is restored when the last of several threads leaves.
    """
    global _opencv_silencers, _opencv_level
    logging = cv2.utils.logging
    with _opencv_lock:
        if _opencv_silencers == 0:
            _opencv_level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        _opencv_silencers += 1
    try:
        yield
    finally:
        with _opencv_lock:
            _opencv_silencers -= 1
            if _opencv_silencers == 0:
                logging.setLogLevel(_opencv_level)
