"""The Matter: pictures and frames through real networks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import picture
from matters import CLOSER, HARD, QUICK
from torch import Tensor

from autohair_video import (
    DeviceError,
    FrameBatch,
    FrameFormat,
    Matte,
    Matter,
    MatterOptions,
    OptionError,
    TemporalOptions,
    WeightsError,
)
from autohair_video.media import ClipReader, to_rgb
from autohair_video.pipeline import choose_device

SAMPLE = Path(__file__).parents[1] / "samples" / "portrait.mp4"


@pytest.fixture(scope="module")
def matter() -> Matter:
    return Matter(device="cpu", options=QUICK)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(144, 256, 3) RGB: a frame of the sample clip, with a person in it."""
    with ClipReader(SAMPLE, batch_size=1) as reader:
        rgb = to_rgb(next(iter(reader)))[0].permute(1, 2, 0).numpy()
    return cv2.resize((rgb * 255).astype(np.uint8), (256, 144), interpolation=cv2.INTER_AREA)


def _frames(pictures: list[np.ndarray]) -> FrameBatch:
    """Pictures as RGB frames, 40 ms each."""
    rgb = torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).unsqueeze(2)
    height, width = pictures[0].shape[:2]
    fmt = FrameFormat(width, height, subsample_x=1, subsample_y=1, matrix=0, full_range=True)
    n = len(pictures)
    return FrameBatch((rgb[0], rgb[1], rgb[2]), fmt, tuple(range(n)), (1,) * n, Fraction(1, 25))


def _alpha(matter: Matter, batches: list[FrameBatch]) -> Tensor:
    return torch.cat([matte.alpha for _, matte in matter.frames(batches)])


def test_a_person_gets_a_soft_matte(portrait: np.ndarray) -> None:
    alpha = Matter(device="cpu", options=CLOSER).image(portrait)
    assert (tuple(alpha.shape), alpha.dtype, alpha.device.type) == ((144, 256), torch.float32, "cpu")
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert 0.05 < (alpha == 1).float().mean() < 0.9
    assert ((alpha > 0.02) & (alpha < 0.98)).any()


def test_without_a_person_all_is_background(matter: Matter) -> None:
    assert matter.image(np.full((48, 64, 3), 90, np.uint8)).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1, 300)])
def test_any_size_gives_alpha_of_that_size(matter: Matter, size: tuple[int, int]) -> None:
    rgb = picture(0, 300, 33)[: size[0], : size[1]]
    trimap = np.full(size, 128, np.uint8)
    for alpha in (matter.image(rgb), matter.image(rgb, trimap)):
        assert tuple(alpha.shape) == size
        assert 0 <= alpha.min() <= alpha.max() <= 1


def test_arrays_views_and_tensors_are_one(matter: Matter) -> None:
    rgb, trimap = picture(0, 64, 48), np.full((48, 64), 128, np.uint8)
    alpha = matter.image(rgb, trimap)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    assert torch.equal(matter.image(tensor, torch.from_numpy(trimap)), alpha)
    locked, mirrored = rgb.copy(), rgb[:, ::-1].copy()[:, ::-1]
    locked.flags.writeable = trimap.flags.writeable = False
    assert torch.equal(matter.image(locked, trimap), alpha)
    assert torch.equal(matter.image(mirrored, trimap), alpha)


def test_a_given_trimap_is_kept_where_it_is_known(matter: Matter, portrait: np.ndarray) -> None:
    trimap = np.full(portrait.shape[:2], 128, np.uint8)
    trimap[:, :100], trimap[50:100, 120:180] = 0, 255
    alpha = matter.image(portrait, trimap).numpy()
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 1).all()
    assert np.unique(alpha[trimap == 128]).size > 10


@pytest.mark.parametrize(
    ("image", "trimap"),
    [
        (np.zeros((4, 4), np.uint8), None),
        (np.zeros((4, 4, 4), np.uint8), None),
        (np.zeros((4, 4, 3), np.float32), None),
        (torch.zeros(4, 4, 3), None),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), None),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)),
    ],
)
def test_pictures_of_another_kind_are_refused(
    matter: Matter, image: np.ndarray | Tensor, trimap: np.ndarray | None
) -> None:
    with pytest.raises(OptionError, match=r"shape.*give"):
        matter.image(image, trimap)


def test_frames_come_back_with_their_times_and_mattes(matter: Matter) -> None:
    batches = [_frames([picture(i, 64, 48) for i in range(n)]) for n in (3, 2)]
    done = list(matter.frames(batches))
    assert [frames for frames, _ in done] == batches
    for frames, matte in done:
        assert isinstance(matte, Matte)
        assert (matte.pts, matte.durations) == (frames.pts, frames.durations)
        assert matte.time_base == frames.time_base
        assert matte.alpha.shape == (len(frames), 1, 48, 64)
        assert matte.trimap is not None
        assert set(matte.trimap.unique().tolist()) <= {0, 128, 255}


def test_frames_are_drawn_only_as_they_are_asked_for(matter: Matter) -> None:
    drawn = []

    def batches():  # type: ignore[no-untyped-def]
        for index in range(3):
            drawn.append(index)
            yield _frames([picture(index, 64, 48)])

    mattes = matter.frames(batches())
    next(mattes)
    assert drawn == [0]


def test_how_frames_are_batched_changes_nothing(portrait: np.ndarray) -> None:
    matter = Matter(device="cpu", options=CLOSER)
    pictures = [np.roll(portrait, 3 * i, axis=1) for i in range(4)]
    whole = _frames(pictures)
    first, second = whole.halves()
    singles = [*first.halves(), *second.halves()]
    together, one_by_one = _alpha(matter, [whole]), _alpha(matter, singles)
    assert (together - one_by_one).abs().max() < 0.02
    assert (together - one_by_one).abs().mean() < 1e-4


def test_nothing_is_carried_from_clip_to_clip(matter: Matter, portrait: np.ndarray) -> None:
    clip = [_frames([portrait, np.roll(portrait, 4, axis=1)])]
    before = _alpha(matter, clip)
    _alpha(matter, [_frames([portrait[::-1].copy()])])
    assert torch.equal(_alpha(matter, clip), before)


def test_a_still_clip_of_a_person_has_a_still_matte(portrait: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(portrait + rng.normal(0, 3, portrait.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    flicker = {}
    for strength in (0.0, 0.7):
        options = replace(CLOSER, temporal=TemporalOptions(strength=strength))
        alpha = _alpha(Matter(device="cpu", options=options), [_frames(noisy)])
        flicker[strength] = (alpha[1:] - alpha[:-1]).abs().mean()
    assert flicker[0.7] < 0.75 * flicker[0.0]


class _ShortOfMemory:
    """A segmenter on a device that holds ``most`` frames."""

    def __init__(self, matter: Matter, most: int) -> None:
        self._segment, self._most = matter.segment, most

    def __call__(self, rgb: Tensor) -> Tensor:
        if len(rgb) > self._most:
            raise torch.OutOfMemoryError("out of memory")
        return self._segment(rgb)


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    matter = Matter(device="cpu", options=HARD)
    batch = _frames([picture(i, 64, 48) for i in range(5)])
    wanted = _alpha(matter, [batch])
    matter.segment = _ShortOfMemory(matter, 2)  # type: ignore[assignment]
    done = list(matter.frames([batch]))
    assert [len(frames) for frames, _ in done] == [2, 1, 2]
    assert [pts for frames, _ in done for pts in frames.pts] == list(range(5))
    assert torch.equal(torch.cat([matte.alpha for _, matte in done]), wanted)
    matter.segment = _ShortOfMemory(matter, 0)  # type: ignore[assignment]
    with pytest.raises(DeviceError, match="64x48"):
        list(matter.frames([batch]))


def test_tiers_and_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(OptionError, match="tier"):
        Matter(tier="medium")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="device"):
        choose_device("tpu")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            choose_device("cuda")


def test_the_best_tier_looks_closer() -> None:
    assert MatterOptions.for_tier("best").segment.long_side_px > MatterOptions().segment.long_side_px


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"segmenter-fast.*not of a matter"):
        Matter(device="cpu", matter="segmenter-fast")
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        Matter(device="cpu", segmenter="nowhere.safetensors")
