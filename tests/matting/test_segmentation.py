from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autohair_video.matting.segmentation import Segmenter, working_size
from autohair_video.options import SegmentOptions


class RedIsPerson(nn.Module):
    """Logits by colour, so that the answer's place and shape can be compared with the picture's."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(20.0))
        self.probability: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        self.probability = tuple(x.shape)
        return self.gain * (x[:, :2] - x[:, 2:])


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((720, 1280), (288, 512)), ((1280, 720), (512, 288)), ((480, 640), (384, 512)), ((1, 1), (512, 512))],
)
def test_working_size_keeps_the_aspect_ratio(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    assert working_size(*frame, 512) == expected


@pytest.mark.parametrize(("side", "expected"), [(200, 576), (320, 640), (500, 768), (2000, 768)])
def test_enlargement_of_small_frames_is_limited(side: int, expected: int) -> None:
    assert working_size(side // 2, side, 768) == (expected // 2, expected)


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (33, 17), (1, 1), (1, 300)])
def test_probabilities_are_aligned_with_the_image(size: tuple[int, int]) -> None:
    network = RedIsPerson()
    picture = torch.zeros(2, 3, *size)
    picture[:, 2] = 1
    left = size[1] // 2
    picture[:, 0, :, :left], picture[:, 2, :, :left] = 1, 0
    probability = Segmenter(network, SegmentOptions(long_side_px=64))(picture)
    assert probability.shape == (2, 2, *working_size(*size, 64))
    assert network.probability[2] % 32 == network.probability[3] % 32 == 0
    middle = probability.shape[3] // 2
    if left:
        assert float(probability[:, 0, :, : max(1, middle - 2)].min()) > 0.99
    assert float(probability[:, 0, :, middle + 2 :].max() if probability.shape[3] > 5 else 0) < 0.01
