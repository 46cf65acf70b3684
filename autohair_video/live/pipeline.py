"""One live picture at a time: what it shows and what the last one left -> its matte.

The stages are those of `MattingPipeline.frames`, in two steps, so that one image can be segmented while
the one before is solved. Resolution and the interval of the segmenter may change between images, and what
the last picture left is brought to the new size, so that a change of quality is no cut.
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
from autohair_video.matting.optical_flow import Motion, estimate_motions
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.matting.temporal import InferredAlpha, RunningMean, smooth_alphas, smooth_probability
from autohair_video.matting.tiled_inference import CachedTile
from autohair_video.matting.trimap import draw_trimap, encode_alpha_prior
from autohair_video.media.camera import BgrImage, CameraFrame
from autohair_video.options import SegmentOptions, TemporalOptions, TileOptions, TrimapOptions

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
class MattedFrame:
    """A camera's picture with its matte, both at the shown size.

    ``frames``: the picture as one frame of 4:2:0 planes, its pts in milliseconds.
    """

    shot: CameraFrame
    frames: FrameBatch
    matte: Matte

    @property
    def picture(self) -> BgrImage:
        """(H, W, 3) uint8 BGR."""
        return self.shot.picture


@dataclass(frozen=True)
class SegmentedFrame:
    """What is known of a picture before its alpha is solved.

    ``samples`` (1, 3, h, w) uint8 RGB at the level's share of ``size``, the picture's height and width;
    ``trimap`` and ``guess`` (1, 1, h, w) uint8; ``seen`` is the segmenter's mean, and ``since_seen`` how many
    pictures ago it looked. ``motion`` is against the picture before, ``temporal`` how to smooth along it.
    ``is_first``: nothing that came before counts. ``is_resized``: the picture before had another share.
    """

    samples: Tensor
    size: tuple[int, int]
    trimap: Tensor
    guess: Tensor
    seen: RunningMean
    since_seen: int
    motion: Motion | None
    temporal: TemporalOptions
    is_first: bool
    is_resized: bool


class LivePipeline:
    """Mattes pictures as they come; holds what the last one left.

    `look` and `solve` may run in two threads, each picture going through both in the same order.
    ``options``: how trimap and smoothing work, before the viewer's settings.
    """

    def __init__(self, matter: MattingPipeline, options: LiveOptions) -> None:
        self._matter, self._options = matter, options
        self._looked: SegmentedFrame | None = None
        self._solved: tuple[InferredAlpha, tuple[CachedTile, ...]] | None = None

    def forget(self) -> None:
        """Take the next picture that is looked at as the first of a scene."""
        self._looked = None

    def __call__(self, picture: BgrImage, settings: Settings, level: Level) -> Matte:
        """Matte of one picture: `look` and `solve` in one."""
        return self.solve(self.segment(picture, settings, level))

    @torch.inference_mode()
    def segment(self, picture: BgrImage, settings: Settings, level: Level) -> SegmentedFrame:
        """Where the subject is, and how it moved.

        Args:
            picture: (H, W, 3) uint8 BGR.
            settings: band width and smoothing are taken from it.
            level: how finely to look.
        """
        o, watch, (height, width) = self._options, self._matter.watch, picture.shape[:2]
        size = round(height * level.share), round(width * level.share)
        samples = _bgr_to_rgb_tensor(picture if level.share == 1 else _downscale(picture, size)).to(
            self._matter.device
        )
        past = None if self._looked is None else _resize_state(self._looked, size)
        steady = replace(o.temporal, strength=o.temporal.strength if settings.smoothing else 0.0)
        with watch("temporal"):
            flow_px = min(o.temporal.flow_long_side_px, level.flow_px)
            small = replace(o.temporal, flow_long_side_px=flow_px)
            (motion,) = estimate_motions(past.samples if past else None, samples, small)
        seen, since_seen = self._seen(samples, past, motion, steady, level)
        with watch("trimap"):
            form = scale_trimap_band(o.trimap, settings.band)
            before = past.trimap if steady.strength > 0 and past and motion else None
            trimap = draw_trimap(seen.value, size=size, options=form, before=before)
            guess = encode_alpha_prior(seen.value[:, :1], size)
        self._looked = SegmentedFrame(
            samples,
            (height, width),
            trimap,
            guess,
            seen,
            since_seen,
            motion,
            steady,
            is_first=past is None,
            is_resized=past is not self._looked,
        )
        return self._looked

    @torch.inference_mode()
    def solve(self, looked: SegmentedFrame) -> Matte:
        """Matte of a picture that was looked at, at the picture's size; its time is not set."""
        watch, samples, trimap = self._matter.watch, looked.samples, looked.trimap
        size = (samples.shape[2], samples.shape[3])
        last, tiles = (None, ()) if looked.is_first else self._left(size)
        with watch("matte"):
            solver = self._matter.solve.at(tile_options_for(size[0]))
            kept = tiles if looked.temporal.strength > 0 else ()
            alpha, tiles = solver.follow(samples, trimap, kept, looked.guess)
        with watch("temporal"):
            (solved,) = smooth_alphas(
                last, (looked.motion,), samples, alpha, trimap, looked.temporal, align=not looked.is_resized
            )
        self._solved = solved, tuple(tile.for_next() for tile in tiles)
        alpha = solved.mean.value
        if size != looked.size:
            alpha = F.interpolate(alpha, looked.size, mode="bilinear", align_corners=False)
            trimap = F.interpolate(trimap, looked.size, mode="nearest")
        return Matte.of_still(alpha, trimap=trimap)

    def _seen(
        self,
        samples: Tensor,
        past: SegmentedFrame | None,
        motion: Motion | None,
        steady: TemporalOptions,
        level: Level,
    ) -> tuple[RunningMean, int]:
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

    def _left(self, size: tuple[int, int]) -> tuple[InferredAlpha | None, tuple[CachedTile, ...]]:
        """What the last solved picture left, for pictures of a height and width."""
        if self._solved is None:
            return None, ()
        s, tiles = self._solved
        if s.picture.shape[2:] == size:
            return s, tiles
        alpha, value, weight = (_resize(x, size) for x in (s.alpha, s.mean.value, s.mean.weight))
        picture, trimap = _resize(s.picture, size), F.interpolate(s.trimap, size, mode="nearest")
        return InferredAlpha.of(picture, alpha, trimap, RunningMean(value, weight)), ()


def scale_trimap_band(form: TrimapOptions, band: float) -> TrimapOptions:
    """A trimap's form with a band so many times as wide.

    >>> scaled(TrimapOptions(mode="fixed", erosion=5, size=25), 2).size
    50
    """
    if form.mode == "fixed":
        return replace(form, erosion=round(form.erosion * band), size=round(form.size * band))
    return replace(form, band=form.band * band)


def tile_options_for(height_px: int) -> TileOptions:
    """The tiles that cost least on pictures of a height.

    >>> [tiles_for(height).tile_px for height in (144, 180, 360)]
    [160, 192, 160]
    """
    tile_px = next((px for px in _ROW_TILES_PX if px >= height_px), _TILE_PX)
    return TileOptions(tile_px=tile_px, overlap_px=_OVERLAP_PX, double_below_px=0)


def to_frame_batch(picture: BgrImage, time_ms: int, *, duration_ms: int) -> FrameBatch:
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
    """The format of `to_frame_batch`."""
    return FrameFormat(width, height, matrix=MATRIX_SMPTE170M, primaries=_PRIMARIES, transfer=_TRANSFER)


def to_bgr(frames: FrameBatch) -> BgrImage:
    """The one frame of a batch of `frame_format` as (H, W, 3) uint8 BGR."""
    flat = torch.cat([plane.flatten() for plane in frames.planes]).cpu().numpy()
    rows = flat.reshape(frames.format.height * 3 // 2, frames.format.width)
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_YUV2BGR_I420), np.uint8)


def scale_and_crop(picture: BgrImage, width: int, height: int) -> BgrImage:
    """A picture scaled to cover ``width`` x ``height`` px, its aspect kept, and cut evenly."""
    old_height, old_width = picture.shape[:2]
    if (old_width, old_height) == (width, height):
        return picture
    scale = max(width / old_width, height / old_height)
    size = max(width, round(old_width * scale)), max(height, round(old_height * scale))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width], np.uint8)


def _downscale(picture: BgrImage, size: tuple[int, int]) -> BgrImage:
    """A picture at a smaller height and width."""
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _bgr_to_rgb_tensor(picture: BgrImage) -> Tensor:
    rgb = torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return rgb.permute(2, 0, 1)[None].contiguous()


def _resize_state(looked: SegmentedFrame, size: tuple[int, int]) -> SegmentedFrame:
    """The same for pictures of another height and width; probabilities fit any."""
    if looked.samples.shape[2:] == size:
        return looked
    trimap = F.interpolate(looked.trimap, size, mode="nearest")
    return replace(looked, samples=_resize(looked.samples, size), trimap=trimap)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) at another size, of the same dtype."""
    large = F.interpolate(x.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return large if x.is_floating_point() else large.round().to(x.dtype)
