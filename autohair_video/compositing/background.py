"""New backgrounds: an image, a looped video or a colour, as RGB images of the frame's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from autohair_video.errors import OptionError
from autohair_video.frames import FrameBatch
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import read_image
from autohair_video.media.inputs import Source
from autohair_video.media.reader import ClipReader

Seconds = float | Fraction

# Largest denominator of a time given as float, in 1/s: finer than any container's time base for video.
_MAX_DENOMINATOR: Final = 1_000_000


class Background(Protocol):
    """Images to composite the subject over, at the requested size."""

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """Gamma-coded R'G'B' at each of the times, in seconds from the clip's beginning.

        Returns (N, 3, H, W) float32 in 0..1 on the CPU, or (1, 3, H, W) for a still. Times should
        increase from call to call: going back reopens a video.
        """

    def close(self) -> None:
        """Closes the file behind it, if any."""


def open_background(spec: str, width: int, height: int) -> Background:
    """The background that ``spec`` names, fitted to ``width`` x ``height`` pixels.

    Images are scaled to cover the frame with their aspect ratio kept, and cropped to its centre. A video
    loops and keeps its own frame rate.

    Args:
        spec: the path of an image, a video or numbered stills, a URL, or a colour of CSS: a name, ``#rgb``,
            ``#rrggbb``, ``rgb(r, g, b)`` or ``hsl(h, s%, l%)``.
        width: of the frame, in pixels.
        height: of the frame, in pixels.

    Raises:
        OptionError: ``spec`` is neither a colour nor a path.
        InputError: the file is missing or cannot be read.
    """
    if colour := _parse_colour(spec.strip()):
        return StillBackground(_solid(colour, width, height))
    path = Path(spec)
    if not path.exists() and not path.suffix and path.parent == Path():
        raise OptionError(
            f"background {spec!r} is no colour and no file: give an image, a video, #rrggbb or a "
            "CSS name such as white, green or skyblue"
        )
    source = Source.of(spec)
    if source.is_still:
        return StillBackground(_cover(to_rgb(read_image(path)), width, height))
    return VideoBackground(source, width, height)


class StillBackground:
    """The same (1, 3, H, W) image at all times."""

    def __init__(self, image: Tensor) -> None:
        self._image = image

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """See `Background`."""
        return self._image

    def close(self) -> None:
        """Nothing to close."""


class _TimedFrame(NamedTuple):
    begin_s: Fraction
    end_s: Fraction
    batch: FrameBatch


class VideoBackground:
    """A looped video: at each time the frame that is displayed then. Holds one frame in memory."""

    def __init__(self, source: Source, width: int, height: int) -> None:
        self._source, self._size = source, (width, height)
        self._length_s: Fraction | None = None
        self._image: Tensor | None = None
        self._open()

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """See `Background`."""
        return torch.cat([self._at(time_s) for time_s in times_s])

    def close(self) -> None:
        """Closes the video."""
        self._reader.close()

    def _at(self, seconds: Seconds) -> Tensor:
        # Exact: the remainder of a float may fall just before a frame's begin and select the previous one.
        time_s = max(Fraction(seconds).limit_denominator(_MAX_DENOMINATOR), Fraction(0))
        while not self._seek(time_s % self._length_s if self._length_s else time_s):
            # The end was reached, so the length is known now.
            self._length_s = self._current.end_s
        if self._image is None:
            self._image = _cover(to_rgb(self._current.batch), *self._size)
        return self._image

    def _seek(self, time_s: Fraction) -> bool:
        """Decodes up to the frame that covers ``time_s``; False if the video ends before."""
        if time_s < self._current.begin_s:
            self.close()
            self._open()
        while self._current.end_s <= time_s:
            following = next(self._frames, None)
            if following is None:
                return False
            self._set_current(following)
        return True

    def _set_current(self, frame: _TimedFrame) -> None:
        self._current, self._image = frame, None

    def _open(self) -> None:
        self._reader = ClipReader(self._source, batch_size=1)
        self._frames = _timed(self._reader)
        self._set_current(next(self._frames))


def _timed(reader: ClipReader) -> Iterator[_TimedFrame]:
    """Frames with the time span that each is displayed for, in seconds; the first begins at 0."""
    first: int | None = None
    for batch in reader:
        first = batch.pts[0] if first is None else first
        begin = batch.pts[0] - first
        end = begin + batch.durations[0]
        yield _TimedFrame(begin * batch.time_base, end * batch.time_base, batch)


def _cover(rgb: Tensor, width: int, height: int) -> Tensor:
    """A (1, 3, h, w) image scaled to cover ``width`` x ``height`` px and cropped to the centre."""
    old_height, old_width = rgb.shape[-2:]
    scale = max(width / old_width, height / old_height)
    size = max(width, round(old_width * scale)), max(height, round(old_height * scale))
    pixels = np.ascontiguousarray(rgb[0].permute(1, 2, 0).numpy())
    if size != (old_width, old_height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    crop = torch.from_numpy(pixels)[top : top + height, left : left + width]
    return crop.permute(2, 0, 1).clamp(0, 1).contiguous()[None]


def _parse_colour(text: str) -> tuple[int, ...] | None:
    """Red, green and blue in 0..255; None if ``text`` is not an opaque colour."""
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        return None
    return colour if len(colour) == 3 else None


def _solid(colour: tuple[int, ...], width: int, height: int) -> Tensor:
    """A (1, 3, H, W) view of one colour."""
    rgb = torch.tensor([value / 255 for value in colour])
    return rgb.view(1, 3, 1, 1).expand(1, 3, height, width)
