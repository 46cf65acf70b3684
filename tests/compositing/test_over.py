"""The over operator: exact where alpha is 0 or 1, chroma filtered as it is sited."""

from __future__ import annotations

import pytest
import torch

from autohair_video.compositing.over import Planes, chroma_alpha, composite_planes

LAYOUTS = [
    ((1, 1), (1, 1)),
    ((33, 17), (17, 9)),
    ((33, 17), (33, 9)),
    ((33, 17), (33, 17)),
    ((64, 96), (32, 48)),
]


def _planes(luma: tuple[int, int], chroma: tuple[int, int], *, frames: int = 2) -> Planes:
    y, u, v = (255 * torch.rand(frames, 1, *size) for size in (luma, chroma, chroma))
    return y, u, v


@pytest.mark.parametrize(("luma", "chroma"), LAYOUTS)
def test_alpha_one_gives_the_foreground_and_alpha_zero_the_background(
    luma: tuple[int, int], chroma: tuple[int, int]
) -> None:
    foreground, background = _planes(luma, chroma), _planes(luma, chroma)
    ones = torch.ones(2, 1, *luma)
    for alpha, expected in ((ones, foreground), (1 - ones, background)):
        for got, want in zip(composite_planes(foreground, alpha, background), expected, strict=True):
            assert torch.equal(got, want)


def test_one_background_serves_all_frames() -> None:
    foreground = _planes((8, 8), (4, 4))
    background = _planes((8, 8), (4, 4), frames=1)
    for plane, behind in zip(
        composite_planes(foreground, torch.zeros(2, 1, 8, 8), background), background, strict=True
    ):
        assert torch.equal(plane, behind.expand(2, -1, -1, -1))


def test_chroma_alpha_is_filtered_where_chroma_is_sited() -> None:
    alpha = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])[None, None]
    assert chroma_alpha(alpha, (2, 2))[0, 0].tolist() == [[0.75, 0.375], [0.25, 0.625]]
    assert chroma_alpha(alpha, (3, 2))[0, 0].tolist() == [[0.75, 0.75], [0.75, 0.0], [0.25, 0.625]]
    assert chroma_alpha(alpha, (3, 3)) is alpha


def test_blending_planes_is_blending_colours() -> None:
    """Y'CbCr is affine in R'G'B', so at 4:4:4 both ways give the same picture."""
    matrix = torch.tensor([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]])

    def to_planes(rgb: torch.Tensor) -> Planes:
        y, u, v = torch.einsum("ij,njhw->nihw", matrix, rgb).split(1, dim=1)
        return y, u + 0.5, v + 0.5

    front, behind = torch.rand(2, 1, 3, 20, 30)
    alpha = torch.rand(1, 1, 20, 30)
    blended = to_planes(front * alpha + behind * (1 - alpha))
    for got, want in zip(composite_planes(to_planes(front), alpha, to_planes(behind)), blended, strict=True):
        torch.testing.assert_close(got, want)
