"""Detects the network that a state_dict belongs to, by its keys and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from torch import Tensor, nn

from autohair_video.errors import WeightsError
from autohair_video.models import voc_deeplab as voc
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import DeepImageMatting, MobileDIM

Role = Literal["segmenter", "matting"]
State = Mapping[str, Tensor]

SKIP: Final = "dim-vgg16-skip"
_DIM: Final = "dim-vgg16"


@dataclass(frozen=True)
class Architecture:
    """A network's name and the constructor arguments read off its tensors."""

    name: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """What the network computes: person probabilities, or alpha."""
        return _ARCHITECTURES[self.name].role

    def named(self, name: str) -> Architecture:
        """The same tensors as the architecture ``name``, given by the user.

        Needed only for the skip variant of Deep Image Matting, whose keys and shapes equal the plain one's.

        Raises:
            WeightsError: the tensors are of another network.
        """
        if name == self.name:
            return self
        if (name, self.name) == (SKIP, _DIM):
            return replace(self, name=name, details={**self.details, "skip": True})
        raise WeightsError(f"these weights are of {self.name}, not of {name}")

    def make(self) -> nn.Module:
        """The network with initial weights."""
        return _ARCHITECTURES[self.name].make(**self.details)


@dataclass(frozen=True)
class _Definition:
    """How a network is detected: ``keys`` are in all its files, and together in no other's."""

    role: Role
    make: Callable[..., nn.Module]
    keys: tuple[str, ...] = ()
    details: Callable[[State], dict[str, Any]] = lambda _: {}


def detect_architecture(state: State) -> Architecture:
    """The network whose weights are in ``state``.

    Raises:
        WeightsError: the network is unknown to this package.
    """
    for name, definition in _ARCHITECTURES.items():
        if definition.keys and all(key in state for key in definition.keys):
            return Architecture(name, definition.details(state))
    if "aspp.aspp1.atrous_conv.weight" in state:
        raise WeightsError(
            "DeepLab v3+ in the layout of jfzhang95/pytorch-deeplab-xception is not supported: "
            "use torchvision's DeepLab v3 or VainF's DeepLab v3+"
        )
    first = ", ".join(list(state)[:3])
    raise WeightsError(f"unknown network (keys {first} ...): known are {', '.join(_ARCHITECTURES)}")


_DETAIL: Final = "detail.correction.weight"


def _deeplab_details(state: State) -> dict[str, Any]:
    return {
        "aspp_channels": state["aspp.point.0.weight"].shape[0],
        "decoder_channels": state["logits.weight"].shape[1],
        "low_level_channels": state["low_level.0.weight"].shape[0],
        "detail_channels": state[_DETAIL].shape[1] if _DETAIL in state else 0,
    }


def _dim_details(state: State) -> dict[str, Any]:
    return {
        "refine": "refine_pred.weight" in state,
        "conv6_kernel": state["conv6_1.weight"].shape[-1],
    }


def _voc_details(state: State) -> dict[str, Any]:
    heads = ("classifier.4.weight", "classifier.classifier.3.weight")
    classes = next(state[head].shape[0] for head in heads if head in state)
    if classes != voc.VOC_CLASSES:
        raise WeightsError(
            f"a DeepLab of {classes} classes: only the {voc.VOC_CLASSES} VOC classes are known here"
        )
    return {"backbone": _backbone(state)}


def _backbone(state: State) -> str:
    if "backbone.layer3.22.conv1.weight" in state:
        return "resnet101"
    if "backbone.layer3.5.conv1.weight" in state:
        return "resnet50"
    if "backbone.low_level_features.0.0.weight" in state:
        return "mobilenet_v2"
    if "backbone.16.0.weight" in state:
        return "mobilenet_v3_large"
    raise WeightsError("a DeepLab on an unknown backbone: known are ResNet-50 and -101, MobileNetV2, V3")


_ARCHITECTURES: Final[Mapping[str, _Definition]] = {
    "deeplabv3plus": _Definition(
        "segmenter",
        DeepLabV3Plus,
        ("encoder.features.0.0.weight", "aspp.point.0.weight", "low_level.0.weight", "logits.weight"),
        _deeplab_details,
    ),
    "mobile-dim": _Definition(
        "matting", MobileDIM, ("encoder.0.0.weight", "context.reduce.0.weight", "alpha.weight")
    ),
    _DIM: _Definition(
        "matting",
        DeepImageMatting,
        ("conv1_1.weight", "conv6_1.weight", "deconv6_1.weight", "deconv1.weight"),
        _dim_details,
    ),
    SKIP: _Definition("matting", DeepImageMatting),
    "voc-deeplabv3": _Definition(
        "segmenter",
        voc.deeplab_v3,
        ("classifier.0.convs.0.0.weight", "classifier.4.weight"),
        _voc_details,
    ),
    "voc-deeplabv3plus": _Definition(
        "segmenter",
        voc.deeplab_v3_plus,
        ("classifier.aspp.convs.0.0.weight", "classifier.classifier.3.weight"),
        _voc_details,
    ),
}
