"""The stages of one live frame: the camera's image and the state of the previous frame -> its matte.

The stages are those of `MattingPipeline.frames`, in two halves, so that one frame can be segmented while
the one before is inferred. Resolution and the segmenter's interval may change between frames; the state is
then resampled to the new size, so that a change of level is no scene cut.
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
from autohair_video.matting.matte_adjust import adjust_matte
from autohair_video.matting.optical_flow import Motion, estimate_motions, scene_cuts
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.matting.segmentation import scale_to, working_size
from autohair_video.matting.temporal import InferredAlpha, RunningMean, smooth_alphas, smooth_probability
from autohair_video.matting.tiled_inference import CachedTile
from autohair_video.matting.trimap import draw_trimap, encode_alpha_prior
from autohair_video.matting.trimap_expansion import expand_band, keep_expansion
from autohair_video.media.camera import BgrImage, CameraFrame
from autohair_video.options import SegmentOptions, TemporalOptions, TileOptions, TrimapOptions
from autohair_video.tracking.selection import (
    SubjectPrompt,
    SubjectState,
    limit_alpha,
    select_subject,
    upper_limit,
)

MILLISECOND: Final = Fraction(1, 1000)
# The time of inference is proportional to the tiles' total area: a low frame is covered by one row of tiles
# of its height, a larger one by small tiles close to the band. Tiles below 160 px take longer per pixel
# (measured on two cores with `bench --live`).
_ROW_TILES_PX: Final = (160, 192)
_TILE_PX: Final = 160
_OVERLAP_PX: Final = 32
# People are tracked on probabilities of this long side at every level, so that tracks outlive a change of it.
_TRACKING_PX: Final = 320
# ISO/IEC 23091-2 code points: BT.601 (SMPTE 170M) primaries with BT.709 transfer, as UVC cameras deliver.
_PRIMARIES: Final = 6
_TRANSFER: Final = 1


@dataclass(frozen=True)
class MattedFrame:
    """A camera frame with its matte, both at the shown size.

    ``frames``: the image as one frame of 4:2:0 planes, pts in milliseconds.
    """

    camera_frame: CameraFrame
    frames: FrameBatch
    matte: Matte

    @property
    def image(self) -> BgrImage:
        """(H, W, 3) uint8 BGR."""
        return self.camera_frame.image


@dataclass(frozen=True)
class SegmentedFrame:
    """A frame after segmentation, before its alpha is inferred.

    ``samples`` (1, 3, h, w) uint8 RGB at the level's scale of ``size``, the image's height and width;
    ``trimap`` and ``prior`` (1, 1, h, w) uint8; ``probability`` is the running mean of the segmenter's
    output, ``since_segmented`` how many frames ago the segmenter ran. ``others`` (1, 1, h', w') float in
    0..1: pixels that certainly belong to another person than the subject. ``motion`` is relative to the
    previous frame, ``temporal`` the smoothing. ``is_first``: there is no previous frame. ``is_resized``: it
    had another scale.
    """

    samples: Tensor
    size: tuple[int, int]
    trimap: Tensor
    prior: Tensor
    probability: RunningMean
    since_segmented: int
    others: Tensor | None
    motion: Motion | None
    temporal: TemporalOptions
    is_first: bool
    is_resized: bool


class LivePipeline:
    """Mattes images one by one and holds the state between them.

    `segment` and `infer` may run in two threads, each image passing through both in the same order.
    ``_segmented`` and ``_subject`` belong to the thread that calls `segment` and `reset`, ``_inferred`` to
    the one that calls `infer`.
    """

    def __init__(self, pipeline: MattingPipeline, options: LiveOptions) -> None:
        self._pipeline, self._options = pipeline, options.matting
        self._prompt = SubjectPrompt(options.subject)
        self._segmented: SegmentedFrame | None = None
        self._subject: SubjectState | None = None
        self._inferred: tuple[InferredAlpha, tuple[CachedTile, ...]] | None = None

    def reset(self) -> None:
        """Treat the next image as the first of a scene; the chosen subject stays."""
        self._segmented = None

    def __call__(self, image: BgrImage, settings: Settings, level: Level) -> Matte:
        """Matte of one image: `segment` and `infer`."""
        return self.infer(self.segment(image, settings, level))

    @torch.inference_mode()
    def segment(
        self, image: BgrImage, settings: Settings, level: Level, time_s: Fraction = Fraction(0)
    ) -> SegmentedFrame:
        """Optical flow, person probability and trimap of an image.

        Args:
            image: (H, W, 3) uint8 BGR.
            settings: the viewer's band width and smoothing.
            level: scale and interval of the stages.
            time_s: the image's time, for tracking.
        """
        o, watch, (height, width) = self._options, self._pipeline.watch, image.shape[:2]
        size = round(height * level.scale), round(width * level.scale)
        working = image if level.scale == 1 else _downscale(image, size)
        samples = _bgr_to_rgb_tensor(working).to(self._pipeline.device)
        past = None if self._segmented is None else _resize_state(self._segmented, size)
        smooths = settings.smoothing and o.temporal.mode != "off"
        temporal = replace(o.temporal, strength=o.temporal.strength if smooths else 0.0)
        with watch("temporal"):
            flow_px = min(o.temporal.flow_long_side_px, level.flow_px)
            flow_options = replace(o.temporal, flow_long_side_px=flow_px)
            (motion,) = estimate_motions(past.samples if past else None, samples, flow_options)
        probability, since_segmented = self._probability(samples, past, motion, temporal, level)
        person, others = self._select(probability.value, image, time_s, scene_cuts((motion,), o.temporal))
        with watch("trimap"):
            trimap_options = scale_trimap_band(o.trimap, settings.band)
            before = past.trimap if temporal.strength > 0 and past and motion else None
            trimap = draw_trimap(person, size=size, options=trimap_options, before=before)
            prior = encode_alpha_prior(person[:, :1], size)
        self._segmented = SegmentedFrame(
            samples,
            (height, width),
            trimap,
            prior,
            probability,
            since_segmented,
            others,
            motion,
            temporal,
            is_first=past is None,
            is_resized=past is not self._segmented,
        )
        return self._segmented

    @torch.inference_mode()
    def infer(self, frame: SegmentedFrame) -> Matte:
        """Matte of a segmented image at the image's size, without a time."""
        samples, watch = frame.samples, self._pipeline.watch
        size = (samples.shape[2], samples.shape[3])
        last, tiles = (None, ()) if frame.is_first else self._previous(size)
        alpha, trimap, tiles = self._infer_band(frame, last, tiles if frame.temporal.strength > 0 else ())
        with watch("temporal"):
            (smoothed,) = smooth_alphas(
                last, (frame.motion,), samples, alpha, trimap, frame.temporal, align=not frame.is_resized
            )
        self._inferred = smoothed, tuple(tile.for_next() for tile in tiles)
        alpha = smoothed.mean.value
        if size != frame.size:
            alpha = F.interpolate(alpha, frame.size, mode="bilinear", align_corners=False)
            trimap = F.interpolate(trimap, frame.size, mode="nearest")
        with watch("edges"):
            raw_alpha = limit_alpha(alpha, None, upper_limit(None, frame.others, frame.size))
            alpha = adjust_matte(raw_alpha, self._options.edges)
        return Matte.of_still(alpha, trimap=trimap, raw_alpha=None if alpha is raw_alpha else raw_alpha)

    def _infer_band(
        self, frame: SegmentedFrame, last: InferredAlpha | None, tiles: tuple[CachedTile, ...]
    ) -> tuple[Tensor, Tensor, tuple[CachedTile, ...]]:
        """Alpha, the trimap with its band expanded as often as the options allow, and the tiles."""
        initial, expansions = frame.trimap, self._options.trimap.max_band_expansions
        trimap = initial
        if expansions and last is not None and frame.motion is not None:
            trimap = keep_expansion(initial, last.trimap, last.mean.value)
        solver = self._pipeline.matting_net.at(tile_options_for(frame.samples.shape[2]))
        with self._pipeline.watch("matte"):
            alpha, tiles = solver.infer_sequence(frame.samples, trimap, tiles, frame.prior)
            for _ in range(expansions):
                expanded = expand_band(alpha, trimap, initial)
                if torch.equal(expanded, trimap):
                    break
                trimap = expanded
                alpha, tiles = solver.infer_sequence(frame.samples, trimap, tiles, frame.prior)
        return alpha, trimap, tiles

    def _probability(
        self,
        samples: Tensor,
        past: SegmentedFrame | None,
        motion: Motion | None,
        temporal: TemporalOptions,
        level: Level,
    ) -> tuple[RunningMean, int]:
        """Person and hair probabilities, and how many frames ago the segmenter ran."""
        watch, since = self._pipeline.watch, 1 + (past.since_segmented if past else 0)
        before, now = past.probability if past else None, None
        if before is None or motion is None or since >= max(level.every, self._options.segment.every):
            since = 0
            with watch("segment"):
                segment = self._pipeline.segment.at(SegmentOptions(level.segment_px))
                now = segment(samples.float() / 255)
        with watch("temporal"):
            return smooth_probability(before, motion, now, temporal), since

    def _select(
        self, probability: Tensor, image: BgrImage, time_s: Fraction, cuts: list[bool] | None
    ) -> tuple[Tensor, Tensor | None]:
        """The subject's probabilities, and what certainly is another person."""
        if self._prompt.subject.choice == "all":
            return probability, None
        height, width = image.shape[:2]
        with self._pipeline.watch("subject"):
            small = scale_to(probability, *working_size(height, width, _TRACKING_PX))
            full = _bgr_to_rgb_tensor(image).to(small.device)
            selected = select_subject(small, full, (time_s,), self._prompt, self._subject, cuts)
        self._subject = selected.state
        return selected.probability, selected.others

    def _previous(self, size: tuple[int, int]) -> tuple[InferredAlpha | None, tuple[CachedTile, ...]]:
        """Result and tiles of the previous frame, for frames of a height and width."""
        if self._inferred is None:
            return None, ()
        last, tiles = self._inferred
        if last.image.shape[2:] == size:
            return last, tiles
        alpha, value, weight = (_resize(x, size) for x in (last.alpha, last.mean.value, last.mean.weight))
        image, trimap = _resize(last.image, size), F.interpolate(last.trimap, size, mode="nearest")
        return InferredAlpha.of(image, alpha, trimap, RunningMean(value, weight)), ()


def scale_trimap_band(options: TrimapOptions, band: float) -> TrimapOptions:
    """Trimap options with the unknown band scaled in width.

    >>> scale_trimap_band(TrimapOptions(mode="fixed", erosion=5, size=25), 2).size
    50
    """
    if options.mode == "fixed":
        return replace(options, erosion=round(options.erosion * band), size=round(options.size * band))
    return replace(options, band=min(10.0, max(0.1, options.band * band)))


def tile_options_for(height_px: int) -> TileOptions:
    """The tiles of lowest cost for frames of a height.

    >>> [tile_options_for(height).tile_px for height in (144, 180, 360)]
    [160, 192, 160]
    """
    tile_px = next((px for px in _ROW_TILES_PX if px >= height_px), _TILE_PX)
    return TileOptions(tile_px=tile_px, overlap_px=_OVERLAP_PX, double_below_px=0)


def to_frame_batch(image: BgrImage, time_ms: int, *, duration_ms: int) -> FrameBatch:
    """An image, (H, W, 3) uint8 BGR with even sides, as one 4:2:0 frame of BT.601 in limited range.

    Compositing takes half the time on such planes, and encoders accept them unconverted.
    """
    height, width = image.shape[:2]
    samples = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)).flatten()
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


def scale_and_crop(image: BgrImage, width: int, height: int) -> BgrImage:
    """An image scaled to cover ``width`` x ``height`` px at its aspect ratio, and cropped centrally."""
    old_height, old_width = image.shape[:2]
    if (old_width, old_height) == (width, height):
        return image
    scale = max(width / old_width, height / old_height)
    size = max(width, round(old_width * scale)), max(height, round(old_height * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width], np.uint8)


def _downscale(image: BgrImage, size: tuple[int, int]) -> BgrImage:
    """An image at a smaller height and width."""
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _bgr_to_rgb_tensor(image: BgrImage) -> Tensor:
    """(1, 3, H, W) uint8 RGB of (H, W, 3) uint8 BGR."""
    rgb = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return rgb.permute(2, 0, 1)[None].contiguous()


def _resize_state(frame: SegmentedFrame, size: tuple[int, int]) -> SegmentedFrame:
    """The state for frames of another height and width; probabilities may have any size."""
    if frame.samples.shape[2:] == size:
        return frame
    trimap = F.interpolate(frame.trimap, size, mode="nearest")
    return replace(frame, samples=_resize(frame.samples, size), trimap=trimap)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) at another size, of the same dtype."""
    resized = F.interpolate(x.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return resized if x.is_floating_point() else resized.round().to(x.dtype)
