"""What of a frame needs no network, and so can be done ahead of time: its picture and its motion."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from autohair_video.frames import FrameBatch
from autohair_video.matting.optical_flow import Motion, estimate_motions
from autohair_video.media.colour import to_rgb
from autohair_video.options import TemporalOptions
from autohair_video.runtime.devices import out_of_memory_error
from autohair_video.runtime.profiling import StageClock


@dataclass(frozen=True)
class PreprocessedBatch:
    """Frames on the device, their pictures (N, 3, H, W) uint8 RGB, and each one's motion."""

    batch: FrameBatch
    pictures: Tensor
    motions: tuple[Motion | None, ...]


def preprocess_batches(
    batches: Iterable[FrameBatch],
    before: Tensor | None,
    options: TemporalOptions,
    *,
    device: torch.device,
    watch: StageClock,
) -> Generator[PreprocessedBatch, None, None]:
    """`preprocess` for consecutive batches."""
    for batch in batches:
        for frames in preprocess(batch, before, options, device=device, watch=watch):
            yield frames
            before = frames.pictures[-1:]


def preprocess(
    batch: FrameBatch,
    before: Tensor | None,
    options: TemporalOptions,
    *,
    device: torch.device,
    watch: StageClock,
) -> Generator[PreprocessedBatch, None, None]:
    """Frames made ready for the networks; in parts where the device's memory is too small for all of them.

    Args:
        batch: the frames, on any device.
        before: the picture of the frame before, (1, 3, H, W) uint8 RGB; None at the start.
        options: of the motion.
        device: where the networks are.
        watch: told how long each step takes.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    try:
        frames = _at_once(batch, before, options, device, watch)
    except torch.OutOfMemoryError as exc:
        if len(batch) == 1:
            raise out_of_memory_error(device, batch.format.width, batch.format.height) from exc
    else:
        yield frames
        return
    yield from preprocess_batches(batch.halves(), before, options, device=device, watch=watch)


def _at_once(
    batch: FrameBatch,
    before: Tensor | None,
    options: TemporalOptions,
    device: torch.device,
    watch: StageClock,
) -> PreprocessedBatch:
    with watch("upload"):
        batch = batch.to(device)
    with watch("convert"):
        pictures = to_rgb(batch).mul_(255).round_().to(torch.uint8)
    with watch("flow"):
        return PreprocessedBatch(batch, pictures, estimate_motions(before, pictures, options))
