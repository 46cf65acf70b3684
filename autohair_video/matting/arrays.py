"""Images and trimaps of the Python API -> tensors of the stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autohair_video.errors import OptionError
from autohair_video.matting.trimap import quantise_trimap


def as_rgb(image: NDArray[np.uint8] | Tensor) -> Tensor:
    """(1, 3, H, W) float32 RGB in 0..1 of an (H, W, 3) uint8 array or a (3, H, W) float tensor.

    Raises:
        OptionError: it is of another shape or type.

    >>> as_rgb(np.full((4, 6, 3), 255, np.uint8)).shape
    torch.Size([1, 3, 4, 6])
    """
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
            raise OptionError(f"a tensor of {_shape(image)}: give (3, H, W) float RGB in 0..1")
        return image[None].float()
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OptionError(f"an array of {_shape(image)}: give (H, W, 3) uint8 RGB")
    return _copied(image).permute(2, 0, 1)[None].float() / 255


def as_trimap(trimap: NDArray[np.uint8] | Tensor, rgb: Tensor) -> Tensor:
    """(1, 1, H, W) uint8 of 0, 128 and 255, of an (H, W) uint8 array or tensor for ``rgb`` (1, 3, H, W).

    Raises:
        OptionError: it is of another type, or its size differs from the image.
    """
    given = trimap if isinstance(trimap, Tensor) else _copied(trimap)
    if given.shape != rgb.shape[2:] or given.dtype != torch.uint8:
        raise OptionError(
            f"a trimap of {_shape(given)}: give ({rgb.shape[2]}, {rgb.shape[3]}) uint8 as the image"
        )
    return quantise_trimap(given[None, None])


def _copied(array: NDArray[Any]) -> Tensor:
    """Torch takes neither read-only views (Pillow) nor negative strides."""
    return torch.from_numpy(np.array(array, order="C"))


def _shape(array: Any) -> str:
    return f"shape {tuple(array.shape)}, {array.dtype}"
