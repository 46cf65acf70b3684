"""The two trainings: which samples, which network, which start, which loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from autohair_video.errors import InputError
from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import DeepImageMatting, MobileDIM, one_hot_trimap
from autohair_video.options import MattingOptions
from autohair_video.runtime.devices import working_dtype
from autohair_video.training.backgrounds import load_photos
from autohair_video.training.labels import Labeller, prepare_labels
from autohair_video.training.loop import Batch, Run, TrainOptions, save_weights
from autohair_video.training.losses import (
    alpha_loss,
    composition_loss,
    gradient_loss,
    laplacian_loss,
    mask_loss,
    stretched,
)
from autohair_video.training.manifest import SHIPPED, load_manifest
from autohair_video.training.matting_dataset import MatteCrops, MatteSource, collate
from autohair_video.training.pretrained import start_matting_net, start_segmenter
from autohair_video.training.segmenter_dataset import LayerTransform, PeopleSamples, find_groups
from autohair_video.training.synthetic.recipes import loose_hair
from autohair_video.training.synthetic.render_cache import render_layers
from autohair_video.training.teachers import Teachers
from autohair_video.weights import load_network, read_state

MattingNetName = Literal["mobile-dim", "dim-vgg16"]

_VOC = "deeplabv3_mobilenetv2_voc.safetensors"
_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Materials:
    """Folders of a training: the given data and initial weights, and a cache for what is made of them.

    ``shared`` holds ``data/`` (people, backgrounds, clips) and ``init/`` (initial weights, teachers).
    ``manifest`` says which of the data are people, and who labels them.
    """

    shared: Path
    cache: Path
    manifest: Path = SHIPPED

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


def label_people(materials: Materials, *, shard: tuple[int, int] = (0, 1)) -> int:
    """Label what the cache lacks, see `labels.prepare_labels`; returns how many labels were written."""
    _seed(0)
    voc = materials.initial(_VOC)
    sources = load_manifest(materials.manifest)
    teachers = materials.shared / "init" / "teachers"
    labels = materials.cache / "labels"
    return prepare_labels(labels, materials.data, sources, lambda: _labeller(teachers, voc), shard=shard)


def train_segmenter(
    folder: Path,
    materials: Materials,
    options: TrainOptions,
    *,
    start: Sequence[Path] = (),
    label: bool = True,
    transforms: Sequence[tuple[float, LayerTransform]] = (),
) -> Path:
    """Train DeepLab v3+; labels that the cache lacks are made first, with the shipped networks' help.

    Args:
        folder: the run's folder; a run that is in it already goes on.
        materials: where the data are.
        options: length and pace.
        start: weights to start from, of several their mean; without any the VOC DeepLab v3 of the initial
            weights.
        label: false trains on what is labelled so far.
        transforms: of people in composites, with their chances, see `PeopleSamples`.

    Returns:
        The path of the weights.
    """
    if label:
        label_people(materials)
    _seed(options.seed)
    voc, sources = materials.initial(_VOC), load_manifest(materials.manifest)
    model = DeepLabV3Plus()
    _load_start(model, start) if start else start_segmenter(model, voc)
    run = Run(model, options, folder, "segmenter")
    scenes = load_photos(materials.data, rng=np.random.default_rng(options.seed), people=0, sources=sources)
    groups, seed = find_groups(materials.cache, sources), options.seed + run.step
    people = PeopleSamples(groups, scenes, size_px=options.crop_px, seed=seed, transforms=transforms)
    run.go(people.batches(options.batch), segmenter_loss)
    return run.weights


def train_matting_net(
    folder: Path,
    source: MatteSource,
    options: TrainOptions,
    *,
    network: MattingNetName = "mobile-dim",
    start: Sequence[Path] = (),
    imagenet: Path | None = None,
) -> Path:
    """Train a matting network on crops of ``source``.

    Args:
        folder: the run's folder; a run that is in it already goes on.
        source: layers and photos, from `matte_source` or `MatteSource.unpack`.
        options: length and pace.
        network: ``mobile-dim``, or ``dim-vgg16``, the published network, on a GPU.
        start: weights to start from, of several their mean; layers that do not fit begin anew.
        imagenet: MobileNetV2 weights for the mobile network's deep stages, where ``start`` is None.

    Returns:
        The path of the weights.
    """
    _seed(options.seed)
    model: nn.Module = MobileDIM() if network == "mobile-dim" else DeepImageMatting(skip=True)
    if start:
        _load_start(model, start)
    elif imagenet and isinstance(model, MobileDIM):
        start_matting_net(model, imagenet)
    run = Run(model, options, folder, "matter")
    crops = MatteCrops(source, seed=options.seed + run.step, size=options.crop_px)
    loader = DataLoader(crops, options.batch, collate_fn=collate, num_workers=options.workers)
    run.go((vars(batch) for batch in loader), matting_loss)
    return run.weights


def matte_source(
    materials: Materials, *, layers: int, loose_layers: int = 0, loose_share: float = 0.4, seed: int = 0
) -> MatteSource:
    """The training set of the matter; layers that are not in the cache are rendered first.

    Args:
        materials: the data, and the cache with its folders ``layers`` and ``layers_hair``.
        layers: number of foregrounds of every kind.
        loose_layers: number of heads with loose hair.
        loose_share: share of the crops that show one of these, if there are any.
        seed: draws the photos.
    """
    rendered, loose = materials.cache / "layers", materials.cache / "layers_hair"
    teachers, data = materials.shared / "init" / "teachers", materials.data
    render_layers(rendered, shared_data=data, teachers=teachers, count=layers, seed=1)
    if loose_layers:
        render_layers(
            loose, shared_data=data, teachers=teachers, count=loose_layers, seed=2, recipe=loose_hair
        )
    return MatteSource.load(
        rendered,
        loose=loose if loose_layers else None,
        loose_share=loose_share,
        shared_data=data,
        seed=seed,
    )


def segmenter_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Person and hair masks, soft targets (see `losses.mask_loss`)."""
    return {"mask": mask_loss(model(batch["picture"]), batch["truth"], batch["weight"])}


def matting_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """DIM's two losses over the unknown band, a Laplacian pyramid and gradients, of alpha as it is used.

    What a network leaves near 0 and 1, its residual alpha, is stretched before it is measured.
    """
    truth, unknown = batch["alpha"], one_hot_trimap(batch["trimap"])[:, 1:2]
    mean, deviation = _MEAN.to(truth.device), _DEVIATION.to(truth.device)
    solved = model((batch["image"] - mean) / deviation, batch["trimap"]).float()
    solved = stretched(solved, getattr(model, "alpha_floor", 0.0))
    alpha = torch.where(unknown > 0, solved, truth)
    colours = batch["foreground"], batch["background"]
    return {
        "alpha": alpha_loss(alpha, truth, unknown),
        "composition": 0.5 * composition_loss(alpha, truth, *colours, unknown),
        "laplacian": 0.5 * laplacian_loss(alpha, truth),
        "gradient": 0.5 * gradient_loss(alpha, truth, unknown),
    }


def write_mean(weights: Sequence[Path], out: Path) -> None:
    """Write the mean of several networks' weights, as `loop.save_weights` does.

    Raises:
        InputError: the files hold other layers than each other.
    """
    mean = _mean(weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_weights(mean, out)


def _labeller(teachers: Path, voc: Path) -> Labeller:
    network = load_network("matting-fast", role="matting").to(working_dtype(torch.device("cpu")))
    solver = TiledMattingNet(network.to(memory_format=torch.channels_last), MattingOptions().tiles)
    return Labeller(Teachers(teachers, voc), solver)


def _load_start(model: nn.Module, starts: Sequence[Path]) -> None:
    """Take what fits from weights files: a layer of another shape, or not in them, keeps its random start.

    Of several files the mean counts. A convolution that has more inputs than in the file does not heed the
    last ones at first.

    Raises:
        InputError: the files hold other layers than each other.
    """
    own, fitting = model.state_dict(), dict[str, Tensor]()
    for name, given in _mean(starts).items():
        wanted = own[name].shape if name in own else None
        if wanted and given.dim() == 4 and given.shape[1] < wanted[1]:
            given = F.pad(given, (0, 0, 0, 0, 0, wanted[1] - given.shape[1]))
        if given.shape == wanted:
            fitting[name] = given
    model.load_state_dict(own | fitting)


def _mean(weights: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of weights, which often is better than each (Wortsman et al., "Model soups", ICML 2022)."""
    states = [read_state(path) for path in weights]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for path, others in zip(weights, shapes, strict=True):
        if others != shapes[0]:
            raise InputError(
                f"{weights[0]} and {path} hold weights of different networks: no mean can be taken"
            )
    return {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}


def _seed(seed: int) -> None:
    # and OpenCV works on small pictures here, where threads of its own only take the network's cores
    torch.manual_seed(seed)
    cv2.setNumThreads(1)
