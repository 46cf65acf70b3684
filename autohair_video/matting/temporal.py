"""Temporal smoothing along optical flow.

Values of other frames are warped to the current frame and averaged in where flow confidence and colour agree
that they show the same surface. Running means keep their weight: the second sample of a surface counts half,
and one more sample hardly changes a long history. History is used twice: for the segmenter's probabilities,
before the trimap, and for alpha, after matting. With a file as input alpha is also averaged with a few later
frames (`average_with_later`). A scene cut drops all history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from autohair_video.matting.flow_refinement import refine_flow, stillness, subject_flow
from autohair_video.matting.optical_flow import (
    Flow,
    Motion,
    backward_warp_grid,
    full_sampling_grid,
    sampling_grid_at,
    warp,
)
from autohair_video.matting.trimap import UNKNOWN
from autohair_video.options import TemporalOptions
from autohair_video.runtime.thread_pools import on_each_core

# Colour residual at which surface similarity falls to 1/e. Unit: of 255. Source: by eye.
_COLOUR_RESIDUAL: Final = 7.5
# Difference of alpha at which surface similarity falls to 1/e. Unit: alpha. Source: by eye.
_ALPHA_DISAGREEMENT: Final = 0.5
# Lower bound of the alpha that weights the colour residual. Unit: alpha. Source: by eye.
_MIN_SUBJECT_WEIGHT: Final = 0.2
# Bicubic weights sum to 1 only within this. Unit: of 1. Source: float32 rounding.
_BICUBIC_EPSILON: Final = 1e-6
# Confidence below which history is rejected, against ghosting. Unit: of 1. Source: by eye.
_MIN_CONFIDENCE: Final = 0.1


@dataclass(frozen=True)
class RunningMean:
    """Weighted mean over frames: ``value`` (1, C, h, w), ``weight`` (1, 1, h, w), effective samples >= 1."""

    value: Tensor
    weight: Tensor

    @classmethod
    def of(cls, value: Tensor) -> RunningMean:
        """The mean of a single frame (1, C, h, w)."""
        return cls(value, torch.ones_like(value[:, :1]))


@dataclass(frozen=True)
class InferredAlpha:
    """A frame with its inferred alpha.

    ``image`` (1, 3, H, W) uint8 RGB, ``colours`` (1, 3, H / 2, W / 2) float of 0..255, its 2x2
    means, ``alpha`` (1, 1, H, W) float as inferred, ``trimap`` (1, 1, H, W) uint8, ``band`` (K,) row-major
    indices of its unknown pixels, ``motion`` relative to the previous frame, ``mean`` the smoothed alpha.
    """

    image: Tensor
    colours: Tensor
    alpha: Tensor
    trimap: Tensor
    band: Tensor
    motion: Motion | None
    mean: RunningMean

    @classmethod
    def of(
        cls,
        image: Tensor,
        alpha: Tensor,
        trimap: Tensor,
        mean: RunningMean,
        motion: Motion | None = None,
        band: Tensor | None = None,
    ) -> InferredAlpha:
        """With the colours of ``image``, and, without ``band``, that of ``trimap``."""
        # on a CPU this takes a tenth of the time of pooling
        colours = _pair_sums(_pair_sums(image.to(torch.int16), 2), 3) / 4
        band = _bands(trimap)[0] if band is None else band
        return cls(image, colours, alpha, trimap, band, motion, mean)


def smooth_probability(
    previous: RunningMean | None, motion: Motion | None, probability: Tensor | None, options: TemporalOptions
) -> RunningMean:
    """The segmenter's probabilities of a frame, temporally smoothed.

    Args:
        previous: result for the frame before, of any size, or None.
        motion: from `estimate_motions`.
        probability: (1, C, h, w) float in 0..1; None where segmentation was skipped, so that history
            alone counts.
        options: ``strength`` bounds the weight of history.

    Raises:
        ValueError: there is neither a probability nor history.
    """
    if previous is None or motion is None:
        if probability is None:
            raise ValueError("this frame has neither a probability nor a history")
        return RunningMean.of(probability)
    reference = previous.value if probability is None else probability
    size = (reference.shape[2], reference.shape[3])
    grid, confidence = backward_warp_grid(motion.backward, full_sampling_grid(size, reference.device))
    value, weight = warp(previous.value, grid), warp(previous.weight, grid) * options.strength
    if probability is None:
        return RunningMean(value, weight.clamp(min=1))
    return _merge(RunningMean.of(probability), RunningMean(value, weight), confidence)


def smooth_alphas(
    previous: InferredAlpha | None,
    motions: Sequence[Motion | None],
    images: Tensor,
    alphas: Tensor,
    trimaps: Tensor,
    options: TemporalOptions,
    *,
    align: bool = True,
) -> list[InferredAlpha]:
    """Alpha of consecutive frames, smoothed with history in their unknown bands; known pixels are unchanged.

    Args:
        previous: result for the frame before the first, or None.
        motions: of each frame, from `estimate_motions`.
        images: (N, 3, H, W) uint8 RGB.
        alphas: (N, 1, H, W) float in 0..1, as inferred.
        trimaps: (N, 1, H, W) uint8 of 0, 128 and 255.
        options: ``strength`` and ``moving_strength`` bound the weight of history.
        align: whether outlines are registered; impossible where ``previous`` was inferred at another size.
    """

    def as_inferred(n: int) -> InferredAlpha:
        alpha, one = alphas[n : n + 1], slice(n, n + 1)
        return InferredAlpha.of(images[one], alpha, trimaps[one], RunningMean.of(alpha), motions[n], bands[n])

    def correspond(n: int) -> Correspondence | None:
        before, motion = (frames[n - 1] if n else previous), motions[n]
        return (
            Correspondence.of(frames[n], before, motion.backward, align=align) if before and motion else None
        )

    numbers, bands = range(len(motions)), _bands(trimaps)
    frames = on_each_core(as_inferred, numbers, alphas.device)
    for n, earlier in enumerate(on_each_core(correspond, numbers, alphas.device)):
        if earlier and previous:
            mean = earlier.merge(frames[n].mean, previous.mean, options)
            frames[n] = replace(frames[n], mean=mean)
        previous = frames[n]
    return frames


def average_with_later(
    frames: Sequence[InferredAlpha],
    correspondences: Sequence[Correspondence | None],
    options: TemporalOptions,
) -> Tensor:
    """Alpha of the first of consecutive frames, smoothed with the frames after it.

    Args:
        frames: one or more.
        correspondences: of each frame but the last with the next one, from `correspond_with_later`.
        options: as for `smooth_alphas`.

    Returns:
        (1, 1, H, W) float in 0..1.
    """
    mean = RunningMean.of(frames[-1].alpha) if correspondences else frames[0].mean
    for number in reversed(range(len(correspondences))):
        correspondence = correspondences[number]
        own = RunningMean.of(frames[number].alpha) if number else frames[0].mean
        mean = own if correspondence is None else correspondence.merge(own, mean, options)
    return mean.value


def correspond_with_later(here: InferredAlpha, later: InferredAlpha) -> Correspondence | None:
    """Correspondence of a frame with the next one; None where that begins a new scene."""
    return None if later.motion is None else Correspondence.of(here, later, later.motion.forward)


@dataclass(frozen=True)
class Correspondence:
    """Warp coordinates of the K unknown pixels of a frame into another frame.

    ``band`` (K,): the pixels, as in `InferredAlpha`; ``grid`` (1, 1, K, 2) in the other frame, as from
    `sampling_grid_at`; ``confidence`` (K,) of the flow in 0..1; ``residual`` (K,): squared colour difference,
    of 255; ``stillness`` (K,) in 0..1: 1 where the subject does not move; ``alpha`` (K,) of the frame.
    """

    band: Tensor
    grid: Tensor
    confidence: Tensor
    residual: Tensor
    stillness: Tensor
    alpha: Tensor

    @classmethod
    def of(
        cls, here: InferredAlpha, other: InferredAlpha, flow: Flow, *, align: bool = True
    ) -> Correspondence:
        """Along ``flow`` from the frame to the other; ``align``: refined by registration of the outline."""
        band = here.band
        if not len(band):
            nothing = here.alpha.new_empty(0)
            return cls(band, nothing.view(1, 1, 0, 2), nothing, nothing, nothing, nothing)
        own = sampling_grid_at(band, (here.trimap.shape[2], here.trimap.shape[3]))
        subject = subject_flow(flow, here.alpha)
        refined = refine_flow(subject, here.alpha, other.alpha) if align else subject
        grid, confidence = backward_warp_grid(refined, own)
        residual = warp(here.colours, own) - warp(other.colours, grid)
        alpha = here.alpha.reshape(-1).index_select(0, band)
        squared = residual[0, :, 0].square().mean(dim=0)
        return cls(band, grid, confidence[0, 0, 0], squared, warp(stillness(subject), own)[0, 0, 0], alpha)

    def merge(self, own: RunningMean, other: RunningMean, options: TemporalOptions) -> RunningMean:
        """Mean of a frame and that of the other frame, merged in the unknown band.

        Only pixels of the band are sampled, so that the cost is proportional to its area.
        """
        if not len(self.band):
            return own
        # rounding of the bicubic weights must not turn solid pixels into mixed ones
        value = warp(other.value, self.grid, sharp=True).mul_(1 + 2 * _BICUBIC_EPSILON).sub_(_BICUBIC_EPSILON)
        value = value.clamp_(0, 1)[0, 0, 0]
        weight = warp(other.weight, self.grid)[0, 0, 0]
        own_value, own_weight = (x.reshape(-1).index_select(0, self.band) for x in (own.value, own.weight))
        confidence = self.confidence * _surface_similarity(self.residual, self.alpha, value)
        # each warp of a moving region adds sub-pixel error, so cap its history weight
        moving = min(options.moving_strength, options.strength)
        strength = moving + (options.strength - moving) * self.stillness
        history_weight = (
            weight * (confidence - _MIN_CONFIDENCE).clamp(min=0) * strength / (1 - _MIN_CONFIDENCE)
        )
        total = own_weight + history_weight
        merged = RunningMean(own.value.clone(), own.weight.clone())
        merged.value.view(-1).index_copy_(0, self.band, torch.lerp(own_value, value, history_weight / total))
        merged.weight.view(-1).index_copy_(0, self.band, total)
        return merged


def _bands(trimaps: Tensor) -> list[Tensor]:
    """Row-major indices (K,) of the unknown pixels of each of (N, 1, H, W)."""
    masks = (trimaps == UNKNOWN).flatten(1)
    if masks.device.type == "cpu":
        # three times as fast as torch
        return [torch.from_numpy(np.flatnonzero(mask.numpy())) for mask in masks]
    counts = masks.sum(dim=1).tolist()
    return list(torch.split(masks.nonzero()[:, 1], counts))


def _surface_similarity(residual: Tensor, alpha: Tensor, warped: Tensor) -> Tensor:
    """Whether colour and alpha confirm that the warped pixel shows the same surface, 0..1.

    The colour residual is weighted by alpha, as the background may change; but the larger it is, the more
    alpha itself must agree, so that vacated pixels keep no ghost.
    """
    residual = residual / _COLOUR_RESIDUAL**2
    disagreement = ((alpha - warped) / _ALPHA_DISAGREEMENT).square()
    subject = warped.clamp(min=_MIN_SUBJECT_WEIGHT).square()
    return torch.exp(-residual * subject - disagreement * (1 - torch.exp(-residual)))


def _pair_sums(x: Tensor, dim: int) -> Tensor:
    """Sums of neighbouring pairs along a dimension; the last element of an odd side counts twice."""
    swapped = x.transpose(0, dim)
    sums, others = swapped[::2].transpose(0, dim).clone(), swapped[1::2].transpose(0, dim)
    sums.narrow(dim, 0, others.shape[dim]).add_(others)
    sums.narrow(dim, others.shape[dim], sums.shape[dim] - others.shape[dim]).mul_(2)
    return sums


def _merge(own: RunningMean, other: RunningMean, scale: Tensor) -> RunningMean:
    """The merged mean; ``scale`` (1, 1, h, w) in 0..1 multiplies the weight of the other."""
    other_weight = other.weight * scale
    weight = own.weight + other_weight
    return RunningMean(torch.lerp(own.value, other.value, other_weight / weight), weight)
