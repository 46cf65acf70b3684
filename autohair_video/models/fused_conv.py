"""Convolutions fused with the activation that follows them, for inference on a CPU.

A separate activation is one more pass over memory, about a tenth of a mobile network's time, and a weight
in plain layout is reordered by oneDNN in every call. Both are avoided by torch operators that are not
public (``torch.ops.mkldnn``): `can_fuse` tries them once, and where they are missing, take other arguments
or give other results, networks stay as they are.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# oneDNN's name of an activation, and its limits.
_Activation = tuple[str, list[float]]
# Stride, padding, dilation and groups, in the order of each operator below.
_Geometry = tuple[list[int], list[int], list[int], int]

# Largest difference of the trial's outputs, which are below 10: float32 rounds sums of 27 terms.
_TRIAL_TOLERANCE: Final = 1e-4


@cache
def can_fuse() -> bool:
    """Whether this processor and this torch have the fused operators, shown by one small convolution."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return platform.machine() in ("x86_64", "AMD64") and _trial_succeeds()


def _trial_succeeds() -> bool:
    x = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)
    weight = torch.linspace(-1, 1, 4 * 3 * 3 * 3).view(4, 3, 3, 3)
    bias = torch.linspace(0, 1, 4)
    geometry: _Geometry = [1, 1], [1, 1], [1, 1], 1
    try:
        with torch.no_grad():
            fused = _convolve(x, _reorder(weight, geometry, x.shape), bias, geometry, ("relu", []))
    except Exception:  # any signature, dispatch or layout error of an operator that is not public
        return False
    plain = F.conv2d(x, weight, bias, padding=1).relu()
    return fused.shape == plain.shape and bool((fused - plain).abs().max() < _TRIAL_TOLERANCE)


def _reorder(weight: Tensor, geometry: _Geometry, shape: torch.Size) -> Tensor:
    """The weight in the layout that oneDNN chooses for an input of this shape."""
    stride, padding, dilation, groups = geometry
    order = torch.ops.mkldnn._reorder_convolution_weight.default
    return cast(Tensor, order(weight, padding, stride, dilation, groups, list(shape)))


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry, activation: _Activation
) -> Tensor:
    stride, padding, dilation, groups = geometry
    call = torch.ops.mkldnn._convolution_pointwise.default
    return cast(Tensor, call(x, weight, bias, padding, stride, dilation, groups, *activation, ""))


class FusedConv(nn.Conv2d):
    """A convolution with the ReLU or ReLU6 that follows it, if any; for inference only.

    Shares the weights of the convolution, under the same names.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            cast("tuple[int, int]", conv.kernel_size),
            stride=cast("tuple[int, int]", conv.stride),
            padding=cast("tuple[int, int]", conv.padding),
            dilation=cast("tuple[int, int]", conv.dilation),
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self._activation = _onednn_name(activation)
        # The layout depends on the input's size. One size is kept, so that memory does not grow.
        self._reordered: tuple[torch.Size, Tensor] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without the reordered weight, which cannot be copied or pickled; the next call reorders it."""
        return {**self.__dict__, "_reordered": None}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        padding = cast("tuple[int, int]", self.padding)  # `_pairs` leaves "same" and "valid" alone
        geometry = list(self.stride), list(padding), list(self.dilation), self.groups
        if self._reordered is None or self._reordered[0] != x.shape[2:]:
            self._reordered = x.shape[2:], _reorder(self.weight, geometry, x.shape)
        return _convolve(x, self._reordered[1], self.bias, geometry, self._activation)


def fuse_convolutions(network: nn.Module) -> None:
    """Fuse every convolution of ``network`` with the ReLU or ReLU6 after it, in place.

    Results are equal up to rounding of float32; keys and weights stay. The network must not change its device
    or dtype afterwards.
    """
    for parent in list(network.modules()):
        for name, conv, last, activation in _pairs(parent):
            setattr(parent, name, FusedConv(conv, activation))
            if activation is not None:
                setattr(parent, last, nn.Identity())


def _pairs(parent: nn.Module) -> Iterator[tuple[str, nn.Conv2d, str, nn.Module | None]]:
    """The convolutions among a module's children with their names, and the activation that follows each."""
    children = list(parent.named_children())
    for index, (name, conv) in enumerate(children):
        if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            continue
        following = [(n, child) for n, child in children[index + 1 :] if not isinstance(child, nn.Identity)]
        last, after = following[0] if following and isinstance(parent, nn.Sequential) else ("", None)
        known = isinstance(after, nn.ReLU | nn.ReLU6)
        yield name, conv, last if known else "", after if known else None


def _onednn_name(activation: nn.Module | None) -> _Activation:
    if activation is None:
        return "none", []
    return ("hardtanh", [0.0, 6.0]) if isinstance(activation, nn.ReLU6) else ("relu", [])
