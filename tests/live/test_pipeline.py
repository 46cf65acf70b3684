"""Live pictures through real networks: every quality, and what is carried between them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autohair_video import MattingPipeline
from autohair_video.live.pipeline import LivePipeline, scale_and_crop, to_bgr, to_frame_batch
from autohair_video.live.quality import LEVELS, Level
from autohair_video.live.settings import LiveOptions, Settings
from autohair_video.runtime.profiling import StageTimer, untimed

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"
SETTINGS = Settings("blur")
QUICK = Level(1.0, 128, 1)


@pytest.fixture(scope="module")
def matter() -> MattingPipeline:
    return MattingPipeline(device="cpu")


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    """Five pictures of the sample, 256x144, BGR."""
    capture = cv2.VideoCapture(str(SAMPLE))
    return [scale_and_crop(np.asarray(capture.read()[1], np.uint8), 256, 144) for _ in range(5)]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_mattes_the_person(
    matter: MattingPipeline, pictures: list[NDArray[np.uint8]], level: Level
) -> None:
    matte = LivePipeline(matter, LiveOptions())(pictures[0], SETTINGS, level)
    assert tuple(matte.alpha.shape) == (1, 1, 144, 256)
    assert matte.trimap is not None
    assert set(matte.trimap.unique().tolist()) == {0, 128, 255}
    assert matte.alpha[0, 0, 130, 120] > 0.99
    assert matte.alpha[0, 0, 130, 10] < 0.01


def test_level_change_keeps_history(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(matter, LiveOptions())
    still = pictures[0]
    for _ in range(3):
        before = live(still, SETTINGS, LEVELS[0]).alpha
    after = live(still, SETTINGS, LEVELS[2]).alpha
    alone = LivePipeline(matter, LiveOptions())(still, SETTINGS, LEVELS[2]).alpha
    assert (after - before).abs().mean() < (alone - before).abs().mean()


def test_segmenting_ahead_of_inference_is_equal(
    matter: MattingPipeline, pictures: list[NDArray[np.uint8]]
) -> None:
    level = Level(1.0, 128, 2)
    in_turn, ahead = (LivePipeline(matter, LiveOptions()) for _ in range(2))
    wanted = [in_turn(picture, SETTINGS, level).alpha for picture in pictures]
    looked = [ahead.segment(picture, SETTINGS, level) for picture in pictures]
    for alpha, one in zip(wanted, looked, strict=True):
        assert torch.equal(ahead.solve(one).alpha, alpha)


def test_reset_clears_history(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(matter, LiveOptions())
    fresh = live(pictures[0], SETTINGS, QUICK).alpha
    live(pictures[3], SETTINGS, QUICK)
    live.forget()
    assert torch.equal(live(pictures[0], SETTINGS, QUICK).alpha, fresh)


def test_segmenter_runs_every_nth_frame(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    live, looked = LivePipeline(matter, LiveOptions()), []
    try:
        for picture in pictures:
            matter.watch = watch = StageTimer(matter.device)
            alpha = live(picture, SETTINGS, Level(1.0, 128, 3)).alpha
            looked.append("segment" in watch.seconds)
            assert alpha[0, 0, 130, 120] > 0.99
    finally:
        matter.watch = untimed
    assert looked == [True, False, False, True, False]


def test_scene_cut_runs_segmenter(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(matter, LiveOptions())
    level = Level(1.0, 128, 4)
    live(pictures[0], SETTINGS, level)
    empty = np.random.default_rng(0).integers(0, 255, (9, 16, 3), np.uint8)
    alpha = live(np.asarray(cv2.resize(empty, (256, 144)), np.uint8), SETTINGS, level).alpha
    assert alpha[0, 0, 130, 120] < 0.5


def test_band_scale_grows_unknown_region(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    unknown = []
    for band in (0.5, 1.0, 2.0):
        trimap = LivePipeline(matter, LiveOptions())(pictures[0], Settings("blur", band=band), QUICK).trimap
        assert trimap is not None
        unknown.append(int((trimap == 128).sum()))
    assert unknown == sorted(set(unknown))


def test_no_smoothing_equals_single_frame(matter: MattingPipeline, pictures: list[NDArray[np.uint8]]) -> None:
    rough = Settings("blur", smoothing=False)
    live = LivePipeline(matter, LiveOptions())
    for picture in pictures[:2]:
        after = live(picture, rough, QUICK).alpha
    alone = LivePipeline(matter, LiveOptions())(pictures[1], rough, QUICK).alpha
    assert (after - alone).abs().max() < 1e-5


def test_planes_round_trip(pictures: list[NDArray[np.uint8]]) -> None:
    smooth = np.asarray(cv2.GaussianBlur(pictures[0], (9, 9), 0), np.uint8)
    back = to_bgr(to_frame_batch(smooth, 40, duration_ms=33))
    assert np.abs(back.astype(int) - smooth).mean() < 2


@pytest.mark.parametrize("size", [(640, 480), (320, 180), (100, 300)])
def test_scale_and_crop_is_centred(size: tuple[int, int]) -> None:
    width, height = size
    ramp = np.tile(np.linspace(0, 255, width, dtype=np.uint8)[None, :, None], (height, 1, 3))
    cut = scale_and_crop(ramp, 320, 180)
    assert cut.shape == (180, 320, 3)
    assert abs(int(cut[0, 0, 0]) + int(cut[0, -1, 0]) - 255) <= 3
