"""What a matted batch becomes: planes over a background, straight colour with alpha, or alpha alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.matting.composite import (
    Planes,
    blur_background,
    chroma_alpha,
    composite_planes,
)
from autohair_video.matting.foreground import estimate_foreground
from autohair_video.media.background import Background, StillBackground, open_background
from autohair_video.media.colour import convert_format, from_rgb, round_planes
from autohair_video.timing import Watch, unwatched

BLUR_SHARE = 0.02


class Scene(Protocol):
    """What lies behind the subject, as planes of a format in sample units."""

    def behind(self, source: Planes, alpha: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """Planes behind N frames; one frame's planes serve for all."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class Backdrop:
    """A picture, a clip or a colour, in the planes of ``fmt``; a clip begins at ``origin`` seconds."""

    def __init__(self, spec: str, fmt: FrameFormat, origin: Fraction) -> None:
        self._background: Background = open_background(spec, fmt.width, fmt.height)
        self._format, self._origin = fmt, origin
        self._still: Planes | None = None

    def behind(self, source: Planes, alpha: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """The background's planes at these times."""
        if self._still is not None:
            return self._still
        rgb = self._background.rgb_at([time_s - self._origin for time_s in times_s])
        planes = from_rgb(rgb.to(source[0].device), self._format)
        if isinstance(self._background, StillBackground):
            self._still = planes
        return planes

    def close(self) -> None:
        """Close the background's file."""
        self._background.close()


class Blurred:
    """The frame's own surroundings, out of focus, with the subject taken out of them."""

    def __init__(self, fmt: FrameFormat) -> None:
        self._sigma_px = BLUR_SHARE * max(fmt.width, fmt.height)

    def behind(self, source: Planes, alpha: Tensor, times_s: Sequence[Fraction]) -> Planes:
        """The blurred planes of these frames."""
        return blur_background(source, alpha, sigma_px=self._sigma_px)

    def close(self) -> None:
        """Nothing is open."""


def open_scene(spec: str, fmt: FrameFormat, *, origin: Fraction = Fraction(0)) -> Scene:
    """The scene that ``spec`` names: ``blur``, a colour, a picture or a clip.

    ``origin``: the time of the frames, in seconds, at which a clip in the background begins.

    Raises:
        OptionError: ``spec`` is neither a word, a colour nor a path.
        InputError: the file is missing or cannot be read.
    """
    return Blurred(fmt) if spec.lower() == "blur" else Backdrop(spec, fmt, origin)


def composite(
    batch: FrameBatch, matte: Matte, scene: Scene, target: FrameFormat, *, watch: Watch = unwatched
) -> FrameBatch:
    """The subject of ``batch`` over ``scene``, as frames of ``target``.

    Where alpha is one, the samples are the batch's own (converted, if ``target`` differs).
    """
    with watch("foreground"):
        source, subject = _subject(batch, matte.alpha, target)
    with watch("composite"):
        times_s = [pts * batch.time_base for pts in batch.pts]
        behind = scene.behind(source, matte.alpha, times_s)
        planes = composite_planes(subject, matte.alpha, behind)
        return batch.with_planes(round_planes(planes, target), target)


def cut_out(batch: FrameBatch, matte: Matte, target: FrameFormat) -> FrameBatch:
    """The subject's own colours, the old background taken out of its edge: straight, in ``target``."""
    _, subject = _subject(batch, matte.alpha, target)
    return batch.with_planes(round_planes(subject, target), target)


def _subject(batch: FrameBatch, alpha: Tensor, target: FrameFormat) -> tuple[Planes, Planes]:
    y, u, v = (p.float() for p in convert_format(batch.planes, batch.format, target))
    luma, _ = estimate_foreground(y, alpha)
    coarse = chroma_alpha(alpha, target.chroma_size)
    chroma, _ = estimate_foreground(torch.cat([u, v], dim=1), coarse)
    return (y, u, v), (luma, chroma[:, :1], chroma[:, 1:])
