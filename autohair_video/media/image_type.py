"""Whether a file is a still image, by its content: names lie, and many have no extension."""

from __future__ import annotations

from pathlib import Path
from typing import Final

IMAGE_EXTENSIONS: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
# Truevision's format has no signature.
_UNSIGNED_EXTENSIONS: Final = (".tga",)
# Many JPEG images in a row are a clip, and begin like one.
_MOTION_JPEG_EXTENSIONS: Final = (".mjpeg", ".mjpg")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: Final = (
    b"\xff\xd8\xff",  # JPEG
    b"II*\0",  # TIFF, little-endian
    b"MM\0*",  # TIFF, big-endian
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # JPEG 2000 codestream
    *(f"P{kind}{space}".encode() for kind in range(1, 8) for space in "\n "),  # Netpbm
)
# Sizes of the header that follows a BMP file's own, which begins with two letters only.
_BMP_HEADERS: Final = (12, 40, 52, 56, 64, 108, 124)
# VP8X chunk (RFC 9649, 2.7): the animation bit of its flags.
_WEBP_ANIMATED: Final = 0x02
_HEAD_BYTES: Final = 64


def is_still_image(path: Path) -> bool:
    """Whether a file is one image, not a clip; of a missing or unknown one by its extension.

    Animated WebP and PNG are clips, whatever they are called.
    """
    suffix = path.suffix.lower()
    by_name = suffix in (*IMAGE_EXTENSIONS, *_UNSIGNED_EXTENSIONS)
    # A pipe must not be read twice.
    if not path.is_file():
        return by_name
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return by_name
    if head.startswith(_PNG):
        return not is_animated(path)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return not is_animated(path)
    if head[4:8] == b"ftyp" and b"avif" in head[8:]:
        return b"avis" not in head[8:]
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return True
    is_signed = head.startswith(_SIGNATURES) and suffix not in _MOTION_JPEG_EXTENSIONS
    return is_signed or by_name


def is_animated(path: Path) -> bool:
    """Whether a PNG or WebP file holds an animation."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head[8:12] == b"WEBP":
            return head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ANIMATED)
        if not head.startswith(_PNG):
            return False
        # APNG: an acTL chunk before the first IDAT.
        file.seek(len(_PNG))
        while len(chunk := file.read(8)) == 8:
            if chunk[4:] in (b"IDAT", b"IEND"):
                return False
            if chunk[4:] == b"acTL":
                return True
            file.seek(int.from_bytes(chunk[:4], "big") + 4, 1)
    return False


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP animation, which FFmpeg cannot decode.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        is_webp = file.read(_HEAD_BYTES)[8:12] == b"WEBP"
    return is_webp and is_animated(path)
