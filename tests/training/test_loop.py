from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from autohair_video.errors import DeviceError, OptionError
from autohair_video.models.dim import MobileDIM
from autohair_video.training.loop import Batch, Run, TrainOptions
from autohair_video.training.train import matting_loss

OPTIONS = TrainOptions(steps=12, warmup_steps=1, learning_rate=1e-3, report_every=1, checkpoint_every=4)


def disc_batch() -> Batch:
    """A soft red disc on blue, with a band of unknown round its edge."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    away = ((x - 32) ** 2 + (y - 32) ** 2).sqrt() - 18
    alpha = torch.sigmoid(-away / 2)[None, None]
    trimap = torch.where(away.abs() < 8, 0.5, (away < 0).float())[None, None]
    red, blue = (torch.eye(3)[i].view(1, 3, 1, 1).expand(1, 3, 64, 64) for i in (0, 2))
    image = alpha * red + (1 - alpha) * blue
    return {"image": image, "trimap": trimap, "alpha": alpha, "foreground": red, "background": blue}


def run_in(folder: Path, options: TrainOptions) -> Run:
    torch.manual_seed(3)
    return Run(MobileDIM(), options, folder, "matter")


def stopped_after(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    for _ in range(count):
        yield next(batches)
    raise KeyboardInterrupt


def test_the_loss_falls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_in(tmp_path, OPTIONS).go(repeat(disc_batch()), matting_loss)
    losses = [float(line.split("alpha ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == OPTIONS.steps
    assert losses[-1] < 0.7 * losses[0]


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = run_in(tmp_path / "whole", OPTIONS)
    whole.go(repeat(disc_batch()), matting_loss)
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "broken", OPTIONS).go(stopped_after(repeat(disc_batch()), 6), matting_loss)
    resumed = run_in(tmp_path / "broken", OPTIONS)
    assert resumed.step == 4
    resumed.go(repeat(disc_batch()), matting_loss)
    for name, tensor in load_file(whole.weights).items():
        torch.testing.assert_close(load_file(resumed.weights)[name], tensor, msg=name)


def test_the_exported_weights_load_into_the_network(tmp_path: Path) -> None:
    run = run_in(tmp_path, TrainOptions(steps=1, report_every=1))
    run.go(repeat(disc_batch()), matting_loss)
    network = MobileDIM()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(run.weights).items()})
    for name, tensor in run.averaged.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_gradients_that_are_not_finite_change_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path, TrainOptions(steps=1))
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    batch = disc_batch()
    batch["image"] = batch["image"] * float("nan")
    run.go(repeat(batch), matting_loss)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_an_encoder_without_a_share_of_the_rate_stays_as_it_began(tmp_path: Path) -> None:
    run = run_in(tmp_path, replace(OPTIONS, steps=2, encoder_share=0.0))
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    run.go(repeat(disc_batch()), matting_loss)
    changed = {
        name for name, tensor in run.model.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)


def test_a_run_that_goes_on_takes_the_new_calls_share_for_the_encoder(tmp_path: Path) -> None:
    run_in(tmp_path, replace(OPTIONS, steps=1)).go(repeat(disc_batch()), matting_loss)
    resumed = run_in(tmp_path, replace(OPTIONS, steps=3, encoder_share=0.0))
    before = {name: tensor.clone() for name, tensor in resumed.model.state_dict().items()}
    resumed.go(repeat(disc_batch()), matting_loss)
    changed = {n for n, tensor in resumed.model.state_dict().items() if not torch.equal(tensor, before[n])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)


def test_reports_are_means_over_the_steps_since_the_last_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the first one of a run that goes on between two of them."""

    def even(model: torch.nn.Module, _: Batch) -> dict[str, torch.Tensor]:
        return {"loss": 2 + 0 * next(model.parameters()).sum()}

    options = replace(OPTIONS, report_every=4)
    run_in(tmp_path, replace(options, steps=3)).go(repeat({}), even)
    run_in(tmp_path, replace(options, steps=8)).go(repeat({}), even)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("loss ")[1] for line in lines] == ["2", "2"]


def test_a_long_runs_steps_are_printed_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_in(tmp_path, replace(OPTIONS, steps=123_457))
    run.step = 123_456
    run.go(repeat(disc_batch()), matting_loss)
    assert capsys.readouterr().out.startswith("step 123457 ")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"crop_px": 250}, "multiple of 32"),
        ({"batch": 0}, "1 or more"),
        ({"steps": 0}, "1 or more"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_work(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        replace(OPTIONS, **wrong)


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeviceError, match="no cuda device"):
        replace(OPTIONS, device="cuda")
