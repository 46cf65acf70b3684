"""The two trainings: which samples, which network, which start, which loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autohair_video.errors import InputError
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import MobileDIM
from autohair_video.training.backdrops import load_photos
from autohair_video.training.data import MatteSource, collate, sample
from autohair_video.training.init import start_matter, start_segmenter
from autohair_video.training.labels import prepare_labels
from autohair_video.training.layers import render_layers
from autohair_video.training.loop import Batch, Run, TrainOptions
from autohair_video.training.losses import (
    alpha_loss,
    composition_loss,
    gradient_loss,
    laplacian_loss,
    mask_loss,
)
from autohair_video.training.people import PeopleSamples
from autohair_video.training.teachers import Teachers

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Materials:
    """Folders of a training: the given data and initial weights, and a cache for what is made of them.

    ``shared`` holds ``data/`` (people, backgrounds, clips) and ``init/`` (initial weights, teachers).
    """

    shared: Path
    cache: Path

    @property
    def data(self) -> Path:
        """The photos and clips."""
        return self.shared / "data"

    def initial(self, name: str) -> Path:
        """A file of initial weights.

        Raises:
            InputError: it is not there.
        """
        path = self.shared / "init" / name
        if not path.is_file():
            raise InputError(f"initial weights {path} are missing: name the data folder by --shared")
        return path


def train_segmenter(
    folder: Path, materials: Materials, options: TrainOptions, *, start: Path | None = None
) -> Path:
    """Train DeepLab v3+; labels that are not in the cache yet are made first.

    Args:
        folder: the run's folder; a run that is in it already goes on.
        materials: where the data are.
        options: length and pace.
        start: weights to start from; the VOC DeepLab v3 of the initial weights without it.

    Returns:
        The path of the weights.
    """
    _seed(options.seed)
    voc = materials.initial("deeplabv3_mobilenetv2_voc.safetensors")
    labels = materials.cache / "labels"
    prepare_labels(labels, materials.data, lambda: Teachers(materials.shared / "init" / "teachers", voc))
    model = DeepLabV3Plus()
    _load_start(model, start) if start else start_segmenter(model, voc)
    run = Run(model, options, folder, "segmenter")
    scenes = load_photos(materials.data, rng=np.random.default_rng(options.seed), people=0)
    people = PeopleSamples(labels, scenes, size_px=options.crop_px, seed=options.seed + run.step)
    run.go(people.batches(options.batch), segmenter_loss)
    return run.weights


def train_matter(
    folder: Path, materials: Materials, options: TrainOptions, *, layers: int, start: Path | None = None
) -> Path:
    """Train the mobile DIM; of ``layers`` foregrounds those that are not in the cache are rendered first.

    Otherwise as `train_segmenter`; the encoder starts from ImageNet without ``start``.
    """
    _seed(options.seed)
    rendered = materials.cache / "layers"
    teachers = materials.shared / "init" / "teachers"
    render_layers(rendered, shared_data=materials.data, teachers=teachers, count=layers, seed=1)
    model = MobileDIM()
    if start:
        _load_start(model, start)
    else:
        start_matter(model, materials.initial("mobilenet_v2_imagenet.safetensors"))
    run = Run(model, options, folder, "matter")
    source = MatteSource.load(rendered, shared_data=materials.data, seed=options.seed)
    run.go(_matte_batches(source, options, options.seed + run.step), matter_loss)
    return run.weights


def segmenter_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Person and hair masks, soft targets (see `losses.mask_loss`)."""
    return {"mask": mask_loss(model(batch["picture"]), batch["truth"], batch["weight"])}


def matter_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """DIM's two losses over the unknown band, a Laplacian pyramid and gradients."""
    truth, unknown = batch["alpha"], (batch["trimap"] == 0.5).float()
    mean, deviation = _MEAN.to(truth.device), _DEVIATION.to(truth.device)
    solved = model((batch["image"] - mean) / deviation, batch["trimap"])
    alpha = torch.where(unknown > 0, solved, truth)
    colours = batch["foreground"], batch["background"]
    return {
        "alpha": alpha_loss(alpha, truth, unknown),
        "composition": 0.5 * composition_loss(alpha, truth, *colours, unknown),
        "laplacian": 0.5 * laplacian_loss(alpha, truth),
        "gradient": 0.5 * gradient_loss(alpha, truth, unknown),
    }


def _matte_batches(source: MatteSource, options: TrainOptions, seed: int) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    while True:
        crops = collate([sample(source, rng, size=options.crop_px) for _ in range(options.batch)])
        yield vars(crops)


def _load_start(model: nn.Module, start: Path) -> None:
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(start).items()})


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    cv2.setNumThreads(1)
