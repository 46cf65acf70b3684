"""Rendered hair, whose alpha is exact in every frame, through the networks: what steadying does to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autohair_video import MattingOptions, MattingPipeline
from autohair_video.evaluate import metrics
from autohair_video.frames import MATRIX_BT709, FrameBatch, FrameFormat
from autohair_video.media.colour import from_rgb, round_planes
from autohair_video.training.synthetic.strands import StrandStyle, grow, sway

SIDE, FRAMES = 160, 8
Floats = NDArray[np.float32]


def hairy_ball(amplitude: float) -> Iterator[tuple[Floats, Floats]]:
    """Pictures (S, S, 3) and alpha (S, S) of a ball with hair all round, in a wind, by a noisy camera."""
    rng = np.random.default_rng(3)
    around = np.sort(rng.uniform(0, 2 * np.pi, 500))
    roots = np.stack([80 + 38 * np.cos(around), 90 + 38 * np.sin(around)], axis=1)
    style = StrandStyle(length_px=40, width_px=0.8, fall=0.2)
    strands = grow(roots, around, np.tile([0.25, 0.15, 0.1], (500, 1)), style, rng)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    ball = np.clip(40.5 - np.hypot(x - 80, y - 90), 0, 1)[..., None]
    wall = np.dstack([0.35 + 0.3 * x / SIDE, 0.6 - 0.2 * y / SIDE, 0 * x + 0.7])
    wall = wall + 0.08 * np.sin(x / 7)[..., None]
    for hair in sway(strands, frames=FRAMES, height=SIDE, width=SIDE, amplitude=amplitude):
        front = hair.alpha[..., None]
        alpha = front + ball * (1 - front)
        skin = ball * (1 - front) * np.float32([0.7, 0.5, 0.4])
        picture = hair.colour * front + skin + (1 - alpha) * wall + rng.normal(0, 0.02, wall.shape)
        yield np.float32(np.clip(picture, 0, 1)), alpha[..., 0]


def trimap_of(alpha: Floats) -> torch.Tensor:
    mixed = cv2.dilate(((alpha > 0.01) & (alpha < 0.99)).astype(np.uint8), np.ones((9, 9))) > 0
    known = np.where(alpha > 0.5, 255, 0)
    return torch.from_numpy(np.where(mixed, 128, known).astype(np.uint8))[None, None]


def errors(mode: str, pictures: list[Floats], truths: list[Floats]) -> tuple[float, float]:
    """MAD and dtSSD of the alpha that the networks find, the trimaps being given."""
    fmt = FrameFormat(SIDE, SIDE, matrix=MATRIX_BT709, primaries=1, transfer=1)
    rgb = [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in pictures]
    batches = (
        FrameBatch(round_planes(from_rgb(frame, fmt), fmt), fmt, (i,), (1,), Fraction(1, 25))
        for i, frame in enumerate(rgb)
    )
    options = MattingOptions()
    matter = MattingPipeline(
        device="cpu", options=replace(options, temporal=replace(options.temporal, mode=mode))
    )
    found = matter.frames(batches, trimaps=map(trimap_of, truths))
    alphas = torch.cat([matte.alpha for _, matte in found])[:, 0].numpy()
    mad = float(np.mean([metrics.mad(a, t) for a, t in zip(alphas, truths, strict=True)]))
    return mad, metrics.dtssd(alphas, np.stack(truths))


@pytest.mark.parametrize("mode", ["causal", "lookahead"])
def test_static_hair_flicker_is_reduced(mode: str) -> None:
    pictures, truths = map(list, zip(*hairy_ball(0.0), strict=True))
    mad, flicker = errors("off", pictures, truths)
    smoothed_mad, smoothed_flicker = errors(mode, pictures, truths)
    assert smoothed_flicker < 0.6 * flicker
    assert smoothed_mad < 1.02 * mad


@pytest.mark.parametrize("mode", ["causal", "lookahead"])
def test_swaying_hair_leaves_no_ghosts(mode: str) -> None:
    """Temporal smoothing leaves no trace of the previous frame's hair: alpha is no less accurate with it."""
    pictures, truths = map(list, zip(*hairy_ball(0.25), strict=True))
    mad, flicker = errors("off", pictures, truths)
    smoothed_mad, smoothed_flicker = errors(mode, pictures, truths)
    assert smoothed_mad < 1.05 * mad
    assert smoothed_flicker < 1.05 * flicker
