from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from autohair_video.models import fused_conv
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.models.dim import DeepImageMatting, MobileDIM
from autohair_video.models.fused_conv import FusedConv, can_fuse, fuse_convolutions
from autohair_video.runtime.devices import has_fast_bfloat16

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this processor or this torch cannot fuse")


def known_and_unknown(n: int, height: int, width: int) -> Tensor:
    trimap = torch.full((n, 1, height, width), 128 / 255)
    trimap[..., :20], trimap[..., width - 26 :] = 0, 1
    return trimap


# Processors without bfloat16 instructions run the networks in float32.
BFLOAT16 = pytest.param(
    torch.bfloat16,
    marks=pytest.mark.skipif(
        not has_fast_bfloat16(torch.device("cpu")), reason="this processor has no bfloat16"
    ),
)


@pytest.mark.parametrize("dtype", [torch.float32, BFLOAT16])
def test_fused_matting_network_equals_the_plain_one(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = MobileDIM().eval().to(dtype).to(memory_format=torch.channels_last)
    fused = deepcopy(plain)
    fuse_convolutions(fused)
    # changing sizes and numbers of tiles, as the layout of the weights depends on the size
    for n, height, width in ((2, 64, 96), (1, 96, 96), (3, 64, 96)):
        picture, trimap = torch.rand(n, 3, height, width), known_and_unknown(n, height, width)
        with torch.inference_mode():
            torch.testing.assert_close(fused(picture, trimap), plain(picture, trimap), atol=1e-5, rtol=0)


def test_fused_segmenter_equals_the_plain_one() -> None:
    torch.manual_seed(0)
    plain = DeepLabV3Plus().eval().to(memory_format=torch.channels_last)
    fused = deepcopy(plain)
    fuse_convolutions(fused)
    picture = torch.rand(1, 3, 96, 128) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(fused(picture), plain(picture), atol=1e-4, rtol=1e-4)


def test_functional_activations_are_not_fused() -> None:
    """The published network calls `F.relu` itself; only its weights are reordered."""
    torch.manual_seed(0)
    plain = DeepImageMatting().eval()
    fused = deepcopy(plain)
    fuse_convolutions(fused)
    picture, trimap = torch.rand(1, 3, 32, 32), known_and_unknown(1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fused(picture, trimap), plain(picture, trimap), atol=1e-5, rtol=1e-4)


def test_fusing_keeps_names_and_weights_and_removes_every_relu() -> None:
    network = MobileDIM().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fuse_convolutions(network)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert all(isinstance(layer, FusedConv) for layer in convolutions)
    assert not any(isinstance(layer, nn.ReLU | nn.ReLU6) for layer in network.modules())


def test_an_activation_after_another_layer_is_not_fused() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    fused = deepcopy(plain)
    fuse_convolutions(fused)
    picture = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(fused(picture), plain(picture), atol=1e-5, rtol=1e-4)
        assert float(fused(picture).min()) < 0, "the last layer has no activation"


def other_signature(x: Tensor) -> Tensor:
    return x


def other_result(*arguments: object) -> Tensor:
    return torch.zeros(1, 4, 8, 8)


@pytest.mark.parametrize("changed", [other_signature, other_result])
def test_operators_that_changed_are_not_used(
    monkeypatch: pytest.MonkeyPatch, changed: Callable[..., Tensor]
) -> None:
    """They are not public: a later torch may change them without notice."""
    assert fused_conv._trial_succeeds()
    monkeypatch.setattr(fused_conv, "_convolve", changed)
    assert not fused_conv._trial_succeeds()
