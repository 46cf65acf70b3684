"""Gamma-coded samples to linear light and back: the transfer characteristics of ITU-T H.273, table 3."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from autohair_video.frames import FrameFormat

_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A: Final = 0.17883277
_HLG_B: Final = 1 - 4 * _HLG_A
_HLG_C: Final = 0.5 - _HLG_A * math.log(4 * _HLG_A)
# OpenColorIO and Nuke let 1.0 stand for 100 of PQ's 10,000 cd/m2.
_PQ_WHITES: Final = 100.0


def to_linear(coded: Tensor, fmt: FrameFormat) -> Tensor:
    """Light for gamma-coded R'G'B' in 0..1, float32, by the transfer characteristics of ``fmt``.

    Reference white is 1; PQ reaches 100. Unspecified and unknown characteristics are read as those of
    BT.709, whose inverse is the camera's (scene light), not a display's.
    """
    return _INVERSES.get(fmt.transfer, _from_bt709)(coded)


def from_linear(light: Tensor, fmt: FrameFormat) -> Tensor:
    """Gamma-coded R'G'B' in 0..1 for light of 0 and more, float32: the inverse of `to_linear`."""
    return _CURVES.get(fmt.transfer, _to_bt709)(light).clamp(0, 1)


def _from_bt709(coded: Tensor) -> Tensor:
    curve = ((coded.clamp_min(0.081) + 0.099) / 1.099) ** (1 / 0.45)
    return torch.where(coded < 0.081, coded / 4.5, curve)


def _from_smpte240(coded: Tensor) -> Tensor:
    curve = ((coded.clamp_min(0.0913) + 0.1115) / 1.1115) ** (1 / 0.45)
    return torch.where(coded < 0.0913, coded / 4, curve)


def _from_srgb(coded: Tensor) -> Tensor:
    curve = ((coded.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(coded < 0.04045, coded / 12.92, curve)


def _from_pq(coded: Tensor) -> Tensor:
    """SMPTE ST 2084, equation 5.1."""
    root = coded ** (1 / _PQ_M2)
    return ((root - _PQ_C1).clamp_min(0) / (_PQ_C2 - _PQ_C3 * root)) ** (1 / _PQ_M1) * _PQ_WHITES


def _from_hlg(coded: Tensor) -> Tensor:
    """The inverse of the OETF in ITU-R BT.2100, table 5."""
    curve = (((coded.clamp_min(0.5) - _HLG_C) / _HLG_A).exp() + _HLG_B) / 12
    return torch.where(coded <= 0.5, coded**2 / 3, curve)


def _to_bt709(light: Tensor) -> Tensor:
    return torch.where(light < 0.018, 4.5 * light, 1.099 * light.clamp_min(0.018) ** 0.45 - 0.099)


def _to_smpte240(light: Tensor) -> Tensor:
    return torch.where(light < 0.0228, 4 * light, 1.1115 * light.clamp_min(0.0228) ** 0.45 - 0.1115)


def _to_srgb(light: Tensor) -> Tensor:
    return torch.where(
        light < 0.0031308, 12.92 * light, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    )


def _to_pq(light: Tensor) -> Tensor:
    power = (light / _PQ_WHITES) ** _PQ_M1
    return ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2


def _to_hlg(light: Tensor) -> Tensor:
    curve = _HLG_A * (12 * light.clamp_min(1 / 12) - _HLG_B).log() + _HLG_C
    return torch.where(light <= 1 / 12, (3 * light) ** 0.5, curve)


_INVERSES: Final[Mapping[int, Callable[[Tensor], Tensor]]] = {
    4: lambda coded: coded**2.2,
    5: lambda coded: coded**2.8,
    7: _from_smpte240,
    8: lambda coded: coded,
    13: _from_srgb,
    16: _from_pq,
    18: _from_hlg,
}
_CURVES: Final[Mapping[int, Callable[[Tensor], Tensor]]] = {
    4: lambda light: light ** (1 / 2.2),
    5: lambda light: light ** (1 / 2.8),
    7: _to_smpte240,
    8: lambda light: light,
    13: _to_srgb,
    16: _to_pq,
    18: _to_hlg,
}
