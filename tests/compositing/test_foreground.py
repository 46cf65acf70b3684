"""The old background's colour is taken out of the mixed pixels, and nothing else is touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from pymatting import estimate_foreground_ml

from autohair_video.compositing.foreground import estimate_foreground, foreground_in_band


def _hairy_scene(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Foreground colour, exact alpha and background: a head with strands before a smooth backdrop."""
    rng = np.random.default_rng(seed)
    height, width, fine = 120, 160, 4
    alpha = np.zeros((height * fine, width * fine), np.uint8)
    centre = np.array([width * fine / 2, height * fine * 0.65])
    cv2.circle(alpha, (int(centre[0]), int(centre[1])), 120, 255, -1)
    for angle in rng.uniform(np.pi, 2 * np.pi, 150):
        heading = angle + rng.normal(0, 0.4) + np.cumsum(rng.normal(0, 0.1, 20))
        steps = 7 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        root = centre + 115 * np.array([np.cos(angle), np.sin(angle)])
        points = (root + np.cumsum(steps, axis=0)).astype(np.int32)
        cv2.polylines(alpha, [points], False, 255, int(rng.integers(2, 6)))
    alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)

    def backdrop(low: float, high: float) -> np.ndarray:
        coarse = rng.uniform(low, high, (4, 5, 3)).astype(np.float32)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)

    front, behind = (
        torch.from_numpy(backdrop(*limits)).permute(2, 0, 1)[None] for limits in ((0.05, 0.4), (0.4, 1.0))
    )
    return front, torch.from_numpy(alpha)[None, None] / 255, behind


def _error(found: torch.Tensor, front: torch.Tensor, alpha: torch.Tensor) -> float:
    """Mean error of the band as it shows, weighted by alpha, in 1/255."""
    mixed = (alpha > 0.02) & (alpha < 1)
    shown = ((found - front).abs() * alpha).mean(dim=1, keepdim=True)
    return shown[mixed].mean().item() * 255


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_colours_of_the_band_come_close_to_the_truth(seed: int) -> None:
    front, alpha, behind = _hairy_scene(seed)
    image = front * alpha + behind * (1 - alpha)
    found, _ = estimate_foreground(image, alpha)
    reference = estimate_foreground_ml(
        image[0].permute(1, 2, 0).double().numpy(), alpha[0, 0].double().numpy()
    )
    reference = torch.from_numpy(reference).permute(2, 0, 1)[None].float()
    ours = _error(found, front, alpha)
    assert ours < 4
    assert ours < 0.25 * _error(image, front, alpha)
    assert ours < _error(reference, front, alpha) + 1


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_green_is_gone_on_magenta(seed: int) -> None:
    """In strands of strongly changing colours, single pixels are further off than 4/255."""
    front, alpha, behind = _hairy_scene(seed)
    green = torch.tensor([0.1, 0.8, 0.2]).view(1, 3, 1, 1).expand_as(behind)
    magenta = torch.tensor([0.9, 0.1, 0.8]).view(1, 3, 1, 1)
    found, _ = estimate_foreground(front * alpha + green * (1 - alpha), alpha)
    shown = found * alpha + magenta * (1 - alpha)
    truth = front * alpha + magenta * (1 - alpha)
    error = (shown - truth).abs().amax(dim=1, keepdim=True)[(alpha > 0) & (alpha < 1)]
    assert error.mean() < 1.5 / 255
    assert (error < 4 / 255).float().mean() > 0.97


def test_known_pixels_are_the_images_own_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 2, 61, 83, generator=generator) * 219 + 16
    alpha = (torch.rand(2, 1, 61, 83, generator=generator) * 3 - 1).clamp(0, 1)
    foreground, background = estimate_foreground(image, alpha)
    ones, zeros = (alpha == 1).expand_as(image), (alpha == 0).expand_as(image)
    assert torch.equal(foreground[ones], image[ones])
    assert torch.equal(background[zeros], image[zeros])


def test_both_colours_stay_within_the_images_range() -> None:
    front, alpha, behind = _hairy_scene(5)
    image = 219 * (front * alpha + behind * (1 - alpha)) + 16
    for colours in estimate_foreground(image, alpha):
        assert colours.amin() >= image.amin()
        assert colours.amax() <= image.amax()


def test_beyond_the_subject_its_colours_go_on() -> None:
    alpha = torch.zeros(1, 1, 64, 256)
    alpha[..., :64] = 1
    image = torch.where(alpha == 1, 0.2, 0.9)
    foreground, background = estimate_foreground(image, alpha)
    torch.testing.assert_close(foreground, torch.full_like(image, 0.2), atol=0.01, rtol=0)
    torch.testing.assert_close(background, torch.full_like(image, 0.9), atol=0.01, rtol=0)


def test_channels_do_not_mix() -> None:
    front, alpha, behind = _hairy_scene(6)
    image = front * alpha + behind * (1 - alpha)
    together, _ = estimate_foreground(image, alpha)
    for c in range(3):
        alone, _ = estimate_foreground(image[:, c : c + 1], alpha)
        # The range that colours are held to is that of all channels, or of the one.
        inside = (alone > image[:, c].amin()) & (alone < image[:, c].amax())
        torch.testing.assert_close(alone[inside], together[:, c : c + 1][inside])


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (2, 300)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_any_size_and_any_alpha_is_finite(size: tuple[int, int], level: float) -> None:
    image = torch.rand(2, 1, *size)
    for colours in estimate_foreground(image, torch.full((2, 1, *size), level)):
        assert colours.shape == image.shape
        assert colours.isfinite().all()


def test_a_look_at_the_band_alone_gives_the_same_colours_there() -> None:
    """A composite needs the foreground where pixels are mixed; the rest of the frame costs nothing."""
    torch.manual_seed(0)
    image, alpha = torch.rand(2, 3, 300, 400), torch.zeros(2, 1, 300, 400)
    alpha[:, :, 120:200, 150:220] = 1
    alpha[:, :, 118:120, 150:220] = 0.4
    alpha[1, :, 200:203, 150:220] = 0.7
    everywhere, _ = estimate_foreground(image, alpha)
    found = foreground_in_band(image, alpha)
    mixed = ((alpha > 0) & (alpha < 1)).expand_as(image)
    assert (found - everywhere)[mixed].abs().max() < 0.02
    assert torch.equal(found[~mixed], image[~mixed])


def test_without_mixed_pixels_there_is_nothing_to_estimate() -> None:
    image = torch.rand(1, 1, 40, 40)
    for level in (0.0, 1.0):
        assert torch.equal(foreground_in_band(image, torch.full((1, 1, 40, 40), level)), image)
