"""Stages that need no network and can be prefetched: upload, RGB conversion, optical flow."""

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
    """Frames on the device, as ``images`` (N, 3, H, W) uint8 RGB, and the motion of each."""

    batch: FrameBatch
    images: Tensor
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
            before = frames.images[-1:]


def preprocess(
    batch: FrameBatch,
    before: Tensor | None,
    options: TemporalOptions,
    *,
    device: torch.device,
    watch: StageClock,
) -> Generator[PreprocessedBatch, None, None]:
    """Frames ready for the networks; split where the memory of the device is too small for the batch.

    Args:
        batch: the frames, on any device.
        before: the previous frame, (1, 3, H, W) uint8 RGB; None at the start.
        options: of the optical flow.
        device: of the networks.
        watch: receives the time of each stage.

    Raises:
        DeviceError: a single frame needs more memory than the device has.
    """
    try:
        frames = _preprocess_batch(batch, before, options, device, watch)
    except torch.OutOfMemoryError as exc:
        if len(batch) == 1:
            raise out_of_memory_error(device, batch.format.width, batch.format.height) from exc
    else:
        yield frames
        return
    yield from preprocess_batches(batch.halves(), before, options, device=device, watch=watch)


def _preprocess_batch(
    batch: FrameBatch,
    before: Tensor | None,
    options: TemporalOptions,
    device: torch.device,
    watch: StageClock,
) -> PreprocessedBatch:
    with watch("upload"):
        batch = batch.to(device)
    with watch("convert"):
        images = to_rgb(batch).mul_(255).round_().to(torch.uint8)
    with watch("flow"):
        return PreprocessedBatch(batch, images, estimate_motions(before, images, options))
