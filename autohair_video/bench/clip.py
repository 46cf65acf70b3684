"""The clip to time: a given one, at its size or scaled, or a generated talking head.

The talking head is a public-domain portrait with its alpha (see samples/README.md) that sways over
an out-of-focus room, with camera noise: the networks get a person with hair, and an unknown band as wide
as in real clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autohair_video.frames import MATRIX_BT709, FrameBatch, FrameFormat
from autohair_video.matting.segmentation import scale_to
from autohair_video.media.colour import from_rgb, round_planes, to_rgb
from autohair_video.media.decode import check_input_file
from autohair_video.media.presets import preset_named
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter

SIZES: Final = MappingProxyType(
    {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
)

_RATE: Final = 25
# Height of the portrait relative to the frame's.
_PERSON_HEIGHT: Final = 0.96
_NOISE: Final = 0.008

_Image = NDArray[np.float32]


@dataclass(frozen=True)
class BenchClip:
    """A clip, its name for reports, its size, and the end in seconds of the frames to time (None: all)."""

    path: Path
    name: str
    width: int
    height: int
    end_s: float | None = None


def check_source(clip: Path | None) -> None:
    """Raises InputError if there is no such clip, before anything is loaded."""
    if clip is not None:
        check_input_file(clip, "clip")


def prepare(folder: Path, clip: Path | None, size: str | None, frames: int, *, copied: bool) -> BenchClip:
    """The clip to time, its first ``frames`` frames.

    Args:
        folder: folder of a generated or copied clip.
        clip: the given clip; None generates one.
        size: a key of `SIZES`; None keeps the clip's size.
        frames: how many frames at most.
        copied: whether the file must hold exactly those frames.

    Raises:
        InputError: the clip cannot be read.
    """
    path = folder / "clip.mp4"
    if clip is None:
        width, height = SIZES[size or "720p"]
        images = (_as_tensor(image) for image in talking_head(width, height, frames))
        return _write_clip(path, "talking head", images, width, height)
    with ClipReader(clip, batch_size=1) as reader:
        width, height = reader.format.width, reader.format.height
        if size is None and not copied:
            return BenchClip(clip, clip.name, width, height, _end_s(reader, frames))
        if size is not None:
            width, height = _even(width * SIZES[size][1] / height), SIZES[size][1]
        images = (scale_to(to_rgb(batch), height, width) for batch in islice(reader, frames))
        return _write_clip(path, clip.name, images, width, height)


def talking_head(width: int, height: int, frames: int, *, person_px: int | None = None) -> Iterator[_Image]:
    """Frames (height, width, 3) float32 RGB in 0..1 of a person who sways; the same on every run.

    ``person_px``: height of the person in pixels; without it, almost that of the frame.
    """
    rng = np.random.default_rng(6)
    person, background = _person_layer(), _background(width, height, rng)
    scale = (person_px or _PERSON_HEIGHT * height) / person.shape[0]
    noise = rng.normal(0, _NOISE, (height, width, 1)).astype(np.float32)
    for index in range(frames):
        t = index / _RATE
        lean = 0.02 * np.sin(0.9 * t) + 0.006 * np.sin(3.1 * t)
        place = cv2.getRotationMatrix2D((person.shape[1] / 2, person.shape[0]), 60 * lean, scale)
        place[:, 2] += (width / 2 - person.shape[1] / 2 + lean * height, height - person.shape[0])
        layer = cv2.warpAffine(person, place, (width, height), flags=cv2.INTER_CUBIC)
        frame = layer[..., :3] + (1 - layer[..., 3:]) * background
        frame += np.roll(noise, (7 * index, 131 * index), axis=(0, 1))
        yield np.clip(frame, 0, 1)


def _person_layer() -> _Image:
    """(h, w, 4) premultiplied RGB and alpha in 0..1."""
    data = np.frombuffer((files("autohair_video.bench") / "sitter.webp").read_bytes(), np.uint8)
    pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.float32) / 255
    alpha = pixels[..., 3:]
    return np.ascontiguousarray(np.concatenate([pixels[..., 2::-1] * alpha, alpha], axis=2))


def _background(width: int, height: int, rng: np.random.Generator) -> _Image:
    """A wall with coloured boxes, far out of focus."""
    background = np.full((90, 160, 3), (0.60, 0.58, 0.54), np.float32)
    for _ in range(40):
        left, top = int(rng.integers(160)), int(rng.integers(90))
        colour = rng.uniform(0.15, 0.85, 3).tolist()
        cv2.rectangle(background, (left, top), (left + 14, top + 22), colour, -1)
    background = np.asarray(cv2.GaussianBlur(background, (0, 0), 3), np.float32)
    return np.asarray(cv2.resize(background, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _as_tensor(image: _Image) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))


def _end_s(reader: ClipReader, frames: int) -> float | None:
    first: int | None = None
    for index, batch in enumerate(reader):
        first = batch.pts[0] if first is None else first
        if index == frames:
            return float((batch.pts[0] - first) * reader.time_base)
    return None


def _write_clip(path: Path, name: str, images: Iterable[Tensor], width: int, height: int) -> BenchClip:
    fmt = FrameFormat(width, height, matrix=MATRIX_BT709, primaries=1, transfer=1)
    with ClipWriter(path, preset_named("h264"), fmt, Fraction(1, _RATE)) as writer:
        for index, image in enumerate(images):
            planes = round_planes(from_rgb(image, fmt), fmt)
            writer.write(FrameBatch(planes, fmt, (index,), (1,), Fraction(1, _RATE)))
    return BenchClip(path, name, width, height)
