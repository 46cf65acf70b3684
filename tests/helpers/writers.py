"""Clips written with an alpha that is known, where the writer is tested and not the matting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from autohair_video.media import ClipReader, ClipWriter, Preset, codec_format, convert_format


def disc(width: int, height: int) -> Tensor:
    """Alpha of a soft disc, (1, 1, H, W): clear, opaque, and every level in between."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((x - width / 2) ** 2 + (y - height / 2) ** 2).sqrt()
    return ((0.4 * min(width, height) - distance) / 8 + 0.5).clamp(0, 1)[None, None]


def write(
    source: Path,
    target: Path,
    preset: Preset,
    *,
    sound: bool = True,
    delay: int = 0,
    notices: list[str] | None = None,
    keep_alpha: bool = False,
) -> Path:
    """A clip as ``preset`` writes it, with the alpha of `disc`; the frames come ``delay`` ticks late."""
    with ClipReader(source, keep_alpha=keep_alpha) as reader:
        fmt = codec_format(preset, reader.format)
        fmt = reader.format if preset.role == "matte" else fmt
        with ClipWriter(
            target,
            preset,
            fmt,
            reader.time_base,
            copy_from=source if sound and preset.role != "matte" else None,
            origin=reader.origin,
            rate=reader.info.rate,
            hdr=reader.info.hdr,
        ) as writer:
            for batch in reader:
                planes = convert_format(batch.planes, reader.format, fmt)
                late = replace(batch, planes=planes, format=fmt, pts=tuple(pts + delay for pts in batch.pts))
                alpha = disc(fmt.width, fmt.height).expand(len(batch), -1, -1, -1)
                writer.write(late, alpha if preset.needs_alpha else None)
    if notices is not None:
        notices += writer.notices
    return target
