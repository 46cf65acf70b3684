"""MattingPipeline: images and frames through real networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video import (
    DeviceError,
    EdgeOptions,
    FrameBatch,
    FrameFormat,
    InputError,
    Matte,
    MattingOptions,
    MattingPipeline,
    OptionError,
    SegmentOptions,
    SubjectOptions,
    TemporalOptions,
    TileOptions,
    TrimapOptions,
    WeightsError,
)
from autohair_video.media import ClipReader, to_rgb
from autohair_video.runtime.devices import choose_device
from autohair_video.tracking.selection import SubjectPrompt
from tests.helpers.clips import picture
from tests.helpers.options import CLOSER, HARD, QUICK

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"


@pytest.fixture(scope="module")
def pipeline() -> MattingPipeline:
    return MattingPipeline(device="cpu", options=QUICK)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(144, 256, 3) RGB: a frame of the sample clip, with a person in it."""
    with ClipReader(SAMPLE, batch_size=1) as reader:
        rgb = to_rgb(next(iter(reader)))[0].permute(1, 2, 0).numpy()
    return cv2.resize((rgb * 255).astype(np.uint8), (256, 144), interpolation=cv2.INTER_AREA)


def _frames(pictures: Sequence[np.ndarray]) -> FrameBatch:
    """Pictures as RGB frames, 40 ms each."""
    rgb = torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).unsqueeze(2)
    height, width = pictures[0].shape[:2]
    fmt = FrameFormat(width, height, subsample_x=1, subsample_y=1, matrix=0, full_range=True)
    n = len(pictures)
    return FrameBatch((rgb[0], rgb[1], rgb[2]), fmt, tuple(range(n)), (1,) * n, Fraction(1, 25))


def _alpha(pipeline: MattingPipeline, batches: list[FrameBatch]) -> Tensor:
    return torch.cat([matte.alpha for _, matte in pipeline.frames(batches)])


def test_person_gets_a_soft_matte(portrait: np.ndarray) -> None:
    alpha = MattingPipeline(device="cpu", options=CLOSER).image(portrait)
    assert (tuple(alpha.shape), alpha.dtype, alpha.device.type) == ((144, 256), torch.float32, "cpu")
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert 0.05 < (alpha == 1).float().mean() < 0.9
    assert ((alpha > 0.02) & (alpha < 0.98)).any()


def test_image_without_person_is_background(pipeline: MattingPipeline) -> None:
    assert pipeline.image(np.full((48, 64, 3), 90, np.uint8)).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1, 300)])
def test_alpha_has_the_image_size(pipeline: MattingPipeline, size: tuple[int, int]) -> None:
    rgb = picture(0, 300, 33)[: size[0], : size[1]]
    trimap = np.full(size, 128, np.uint8)
    for alpha in (pipeline.image(rgb), pipeline.image(rgb, trimap)):
        assert tuple(alpha.shape) == size
        assert 0 <= alpha.min() <= alpha.max() <= 1


def test_array_view_and_tensor_inputs_agree(pipeline: MattingPipeline) -> None:
    rgb, trimap = picture(0, 64, 48), np.full((48, 64), 128, np.uint8)
    alpha = pipeline.image(rgb, trimap)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    assert torch.equal(pipeline.image(tensor, torch.from_numpy(trimap)), alpha)
    locked, mirrored = rgb.copy(), rgb[:, ::-1].copy()[:, ::-1]
    locked.flags.writeable = trimap.flags.writeable = False
    assert torch.equal(pipeline.image(locked, trimap), alpha)
    assert torch.equal(pipeline.image(mirrored, trimap), alpha)


def test_given_trimap_fixes_known_pixels(pipeline: MattingPipeline, portrait: np.ndarray) -> None:
    trimap = np.full(portrait.shape[:2], 128, np.uint8)
    trimap[:, :100], trimap[50:100, 120:180] = 0, 255
    alpha = pipeline.image(portrait, trimap).numpy()
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
def test_images_of_wrong_type_are_refused(
    pipeline: MattingPipeline, image: np.ndarray | Tensor, trimap: np.ndarray | None
) -> None:
    with pytest.raises(OptionError, match=r"shape.*give"):
        pipeline.image(image, trimap)


def test_frames_keep_pts_and_get_mattes(pipeline: MattingPipeline) -> None:
    batches = [_frames([picture(i, 64, 48) for i in range(n)]) for n in (3, 2)]
    done = list(pipeline.frames(batches))
    assert [pts for frames, _ in done for pts in frames.pts] == [0, 1, 2, 0, 1]
    came = [torch.cat([frames.planes[0] for frames, _ in done]), torch.cat([b.planes[0] for b in batches])]
    assert torch.equal(*came)
    for frames, matte in done:
        assert isinstance(matte, Matte)
        assert (matte.pts, matte.durations) == (frames.pts, frames.durations)
        assert matte.time_base == frames.time_base
        assert matte.alpha.shape == (len(frames), 1, 48, 64)
        assert matte.trimap is not None
        assert set(matte.trimap.unique().tolist()) <= {0, 128, 255}


def test_frames_are_prefetched_within_a_bound() -> None:
    """However long a clip is, few of its frames are held: here one to look ahead, and two on their way."""
    pipeline = MattingPipeline(device="cpu", options=replace(QUICK, temporal=TemporalOptions(lookahead=1)))
    drawn = []

    def batches():  # type: ignore[no-untyped-def]
        for index in range(20):
            drawn.append(index)
            yield _frames([picture(index, 64, 48)])

    mattes = pipeline.frames(batches())
    next(mattes)
    mattes.close()
    assert 2 <= len(drawn) <= 4


def test_reader_error_reaches_the_consumer() -> None:
    def batches():  # type: ignore[no-untyped-def]
        yield _frames([picture(0, 64, 48)])
        raise InputError("the clip is damaged")

    with pytest.raises(InputError, match="damaged"):
        list(MattingPipeline(device="cpu", options=QUICK).frames(batches()))


def test_result_is_independent_of_batching(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=CLOSER)
    pictures = [np.roll(portrait, 3 * i, axis=1) for i in range(4)]
    whole = _frames(pictures)
    first, second = whole.halves()
    singles = [*first.halves(), *second.halves()]
    together, one_by_one = _alpha(pipeline, [whole]), _alpha(pipeline, singles)
    assert (together - one_by_one).abs().max() < 0.02
    assert (together - one_by_one).abs().mean() < 1e-4


def test_no_state_leaks_between_clips(pipeline: MattingPipeline, portrait: np.ndarray) -> None:
    clip = [_frames([portrait, np.roll(portrait, 4, axis=1)])]
    before = _alpha(pipeline, clip)
    _alpha(pipeline, [_frames([portrait[::-1].copy()])])
    assert torch.equal(_alpha(pipeline, clip), before)


def test_temporal_off_equals_stills(portrait: np.ndarray) -> None:
    # at the size at which stills are segmented
    off = replace(CLOSER, segment=SegmentOptions(768, every=3), temporal=TemporalOptions(mode="off"))
    pipeline = MattingPipeline(device="cpu", options=off)
    pictures = [np.roll(portrait, 2 * n, axis=1) for n in range(3)]
    alpha = _alpha(pipeline, [_frames(pictures)])
    for n, image in enumerate(pictures):
        # tiles of a clip stay where the frame before had them, so that they can lie elsewhere than a still's
        difference = (alpha[n, 0] - pipeline.image(image)).abs()
        assert difference.mean() < 1e-3
        assert (difference > 0.01).float().mean() < 0.01


def test_keep_and_drop_mattes_bound_alpha(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=CLOSER)
    keep, drop = torch.zeros(2, 1, 1, *portrait.shape[:2]).unbind()
    keep[..., :30, :30], drop[..., 100:, :] = 1, 1
    prompt = SubjectPrompt(keep=keep, drop=drop)
    batch = _frames([np.roll(portrait, 2 * n, axis=1) for n in range(3)])
    free = _alpha(pipeline, [batch])
    clip = torch.cat([matte.alpha for _, matte in pipeline.frames([batch], prompt=prompt)])
    for alpha in (clip, pipeline.still(to_rgb(batch)[:1], prompt=prompt).alpha):
        assert (alpha[..., :30, :30] == 1).all()
        assert (alpha[..., 100:, :] == 0).all()
    assert free[..., 100:, :].max() == 1
    assert free[..., :30, :30].max() < 1 / 255
    assert (clip - free)[..., 45:100, :].abs().mean() < 1 / 255


def _noisy(image: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture with a sensor's noise, standard deviation 2 of 255, drawn for each frame."""
    rng = np.random.default_rng(0)
    return [np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def test_edge_controls_leave_raw_alpha_unchanged(portrait: np.ndarray) -> None:
    plain, choked = (
        MattingPipeline(device="cpu", options=replace(QUICK, edges=edges))
        for edges in (EdgeOptions(), EdgeOptions(choke_px=3))
    )
    rgb = torch.from_numpy(portrait).permute(2, 0, 1)[None] / 255
    for ours, own in zip(
        (plain.still(rgb), *(matte for _, matte in plain.frames([_frames([portrait])]))),
        (choked.still(rgb), *(matte for _, matte in choked.frames([_frames([portrait])]))),
        strict=True,
    ):
        assert ours.raw_alpha is None
        assert own.raw_alpha is not None
        assert torch.equal(own.raw_alpha, ours.alpha)
        assert own.alpha.sum() < 0.95 * ours.alpha.sum()


@pytest.mark.parametrize("mode", ["causal", "lookahead"])
@pytest.mark.parametrize(("every", "reuse"), [(1, False), (2, True)])
def test_static_clip_has_a_static_matte(portrait: np.ndarray, mode: str, every: int, reuse: bool) -> None:
    options = MattingOptions(
        segment=SegmentOptions(256, every=every),
        tiles=TileOptions(reuse=reuse),
        temporal=TemporalOptions(mode=mode),  # type: ignore[arg-type]
    )
    clip = [_frames(part) for part in np.array_split(np.stack(_noisy(portrait, 12)), 3)]
    done = [matte for _, matte in MattingPipeline(device="cpu", options=options).frames(clip)]
    trimaps = torch.cat([matte.trimap for matte in done if matte.trimap is not None])[4:]
    spread = torch.cat([matte.alpha for matte in done])[4:].std(dim=0)
    in_band = (trimaps == 128).any(dim=0)
    assert in_band.any()
    assert spread[~in_band].max() < 1 / 255
    assert spread[in_band].mean() < 1 / 255
    assert spread[in_band].square().mean().sqrt() < 1 / 255
    assert spread[in_band].quantile(0.99) < 3 / 255


@pytest.mark.parametrize("mode", ["causal", "lookahead"])
def test_no_ghost_at_40_px_per_frame(portrait: np.ndarray, mode: str) -> None:
    """The person of the portrait, cut out, before a room that stands still."""
    temporal = TemporalOptions(mode=mode)  # type: ignore[arg-type]
    pipeline = MattingPipeline(device="cpu", options=replace(CLOSER, temporal=temporal))
    cut = np.pad(pipeline.image(portrait).numpy(), ((0, 0), (0, 256)))[..., None]
    person = np.pad(portrait, ((0, 0), (0, 256), (0, 0)))
    spots = np.random.default_rng(0).integers(150, 230, (9, 32, 3), np.uint8)
    room = cv2.resize(spots, (512, 144), interpolation=cv2.INTER_CUBIC)
    moved = [(np.roll(cut, 40 * n, axis=1), np.roll(person, 40 * n, axis=1)) for n in range(6)]
    truth = torch.from_numpy(np.stack([a[..., 0] for a, _ in moved]))[:, None]
    clip = _frames([(p * a + room * (1 - a)).astype(np.uint8) for a, p in moved])
    alpha = _alpha(pipeline, [*clip.halves()])
    assert (alpha - truth).abs().mean() < 1 / 255
    for n in range(2, 6):
        vacated = (truth[n - 2] > 0.5) & (truth[n - 1 : n + 1].amax(dim=0) == 0)
        assert vacated.sum() > 1000
        assert alpha[n][vacated].max() < 2 / 255


def test_scene_cut_leaks_no_history(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=CLOSER)
    empty = np.full_like(portrait, 120)
    other = np.ascontiguousarray(portrait[::-1, ::-1])
    alpha = _alpha(pipeline, [_frames([portrait, portrait, empty, empty, portrait, other, other])])
    assert alpha[1].mean() > 0.05
    assert alpha[2:4].max() < 1 / 255
    assert (alpha[4] - alpha[0]).abs().max() < 0.02
    assert (alpha[5:] - _alpha(pipeline, [_frames([other, other])])).abs().max() < 0.02


def test_matte_is_shift_equivariant(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=CLOSER)
    wide = np.pad(portrait, ((0, 0), (64, 64), (0, 0)), mode="reflect")
    clips = [[np.roll(wide, 2 * n + shift, axis=1) for n in range(4)] for shift in (0, 16)]
    still, moved = (_alpha(pipeline, [_frames(clip)]) for clip in clips)
    inner = slice(100, 280)
    assert (moved.roll(-16, dims=3) - still)[..., inner].abs().mean() < 1 / 255


def test_matte_is_nearly_independent_of_tile_positions() -> None:
    """What the shipped weights hold: below 1/255 in the band's mean; single undecided pixels differ more."""
    with ClipReader(SAMPLE, batch_size=1) as reader:
        rgb = to_rgb(next(iter(reader)))
    pipeline = MattingPipeline(device="cpu")
    trimap = pipeline.still(rgb).trimap
    assert trimap is not None
    # rows and columns beside the frame's own move the tiles, by the network's stride
    down, right = 32, 64
    wide, known = (F.pad(x, (right, 0, down, 0), mode="replicate") for x in (rgb, trimap.float()))
    known[..., :down, :][known[..., :down, :] == 128] = 0
    moved = pipeline.matting_net(wide, known.to(torch.uint8))[..., down:, right:]
    change = 255 * (moved - pipeline.matting_net(rgb, trimap)).abs()[trimap == 128]
    assert 0 < change.mean() < 1
    assert (change < 8).float().mean() > 0.97


def test_expanded_band_persists_until_a_cut(portrait: np.ndarray) -> None:
    options = replace(CLOSER, trimap=TrimapOptions(max_band_expansions=1, band=0.3))
    clip = _frames([portrait, portrait, portrait, np.full_like(portrait, 120)])
    trimaps = [
        matte.trimap for _, matte in MattingPipeline(device="cpu", options=options).frames([*clip.halves()])
    ]
    band = torch.cat([trimap == 128 for trimap in trimaps if trimap is not None])
    assert band[0].any()
    assert torch.equal(band[2], band[1])
    assert not band[3].any()


def test_segmentation_is_skipped_at_low_motion(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=replace(CLOSER, segment=SegmentOptions(256, every=3)))
    segmented = []
    segment = pipeline.segment
    pipeline.segment = lambda rgb: segmented.append(len(rgb)) or segment(rgb)  # type: ignore[assignment, func-returns-value]
    fast = [np.roll(portrait, 24 * n, axis=1) for n in range(1, 4)]
    alpha = _alpha(pipeline, [_frames(_noisy(portrait, 6)), _frames(fast)])
    assert segmented == [2, 3]
    assert (alpha[:6] - alpha[:1]).abs().mean() < 0.01


def test_low_motion_ignores_the_subject_before_a_cut(portrait: np.ndarray) -> None:
    pipeline = MattingPipeline(device="cpu", options=replace(CLOSER, segment=SegmentOptions(256, every=3)))
    segmented = []
    segment = pipeline.segment
    pipeline.segment = lambda rgb: segmented.append(len(rgb)) or segment(rgb)  # type: ignore[assignment, func-returns-value]
    other = np.roll(portrait, 128, axis=1)
    moved = other.copy()
    moved[:, :40] = np.roll(other[:, :40], 10, axis=0)
    _alpha(pipeline, [_frames([portrait]), _frames([other, moved])])
    assert segmented == [1, 2]


def test_saved_state_resumes_identically(portrait: np.ndarray, tmp_path: Path) -> None:
    pipeline = MattingPipeline(
        device="cpu", options=replace(CLOSER, trimap=TrimapOptions(max_band_expansions=1))
    )
    parts = [_frames([np.roll(portrait, 3 * n + k, axis=1) for k in range(2)]) for n in range(3)]
    whole = _alpha(pipeline, parts)
    state, done = None, []
    for part in parts:
        ready, state = pipeline.step(part, state)
        done += ready
        torch.save(state, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=False)
    done += pipeline.flush(state)[0]
    assert torch.equal(torch.cat([matte.alpha for _, matte in done]), whole)


def test_given_trimaps_fix_known_pixels_of_a_clip(pipeline: MattingPipeline, portrait: np.ndarray) -> None:
    trimap = torch.full((3, 1, *portrait.shape[:2]), 128, dtype=torch.uint8)
    trimap[:, :, :, :100], trimap[:, :, 50:100, 120:180] = 0, 255
    batch = _frames([np.roll(portrait, n, axis=1) for n in range(3)])
    alpha = torch.cat([matte.alpha for _, matte in pipeline.frames([batch], trimaps=[trimap])])
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 1).all()
    assert alpha[trimap == 128].unique().numel() > 10
    with pytest.raises(InputError, match="one for each frame"):
        list(pipeline.frames([batch, batch], trimaps=[trimap]))


def test_trimap_batches_are_independent_of_frame_batches(pipeline: MattingPipeline) -> None:
    trimap = torch.zeros(4, 1, 48, 64, dtype=torch.uint8)
    for n in range(4):
        trimap[n, :, :, : 10 * n] = 255
    singles = [_frames([picture(n, 64, 48)]) for n in range(3)]
    for given in ([trimap], torch.split(trimap, 2), torch.split(trimap, 1)):
        alpha = torch.cat([matte.alpha for _, matte in pipeline.frames(singles, trimaps=given)])
        assert torch.equal(alpha, trimap[:3] / 255)


def test_trimap_and_subject_selection_exclude_each_other(pipeline: MattingPipeline) -> None:
    batch, prompt = _frames([picture(0, 64, 48)]), SubjectPrompt(SubjectOptions(choice="largest"))
    trimap = torch.zeros(1, 1, 48, 64, dtype=torch.uint8)
    with pytest.raises(OptionError, match="trimap"):
        list(pipeline.frames([batch], trimaps=[trimap], prompt=prompt))
    with pytest.raises(OptionError, match="trimap"):
        pipeline.still(to_rgb(batch), trimap, prompt)


class _ShortOfMemory:
    """A segmenter on a device that holds ``most`` frames."""

    def __init__(self, pipeline: MattingPipeline, most: int) -> None:
        self._segment, self._most = pipeline.segment, most
        self.failures = 0

    def __call__(self, rgb: Tensor) -> Tensor:
        if len(rgb) > self._most:
            self.failures += 1
            raise torch.OutOfMemoryError("out of memory")
        return self._segment(rgb)


def test_batch_is_halved_when_out_of_memory() -> None:
    pipeline = MattingPipeline(device="cpu", options=replace(HARD, temporal=TemporalOptions(mode="causal")))
    batch = _frames([picture(i, 64, 48) for i in range(5)])
    wanted = _alpha(pipeline, [batch])
    pipeline.segment = _ShortOfMemory(pipeline, 2)  # type: ignore[assignment]
    done = list(pipeline.frames([batch]))
    assert [len(frames) for frames, _ in done] == [2, 1, 2]
    assert [pts for frames, _ in done for pts in frames.pts] == list(range(5))
    assert torch.equal(torch.cat([matte.alpha for _, matte in done]), wanted)
    pipeline.segment = _ShortOfMemory(pipeline, 0)  # type: ignore[assignment]
    with pytest.raises(DeviceError, match="64x48"):
        list(pipeline.frames([batch]))


def test_batch_size_stays_reduced_after_out_of_memory() -> None:
    pipeline = MattingPipeline(device="cpu", options=replace(HARD, temporal=TemporalOptions(mode="causal")))
    batches = [_frames([picture(i, 64, 48) for i in range(4 * n, 4 * n + 4)]) for n in range(6)]
    wanted = _alpha(pipeline, batches)
    short = pipeline.segment = _ShortOfMemory(pipeline, 2)  # type: ignore[assignment]
    assert torch.equal(_alpha(pipeline, batches), wanted)
    # that of the first batch, and those of what was on its way already
    assert 1 <= short.failures <= 3
    failed = short.failures
    assert torch.equal(_alpha(pipeline, batches), wanted)
    assert short.failures == failed


def test_batch_is_halved_when_preprocessing_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = MattingPipeline(device="cpu", options=HARD)
    batch = _frames([picture(i, 64, 48) for i in range(5)])
    trimap = torch.zeros(5, 1, 48, 64, dtype=torch.uint8)
    trimap[2:] = 255
    wanted = _alpha(pipeline, [batch])

    def short_of_memory(frames: FrameBatch) -> Tensor:
        if len(frames) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return to_rgb(frames)

    monkeypatch.setattr("autohair_video.matting.preprocess.to_rgb", short_of_memory)
    assert torch.equal(_alpha(pipeline, [batch]), wanted)
    given = torch.cat([matte.alpha for _, matte in pipeline.frames([batch], trimaps=[trimap])])
    assert torch.equal(given, trimap / 255)


def test_unknown_tiers_and_devices_are_refused() -> None:
    with pytest.raises(OptionError, match="tier"):
        MattingPipeline(tier="medium")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="device"):
        choose_device("tpu")
    assert choose_device("cpu") == torch.device("cpu")
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == best
    with pytest.raises(OptionError, match="number"):
        choose_device("cpu:first")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            choose_device("cuda")


def test_best_tier_and_stills_segment_at_higher_resolution() -> None:
    fast, best = (MattingOptions.for_tier(tier) for tier in ("fast", "best"))
    assert fast.segment.long_side_px < fast.still_segment.long_side_px
    assert best.segment == best.still_segment


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"segmenter-fast.*not of a matting network"):
        MattingPipeline(device="cpu", matting_net="segmenter-fast")
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        MattingPipeline(device="cpu", segmenter="nowhere.safetensors")
