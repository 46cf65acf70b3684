"""Public DeepLab networks of the 21 VOC classes, as person and hair segmenters.

torchvision's DeepLab v3, and DeepLab v3+ in the layout of VainF/DeepLabV3Plus-Pytorch, whose key names
(``backbone.*``, ``classifier.aspp.*``, ``classifier.project.*``) many repositories share.
"""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.blocks import mobilenet_features
from autohair_video.models.deeplab import PERSON

VOC_CLASSES: Final = 21
_VOC_PERSON: Final = 15  # class index of PASCAL VOC
# Logit of hair, which these networks do not predict: sigmoid(-20) is 2e-9.
_NO_HAIR: Final = -20.0
# ImageNet's channel statistics, as in torchvision.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)
_RESNETS: Final = ("resnet50", "resnet101")


class VocSegmenter(nn.Module):
    """A VOC network behind the interface of `models.deeplab.DeepLabV3Plus`; hair is never detected."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> logits (N, 2, H, W); the sigmoid of person is VOC's softmax."""
        logits = self.network(((x + 1) / 2 - self.mean) / self.deviation)
        logits = logits["out"] if isinstance(logits, dict) else logits
        others = [index for index in range(VOC_CLASSES) if index != _VOC_PERSON]
        person = logits[:, _VOC_PERSON] - logits[:, others].logsumexp(dim=1)
        both = torch.full_like(logits[:, :2], _NO_HAIR)
        both[:, PERSON] = person
        return both


def deeplab_v3(backbone: str) -> VocSegmenter:
    """DeepLab v3 as in torchvision, on ``resnet50``, ``resnet101`` or ``mobilenet_v3_large``."""
    # imported late, here and below: torchvision costs a second and 160 MB, and few use these networks
    from torchvision.models import segmentation

    make = getattr(segmentation, f"deeplabv3_{backbone}")
    return VocSegmenter(make(weights=None, weights_backbone=None, num_classes=VOC_CLASSES))


def deeplab_v3_plus(backbone: str) -> VocSegmenter:
    """DeepLab v3+ of the common layout on ``resnet50``, ``resnet101`` or ``mobilenet_v2``."""
    return VocSegmenter(_DeepLabV3Plus(backbone))


class _DeepLabV3Plus(nn.Module):
    """Encoder of output stride 16 and the head under the layout's key names."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        if backbone in _RESNETS:
            self.backbone: nn.Module = _ResNet(backbone)
            self.classifier = _Head(2048, 256)
        else:
            self.backbone = _MobileNet()
            self.classifier = _Head(320, 24)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.classifier(*self.backbone(x))
        return F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)


class _Head(nn.Module):
    def __init__(self, channels: int, low_level_channels: int) -> None:
        from torchvision.models.segmentation.deeplabv3 import ASPP

        super().__init__()
        self.project = _conv_bn(low_level_channels, 48, 1)
        self.aspp = ASPP(channels, (6, 12, 18))
        self.classifier = nn.Sequential(*_conv_bn(48 + 256, 256, 3), nn.Conv2d(256, VOC_CLASSES, 1))

    def forward(self, low: Tensor, deep: Tensor) -> Tensor:
        low = self.project(low)
        context = F.interpolate(self.aspp(deep), low.shape[2:], mode="bilinear", align_corners=False)
        return cast(Tensor, self.classifier(torch.cat([low, context], dim=1)))


def _conv_bn(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _ResNet(nn.Module):
    def __init__(self, name: str) -> None:
        from torchvision.models import get_model

        super().__init__()
        resnet = get_model(name, weights=None, replace_stride_with_dilation=[False, False, True])
        for child, module in list(resnet.named_children())[:-2]:
            self.add_module(child, module)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        stem, layers = list(self.children())[:4], list(self.children())[4:]
        for module in (*stem, layers[0]):
            x = module(x)
        low = x
        for module in layers[1:]:
            x = module(x)
        return low, x


class _MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        features: Any = mobilenet_features()
        features[0][0].padding = (0, 0)
        for index in range(1, 18):
            stride = (1, 1) if index == 14 else None
            features[index] = _PaddedResidual(features[index], 2 if index > 14 else 1, stride)
        # Slices keep their blocks' indices, which are part of the layout's keys.
        self.low_level_features = features[:4]
        self.high_level_features = features[4:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low = self.low_level_features(x)
        return low, self.high_level_features(low)


class _PaddedResidual(nn.Module):
    """MobileNetV2's block as the layout has it: padded before its first layer, not in the depthwise one.

    The expansion's bias therefore reaches the padding, and a network trained so needs it.
    """

    def __init__(self, block: Any, dilation: int, stride: tuple[int, int] | None) -> None:
        super().__init__()
        self.conv: nn.Module = block.conv
        self.residual = bool(block.use_res_connect)
        self.padding = (dilation,) * 4
        depthwise = next(m for m in self.conv.modules() if isinstance(m, nn.Conv2d) and m.groups > 1)
        depthwise.padding, depthwise.dilation = (0, 0), (dilation, dilation)
        depthwise.stride = stride or depthwise.stride

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.conv(F.pad(x, self.padding)))
        return x + y if self.residual else y
