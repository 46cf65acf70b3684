"""Snapshots with alpha, and recordings, written while a session runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import cv2
import torch
from torch import Tensor

from autohair_video.compositing.render import straight_foreground
from autohair_video.errors import AutohairError, OptionError
from autohair_video.frames import MATRIX_RGB, FrameBatch, FrameFormat
from autohair_video.live.pipeline import MILLISECOND, MattedFrame, frame_format
from autohair_video.live.settings import LiveOptions
from autohair_video.media.colour import quantise_alpha
from autohair_video.media.image import write_image
from autohair_video.media.presets import Preset, codec_format, preset_named
from autohair_video.media.writer import ClipWriter
from autohair_video.runtime.queues import BackgroundWorker

# Frames that wait for the encoder at most. A slow encoder drops frames, which the variable frame rate
# allows, rather than delay the display.
_QUEUED_FRAMES = 30


def recording_preset(name: str) -> Preset:
    """The preset of recordings.

    Raises:
        OptionError: there is no preset of that name, or it writes no video file.
    """
    preset = preset_named(name)
    if preset.is_numbered:
        raise OptionError(f"format {name} writes images: record as a video")
    return preset


def unused_path(folder: Path, extension: str) -> Path:
    """A path in ``folder`` that does not exist yet, named after the time."""
    stem = f"autohair-{datetime.now():%Y%m%d-%H%M%S}"
    paths = (folder / f"{stem}{n}{extension}" for n in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(path for path in paths if not path.exists())


def write_snapshot(folder: Path, matted: MattedFrame) -> Path:
    """Write the subject as a PNG with straight alpha to a new file of ``folder``; its path.

    Raises:
        OutputError: the folder cannot be written to.
    """
    path = unused_path(folder, ".png")
    frames = _rgb_frames(matted)
    colours = torch.cat(straight_foreground(frames, matted.matte, frames.format).planes, dim=1)
    write_image(path, torch.cat([colours, quantise_alpha(matted.matte.alpha, 8)], dim=1))
    return path


def _rgb_frames(matted: MattedFrame) -> FrameBatch:
    height, width = matted.image.shape[:2]
    fmt = FrameFormat(width, height, subsample_x=1, subsample_y=1, matrix=MATRIX_RGB, full_range=True)
    rgb = torch.from_numpy(cv2.cvtColor(matted.image, cv2.COLOR_BGR2RGB)).to(matted.matte.alpha.device)
    red, green, blue = rgb.permute(2, 0, 1)[:, None, None]
    return FrameBatch((red, green, blue), fmt, (0,), (0,), MILLISECOND)


class Recording:
    """A recording in progress, encoded by a background thread at a variable frame rate.

    Each frame keeps the time at which the camera gave it. `add`, `finish` and `give_up` are called by one
    thread at a time (`Recorder` sees to it); ``seconds`` may be read from others.

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
        self._encoder = BackgroundWorker(self._write, depth=_QUEUED_FRAMES)
        self._encoder.__enter__()

    @property
    def seconds(self) -> int:
        """Length so far."""
        return 0 if self._begin_ms is None else (self._last_ms - self._begin_ms) // 1000

    def add(self, matted: MattedFrame, composite: FrameBatch | None) -> None:
        """Queue one frame for the encoder, or drop it if the queue is full.

        ``composite``: the frame over its background; needed by presets of that role.

        Raises:
            OutputError: the encoder or the disk failed on an earlier frame.
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
        """Finalize the file; its path, or None if it has no frame.

        Raises:
            OutputError: the encoder or the disk failed.
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
        """End without a file."""
        self._encoder.__exit__(InterruptedError, None, None)
        self._writer.abort()

    def _write(self, item: tuple[FrameBatch, Tensor | None]) -> None:
        self._writer.write(*item)


class Recorder:
    """Snapshots and recordings of a session.

    `snapshot`, `toggle` and `close` may be called from any thread, `add` from the render thread. ``_files``
    is held while a file is named, finalized or given up; ``_lock`` guards ``_recording``, which any of them
    may take out: who takes it out ends it.
    """

    def __init__(self, options: LiveOptions, notify: Callable[[str], None]) -> None:
        self._options, self._notify = options, notify
        self._preset = recording_preset(options.preset)
        self._recording: Recording | None = None
        self._lock, self._files = threading.Lock(), threading.Lock()

    @property
    def seconds(self) -> int | None:
        """Length of the recording in progress; None if there is none."""
        recording = self._recording
        return None if recording is None else recording.seconds

    @property
    def needs_composite(self) -> bool:
        """Whether a recording in progress takes composites."""
        return self._recording is not None and self._preset.role == "composite"

    def snapshot(self, matted: MattedFrame | None) -> Path | None:
        """Write a frame with alpha; its path, or None if there is no frame yet.

        Raises:
            OutputError: the folder cannot be written to.
        """
        if matted is None:
            self._notify("there is no frame yet")
            return None
        with self._files:
            path = write_snapshot(self._options.folder, matted)
        self._notify(f"saved {path.name}")
        return path

    def toggle(self) -> Path | None:
        """Start a recording, or finish the one in progress; its path once it is finalized.

        Raises:
            OutputError: the file cannot be written.
        """
        o = self._options
        with self._files:
            ending = self._take()
            if ending is None:
                self._recording = Recording(
                    o.folder, self._preset, width=o.width, height=o.height, rate=o.rate
                )
                return None
            path = ending.finish()
        self._notify(f"saved {path.name}" if path else "nothing was recorded")
        return path

    def add(self, matted: MattedFrame, composite: FrameBatch | None) -> None:
        """Add a frame to the recording in progress; one that fails is given up, with a notice."""
        with self._lock:
            recording = self._recording
        if recording is None or (composite is None and self._preset.role == "composite"):
            return
        try:
            recording.add(matted, composite)
        except AutohairError as exc:
            self._notify(str(exc))
            if self._take(recording) is not None:
                recording.give_up()

    def close(self) -> None:
        """Finish the recording in progress.

        Raises:
            OutputError: the file cannot be written.
        """
        with self._files:
            recording = self._take()
            if recording is not None:
                recording.finish()

    def _take(self, which: Recording | None = None) -> Recording | None:
        """Take the recording out, or only ``which``."""
        with self._lock:
            if which is not None and which is not self._recording:
                return None
            recording, self._recording = self._recording, None
            return recording
