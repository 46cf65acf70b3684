"""What both mobile networks are made of. No batch norm: it is folded into the convolutions.

On a CPU each normalisation is one more pass over memory, in training as in use. The encoders start from
pretrained weights whose statistics can be folded; the other layers are few and train well without.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import mobilenet_v2


def conv_relu(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    dilation: int = 1,
    groups: int = 1,
    padding: int | None = None,
) -> nn.Sequential:
    """A convolution, which keeps the size unless ``padding`` says otherwise, and ReLU."""
    padding = dilation * (kernel // 2) if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(cast(nn.Parameter, conv.bias))
    return nn.Sequential(conv, nn.ReLU(inplace=True))


def separable_conv(inputs: int, outputs: int, *, dilation: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, each with ReLU."""
    return nn.Sequential(
        conv_relu(inputs, inputs, 3, dilation=dilation, groups=inputs),
        conv_relu(inputs, outputs, 1),
    )


def mobilenet_features() -> nn.Sequential:
    """Torchvision's MobileNetV2 up to its last bottleneck, 320 channels, with its batch norms."""
    return cast(nn.Sequential, mobilenet_v2().features[:18])


def fold_batch_norms(network: nn.Module) -> None:
    """Put every batch norm that follows a convolution into that convolution, in place.

    The norm's place is kept by an identity, so the convolutions keep their names.
    """
    network.eval()
    for parent in network.modules():
        for (name, layer), (next_name, following) in pairwise(list(parent.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, following))
                setattr(parent, next_name, nn.Identity())
