"""Person and hair probabilities: DeepLab v3+ at a small working size."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.options import SegmentOptions

# Input sides are padded to multiples of this. Unit: px. Source: largest stride of the
# segmenter networks.
_MULTIPLE_PX: Final = 32


def working_size(height: int, width: int, long_side_px: int) -> tuple[int, int]:
    """Height and width of a frame scaled so that its long side is ``long_side_px``.

    Enlargement is limited to twice the size or the default long side, whichever is larger.

    >>> working_size(1080, 1920, 512), working_size(180, 320, 768)
    ((288, 512), (360, 640))
    """
    max_px = max(2 * height, 2 * width, SegmentOptions.long_side_px)
    scale = min(long_side_px, max_px) / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class Segmenter:
    """A network with person and hair logits, and its working size."""

    def __init__(self, network: nn.Module, options: SegmentOptions) -> None:
        self._network = network
        self._options = options

    def at(self, options: SegmentOptions) -> Segmenter:
        """The same network with other options."""
        return Segmenter(self._network, options)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        """Person and hair probabilities of frames.

        Frames keep their aspect: they are scaled to the working size, and their last column and row are
        replicated up to multiples of 32, so that a person cut off by the frame continues there.

        Args:
            rgb: (N, 3, H, W) float in 0..1 on the network's device.

        Returns:
            (N, 2, h, w) float32 in 0..1 at the working size, the padding cut off: person (hair
            included) and hair.
        """
        height, width = working_size(rgb.shape[2], rgb.shape[3], self._options.long_side_px)
        small = scale_to(rgb, height, width) * 2 - 1
        padding = (0, -width % _MULTIPLE_PX, 0, -height % _MULTIPLE_PX)
        padded = F.pad(small, padding, mode="replicate").contiguous(memory_format=torch.channels_last)
        parameter = next(self._network.parameters())
        logits = self._network(padded.to(parameter.dtype))
        return torch.sigmoid(logits[..., :height, :width].float())


def scale_to(rgb: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) float to another size, bilinear, with an area filter where it gets smaller."""
    if rgb.shape[2:] == (height, width):
        return rgb
    return F.interpolate(
        rgb, (height, width), mode="bilinear", align_corners=False, antialias=height < rgb.shape[2]
    )
