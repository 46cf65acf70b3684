"""The fixed trimap equals the slow reference; the adaptive one covers what is mixed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from kornia import morphology

from autohair_video.errors import InputError
from autohair_video.matting.trimap import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    adaptive_trimap,
    encode_alpha_prior,
    fixed_trimap,
    is_unknown,
    keep_known,
    quantise_trimap,
)

SIZES = [(1, 1), (1, 40), (17, 33), (64, 48)]


def _slow_trimap(mask: np.ndarray, erosion: int, size: int) -> np.ndarray:
    eroded = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=erosion) if erosion else mask
    foreground = (eroded > 0).astype(np.uint8)
    reach = cv2.dilate(foreground, np.ones((2 * size + 1, 2 * size + 1), np.uint8))
    return np.where(foreground > 0, 255, np.where(reach > 0, 128, 0)).astype(np.uint8)


def _masks(height: int, width: int) -> list[np.ndarray]:
    rng = np.random.default_rng(height * width)
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    blob = cv2.GaussianBlur(noise, (0, 0), 6)
    grey = np.where(blob > np.median(blob), noise, 0).astype(np.uint8)
    sparse = ((noise > 8) * 255).astype(np.uint8)
    empty = np.zeros_like(noise)
    return [noise, grey, sparse, ((blob > np.median(blob)) * 255).astype(np.uint8), empty, ~empty]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("erosion", "reach"), [(0, 0), (1, 1), (5, 25), (3, 2), (0, 7), (90, 120)])
def test_fixed_trimap_is_exact(size: tuple[int, int], erosion: int, reach: int) -> None:
    masks = _masks(*size)
    expected = np.stack([_slow_trimap(mask, erosion, reach) for mask in masks])[:, None]
    batch = torch.from_numpy(np.stack(masks))[:, None]
    as_bytes = fixed_trimap(batch, erosion=erosion, size=reach)
    assert as_bytes.dtype == torch.uint8
    np.testing.assert_array_equal(as_bytes.numpy(), expected)
    as_floats = fixed_trimap(batch.float() / 255, erosion=erosion, size=reach)
    np.testing.assert_array_equal(as_floats.numpy(), expected)


def test_fixed_trimap_equals_kornia() -> None:
    mask = (torch.rand(2, 1, 40, 50, generator=torch.Generator().manual_seed(1)) > 0.05).float()
    eroded = morphology.erosion(morphology.erosion(mask, torch.ones(3, 3)), torch.ones(3, 3))
    reach = morphology.dilation((eroded > 0).float(), torch.ones(9, 9))
    expected = torch.where(eroded > 0, 255, torch.where(reach > 0, 128, 0)).to(torch.uint8)
    assert torch.equal(fixed_trimap(mask, erosion=2, size=4), expected)


def test_fixed_band_has_the_documented_width() -> None:
    mask = torch.zeros(1, 1, 9, 200)
    mask[..., :100] = 1
    row = fixed_trimap(mask, erosion=5, size=25)[0, 0, 4]
    assert (row[:95] == FOREGROUND).all()
    assert (row[95:120] == UNKNOWN).all()
    assert (row[120:] == BACKGROUND).all()


def _disc(height: int, width: int, radius: float, *, soft_px: float = 2.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2, x - width / 2)
    return torch.sigmoid((radius - distance) / soft_px)[None, None]


def _none_like(person: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(person)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (288, 512), (1080, 1920)])
def test_empty_probability_is_background(size: tuple[int, int]) -> None:
    doubt = 0.4 * torch.rand(2, 1, 72, 128)
    trimap = adaptive_trimap(doubt, doubt, size=size)
    assert trimap.shape == (2, 1, *size)
    assert (trimap == BACKGROUND).all()


def test_full_probability_is_foreground() -> None:
    person = torch.ones(1, 1, 72, 128)
    trimap = adaptive_trimap(person, _none_like(person), size=(144, 256))
    assert (trimap == FOREGROUND).all()


def test_uncertain_pixels_are_unknown_far_from_the_edge() -> None:
    person = _disc(128, 128, 50)
    person[..., 60:68, 60:68] = 0.6
    trimap = adaptive_trimap(person, _none_like(person), size=(128, 128))
    assert (trimap[..., 60:68, 60:68] == UNKNOWN).all()
    assert (trimap[..., 62, 40] == FOREGROUND).all()
    assert ((person <= 0.1) | (person >= 0.9) | (trimap == UNKNOWN)).all()


def test_band_is_wider_at_hair_inward_and_outward() -> None:
    person = _disc(256, 256, 80, soft_px=0.5)
    hair = person.clone()
    hair[..., 128:, :] = 0
    column = adaptive_trimap(person, hair, size=(256, 256))[0, 0, :, 128]
    unknown = (column == UNKNOWN).nonzero().flatten().tolist()
    top, bottom = 128 - 80, 128 + 80
    hair_out, hair_in = top - unknown[0], max(i for i in unknown if i < 128) - top
    cloth_out, cloth_in = unknown[-1] - bottom, bottom - min(i for i in unknown if i > 128)
    assert hair_out > 1.5 * cloth_out
    assert hair_in > 1.5 * cloth_in


def test_band_width_scales_with_subject_and_option() -> None:
    def width(radius: float, band: float) -> int:
        person = _disc(512, 512, radius, soft_px=0.5)
        row = adaptive_trimap(person, _none_like(person), size=(512, 512), band=band)[0, 0, 256]
        return int((row == UNKNOWN).sum())

    assert width(200, 1.0) > width(90, 1.0)
    assert width(200, 2.0) > 1.7 * width(200, 1.0)


def test_specks_are_background() -> None:
    person = _disc(256, 256, 80)
    person[..., 5:9, 5:9] = 1
    trimap = adaptive_trimap(person, _none_like(person), size=(256, 256))
    assert (trimap[..., :30, :30] == BACKGROUND).all()
    alone = torch.zeros(1, 1, 256, 256)
    alone[..., 5:11, 5:11] = 1
    assert (adaptive_trimap(alone, _none_like(alone), size=(256, 256)) == UNKNOWN).any()


def test_band_is_independent_of_frame_size() -> None:
    person = _disc(144, 256, 40)
    small = adaptive_trimap(person, person, size=(144, 256))
    large = adaptive_trimap(person, person, size=(1440, 2560))
    shares = [(t == UNKNOWN).float().mean().item() for t in (small, large)]
    assert shares[0] == pytest.approx(shares[1], rel=0.03)


def test_trimap_is_shift_equivariant() -> None:
    person = _disc(160, 160, 40)
    shifted = person.roll((8, 12), dims=(2, 3))
    before = adaptive_trimap(person, person, size=(160, 160))
    after = adaptive_trimap(shifted, shifted, size=(160, 160))
    assert torch.equal(after, before.roll((8, 12), dims=(2, 3)))


def _true_alpha(shared: Path, name: str) -> torch.Tensor:
    av = pytest.importorskip("av")
    with av.open(str(shared / "eval" / "video" / name)) as clip:
        frames = [f.to_ndarray(format="gray") for f in clip.decode(video=0)]
    return torch.from_numpy(np.stack(frames[::24]))[:, None].float() / 255


@pytest.mark.parametrize("name", ["julia_alpha.mkv", "ron_alpha.mkv", "tatum_alpha.mkv"])
def test_mixed_pixels_of_real_mattes_are_unknown(shared: Path, name: str) -> None:
    alpha = _true_alpha(shared, name)
    size = (alpha.shape[2], alpha.shape[3])
    # A stride-4 segmenter's view: a quarter of the size, and grown again.
    coarse = torch.nn.functional.interpolate(
        alpha, (size[0] // 4, size[1] // 4), mode="bilinear", antialias=True
    )
    person = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    trimap = adaptive_trimap(person, _none_like(person), size=size)
    mixed = (alpha > 0.02) & (alpha < 0.98)
    assert (trimap[mixed] == UNKNOWN).float().mean() > 0.98
    assert (trimap == UNKNOWN).float().mean() < 0.25


def test_quantising_keeps_only_certain_pixels() -> None:
    values = torch.tensor([0, 15, 16, 90, 128, 200, 239, 240, 255], dtype=torch.uint8)
    assert quantise_trimap(values).tolist() == [0, 0, 128, 128, 128, 128, 128, 255, 255]
    with pytest.raises(InputError, match="8 bit"):
        quantise_trimap(values.float())


def test_keep_known_sets_alpha_of_known_pixels() -> None:
    trimap = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    alpha = torch.full((1, 1, 1, 3), 0.3)
    assert keep_known(alpha, trimap).flatten().tolist() == pytest.approx([0, 0.3, 1])


def test_alpha_prior_is_unknown_and_increases_with_probability() -> None:
    person = torch.tensor([[[[0.0, 0.25, 0.5, 0.75, 1.0]]]])
    guess = encode_alpha_prior(person, (1, 5))
    assert guess.flatten().tolist() == [64, 96, 128, 159, 191]
    assert is_unknown(guess).all()
    assert 0.25 <= 64 / 255 < 191 / 255 <= 0.75, "what a matting network reads as unknown"
    known = torch.tensor([BACKGROUND, UNKNOWN, FOREGROUND], dtype=torch.uint8)
    assert is_unknown(known).tolist() == [False, True, False]
