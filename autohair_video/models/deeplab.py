"""DeepLab v3+ (Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018).

Figure 2 of the paper, on a MobileNetV2 encoder: atrous convolutions keep the deep features at 1/16 of
the image's size, ASPP samples them at several rates, and the decoder refines the result with low-level
features of 1/4 size. Two outputs instead of classes: person (hair included) and hair. An additional stage
that is not in the paper refines them at half resolution, where gaps at arms and fingers are visible.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.blocks import (
    conv_relu,
    fold_batch_norms,
    mobilenet_features,
    separable_conv,
    space_to_depth2,
)

PERSON, HAIR = 0, 1


class MobileNetV2Encoder(nn.Module):
    """torchvision's MobileNetV2 without its classifier, output stride 16.

    The last stage (``features.14`` to ``features.17``) keeps its resolution and is dilated by 2 instead.
    """

    fine_channels = 16
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> features (N, 16, H/2, W/2), (N, 24, H/4, W/4) and (N, 320, H/16, W/16)."""
        fine = self.features[:2](x)
        low = self.features[2:4](fine)
        return fine, low, self.features[4:](low)


def _atrous(depthwise: nn.Conv2d, *, dilation: int) -> None:
    depthwise.stride = (1, 1)
    depthwise.dilation = (dilation, dilation)
    depthwise.padding = (dilation, dilation)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with separable convolutions (sections 3.1 and 3.2).

    Branches, in the order in which ``project`` reads them: 1x1, pooled over the image, and one
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
    """Person and hair logits of an image.

    The image is RGB scaled to -1..1, with sides that are multiples of 16. Weights without the detail stage
    have 0 ``detail_channels``.
    """

    def __init__(
        self,
        *,
        aspp_channels: int = 256,
        decoder_channels: int = 128,
        low_level_channels: int = 48,
        detail_channels: int = 16,
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
        self.detail = (
            _Detail(decoder_channels, self.encoder.fine_channels, detail_channels)
            if detail_channels
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> logits (N, 2, H, W): person, hair."""
        fine, low, deep = self.encoder(x)
        low = self.low_level(low)
        context = F.interpolate(self.aspp(deep), low.shape[2:], mode="bilinear", align_corners=False)
        decoded = self.decoder(torch.cat([context, low], dim=1))
        logits = self.logits(decoded)
        full = F.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=False)
        return full if self.detail is None else full + self.detail(x, fine, decoded, logits)


class _Detail(nn.Module):
    """Residual added to the upsampled logits; zero before training.

    Layers at full resolution are expensive: the image enters by pixel-unshuffle, and the residual leaves by
    pixel-shuffle.
    """

    def __init__(self, decoded_channels: int, fine_channels: int, channels: int) -> None:
        super().__init__()
        self.reduce = conv_relu(decoded_channels, channels, 1)
        self.mix = nn.Sequential(
            conv_relu(4 * 3 + fine_channels + channels + 2, channels, 3), conv_relu(channels, channels, 3)
        )
        self.correction = nn.Conv2d(channels, 4 * 2, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(cast(nn.Parameter, self.correction.bias))

    def forward(self, x: Tensor, fine: Tensor, decoded: Tensor, logits: Tensor) -> Tensor:
        """The image, its features at half size, the decoder's output and logits -> residual (N, 2, H, W)."""
        coarse = torch.cat([self.reduce(decoded), logits], dim=1)
        upsampled = F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
        mixed = self.mix(torch.cat([space_to_depth2(x), fine, upsampled], dim=1))
        return F.pixel_shuffle(self.correction(mixed), 2)
