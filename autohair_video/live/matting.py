"""One live picture at a time: what it shows and what the last one left -> its matte.

The stages are those of `Matter.frames`; here resolution and the segmenter's interval may change from
one picture to the next, and what the last picture left is brought to the new size, so that a change
of quality is no cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.frames import MATRIX_SMPTE170M, FrameBatch, FrameFormat, Matte
from autohair_video.live.quality import Level
from autohair_video.live.settings import LiveOptions, Settings
from autohair_video.matting.matte import SolvedTile
from autohair_video.matting.motion import Motion, estimate_motions
from autohair_video.matting.temporal import Mean, Solved, smooth_alpha, smooth_probability
from autohair_video.matting.trimap import draw_trimap, guess_levels
from autohair_video.media.camera import Picture, Shot
from autohair_video.options import SegmentOptions, TemporalOptions, TileOptions, TrimapOptions
from autohair_video.pipeline import Matter

MILLISECOND: Final = Fraction(1, 1000)
# The matter's time goes with the tiles' area: a low picture is one row of them, and on others small
# tiles lie closer to the band. Smaller ones than these take longer by the pixel.
_ROW_TILES_PX: Final = (160, 192)
_TILE_PX: Final = 160
_OVERLAP_PX: Final = 32
# BT.601 as SMPTE 170M has it, with the transfer of BT.709: what cameras and their drivers mean.
_PRIMARIES: Final = 6
_TRANSFER: Final = 1


@dataclass(frozen=True)
class Matted:
    """A camera's picture with its matte, both at the shown size.

    ``frames``: the picture as one frame of 4:2:0 planes, its pts in milliseconds.
    """

    shot: Shot
    frames: FrameBatch
    matte: Matte

    @property
    def picture(self) -> Picture:
        """(H, W, 3) uint8 BGR."""
        return self.shot.picture


@dataclass(frozen=True)
class _Past:
    seen: Mean
    solved: Solved
    tiles: tuple[SolvedTile, ...]
    since_seen: int


class LiveMatter:
    """Mattes pictures as they come; holds what the last one left.

    ``options``: how trimap and smoothing work, before the viewer's settings.
    """

    def __init__(self, matter: Matter, options: LiveOptions) -> None:
        self._matter, self._options = matter, options
        self._past: _Past | None = None

    def forget(self) -> None:
        """Take the next picture as the first of a scene."""
        self._past = None

    @torch.inference_mode()
    def __call__(self, picture: Picture, settings: Settings, level: Level) -> Matte:
        """Matte of one picture, at the picture's size; its time is not set.

        Args:
            picture: (H, W, 3) uint8 BGR.
            settings: band width and smoothing are taken from it.
            level: how finely to look.
        """
        device, (height, width) = self._matter.device, picture.shape[:2]
        size = round(width * level.share), round(height * level.share)
        small = picture if level.share == 1 else _shrunk(picture, size)
        alpha, trimap = self._solved(_as_rgb(small).to(device), settings, level)
        if level.share < 1:
            alpha = F.interpolate(alpha, (height, width), mode="bilinear", align_corners=False)
            trimap = F.interpolate(trimap, (height, width), mode="nearest")
        return Matte(alpha, trimap=trimap)

    def _solved(self, samples: Tensor, settings: Settings, level: Level) -> tuple[Tensor, Tensor]:
        o, watch = self._options, self._matter.watch
        size = (samples.shape[2], samples.shape[3])
        past = None if self._past is None else _resized(self._past, size)
        steady = replace(o.temporal, strength=o.temporal.strength if settings.smoothing else 0.0)
        steadied = steady.strength > 0
        with watch("temporal"):
            flow_px = min(o.temporal.flow_long_side_px, level.flow_px)
            small = replace(o.temporal, flow_long_side_px=flow_px)
            (motion,) = estimate_motions(past.solved.picture if past else None, samples, small)
        seen, since_seen = self._seen(samples, past, motion, steady, level)
        with watch("trimap"):
            form = scaled(o.trimap, settings.band)
            before = past.solved.trimap if steadied and past and motion else None
            trimap = draw_trimap(seen.value, size=size, options=form, before=before)
        with watch("matte"):
            solver = self._matter.solve.at(tiles_for(size[0]))
            guess = guess_levels(seen.value[:, :1], size)
            alpha, tiles = solver.follow(samples, trimap, past.tiles if steadied and past else (), guess)
        with watch("temporal"):
            last = past.solved if past else None
            solved = smooth_alpha(last, motion, samples, alpha, trimap, steady)
        self._past = _Past(seen, solved, tuple(tile.for_next() for tile in tiles), since_seen)
        return solved.mean.value, trimap

    def _seen(
        self,
        samples: Tensor,
        past: _Past | None,
        motion: Motion | None,
        steady: TemporalOptions,
        level: Level,
    ) -> tuple[Mean, int]:
        """Person and hair probabilities, and how many pictures ago the segmenter looked."""
        watch, since_seen = self._matter.watch, 1 + (past.since_seen if past else 0)
        before, now = past.seen if past else None, None
        if before is None or motion is None or since_seen >= level.every:
            since_seen = 0
            with watch("segment"):
                segment = self._matter.segment.at(SegmentOptions(level.segment_px))
                now = segment(samples.float() / 255)
        with watch("temporal"):
            return smooth_probability(before, motion, now, steady), since_seen


def scaled(form: TrimapOptions, band: float) -> TrimapOptions:
    """A trimap's form with a band so many times as wide.

    >>> scaled(TrimapOptions(mode="fixed", erosion=5, size=25), 2).size
    50
    """
    if form.mode == "fixed":
        return replace(form, erosion=round(form.erosion * band), size=round(form.size * band))
    return replace(form, band=form.band * band)


def tiles_for(height_px: int) -> TileOptions:
    """The tiles that cost least on pictures of a height.

    >>> [tiles_for(height).tile_px for height in (144, 180, 360)]
    [160, 192, 160]
    """
    tile_px = next((px for px in _ROW_TILES_PX if px >= height_px), _TILE_PX)
    return TileOptions(tile_px=tile_px, overlap_px=_OVERLAP_PX, double_below_px=0)


def as_frames(picture: Picture, time_ms: int, *, duration_ms: int) -> FrameBatch:
    """A picture, (H, W, 3) uint8 BGR with even sides, as one 4:2:0 frame of BT.601 in limited range.

    Compositing costs half on such planes, and encoders take them as they are.
    """
    height, width = picture.shape[:2]
    samples = torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)).flatten()
    luma, u, v = samples.tensor_split([height * width, height * width * 5 // 4])
    planes = (
        luma.view(1, 1, height, width),
        u.view(1, 1, height // 2, width // 2),
        v.view(1, 1, height // 2, width // 2),
    )
    return FrameBatch(planes, frame_format(width, height), (time_ms,), (duration_ms,), MILLISECOND)


def frame_format(width: int, height: int) -> FrameFormat:
    """The format of `as_frames`."""
    return FrameFormat(width, height, matrix=MATRIX_SMPTE170M, primaries=_PRIMARIES, transfer=_TRANSFER)


def as_picture(frames: FrameBatch) -> Picture:
    """The one frame of a batch of `frame_format` as (H, W, 3) uint8 BGR."""
    flat = torch.cat([plane.flatten() for plane in frames.planes]).cpu().numpy()
    rows = flat.reshape(frames.format.height * 3 // 2, frames.format.width)
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_YUV2BGR_I420), np.uint8)


def fitted(picture: Picture, width: int, height: int) -> Picture:
    """A picture scaled to cover ``width`` x ``height`` px, its aspect kept, and cut evenly."""
    old_height, old_width = picture.shape[:2]
    if (old_width, old_height) == (width, height):
        return picture
    scale = max(width / old_width, height / old_height)
    size = max(width, round(old_width * scale)), max(height, round(old_height * scale))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width], np.uint8)


def _shrunk(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _as_rgb(picture: Picture) -> Tensor:
    rgb = torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return rgb.permute(2, 0, 1)[None].contiguous()


def _resized(past: _Past, size: tuple[int, int]) -> _Past:
    """What the last picture left, for pictures of another size; probabilities fit any."""
    if past.solved.picture.shape[2:] == size:
        return past
    s = past.solved
    picture, alpha, value, weight = (
        F.interpolate(x.float(), size, mode="bilinear", align_corners=False, antialias=True)
        for x in (s.picture, s.alpha, s.mean.value, s.mean.weight)
    )
    trimap = F.interpolate(s.trimap, size, mode="nearest")
    picture = picture.round().to(torch.uint8)
    return replace(past, solved=Solved.of(picture, alpha, trimap, Mean(value, weight)), tiles=())
