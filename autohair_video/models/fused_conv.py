"""Convolutions that take the activation after them along, for use on a CPU.

An activation of its own is one more pass over memory, about a tenth of a mobile network's time; and a weight
in plain order is put into the order that the processor wants anew in each call. oneDNN does both at once,
through calls of torch that are not public: where these are missing, networks stay as they are.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

# What oneDNN calls an activation, and its limits.
_Activation = tuple[str, list[float]]


def can_fuse() -> bool:
    """Whether this processor and this torch can."""
    calls = "_convolution_pointwise", "_reorder_convolution_weight"
    there = all(hasattr(torch.ops.mkldnn, call) for call in calls)
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return there and platform.machine() in ("x86_64", "AMD64")


class FusedConv(nn.Conv2d):
    """A convolution, and the ReLU or ReLU6 after it if there is one; it cannot be trained.

    Weights and names are the convolution's own.
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
        self._activation = _described(activation)
        # the order depends on the input's size; of one size at a time, so that pictures of many sizes
        # leave nothing behind
        self._ordered: tuple[torch.Size, Tensor] | None = None

    def __getstate__(self) -> dict[str, object]:
        """The ordered weight cannot be copied or pickled, and is soon made anew."""
        return {**self.__dict__, "_ordered": None}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        where = [list(v) for v in (self.padding, self.stride, self.dilation)]
        ordered = self._ordered
        if ordered is None or ordered[0] != x.shape[2:]:
            order = torch.ops.mkldnn._reorder_convolution_weight.default
            ordered = x.shape[2:], order(self.weight, *where, self.groups, list(x.shape))
            self._ordered = ordered
        convolve = torch.ops.mkldnn._convolution_pointwise.default
        return cast(Tensor, convolve(x, ordered[1], self.bias, *where, self.groups, *self._activation, ""))


def fuse_convolutions(network: nn.Module) -> None:
    """Let every convolution of ``network`` take the ReLU after it along, in place.

    Results are the same up to the last bit of float32; keys and weights stay. The network must not change
    its device or type any more.
    """
    for parent in list(network.modules()):
        for name, conv, last, activation in _pairs(parent):
            setattr(parent, name, FusedConv(conv, activation))
            if activation is not None:
                setattr(parent, last, nn.Identity())


def _pairs(parent: nn.Module) -> Iterator[tuple[str, nn.Conv2d, str, nn.Module | None]]:
    """The convolutions among a module's children, each with the activation that follows it, by name."""
    children = list(parent.named_children())
    for place, (name, conv) in enumerate(children):
        if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            continue
        following = [(n, child) for n, child in children[place + 1 :] if not isinstance(child, nn.Identity)]
        last, after = following[0] if following and isinstance(parent, nn.Sequential) else ("", None)
        known = isinstance(after, nn.ReLU | nn.ReLU6)
        yield name, conv, last if known else "", after if known else None


def _described(activation: nn.Module | None) -> _Activation:
    if activation is None:
        return "none", []
    return ("hardtanh", [0.0, 6.0]) if isinstance(activation, nn.ReLU6) else ("relu", [])
