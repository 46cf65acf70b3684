"""Live frames through real networks: every quality, and the state between them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autohair_video import Matte, MattingOptions, MattingPipeline
from autohair_video.live.pipeline import LivePipeline, scale_and_crop, to_bgr, to_frame_batch
from autohair_video.live.quality import LEVELS, Level
from autohair_video.live.settings import LiveOptions, Settings, live_matting_options
from autohair_video.options import EdgeOptions, SegmentOptions, SubjectOptions, TrimapOptions
from autohair_video.runtime.profiling import StageTimer, untimed

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"
SETTINGS = Settings("blur")
QUICK = Level(1.0, 128, 1)


@pytest.fixture(scope="module")
def pipeline() -> MattingPipeline:
    return MattingPipeline(device="cpu")


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    """Five frames of the sample, 256x144, BGR."""
    capture = cv2.VideoCapture(str(SAMPLE))
    return [scale_and_crop(np.asarray(capture.read()[1], np.uint8), 256, 144) for _ in range(5)]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_mattes_the_person(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]], level: Level
) -> None:
    matte = LivePipeline(pipeline, LiveOptions())(images[0], SETTINGS, level)
    assert tuple(matte.alpha.shape) == (1, 1, 144, 256)
    assert matte.trimap is not None
    assert set(matte.trimap.unique().tolist()) == {0, 128, 255}
    assert matte.alpha[0, 0, 130, 120] > 0.99
    assert matte.alpha[0, 0, 130, 10] < 0.01


def test_level_change_keeps_history(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(pipeline, LiveOptions())
    still = images[0]
    for _ in range(3):
        before = live(still, SETTINGS, LEVELS[0]).alpha
    after = live(still, SETTINGS, LEVELS[2]).alpha
    alone = LivePipeline(pipeline, LiveOptions())(still, SETTINGS, LEVELS[2]).alpha
    assert (after - before).abs().mean() < (alone - before).abs().mean()


def test_segmenting_ahead_of_inference_is_equal(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]]
) -> None:
    level = Level(1.0, 128, 2)
    in_turn, ahead = (LivePipeline(pipeline, LiveOptions()) for _ in range(2))
    wanted = [in_turn(image, SETTINGS, level).alpha for image in images]
    segmented = [ahead.segment(image, SETTINGS, level) for image in images]
    for alpha, one in zip(wanted, segmented, strict=True):
        assert torch.equal(ahead.infer(one).alpha, alpha)


def test_reset_clears_history(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(pipeline, LiveOptions())
    fresh = live(images[0], SETTINGS, QUICK).alpha
    live(images[3], SETTINGS, QUICK)
    live.reset()
    assert torch.equal(live(images[0], SETTINGS, QUICK).alpha, fresh)


def test_segmenter_runs_every_nth_frame(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    live, ran = LivePipeline(pipeline, LiveOptions()), []
    try:
        for image in images:
            pipeline.watch = watch = StageTimer(pipeline.device)
            alpha = live(image, SETTINGS, Level(1.0, 128, 3)).alpha
            ran.append("segment" in watch.seconds)
            assert alpha[0, 0, 130, 120] > 0.99
    finally:
        pipeline.watch = untimed
    assert ran == [True, False, False, True, False]


def test_scene_cut_runs_segmenter(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    live = LivePipeline(pipeline, LiveOptions())
    level = Level(1.0, 128, 4)
    live(images[0], SETTINGS, level)
    empty = np.random.default_rng(0).integers(0, 255, (9, 16, 3), np.uint8)
    alpha = live(np.asarray(cv2.resize(empty, (256, 144)), np.uint8), SETTINGS, level).alpha
    assert alpha[0, 0, 130, 120] < 0.5


def test_band_scale_grows_unknown_region(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    unknown = []
    for band in (0.5, 1.0, 2.0):
        trimap = LivePipeline(pipeline, LiveOptions())(images[0], Settings("blur", band=band), QUICK).trimap
        assert trimap is not None
        unknown.append(int((trimap == 128).sum()))
    assert unknown == sorted(set(unknown))


def test_no_smoothing_equals_single_frame(pipeline: MattingPipeline, images: list[NDArray[np.uint8]]) -> None:
    rough = Settings("blur", smoothing=False)
    live = LivePipeline(pipeline, LiveOptions())
    for image in images[:2]:
        after = live(image, rough, QUICK).alpha
    alone = LivePipeline(pipeline, LiveOptions())(images[1], rough, QUICK).alpha
    assert (after - alone).abs().max() < 1e-5


def test_planes_round_trip(images: list[NDArray[np.uint8]]) -> None:
    smooth = np.asarray(cv2.GaussianBlur(images[0], (9, 9), 0), np.uint8)
    back = to_bgr(to_frame_batch(smooth, 40, duration_ms=33))
    assert np.abs(back.astype(int) - smooth).mean() < 2


@pytest.mark.parametrize("size", [(640, 480), (320, 180), (100, 300)])
def test_scale_and_crop_is_centred(size: tuple[int, int]) -> None:
    width, height = size
    ramp = np.tile(np.linspace(0, 255, width, dtype=np.uint8)[None, :, None], (height, 1, 3))
    cut = scale_and_crop(ramp, 320, 180)
    assert cut.shape == (180, 320, 3)
    assert abs(int(cut[0, 0, 0]) + int(cut[0, -1, 0]) - 255) <= 3


def _matte(pipeline: MattingPipeline, image: NDArray[np.uint8], matting: MattingOptions) -> Matte:
    return LivePipeline(pipeline, LiveOptions(matting=matting))(image, SETTINGS, QUICK)


def test_band_expansions_only_add_unknown_pixels(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]]
) -> None:
    narrow = TrimapOptions(mode="fixed", erosion=1, size=1)
    trimaps = [
        _matte(pipeline, images[0], replace(live_matting_options(), trimap=trimap)).trimap == 128
        for trimap in (narrow, replace(narrow, max_band_expansions=4))
    ]
    assert (trimaps[0] & ~trimaps[1]).sum() == 0
    assert trimaps[1].sum() > 1.05 * trimaps[0].sum()


def test_choke_shrinks_alpha_and_keeps_raw_alpha(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]]
) -> None:
    plain = _matte(pipeline, images[0], live_matting_options())
    choked = _matte(pipeline, images[0], replace(live_matting_options(), edges=EdgeOptions(choke_px=3)))
    assert choked.raw_alpha is not None
    assert torch.equal(choked.raw_alpha, plain.alpha)
    assert choked.alpha.sum() < 0.99 * plain.alpha.sum()
    assert plain.raw_alpha is None


def test_segment_every_is_a_lower_bound_of_the_levels_interval(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]]
) -> None:
    matting = replace(live_matting_options(), segment=SegmentOptions(every=4))
    live, ran = LivePipeline(pipeline, LiveOptions(matting=matting)), []
    try:
        for image in images:
            pipeline.watch = watch = StageTimer(pipeline.device)
            live(image, SETTINGS, Level(1.0, 128, 2))
            ran.append("segment" in watch.seconds)
    finally:
        pipeline.watch = untimed
    assert ran == [True, False, False, False, True]


def test_subject_point_keeps_the_person_there_at_every_scale(
    pipeline: MattingPipeline, images: list[NDArray[np.uint8]]
) -> None:
    two = np.ascontiguousarray(np.concatenate([images[0], images[0]], axis=1)[::2, ::2])
    left = SubjectOptions(choice="point", place=(two.shape[1] / 4, two.shape[0] * 0.8))
    live = LivePipeline(pipeline, LiveOptions(subject=left))
    for number, scale in enumerate((1.0, 0.75)):
        level = Level(scale, 256, 1)
        alpha = live.infer(live.segment(two, SETTINGS, level, Fraction(number, 25))).alpha[0, 0]
        halves = [float(half.mean()) for half in alpha.tensor_split(2, dim=1)]
        assert halves[0] > 0.1
        assert halves[1] < 0.1 * halves[0]
