"""DeepLab v3+ (Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018).

Figure 2 of the paper, on a MobileNetV2 encoder: atrous convolutions keep the deep features at 1/16 of
the picture's size, ASPP looks at them at several rates, and the decoder sharpens the result with
low-level features of 1/4 size. Two outputs instead of classes: person (hair included) and hair.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.layers import (
    conv_relu,
    fold_batch_norms,
    mobilenet_features,
    separable_conv,
)

PERSON, HAIR = 0, 1


class MobileNetV2Encoder(nn.Module):
    """torchvision's MobileNetV2 without its classifier, output stride 16.

    The last stage (``features.14`` to ``features.17``) keeps its resolution and is dilated by 2 instead.
    """

    low_level_channels = 24
    channels = 320

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_features()
        fold_batch_norms(self.features)
        for block in self.features[14:]:
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                    _atrous(layer, dilation=1 if block is self.features[14] else 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> low-level features (N, 24, H/4, W/4), deep features (N, 320, H/16, W/16)."""
        low = self.features[:4](x)
        return low, self.features[4:](low)


def _atrous(depthwise: nn.Conv2d, *, dilation: int) -> None:
    depthwise.stride = (1, 1)
    depthwise.dilation = (dilation, dilation)
    depthwise.padding = (dilation, dilation)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with separable convolutions (sections 3.1 and 3.2).

    Branches, in the order in which ``project`` reads them: 1x1, pooled over the picture, and one
    separable 3x3 for each rate.
    """

    def __init__(self, inputs: int, channels: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.point = conv_relu(inputs, channels, 1)
        self.pooled = conv_relu(inputs, channels, 1)
        self.atrous = nn.ModuleList(separable_conv(inputs, channels, dilation=r) for r in rates)
        self.project = conv_relu(channels * (2 + len(rates)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, channels, h, w)."""
        pooled = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        branches = [self.point(x), pooled, *(branch(x) for branch in self.atrous)]
        return cast(Tensor, self.project(torch.cat(branches, dim=1)))


class DeepLabV3Plus(nn.Module):
    """Person and hair logits of a picture.

    The picture's sides must be multiples of 16; it is RGB scaled to -1..1.
    """

    def __init__(
        self,
        *,
        aspp_channels: int = 256,
        decoder_channels: int = 128,
        low_level_channels: int = 48,
        rates: tuple[int, ...] = (6, 12, 18),
    ) -> None:
        super().__init__()
        self.encoder = MobileNetV2Encoder()
        self.aspp = ASPP(self.encoder.channels, aspp_channels, rates)
        self.low_level = conv_relu(self.encoder.low_level_channels, low_level_channels, 1)
        self.decoder = nn.Sequential(
            separable_conv(aspp_channels + low_level_channels, decoder_channels),
            separable_conv(decoder_channels, decoder_channels),
        )
        self.logits = nn.Conv2d(decoder_channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> logits (N, 2, H, W): person, hair."""
        low, deep = self.encoder(x)
        low = self.low_level(low)
        context = F.interpolate(self.aspp(deep), low.shape[2:], mode="bilinear", align_corners=False)
        logits = self.logits(self.decoder(torch.cat([context, low], dim=1)))
        return F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
