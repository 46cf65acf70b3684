"""What a session leaves on the disk: pictures with alpha, and clips as editors take them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import cv2
import torch
from torch import Tensor

from autohair_video.compositing.render import straight_foreground
from autohair_video.errors import OptionError
from autohair_video.frames import MATRIX_RGB, FrameBatch, FrameFormat
from autohair_video.live.pipeline import MILLISECOND, MattedFrame, frame_format
from autohair_video.media.colour import quantise_alpha
from autohair_video.media.image import write_image
from autohair_video.media.presets import Preset, codec_format, preset_named
from autohair_video.media.writer import ClipWriter
from autohair_video.runtime.queues import BackgroundWorker

# A slow encoder loses pictures, which the clip's times allow, rather than hold up what is shown.
_WAITING_PICTURES = 30


def recording_preset(name: str) -> Preset:
    """The preset that clips are recorded as.

    Raises:
        OptionError: there is none of that name, or it writes no video file.
    """
    preset = preset_named(name)
    if preset.is_numbered:
        raise OptionError(f"format {name} writes pictures: record as a video")
    return preset


def unused_path(folder: Path, extension: str) -> Path:
    """A file of ``folder`` that is not there yet, named after the time."""
    stem = f"autohair-{datetime.now():%Y%m%d-%H%M%S}"
    paths = (folder / f"{stem}{n}{extension}" for n in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(path for path in paths if not path.exists())


def write_snapshot(folder: Path, matted: MattedFrame) -> Path:
    """The subject as a PNG with straight alpha, in a new file of ``folder``; its path.

    Raises:
        OutputError: the folder cannot be written to.
    """
    path = unused_path(folder, ".png")
    frames = _rgb_frames(matted)
    colours = torch.cat(straight_foreground(frames, matted.matte, frames.format).planes, dim=1)
    write_image(path, torch.cat([colours, quantise_alpha(matted.matte.alpha, 8)], dim=1))
    return path


def _rgb_frames(matted: MattedFrame) -> FrameBatch:
    height, width = matted.picture.shape[:2]
    fmt = FrameFormat(width, height, subsample_x=1, subsample_y=1, matrix=MATRIX_RGB, full_range=True)
    rgb = torch.from_numpy(cv2.cvtColor(matted.picture, cv2.COLOR_BGR2RGB)).to(matted.matte.alpha.device)
    red, green, blue = rgb.permute(2, 0, 1)[:, None, None]
    return FrameBatch((red, green, blue), fmt, (0,), (0,), MILLISECOND)


class Recording:
    """A clip that grows as pictures come, encoded on a thread of its own.

    Each picture keeps the time at which the camera gave it, whatever rate that makes.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, preset: Preset, *, width: int, height: int, rate: float) -> None:
        self.path = unused_path(folder, preset.default_extension)
        self.preset = preset
        self._begin_ms: int | None = None
        self._last_ms = -1
        shown = frame_format(width, height)
        self._format = codec_format(preset, shown) if preset.role == "alpha" else shown
        hint = Fraction(rate).limit_denominator(1001)
        self._writer = ClipWriter(self.path, preset, self._format, MILLISECOND, rate=hint)
        self._encoder = BackgroundWorker(self._write, depth=_WAITING_PICTURES)
        self._encoder.__enter__()

    @property
    def seconds(self) -> int:
        """Length of the clip so far."""
        return 0 if self._begin_ms is None else (self._last_ms - self._begin_ms) // 1000

    def add(self, matted: MattedFrame, composite: FrameBatch | None) -> None:
        """Queue one picture, or pass it over while the encoder is behind.

        ``composite``: the picture on its background; needed by presets of that role.

        Raises:
            OutputError: the encoder or the disk has refused an earlier picture.
        """
        time_ms = matted.frames.pts[0]
        if time_ms <= self._last_ms:
            return
        self._begin_ms = time_ms if self._begin_ms is None else self._begin_ms
        self._last_ms = time_ms
        frames, alpha = matted.frames, None if self.preset.role == "composite" else matted.matte.alpha
        if composite is not None and self.preset.role == "composite":
            frames = composite
        elif self.preset.role == "alpha":
            frames = straight_foreground(frames, matted.matte, self._format)
        self._encoder.try_put((replace(frames, pts=(time_ms - self._begin_ms,)), alpha))

    def finish(self) -> Path | None:
        """End the clip and give it its name; its path, or None if it has no picture.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        if self._begin_ms is None:
            self.give_up()
            return None
        try:
            self._encoder.__exit__(None, None, None)
            self._writer.close()
        except BaseException:
            self._writer.abort()
            raise
        return self.path

    def give_up(self) -> None:
        """End without a clip."""
        self._encoder.__exit__(InterruptedError, None, None)
        self._writer.abort()

    def _write(self, item: tuple[FrameBatch, Tensor | None]) -> None:
        self._writer.write(*item)
