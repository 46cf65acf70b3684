from __future__ import annotations

import pytest
import torch

from autohair_video.models.dim import DeepImageMatting, MobileDIM, colour_hints, one_hot_trimap

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


def test_the_mobile_network_solves_some_blocks_as_it_solves_the_whole() -> None:
    """In use only blocks with unknown pixels are decoded: no pixel of the band may tell the difference."""
    torch.manual_seed(0)
    network = MobileDIM()
    picture, trimap = torch.rand(2, 3, 128, 160), torch.zeros(2, 1, 128, 160)
    trimap[0, :, 30:41, 20:] = 128 / 255
    trimap[1, :, :, 90:] = 1.0
    trimap[1, :, 100:, 60:131] = 128 / 255
    unknown = trimap == 128 / 255
    with torch.inference_mode():
        whole = network.train()(picture, trimap)
        some = network.eval()(picture, trimap)
    assert torch.allclose(some[unknown], whole[unknown], atol=1e-5)
    assert torch.equal(some[1, 0, :32, 96:], torch.ones(32, 64)), "what is far from the band is as known"


def test_a_guess_is_heeded_where_the_trimap_is_unknown_and_leaves_the_known_alone() -> None:
    torch.manual_seed(0)
    network = MobileDIM().eval()
    picture, trimap = torch.rand(1, 3, 64, 96), torch.full((1, 1, 64, 96), 0.5)
    trimap[..., :32], trimap[..., 64:] = 0, 1
    unknown = trimap == 0.5
    likely, unlikely = (trimap.masked_fill(unknown, level) for level in (0.75, 0.25))
    assert torch.equal(one_hot_trimap(likely), one_hot_trimap(trimap))
    assert torch.equal(one_hot_trimap(unlikely), one_hot_trimap(trimap))
    with torch.inference_mode():
        difference = (network(picture, likely) - network(picture, unlikely)).abs()
    assert difference[unknown].mean() > 1e-4


def test_hints_solve_what_two_plain_colours_mix() -> None:
    """Between a red person and a blue wall the place of a colour between the two is alpha."""
    truth = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 1, 64, 64)
    red, blue = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.9, 0.1, 0.1), (0.1, 0.2, 0.8)))
    trimap = torch.full((1, 1, 64, 64), 128 / 255)
    trimap[..., :8], trimap[..., 56:] = 0, 1
    truth = ((truth - 8 / 64) / (48 / 64)).clamp(0, 1)
    carried, alpha, apart, off = colour_hints(
        truth * red + (1 - truth) * blue, one_hot_trimap(trimap)
    ).unbind(dim=1)
    assert (alpha - truth[:, 0]).abs().max() < 0.01
    assert off.max() < 0.05 < apart.min()
    assert carried[0, 32, 4] < 0.05
    assert carried[0, 32, 60] > 0.95
    assert carried[0, 32].diff().min() > -1e-3


def test_hints_are_finite_where_nothing_is_known() -> None:
    picture = torch.rand(1, 3, 64, 96)
    for level in (0.0, 128 / 255, 1.0):
        hints = colour_hints(picture, one_hot_trimap(torch.full((1, 1, 64, 96), level)))
        assert torch.isfinite(hints).all()


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_the_mobile_network_hands_on_what_is_all_known(level: float) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        alpha = MobileDIM().eval()(torch.randn(1, 3, 64, 96), torch.full((1, 1, 64, 96), level))
    assert torch.equal(alpha, torch.full_like(alpha, level))


def test_the_mobile_network_in_bfloat16_solves_nearly_the_same() -> None:
    """The picture and the trimap stay float32: only the layers are in half precision."""
    torch.manual_seed(0)
    network = MobileDIM().eval()
    picture, trimap = torch.rand(1, 3, 64, 96), torch.full((1, 1, 64, 96), 128 / 255)
    trimap[..., :20], trimap[..., 70:] = 0, 1
    with torch.inference_mode():
        exact = network(picture, trimap)
        rough = network.to(torch.bfloat16)(picture, trimap)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().max() < 0.05
    assert (rough.float() - exact).abs().mean() < 0.005


def test_hints_of_a_mirrored_picture_are_mirrored() -> None:
    torch.manual_seed(0)
    picture, trimap = torch.rand(1, 3, 64, 128), torch.full((1, 1, 64, 128), 128 / 255)
    trimap[..., :20], trimap[..., 90:] = 0, 1
    hints = colour_hints(picture, one_hot_trimap(trimap))
    for axis in (2, 3):
        turned = colour_hints(picture.flip(axis), one_hot_trimap(trimap.flip(axis))).flip(axis)
        torch.testing.assert_close(turned, hints, atol=1e-4, rtol=1e-4)
