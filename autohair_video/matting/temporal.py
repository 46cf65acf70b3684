"""Smoothing in time along the motion of the picture.

What other frames had is carried to this frame along optical flow, and averaged in where flow and
colour say that it is the same surface. Means are kept with their weight, so that a surface seen for the
second time counts half and one that was seen for long is hardly changed by a single frame. The past
serves twice: for the segmenter's probabilities, before the trimap, and for alpha, after the matter. With
a file as input alpha may wait for a few later frames as well (`average_with_later`). At a scene cut all is
dropped.
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

# Colour residual, of 255, and difference of alpha at which trust falls to 1/e.
_RESIDUAL: Final = 7.5
_DISAGREEMENT: Final = 0.5
# Of a pixel's colour residual at least this share counts however thin the subject is there.
_LEAST_SUBJECT: Final = 0.2
# What cubic sampling of a constant may be off.
_ROUNDING: Final = 1e-6
# Confidence below which nothing at all is carried, so that no trace is left behind.
_LEAST_TRUST: Final = 0.1


@dataclass(frozen=True)
class RunningMean:
    """A mean over frames: ``value`` (1, C, h, w), and how many frames it is worth, (1, 1, h, w) from 1 up."""

    value: Tensor
    weight: Tensor

    @classmethod
    def of(cls, value: Tensor) -> RunningMean:
        """What one frame says, (1, C, h, w)."""
        return cls(value, torch.ones_like(value[:, :1]))


@dataclass(frozen=True)
class InferredAlpha:
    """A frame with the alpha that was solved for it.

    ``picture`` (1, 3, H, W) uint8 RGB, ``colours`` (1, 3, H / 2, W / 2) float of 0..255, the same without
    noise, ``alpha`` (1, 1, H, W) float as solved, ``trimap`` (1, 1, H, W) uint8, ``band`` (K,) its unknown
    pixels, counted row by row, ``motion`` against the frame before, ``mean`` alpha with the past averaged in.
    """

    picture: Tensor
    colours: Tensor
    alpha: Tensor
    trimap: Tensor
    band: Tensor
    motion: Motion | None
    mean: RunningMean

    @classmethod
    def of(
        cls,
        picture: Tensor,
        alpha: Tensor,
        trimap: Tensor,
        mean: RunningMean,
        motion: Motion | None = None,
        band: Tensor | None = None,
    ) -> InferredAlpha:
        """With the colours of ``picture``, and the band of ``trimap`` where it is not known yet."""
        # On a CPU this takes a tenth of what pooling takes.
        colours = _pairs(_pairs(picture.to(torch.int16), 2), 3) / 4
        band = _bands(trimap)[0] if band is None else band
        return cls(picture, colours, alpha, trimap, band, motion, mean)


def smooth_probability(
    previous: RunningMean | None, motion: Motion | None, probability: Tensor | None, options: TemporalOptions
) -> RunningMean:
    """The segmenter's probabilities of a frame, steadied along the motion.

    Args:
        previous: result for the frame before, of any size, or None.
        motion: from `estimate_motions`.
        probability: (1, C, h, w) float in 0..1; None where the segmenter did not look, so that the
            past alone counts, which there must be then.
        options: ``strength`` is the largest share of the past.
    """
    if previous is None or motion is None:
        if probability is None:
            raise ValueError("neither the segmenter nor the past says anything about this frame")
        return RunningMean.of(probability)
    seen = previous.value if probability is None else probability
    size = (seen.shape[2], seen.shape[3])
    places, confidence = backward_warp_grid(motion.back, full_sampling_grid(size, seen.device))
    value, weight = warp(previous.value, places), warp(previous.weight, places) * options.strength
    if probability is None:
        return RunningMean(value, weight.clamp(min=1))
    return _merged(RunningMean.of(probability), RunningMean(value, weight), confidence)


def smooth_alphas(
    previous: InferredAlpha | None,
    motions: Sequence[Motion | None],
    pictures: Tensor,
    alphas: Tensor,
    trimaps: Tensor,
    options: TemporalOptions,
    *,
    align: bool = True,
) -> list[InferredAlpha]:
    """Alpha of consecutive frames' unknown bands, steadied by the past; what is known stays.

    Args:
        previous: result for the frame before the first, or None.
        motions: of each frame, from `estimate_motions`.
        pictures: (N, 3, H, W) uint8 RGB.
        alphas: (N, 1, H, W) float in 0..1, as solved.
        trimaps: (N, 1, H, W) uint8 of 0, 128 and 255.
        options: ``strength`` and ``moving_strength`` are the largest shares of the past.
        align: whether outlines are compared; they cannot be where ``previous`` was solved at another size.
    """

    def solved(n: int) -> InferredAlpha:
        alpha, one = alphas[n : n + 1], slice(n, n + 1)
        return InferredAlpha.of(
            pictures[one], alpha, trimaps[one], RunningMean.of(alpha), motions[n], bands[n]
        )

    def link(n: int) -> Correspondence | None:
        before, motion = (frames[n - 1] if n else previous), motions[n]
        return Correspondence.of(frames[n], before, motion.back, align=align) if before and motion else None

    numbers, bands = range(len(motions)), _bands(trimaps)
    frames = on_each_core(solved, numbers, alphas.device)
    for n, earlier in enumerate(on_each_core(link, numbers, alphas.device)):
        if earlier and previous:
            mean = earlier.averaged(frames[n].mean, previous.mean, options)
            frames[n] = replace(frames[n], mean=mean)
        previous = frames[n]
    return frames


def average_with_later(
    frames: Sequence[InferredAlpha], links: Sequence[Correspondence | None], options: TemporalOptions
) -> Tensor:
    """Alpha of the first of consecutive frames, steadied by those after it as by those before.

    Args:
        frames: one or more.
        links: of each frame but the last with the one after it, from `correspond_with_later`.
        options: as for `smooth_alphas`.

    Returns:
        (1, 1, H, W) float in 0..1.
    """
    mean = RunningMean.of(frames[-1].alpha) if links else frames[0].mean
    for number in reversed(range(len(links))):
        link = links[number]
        own = RunningMean.of(frames[number].alpha) if number else frames[0].mean
        mean = own if link is None else link.averaged(own, mean, options)
    return mean.value


def correspond_with_later(here: InferredAlpha, later: InferredAlpha) -> Correspondence | None:
    """A frame's link with the one after it; None where that begins a new scene."""
    return None if later.motion is None else Correspondence.of(here, later, later.motion.forth)


@dataclass(frozen=True)
class Correspondence:
    """The K unknown pixels of a frame, and where their surfaces are in another.

    ``band`` (K,): the pixels, as in `InferredAlpha`; ``places`` (1, 1, K, 2) in the other frame, as
    `motion.some_places` gives them; ``confidence`` (K,) in 0..1 and colour ``residual`` (K,), squared, of
    255: how far the surface is the same; ``stillness`` (K,) in 0..1: 1 where the subject does not move;
    ``alpha`` (K,) of the frame itself.
    """

    band: Tensor
    places: Tensor
    confidence: Tensor
    residual: Tensor
    stillness: Tensor
    alpha: Tensor

    @classmethod
    def of(
        cls, here: InferredAlpha, other: InferredAlpha, flow: Flow, *, align: bool = True
    ) -> Correspondence:
        """Along ``flow``, which leads from the frame to the other; ``align``: and along the outline."""
        band = here.band
        if not len(band):
            nothing = here.alpha.new_empty(0)
            return cls(band, nothing.view(1, 1, 0, 2), nothing, nothing, nothing, nothing)
        own = sampling_grid_at(band, (here.trimap.shape[2], here.trimap.shape[3]))
        subject = subject_flow(flow, here.alpha)
        way = refine_flow(subject, here.alpha, other.alpha) if align else subject
        places, confidence = backward_warp_grid(way, own)
        residual = warp(here.colours, own) - warp(other.colours, places)
        alpha = here.alpha.reshape(-1).index_select(0, band)
        squared = residual[0, :, 0].square().mean(dim=0)
        return cls(band, places, confidence[0, 0, 0], squared, warp(stillness(subject), own)[0, 0, 0], alpha)

    def averaged(self, own: RunningMean, other: RunningMean, options: TemporalOptions) -> RunningMean:
        """A frame's own mean and that of the other, in the unknown band.

        Only the band's pixels are looked up, so that this costs as much as there is of it.
        """
        if not len(self.band):
            return own
        # cubic weights add up to 1 but for rounding, which must not make mixed pixels of solid ones
        value = warp(other.value, self.places, sharp=True).mul_(1 + 2 * _ROUNDING).sub_(_ROUNDING)
        value = value.clamp_(0, 1)[0, 0, 0]
        weight = warp(other.weight, self.places)[0, 0, 0]
        own_value, own_weight = (x.reshape(-1).index_select(0, self.band) for x in (own.value, own.weight))
        trust = self.confidence * _likeness(self.residual, self.alpha, value)
        # what moves is off by a part of a pixel each time that it is carried on
        moving = min(options.moving_strength, options.strength)
        strength = moving + (options.strength - moving) * self.stillness
        share = weight * (trust - _LEAST_TRUST).clamp(min=0) * strength / (1 - _LEAST_TRUST)
        total = own_weight + share
        merged = RunningMean(own.value.clone(), own.weight.clone())
        merged.value.view(-1).index_copy_(0, self.band, torch.lerp(own_value, value, share / total))
        merged.weight.view(-1).index_copy_(0, self.band, total)
        return merged


def _bands(trimaps: Tensor) -> list[Tensor]:
    """The unknown pixels (K,) of each of (N, 1, H, W), counted row by row."""
    masks = (trimaps == UNKNOWN).flatten(1)
    if masks.device.type == "cpu":
        # a third of torch's time
        return [torch.from_numpy(np.flatnonzero(mask.numpy())) for mask in masks]
    counts = masks.sum(dim=1).tolist()
    return list(torch.split(masks.nonzero()[:, 1], counts))


def _likeness(residual: Tensor, alpha: Tensor, carried: Tensor) -> Tensor:
    """How far colours and alpha confirm that what was carried is the same surface, 0..1.

    Colours are compared in so far as they are the subject's, as what is behind may change; but the more
    they differ, the more alpha itself must agree, so that what the subject has left is gone at once.
    """
    residual = residual / _RESIDUAL**2
    disagreement = ((alpha - carried) / _DISAGREEMENT).square()
    subject = carried.clamp(min=_LEAST_SUBJECT).square()
    return torch.exp(-residual * subject - disagreement * (1 - torch.exp(-residual)))


def _pairs(x: Tensor, dim: int) -> Tensor:
    """Sums of neighbours along one dimension; the last one of an odd side counts twice."""
    swapped = x.transpose(0, dim)
    sums, others = swapped[::2].transpose(0, dim).clone(), swapped[1::2].transpose(0, dim)
    sums.narrow(dim, 0, others.shape[dim]).add_(others)
    sums.narrow(dim, others.shape[dim], sums.shape[dim] - others.shape[dim]).mul_(2)
    return sums


def _merged(own: RunningMean, other: RunningMean, share: Tensor) -> RunningMean:
    """Both means as one; ``share`` (1, 1, h, w) in 0..1 scales the other's weight."""
    other_weight = other.weight * share
    weight = own.weight + other_weight
    return RunningMean(torch.lerp(own.value, other.value, other_weight / weight), weight)
