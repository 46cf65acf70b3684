"""What only a CUDA device can show; AUTOHAIR_REQUIRE_GPU=1 turns the skips into failures."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch import nn

from autohair_video import MattingPipeline, process
from autohair_video.bench.clip import prepare, talking_head
from autohair_video.bench.end_to_end import time_end_to_end
from autohair_video.media import ClipReader, to_rgb
from autohair_video.models.dim import DeepImageMatting, MobileDIM
from autohair_video.training.loop import Run, TrainOptions
from autohair_video.training.train import matting_loss
from autohair_video.weights import load_network
from tests.helpers.clips import VFR_MS, make_clip, timeline
from tests.helpers.options import CLOSER


@pytest.fixture(scope="module")
def person() -> torch.Tensor:
    """(1, 3, 180, 320) RGB in 0..1."""
    return torch.from_numpy(next(talking_head(320, 180, 1))).permute(2, 0, 1)[None]


def test_half_precision_gives_the_alpha_of_the_cpu(cuda: str, person: torch.Tensor) -> None:
    here = MattingPipeline(device="cpu", options=CLOSER).still(person)
    there = MattingPipeline(device=cuda, options=CLOSER).still(person, here.trimap)
    assert float((there.alpha.cpu() - here.alpha).abs().mean()) < 2e-3


def test_a_clip_keeps_its_times_and_looks_as_from_the_cpu(cuda: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", size=(320, 180), pts=VFR_MS, time_base=Fraction(1, 1000))
    pictures = []
    for device in ("cpu", cuda):
        out = tmp_path / f"{device}.mp4"
        process(clip, out, background="#00ff00", pipeline=MattingPipeline(device=device, options=CLOSER))
        assert timeline(out) == timeline(clip)
        with ClipReader(out) as reader:
            pictures.append(torch.cat([to_rgb(batch) for batch in reader]))
    assert float((pictures[0] - pictures[1]).abs().mean()) < 0.01


def test_the_device_holds_no_more_for_a_longer_clip(cuda: str, tmp_path: Path) -> None:
    load = partial(MattingPipeline, device=cuda)
    peaks = []
    for frames in (48, 240):
        (tmp_path / str(frames)).mkdir()
        clip = prepare(tmp_path / str(frames), None, "360p", frames, copied=False)
        peaks.append(time_end_to_end(clip, tmp_path / "out.mp4", "#00ff00", load).peak_device_memory_bytes)
    assert peaks[0] is not None
    assert peaks[1] is not None
    assert peaks[1] <= 1.05 * peaks[0]


def test_pinned_frames_are_the_same_frames(cuda: str, tmp_path: Path) -> None:
    with ClipReader(make_clip(tmp_path / "a.mp4")) as reader:
        batch = next(iter(reader))
    pinned = batch.pinned()
    assert all(plane.is_pinned() for plane in pinned.planes)
    there = pinned.to(cuda)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(batch.planes, there.planes, strict=True))


@pytest.mark.parametrize("network", [MobileDIM, partial(DeepImageMatting, skip=True)])
def test_a_network_is_trained_there_and_its_weights_load_here(
    cuda: str, tmp_path: Path, network: Callable[[], nn.Module]
) -> None:
    picture, ramp = torch.rand(2, 3, 64, 64), torch.linspace(0, 1, 64).expand(2, 1, 64, 64)
    batch = {
        "image": picture,
        "trimap": torch.full_like(ramp, 0.5),
        "alpha": ramp,
        "foreground": picture,
        "background": picture.flip(3),
    }
    run = Run(network(), TrainOptions(steps=3, report_every=3, device=cuda), tmp_path, "matter")
    run.go(repeat(batch), matting_loss)
    with torch.inference_mode():
        alpha = load_network(run.weights, role="matting")(batch["image"], batch["trimap"])
    assert torch.isfinite(alpha).all()
