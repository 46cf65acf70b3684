"""Stored colours and alpha of every frame, through a decoder that keeps alpha."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from autohair_video.errors import InputError
from autohair_video.media.decode import decoder_with_alpha, open_clip, reason
from autohair_video.media.pixel_formats import view_alpha, view_light

_COLOURS = "gbrpf32le"


@dataclass(frozen=True)
class StoredFrame:
    """One frame as it was stored, its alpha not applied.

    ``rgb``: (3, H, W) float32, in 0..1 (light may go higher), as the file codes it. ``alpha``: (H, W)
    float32 in 0..1, or None where the frame has none.
    """

    rgb: Tensor
    alpha: Tensor | None


def stored_frames(path: str | Path) -> Iterator[StoredFrame]:
    """All frames of a clip or of a numbered sequence, in the order in which they are shown.

    Raises:
        InputError: it cannot be opened or decoded.
    """
    if Path(path).suffix.lower() == ".webp":
        yield from _webp_frames(Path(path))
        return
    container, stream = open_clip(path)
    with closing(container):
        # Keep linear light linear.
        stream.codec_context.options = {}
        try:
            for frame in _decoded(container, stream):
                yield _stored(frame)
        except av.FFmpegError as exc:
            raise InputError(f"{path} cannot be decoded to its end ({reason(exc)})") from exc


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    decoder = decoder_with_alpha(stream)
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _webp_frames(path: Path) -> Iterator[StoredFrame]:
    """FFmpeg decodes no animated WebP; OpenCV does."""
    decoded, animation = cv2.imreadanimation(str(path)) if hasattr(cv2, "imreadanimation") else (False, None)
    if not decoded or animation is None:
        raise InputError(f"{path} cannot be decoded: animated WebP needs OpenCV 4.11 or newer")
    for pixels in animation.frames:
        planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255
        yield StoredFrame(planes[:3].flip(0), planes[3] if len(planes) == 4 else None)


def _stored(frame: VideoFrame) -> StoredFrame:
    alpha, light = view_alpha(frame), view_light(frame)
    # swscale would clip light above 1.
    rgb = frame.reformat(format=_COLOURS).to_ndarray().transpose(2, 0, 1) if light is None else light
    samples = torch.from_numpy(np.ascontiguousarray(rgb, dtype=np.float32))
    return StoredFrame(samples, None if alpha is None else torch.from_numpy(alpha))
