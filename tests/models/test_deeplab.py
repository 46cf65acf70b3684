from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from autohair_video.models.blocks import fold_batch_norms, mobilenet_features
from autohair_video.models.deeplab import ASPP, DeepLabV3Plus, MobileNetV2Encoder


def test_logits_have_the_pictures_size_and_two_classes() -> None:
    with torch.inference_mode():
        logits = DeepLabV3Plus().eval()(torch.zeros(2, 3, 96, 160))
    assert logits.shape == (2, 2, 96, 160)


def test_the_encoder_has_output_stride_16_and_finer_features_of_strides_2_and_4() -> None:
    with torch.inference_mode():
        fine, low, deep = MobileNetV2Encoder()(torch.zeros(1, 3, 128, 192))
    assert fine.shape == (1, 16, 64, 96)
    assert low.shape == (1, 24, 32, 48)
    assert deep.shape == (1, 320, 8, 12)


def test_before_training_the_last_stage_changes_nothing() -> None:
    """So a run may start from weights that are older than the stage."""
    torch.manual_seed(0)
    old, new = DeepLabV3Plus(detail_channels=0).eval(), DeepLabV3Plus().eval()
    new.load_state_dict(old.state_dict(), strict=False)
    picture = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(new(picture), old(picture))


def test_aspp_sees_as_far_as_its_largest_rate() -> None:
    torch.manual_seed(0)
    aspp = ASPP(4, 8, rates=(6, 12, 18)).eval()
    still = torch.zeros(1, 4, 49, 49)
    spark = still.clone()
    spark[0, :, 24, 24] = 1
    with torch.inference_mode():
        # all positions see the mean: compare against a spark in a far corner
        corner = still.clone()
        corner[0, :, 0, 0] = 1
        changed = (aspp(spark) - aspp(corner)).abs().sum(dim=1)[0]
    assert changed[24, 24 + 18] > 0
    assert changed[24, 24 + 20] == 0


def test_folding_batch_norms_keeps_the_function() -> None:
    torch.manual_seed(0)
    features = mobilenet_v2().features[:5]
    for layer in features.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.normal_(layer.running_mean, std=0.1)
    picture = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        expected = features.eval()(picture)
        fold_batch_norms(features)
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in features.modules())
        torch.testing.assert_close(features(picture), expected, rtol=1e-4, atol=1e-4)


def test_the_encoder_is_torchvisions_mobilenet_v2() -> None:
    """Pretrained files go by its names, and the pretrained function is the one that they were trained for."""
    torch.manual_seed(0)
    theirs, ours = mobilenet_v2().features[:18].eval(), mobilenet_features().eval()
    ours.load_state_dict(theirs.state_dict())
    picture = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(picture), theirs(picture), rtol=1e-4, atol=1e-4)


def test_loading_the_networks_loads_no_torchvision() -> None:
    """It takes a second and 160 MB, which count in every job."""
    code = "import sys, autohair_video.matting.pipeline; print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
