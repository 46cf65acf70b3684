"""Initial weights: MobileNetV2 and DeepLab v3 files brought into this project's networks.

The files' keys are torchvision's (``features.*``) with real or already folded batch norms; either way
the norms end up in the convolutions, as `models.layers` wants them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autohair_video.models.blocks import fold_batch_norms, mobilenet_features
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import MobileDIM


def start_segmenter(model: DeepLabV3Plus, path: Path) -> None:
    """Start DeepLab v3+ from a DeepLab v3 with a 1x1 and a pooled ASPP branch.

    The atrous branches enter the projection with zero weight, so that ASPP at first computes what the
    v3 head did. The decoder is not in the file and keeps its random start.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    model.encoder.features.load_state_dict(_folded_features(tensors))
    channels = tensors["proj.weight"].shape[0]
    _fill(model.aspp.point[0], tensors["aspp0.weight"], tensors["aspp0.bias"])
    _fill(model.aspp.pooled[0], tensors["pool.weight"], tensors["pool.bias"])
    projection = torch.zeros(channels, channels * (2 + len(model.aspp.atrous)), 1, 1)
    projection[:, :channels] = tensors["proj.weight"][:, channels:]
    projection[:, channels : 2 * channels] = tensors["proj.weight"][:, :channels]
    _fill(model.aspp.project[0], projection, tensors["proj.bias"])


def start_matting_net(model: MobileDIM, path: Path) -> None:
    """Start the mobile matter's encoder from ImageNet weights; trimap and hints begin at zero."""
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    state = _folded_features(tensors)
    first = torch.zeros_like(model.encoder.state_dict()["0.0.weight"])
    first[:, :3] = state["0.0.weight"]
    state["0.0.weight"] = first
    model.encoder.load_state_dict(state)


def _folded_features(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    features = mobilenet_features()
    prefix = "features."
    own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    missing, unexpected = features.load_state_dict(own, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"not a MobileNetV2: missing {missing[:3]}, unexpected {unexpected[:3]}")
    fold_batch_norms(features)
    return features.state_dict()


def _fill(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    layer.load_state_dict({"weight": weight, "bias": bias})
