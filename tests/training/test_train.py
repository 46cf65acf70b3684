"""The two trainings from their initial weights, on a handful of made-up pictures."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from autohair_video.errors import InputError, WeightsError
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import MobileDIM
from autohair_video.training.labels import Labelled, from_drawn, save
from autohair_video.training.loop import Run, TrainOptions
from autohair_video.training.manifest import load_manifest
from autohair_video.training.pretrained import start_matting_net
from autohair_video.training.segmenter_dataset import PeopleSamples, find_groups
from autohair_video.training.train import Materials, segmenter_loss, train_segmenter
from autohair_video.weights import read_state
from autohair_video.weights.detect import detect_architecture


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one labelled picture: a red figure before a green wall."""
    folder = tmp_path / "cache" / "labels" / "ccp"
    folder.mkdir(parents=True)
    label = np.zeros((120, 90), np.uint8)
    label[30:, 25:65] = 1
    label[20:45, 35:55] = 2
    colours = np.array([[20, 160, 60], [200, 40, 40], [10, 10, 10]], np.uint8)
    save(folder / "0001", Labelled.of(colours[label], from_drawn(label)))
    return folder.parents[1]


def test_the_segmenters_loss_falls(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    wall = np.full((100, 100, 3), 90, np.uint8)
    batch = next(PeopleSamples(find_groups(cache, load_manifest()), [wall], size_px=64, seed=1).batches(2))
    options = TrainOptions(steps=20, warmup_steps=1, learning_rate=3e-3, report_every=4)
    Run(DeepLabV3Plus(), options, tmp_path / "run", "segmenter").go(repeat(batch), segmenter_loss)
    losses = [float(line.split("mask ")[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 5
    assert losses[-1] < 0.85 * losses[0]


def test_a_segmenter_is_trained_from_the_initial_weights_and_goes_on(
    shared: Path, cache: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "data" / "backgrounds").mkdir(parents=True)
    cv2.imwrite(str(given / "data/backgrounds/wall.jpg"), np.full((200, 300, 3), 90, np.uint8))
    (given / "init").symlink_to(shared / "init")
    materials, options = Materials(given, cache), TrainOptions(steps=1, batch=1, crop_px=64)
    weights = train_segmenter(tmp_path / "run", materials, options)
    assert detect_architecture(read_state(weights)).name == "deeplabv3plus"
    again = train_segmenter(tmp_path / "other", materials, options, start=[weights])
    for name, tensor in load_file(weights).items():
        torch.testing.assert_close(load_file(again)[name], tensor, atol=2e-3, rtol=2e-2, msg=name)
    with pytest.raises(WeightsError, match="no weights file"):
        train_segmenter(tmp_path / "third", materials, options, start=[tmp_path / "absent.safetensors"])


def test_missing_initial_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the data folder by --shared"):
        train_segmenter(tmp_path, Materials(tmp_path, tmp_path), TrainOptions(steps=1))


def test_a_matter_begins_as_imagenet_left_it_and_blind_to_the_trimap(shared: Path) -> None:
    path, network = shared / "init" / "mobilenet_v2_imagenet.safetensors", MobileDIM()
    start_matting_net(network, path)
    picture = torch.randn(1, 3, 64, 64)
    extra = torch.randn(2, 1, 8, 64, 64)
    with torch.inference_mode():
        one, other = (network.encoder(torch.cat([picture, more], dim=1)) for more in extra)
    assert torch.equal(one, other)
    assert float(one.std()) > 0.1
