"""From tensors to the right network: own ones, published ones, and ones that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autohair_video.errors import WeightsError
from autohair_video.models import voc_deeplab as voc
from autohair_video.models.deeplab import HAIR, PERSON, DeepLabV3Plus
from autohair_video.models.dim import DeepImageMatting, MobileDIM
from autohair_video.weights import WeightsEntry, build, load_network, register, shipped_folder
from autohair_video.weights.build import load
from autohair_video.weights.detect import detect_architecture
from autohair_video.weights.registry import read_manifest

Network = torch.nn.Module


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOHAIR_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("network", "name", "role", "details"),
    [
        (DeepLabV3Plus, "deeplabv3plus", "segmenter", {"aspp_channels": 256, "detail_channels": 16}),
        (
            lambda: DeepLabV3Plus(detail_channels=0),
            "deeplabv3plus",
            "segmenter",
            {"aspp_channels": 256, "detail_channels": 0},
        ),
        (MobileDIM, "mobile-dim", "matting", {}),
        (
            lambda: DeepImageMatting(refine=False, conv6_kernel=1),
            "dim-vgg16",
            "matting",
            {"refine": False, "conv6_kernel": 1},
        ),
        (DeepImageMatting, "dim-vgg16", "matting", {"refine": True, "conv6_kernel": 3}),
    ],
)
def test_own_and_published_networks_are_recognised(
    network: type[Network], name: str, role: str, details: dict[str, object]
) -> None:
    with torch.device("meta"):
        state = network().state_dict()
        found = detect_architecture(state)
        assert found.name == name
        assert found.role == role
        assert details.items() <= found.details.items()
        made = found.make().state_dict()
    assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in state.items()}


@pytest.mark.parametrize("backbone", ["resnet50", "resnet101", "mobilenet_v3_large"])
def test_torchvisions_deeplab_v3_is_recognised(backbone: str) -> None:
    """With the auxiliary head that its published weights have."""
    from torchvision.models import segmentation

    with torch.device("meta"):
        make = getattr(segmentation, f"deeplabv3_{backbone}")
        published = make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
        found = detect_architecture(published.state_dict())
    assert (found.name, found.details) == ("voc-deeplabv3", {"backbone": backbone})


@pytest.mark.parametrize(
    ("backbone", "key"),
    [
        ("resnet50", "backbone.layer4.2.conv3.weight"),
        ("resnet101", "backbone.layer3.22.bn1.running_mean"),
        ("mobilenet_v2", "backbone.high_level_features.17.conv.2.weight"),
    ],
)
def test_the_common_deeplab_v3_plus_layout_is_recognised(backbone: str, key: str) -> None:
    with torch.device("meta"):
        state = voc.deeplab_v3_plus(backbone).network.state_dict()
        found = detect_architecture(state)
    assert (found.name, found.details) == ("voc-deeplabv3plus", {"backbone": backbone})
    assert key in state


def test_a_voc_network_gives_the_softmax_of_person() -> None:
    torch.manual_seed(0)
    plain = voc.deeplab_v3_plus("mobilenet_v2").network.eval()
    state = dict(plain.state_dict())
    segmenter = build(detect_architecture(state), state)
    picture = torch.rand(1, 3, 64, 96)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        logits = segmenter(picture * 2 - 1)
        expected = plain((picture - mean) / deviation).softmax(1)[:, 15]
    assert logits.shape == (1, 2, 64, 96)
    assert torch.allclose(logits[:, PERSON].sigmoid(), expected, atol=1e-5)
    assert logits[:, HAIR].sigmoid().max() < 1e-6


def test_published_segmenter_weights_load_without_their_auxiliary_head() -> None:
    from torchvision.models import segmentation

    published = segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    ).state_dict()
    network = build(detect_architecture(published), published)
    assert torch.equal(network.state_dict()["network.backbone.0.0.weight"], published["backbone.0.0.weight"])


def test_a_dim_checkpoint_becomes_the_network_it_was(tmp_path: Path) -> None:
    """And its skip variant, which nothing in the file tells, is used when it is named."""
    torch.manual_seed(0)
    path = tmp_path / "stage1_skip_sad_52.9.pth"
    original = DeepImageMatting(refine=False, skip=True).eval()
    torch.save({"epoch": 10, "state_dict": original.state_dict(), "best_sad": 52.9}, path)
    image, trimap = torch.randn(1, 3, 32, 32), torch.full((1, 1, 32, 32), 128 / 255)
    with torch.no_grad():
        expected = original(image, trimap)
        named = load_network(path, architecture="dim-vgg16-skip")(image, trimap)
        plain = load_network(path)(image, trimap)
    assert torch.equal(named, expected)
    assert not torch.equal(plain, expected)


def test_registered_weights_load_by_name_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autohair_video.weights.registry.shipped_folder", lambda: tmp_path)
    path = tmp_path / "matter.safetensors"
    state = {key: value.half() for key, value in MobileDIM().state_dict().items()}
    save_file(state, path)
    register(
        path,
        name="matting-fast",
        role="matting",
        architecture="mobile-dim",
        licence="Apache-2.0",
        data="rendered",
        tier="fast",
        settings={"steps": 3},
    )
    loaded = load_network("matting-fast").state_dict()
    assert all(torch.equal(loaded[key], value.float()) for key, value in state.items())
    assert load("matting-best").keys() == state.keys()

    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="was altered"):
        load("matting-fast")
    path.write_bytes(data[:-10])
    with pytest.raises(WeightsError, match=f"{len(data) - 10} bytes where {len(data)} are due"):
        load("matting-fast")
    path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        load("matting-fast")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(WeightsError, match="neither a weights file nor registered"):
        load_network("no-such-weights")


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = MobileDIM().state_dict()
    path = tmp_path / "m.safetensors"
    save_file({k: v for k, v in state.items() if k != "up4.0.bias"}, path)
    with pytest.raises(WeightsError, match=r"m\.safetensors: 1 tensors \(up4\.0\.bias\) of mobile-dim"):
        load_network(path)
    save_file({**state, "up4.0.bias": torch.zeros(7)}, path)
    with pytest.raises(WeightsError, match=r"up4\.0\.bias has shape \(7,\) where mobile-dim has \(40,\)"):
        load_network(path)
    save_file({**state, "left.over": torch.zeros(7)}, path)
    with pytest.raises(WeightsError, match=r"left\.over\) that mobile-dim does not have"):
        load_network(path)


def test_networks_that_are_not_known_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"unknown network \(keys conv\.weight"):
        detect_architecture({"conv.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="jfzhang95"):
        detect_architecture({"aspp.aspp1.atrous_conv.weight": torch.zeros(1)})
    with torch.device("meta"):
        state = voc.deeplab_v3_plus("resnet50").network.state_dict()
        state["classifier.classifier.3.weight"] = torch.zeros(19, 256, 1, 1)
        with pytest.raises(WeightsError, match="of 19 classes"):
            detect_architecture(state)
        with pytest.raises(WeightsError, match="of mobile-dim, not of dim-vgg16-skip"):
            detect_architecture(MobileDIM().state_dict()).named("dim-vgg16-skip")


@pytest.mark.parametrize("entry", read_manifest(shipped_folder()), ids=lambda entry: entry.name)
def test_shipped_weights_are_whole_and_fit(entry: WeightsEntry) -> None:
    network = load_network(entry.name)
    assert detect_architecture(load(entry.name)).name == entry.architecture
    assert not network.training
