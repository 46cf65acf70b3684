from __future__ import annotations

import pytest
import torch

from autohair_video.models.dim import DeepImageMatting, MobileDIM, one_hot_trimap

PORT_SHAPES = {
    "conv1_1.weight": (64, 4, 3, 3),
    "conv3_3.weight": (256, 256, 3, 3),
    "conv5_3.weight": (512, 512, 3, 3),
    "conv6_1.weight": (512, 512, 3, 3),
    "deconv6_1.weight": (512, 512, 1, 1),
    "deconv5_1.weight": (512, 512, 5, 5),
    "deconv4_1.weight": (256, 512, 5, 5),
    "deconv3_1.weight": (128, 256, 5, 5),
    "deconv2_1.weight": (64, 128, 5, 5),
    "deconv1_1.weight": (64, 64, 5, 5),
    "deconv1.weight": (1, 64, 5, 5),
    "refine_conv1.weight": (64, 4, 3, 3),
    "refine_pred.bias": (1,),
}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_published_network_has_the_ports_keys_shapes_and_size() -> None:
    with torch.device("meta"):
        refined, plain = DeepImageMatting(), DeepImageMatting(refine=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in refined.state_dict().items()}
    assert {name: shapes[name] for name in PORT_SHAPES} == PORT_SHAPES
    assert (len(shapes), parameters(refined)) == (50, 28_373_954)
    assert (len(plain.state_dict()), parameters(plain)) == (42, 28_297_153)


def test_conv6_of_early_checkpoints_is_1x1() -> None:
    with torch.device("meta"):
        early = DeepImageMatting(conv6_kernel=1)
    assert early.conv6_1.weight.shape == (512, 512, 1, 1)


@pytest.mark.parametrize("skip", [False, True])
def test_the_published_network_solves_alpha_at_the_pictures_size(skip: bool) -> None:
    torch.manual_seed(0)
    network = DeepImageMatting(skip=skip).eval()
    with torch.inference_mode():
        alpha = network(torch.randn(1, 3, 64, 96), torch.rand(1, 1, 64, 96))
    assert alpha.shape == (1, 1, 64, 96)
    assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1


def test_skips_change_the_result_of_the_same_weights() -> None:
    torch.manual_seed(0)
    plain, skipping = DeepImageMatting(refine=False), DeepImageMatting(refine=False, skip=True)
    skipping.load_state_dict(plain.state_dict())
    picture, trimap = torch.randn(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(plain(picture, trimap), skipping(picture, trimap))


def test_the_mobile_network_is_under_five_million_parameters() -> None:
    assert parameters(MobileDIM()) < 5_000_000


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_the_mobile_network_solves_alpha_at_the_pictures_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        alpha = MobileDIM().eval()(torch.randn(2, 3, *size), torch.rand(2, 1, *size))
    assert alpha.shape == (2, 1, *size)


def test_one_hot_trimap_has_exactly_one_class_for_each_pixel() -> None:
    trimap = torch.tensor([0, 128, 255], dtype=torch.uint8)[torch.randint(0, 3, (2, 1, 9, 7))] / 255
    planes = one_hot_trimap(trimap)
    assert torch.equal(planes.sum(dim=1, keepdim=True), torch.ones_like(trimap))
    assert torch.equal(planes[:, 2:], (trimap == 1).float())
