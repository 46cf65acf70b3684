"""New backgrounds: an image, a looped video or a colour, as pictures of the frame's size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from autohair_video.errors import OptionError
from autohair_video.frames import FrameBatch
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import read_image
from autohair_video.media.inputs import Source
from autohair_video.media.reader import ClipReader

Seconds = float | Fraction

_FINEST_CLOCK: Final = 1_000_000
_HEX: Final = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)

# The basic colours of CSS and those that people ask for beside them.
_NAMED: Final = MappingProxyType(
    {
        "aqua": "#00ffff",
        "beige": "#f5f5dc",
        "black": "#000000",
        "blue": "#0000ff",
        "brown": "#a52a2a",
        "coral": "#ff7f50",
        "cyan": "#00ffff",
        "darkblue": "#00008b",
        "darkgray": "#a9a9a9",
        "darkgreen": "#006400",
        "fuchsia": "#ff00ff",
        "gold": "#ffd700",
        "gray": "#808080",
        "green": "#008000",
        "grey": "#808080",
        "indigo": "#4b0082",
        "ivory": "#fffff0",
        "khaki": "#f0e68c",
        "lavender": "#e6e6fa",
        "lightblue": "#add8e6",
        "lightgray": "#d3d3d3",
        "lime": "#00ff00",
        "magenta": "#ff00ff",
        "maroon": "#800000",
        "navy": "#000080",
        "olive": "#808000",
        "orange": "#ffa500",
        "pink": "#ffc0cb",
        "purple": "#800080",
        "red": "#ff0000",
        "salmon": "#fa8072",
        "silver": "#c0c0c0",
        "skyblue": "#87ceeb",
        "tan": "#d2b48c",
        "teal": "#008080",
        "turquoise": "#40e0d0",
        "violet": "#ee82ee",
        "white": "#ffffff",
        "yellow": "#ffff00",
    }
)


class Background(Protocol):
    """Pictures to put behind the subject, at the size that was asked for."""

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """Gamma-coded R'G'B' at each of the times, in seconds from the clip's beginning.

        Returns (N, 3, H, W) float32 in 0..1 on the CPU, or (1, 3, H, W) where the picture is the
        same at all times. Times should rise from call to call: going back starts a video anew.
        """

    def close(self) -> None:
        """Closes the file behind it, if any."""


def open_background(spec: str, width: int, height: int) -> Background:
    """The background that ``spec`` names, fitted to ``width`` x ``height`` pixels.

    ``spec``: the path of an image, a video or numbered stills, a URL, ``#rgb``, ``#rrggbb`` or a colour
    name of CSS.
    Pictures cover the frame: scaled with their aspect kept, and cut evenly where they stand over. A
    video starts over at its end and keeps its own rate.

    Raises:
        OptionError: ``spec`` is neither a colour nor a path.
        InputError: the file is missing or cannot be read.
    """
    colour = _NAMED.get(spec.strip().lower(), spec.strip())
    if _HEX.fullmatch(colour):
        return StillBackground(_filled(colour, width, height))
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
    """The same (1, 3, H, W) picture at all times."""

    def __init__(self, picture: Tensor) -> None:
        self._picture = picture

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """See `Background`."""
        return self._picture

    def close(self) -> None:
        """Nothing to close."""


class _Shown(NamedTuple):
    begin_s: Fraction
    end_s: Fraction
    batch: FrameBatch


class VideoBackground:
    """A looped video: at each time the frame that covers it. One frame is held."""

    def __init__(self, source: Source, width: int, height: int) -> None:
        self._source, self._size = source, (width, height)
        self._length_s: Fraction | None = None
        self._picture: Tensor | None = None
        self._open()

    def rgb_at(self, times_s: Sequence[Seconds]) -> Tensor:
        """See `Background`."""
        return torch.cat([self._at(time_s) for time_s in times_s])

    def close(self) -> None:
        """Closes the video."""
        self._reader.close()

    def _at(self, seconds: Seconds) -> Tensor:
        # A float's remainder would fall just short of a frame's begin, and show the one before.
        time_s = max(Fraction(seconds).limit_denominator(_FINEST_CLOCK), Fraction(0))
        while not self._seek(time_s % self._length_s if self._length_s else time_s):
            # Its end has been seen, so now its length is known.
            self._length_s = self._shown.end_s
        if self._picture is None:
            self._picture = _cover(to_rgb(self._shown.batch), *self._size)
        return self._picture

    def _seek(self, time_s: Fraction) -> bool:
        """Decodes up to the frame that covers ``time_s``; False if the video ends before."""
        if time_s < self._shown.begin_s:
            self.close()
            self._open()
        while self._shown.end_s <= time_s:
            following = next(self._frames, None)
            if following is None:
                return False
            self._show(following)
        return True

    def _show(self, frame: _Shown) -> None:
        self._shown, self._picture = frame, None

    def _open(self) -> None:
        self._reader = ClipReader(self._source, batch_size=1)
        self._frames = _timed(self._reader)
        self._show(next(self._frames))


def _timed(reader: ClipReader) -> Iterator[_Shown]:
    """Frames with the span of seconds that each is shown for, the first from 0 on."""
    first: int | None = None
    for batch in reader:
        first = batch.pts[0] if first is None else first
        begin = batch.pts[0] - first
        end = begin + batch.durations[0]
        yield _Shown(begin * batch.time_base, end * batch.time_base, batch)


def _cover(rgb: Tensor, width: int, height: int) -> Tensor:
    """A (1, 3, h, w) picture scaled to cover ``width`` x ``height`` px and cut evenly."""
    old_height, old_width = rgb.shape[-2:]
    scale = max(width / old_width, height / old_height)
    size = max(width, round(old_width * scale)), max(height, round(old_height * scale))
    pixels = np.ascontiguousarray(rgb[0].permute(1, 2, 0).numpy())
    if size != (old_width, old_height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    cut = torch.from_numpy(pixels)[top : top + height, left : left + width]
    return cut.permute(2, 0, 1).clamp(0, 1).contiguous()[None]


def _filled(colour: str, width: int, height: int) -> Tensor:
    """A (1, 3, H, W) view of one colour, ``#rgb`` or ``#rrggbb``."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    rgb = torch.tensor([value / 255 for value in bytes.fromhex(digits)])
    return rgb.view(1, 3, 1, 1).expand(1, 3, height, width)
