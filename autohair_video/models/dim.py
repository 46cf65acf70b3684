"""Deep Image Matting (Xu, Price, Cohen, Huang, CVPR 2017): alpha from a picture and its trimap.

`DeepImageMatting` is the published VGG-16 network, with the key names of the common PyTorch port
(huochaitiantang/pytorch-deep-image-matting), so that its checkpoints load strictly. `MobileDIM` solves
the same task on a CPU: a MobileNetV2 encoder, skip connections, and no layer at the full size.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.layers import conv_relu, fold_batch_norms, mobilenet_features

# Channels of each encoder block (section 3.2); a block ends in a pooling whose places are kept.
_BLOCKS = {1: (64, 64), 2: (128, 128), 3: (256,) * 3, 4: (512,) * 3, 5: (512,) * 3}
_DECONV = {5: (512, 512), 4: (512, 256), 3: (256, 128), 2: (128, 64), 1: (64, 64)}


class DeepImageMatting(nn.Module):
    """The published encoder-decoder (section 3.2) with its refinement stage (section 3.3).

    Sides must be multiples of 32. ``skip`` adds the encoder's maps to the unpooled ones, as v1.5 of
    the port does; the keys and shapes stay the same, so a checkpoint cannot tell. ``conv6_kernel`` is
    3 from v1.4 of the port and 1 before. ``refine_scale`` multiplies the alpha that the refinement
    reads: 256 in v1.0 and v1.1 of the port, 1 later.
    """

    stride = 32

    def __init__(
        self,
        *,
        refine: bool = True,
        skip: bool = False,
        conv6_kernel: Literal[1, 3] = 3,
        refine_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.skip = skip
        self.refine_scale = refine_scale
        inputs = 4
        for block, widths in _BLOCKS.items():
            for i, outputs in enumerate(widths, start=1):
                self.add_module(f"conv{block}_{i}", _conv(inputs, outputs, 3))
                inputs = outputs
        self.conv6_1 = _conv(512, 512, conv6_kernel)
        self.deconv6_1 = _conv(512, 512, 1)
        for block, (wide, narrow) in _DECONV.items():
            self.add_module(f"deconv{block}_1", _conv(wide, narrow, 5))
        self.deconv1 = _conv(64, 1, 5)
        self.has_refinement = refine
        if refine:
            self.refine_conv1 = _conv(4, 64, 3)
            self.refine_conv2 = _conv(64, 64, 3)
            self.refine_conv3 = _conv(64, 64, 3)
            self.refine_pred = _conv(64, 1, 3)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of each pixel.

        Args:
            image: (N, 3, H, W), RGB with ImageNet's mean and deviation taken out.
            trimap: (N, 1, H, W) in 0..1; unknown is 128/255.

        Returns:
            (N, 1, H, W) alpha in 0..1, not yet fixed where the trimap is known.
        """
        x = torch.cat([image, trimap], dim=1)
        places: dict[int, Tensor] = {}
        skips: dict[int, Tensor] = {}
        for block, widths in _BLOCKS.items():
            for i in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{block}_{i}")(x))
            skips[block] = x
            x, places[block] = F.max_pool2d(x, 2, 2, return_indices=True)
        x = F.relu(self.deconv6_1(F.relu(self.conv6_1(x))))
        for block in _DECONV:
            x = F.max_unpool2d(x, places[block], [2, 2], [2, 2])
            x = x + skips[block] if self.skip else x
            x = F.relu(self.get_submodule(f"deconv{block}_1")(x))
        raw = self.deconv1(x)
        return torch.sigmoid(raw + self._refinement(image, raw) if self.has_refinement else raw)

    def _refinement(self, image: Tensor, raw: Tensor) -> Tensor:
        x = torch.cat([image, torch.sigmoid(raw) * self.refine_scale], dim=1)
        for conv in (self.refine_conv1, self.refine_conv2, self.refine_conv3):
            x = F.relu(conv(x))
        return cast(Tensor, self.refine_pred(x))


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class MobileDIM(nn.Module):
    """Deep Image Matting for CPUs: MobileNetV2 encoder, skip connections, 2.3 M parameters.

    Layers at the full size are what costs on a CPU, so there are none: the encoder begins with a
    stride, the picture itself reaches the last decoder stage folded into channels (pixel-unshuffle),
    and the result is unfolded again (pixel-shuffle). The trimap goes in one-hot. Sides must be
    multiples of 16.
    """

    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _trimap_encoder()
        self.context = _PyramidPooling(320, 128)
        self.up8 = conv_relu(128 + 32, 96, 3)
        self.up4 = conv_relu(96 + 24, 40, 3)
        self.up2 = nn.Sequential(conv_relu(40 + 16 + 24, 32, 3), conv_relu(32, 32, 3))
        self.alpha = nn.Conv2d(32, 4, 3, padding=1)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of each pixel; arguments and result as in `DeepImageMatting.forward`."""
        x = torch.cat([image, one_hot_trimap(trimap)], dim=1)
        s2 = self.encoder[:2](x)
        s4 = self.encoder[2:4](s2)
        s8 = self.encoder[4:7](s4)
        deep = self.context(self.encoder[7:](s8))
        y = self.up8(torch.cat([_grow(deep, s8), s8], dim=1))
        y = self.up4(torch.cat([_grow(y, s4), s4], dim=1))
        y = self.up2(torch.cat([_grow(y, s2), s2, F.pixel_unshuffle(x, 2)], dim=1))
        return torch.sigmoid(F.pixel_shuffle(self.alpha(y), 2))


def one_hot_trimap(trimap: Tensor) -> Tensor:
    """(N, 1, H, W) in 0..1 -> (N, 3, H, W): background, unknown, foreground.

    >>> one_hot_trimap(torch.tensor([[[[0.0, 128 / 255, 1.0]]]])).squeeze().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    background, foreground = trimap < 0.25, trimap > 0.75
    return torch.cat([background, ~(background | foreground), foreground], dim=1).to(trimap.dtype)


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _trimap_encoder() -> nn.Sequential:
    """MobileNetV2's features with three more input channels and output stride 16."""
    features = mobilenet_features()
    fold_batch_norms(features)
    features[0] = nn.Sequential(nn.Conv2d(6, 32, 3, stride=2, padding=1), nn.Identity(), nn.ReLU6())
    depthwise = cast(nn.Conv2d, features.get_submodule("14.conv.1.0"))
    depthwise.stride = (1, 1)
    return features


class _PyramidPooling(nn.Module):
    """The deep map beside its means over the whole tile and over its quarters' quarters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_relu(inputs, outputs, 1)
        self.pooled = nn.ModuleList(nn.Conv2d(outputs, outputs // 4, 1) for _ in (1, 4))
        self.merge = conv_relu(outputs + 2 * (outputs // 4), outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        views = [x]
        for cells, conv in zip((1, 4), self.pooled, strict=True):
            views.append(_grow(F.relu(conv(F.adaptive_avg_pool2d(x, cells))), x))
        return cast(Tensor, self.merge(torch.cat(views, dim=1)))
