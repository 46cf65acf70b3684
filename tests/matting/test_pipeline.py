"""The MattingPipeline: pictures and frames through real networks."""

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
def matter() -> MattingPipeline:
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


def _alpha(matter: MattingPipeline, batches: list[FrameBatch]) -> Tensor:
    return torch.cat([matte.alpha for _, matte in matter.frames(batches)])


def test_a_person_gets_a_soft_matte(portrait: np.ndarray) -> None:
    alpha = MattingPipeline(device="cpu", options=CLOSER).image(portrait)
    assert (tuple(alpha.shape), alpha.dtype, alpha.device.type) == ((144, 256), torch.float32, "cpu")
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert 0.05 < (alpha == 1).float().mean() < 0.9
    assert ((alpha > 0.02) & (alpha < 0.98)).any()


def test_without_a_person_all_is_background(matter: MattingPipeline) -> None:
    assert matter.image(np.full((48, 64, 3), 90, np.uint8)).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1, 300)])
def test_any_size_gives_alpha_of_that_size(matter: MattingPipeline, size: tuple[int, int]) -> None:
    rgb = picture(0, 300, 33)[: size[0], : size[1]]
    trimap = np.full(size, 128, np.uint8)
    for alpha in (matter.image(rgb), matter.image(rgb, trimap)):
        assert tuple(alpha.shape) == size
        assert 0 <= alpha.min() <= alpha.max() <= 1


def test_arrays_views_and_tensors_are_one(matter: MattingPipeline) -> None:
    rgb, trimap = picture(0, 64, 48), np.full((48, 64), 128, np.uint8)
    alpha = matter.image(rgb, trimap)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    assert torch.equal(matter.image(tensor, torch.from_numpy(trimap)), alpha)
    locked, mirrored = rgb.copy(), rgb[:, ::-1].copy()[:, ::-1]
    locked.flags.writeable = trimap.flags.writeable = False
    assert torch.equal(matter.image(locked, trimap), alpha)
    assert torch.equal(matter.image(mirrored, trimap), alpha)


def test_a_given_trimap_is_kept_where_it_is_known(matter: MattingPipeline, portrait: np.ndarray) -> None:
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
    matter: MattingPipeline, image: np.ndarray | Tensor, trimap: np.ndarray | None
) -> None:
    with pytest.raises(OptionError, match=r"shape.*give"):
        matter.image(image, trimap)


def test_frames_come_back_with_their_times_and_mattes(matter: MattingPipeline) -> None:
    batches = [_frames([picture(i, 64, 48) for i in range(n)]) for n in (3, 2)]
    done = list(matter.frames(batches))
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


def test_frames_are_drawn_only_a_little_before_they_are_asked_for() -> None:
    """However long a clip is, few of its frames are held: here one to look ahead, and two on their way."""
    matter = MattingPipeline(device="cpu", options=replace(QUICK, temporal=TemporalOptions(lookahead=1)))
    drawn = []

    def batches():  # type: ignore[no-untyped-def]
        for index in range(20):
            drawn.append(index)
            yield _frames([picture(index, 64, 48)])

    mattes = matter.frames(batches())
    next(mattes)
    mattes.close()
    assert 2 <= len(drawn) <= 4


def test_an_error_of_the_frames_reaches_who_asks_for_mattes() -> None:
    def batches():  # type: ignore[no-untyped-def]
        yield _frames([picture(0, 64, 48)])
        raise InputError("the clip is damaged")

    with pytest.raises(InputError, match="damaged"):
        list(MattingPipeline(device="cpu", options=QUICK).frames(batches()))


def test_how_frames_are_batched_changes_nothing(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=CLOSER)
    pictures = [np.roll(portrait, 3 * i, axis=1) for i in range(4)]
    whole = _frames(pictures)
    first, second = whole.halves()
    singles = [*first.halves(), *second.halves()]
    together, one_by_one = _alpha(matter, [whole]), _alpha(matter, singles)
    assert (together - one_by_one).abs().max() < 0.02
    assert (together - one_by_one).abs().mean() < 1e-4


def test_nothing_is_carried_from_clip_to_clip(matter: MattingPipeline, portrait: np.ndarray) -> None:
    clip = [_frames([portrait, np.roll(portrait, 4, axis=1)])]
    before = _alpha(matter, clip)
    _alpha(matter, [_frames([portrait[::-1].copy()])])
    assert torch.equal(_alpha(matter, clip), before)


def test_without_smoothing_each_frame_is_matted_as_a_still(portrait: np.ndarray) -> None:
    # at the size at which stills are looked at
    off = replace(CLOSER, segment=SegmentOptions(768, every=3), temporal=TemporalOptions(mode="off"))
    matter = MattingPipeline(device="cpu", options=off)
    pictures = [np.roll(portrait, 2 * n, axis=1) for n in range(3)]
    alpha = _alpha(matter, [_frames(pictures)])
    for n, image in enumerate(pictures):
        # tiles of a clip stay where the frame before had them, so that they can lie elsewhere than a still's
        difference = (alpha[n, 0] - matter.image(image)).abs()
        assert difference.mean() < 1e-3
        assert (difference > 0.01).float().mean() < 0.01


def test_what_is_kept_is_whole_and_what_is_dropped_is_gone(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=CLOSER)
    keep, drop = torch.zeros(2, 1, 1, *portrait.shape[:2]).unbind()
    keep[..., :30, :30], drop[..., 100:, :] = 1, 1
    guide = SubjectPrompt(keep=keep, drop=drop)
    batch = _frames([np.roll(portrait, 2 * n, axis=1) for n in range(3)])
    free = _alpha(matter, [batch])
    clip = torch.cat([matte.alpha for _, matte in matter.frames([batch], guide=guide)])
    for alpha in (clip, matter.still(to_rgb(batch)[:1], guide=guide).alpha):
        assert (alpha[..., :30, :30] == 1).all()
        assert (alpha[..., 100:, :] == 0).all()
    assert free[..., 100:, :].max() == 1
    assert free[..., :30, :30].max() < 1 / 255
    assert (clip - free)[..., 45:100, :].abs().mean() < 1 / 255


def _noisy(image: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture with a sensor's noise, 2 of 255, anew in each frame."""
    rng = np.random.default_rng(0)
    return [np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def test_edge_controls_leave_the_mixture_as_it_was_solved(portrait: np.ndarray) -> None:
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
def test_a_still_clip_of_a_person_has_a_still_matte(
    portrait: np.ndarray, mode: str, every: int, reuse: bool
) -> None:
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
def test_a_person_who_moves_40_pixels_a_frame_leaves_no_ghost(portrait: np.ndarray, mode: str) -> None:
    """The person of the portrait, cut out, before a room that stands still."""
    temporal = TemporalOptions(mode=mode)  # type: ignore[arg-type]
    matter = MattingPipeline(device="cpu", options=replace(CLOSER, temporal=temporal))
    cut = np.pad(matter.image(portrait).numpy(), ((0, 0), (0, 256)))[..., None]
    person = np.pad(portrait, ((0, 0), (0, 256), (0, 0)))
    spots = np.random.default_rng(0).integers(150, 230, (9, 32, 3), np.uint8)
    room = cv2.resize(spots, (512, 144), interpolation=cv2.INTER_CUBIC)
    moved = [(np.roll(cut, 40 * n, axis=1), np.roll(person, 40 * n, axis=1)) for n in range(6)]
    truth = torch.from_numpy(np.stack([a[..., 0] for a, _ in moved]))[:, None]
    clip = _frames([(p * a + room * (1 - a)).astype(np.uint8) for a, p in moved])
    alpha = _alpha(matter, [*clip.halves()])
    assert (alpha - truth).abs().mean() < 1 / 255
    for n in range(2, 6):
        vacated = (truth[n - 2] > 0.5) & (truth[n - 1 : n + 1].amax(dim=0) == 0)
        assert vacated.sum() > 1000
        assert alpha[n][vacated].max() < 2 / 255


def test_a_hard_cut_leaks_nothing(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=CLOSER)
    empty = np.full_like(portrait, 120)
    other = np.ascontiguousarray(portrait[::-1, ::-1])
    alpha = _alpha(matter, [_frames([portrait, portrait, empty, empty, portrait, other, other])])
    assert alpha[1].mean() > 0.05
    assert alpha[2:4].max() < 1 / 255
    assert (alpha[4] - alpha[0]).abs().max() < 0.02
    assert (alpha[5:] - _alpha(matter, [_frames([other, other])])).abs().max() < 0.02


def test_shifting_the_clip_shifts_the_matte(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=CLOSER)
    wide = np.pad(portrait, ((0, 0), (64, 64), (0, 0)), mode="reflect")
    clips = [[np.roll(wide, 2 * n + shift, axis=1) for n in range(4)] for shift in (0, 16)]
    still, moved = (_alpha(matter, [_frames(clip)]) for clip in clips)
    inner = slice(100, 280)
    assert (moved.roll(-16, dims=3) - still)[..., inner].abs().mean() < 1 / 255


def test_tiles_elsewhere_give_nearly_the_same_matte() -> None:
    """What the shipped weights hold: below 1/255 in the band's mean; single undecided pixels differ more."""
    with ClipReader(SAMPLE, batch_size=1) as reader:
        rgb = to_rgb(next(iter(reader)))
    matter = MattingPipeline(device="cpu")
    trimap = matter.still(rgb).trimap
    assert trimap is not None
    # rows and columns beside the frame's own move the tiles, by the network's stride
    down, right = 32, 64
    wide, known = (F.pad(x, (right, 0, down, 0), mode="replicate") for x in (rgb, trimap.float()))
    known[..., :down, :][known[..., :down, :] == 128] = 0
    moved = matter.solve(wide, known.to(torch.uint8))[..., down:, right:]
    change = 255 * (moved - matter.solve(rgb, trimap)).abs()[trimap == 128]
    assert 0 < change.mean() < 1
    assert (change < 8).float().mean() > 0.97


def test_a_band_that_has_grown_stays_as_it_is_up_to_a_cut(portrait: np.ndarray) -> None:
    options = replace(CLOSER, trimap=TrimapOptions(max_band_expansions=1, band=0.3))
    clip = _frames([portrait, portrait, portrait, np.full_like(portrait, 120)])
    trimaps = [
        matte.trimap for _, matte in MattingPipeline(device="cpu", options=options).frames([*clip.halves()])
    ]
    band = torch.cat([trimap == 128 for trimap in trimaps if trimap is not None])
    assert band[0].any()
    assert torch.equal(band[2], band[1])
    assert not band[3].any()


def test_the_segmenter_need_not_look_at_every_frame_where_little_moves(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=replace(CLOSER, segment=SegmentOptions(256, every=3)))
    looked = []
    segment = matter.segment
    matter.segment = lambda rgb: looked.append(len(rgb)) or segment(rgb)  # type: ignore[assignment, func-returns-value]
    fast = [np.roll(portrait, 24 * n, axis=1) for n in range(1, 4)]
    alpha = _alpha(matter, [_frames(_noisy(portrait, 6)), _frames(fast)])
    assert looked == [2, 3]
    assert (alpha[:6] - alpha[:1]).abs().mean() < 0.01


def test_after_a_cut_the_last_shots_subject_does_not_say_where_to_look(portrait: np.ndarray) -> None:
    matter = MattingPipeline(device="cpu", options=replace(CLOSER, segment=SegmentOptions(256, every=3)))
    looked = []
    segment = matter.segment
    matter.segment = lambda rgb: looked.append(len(rgb)) or segment(rgb)  # type: ignore[assignment, func-returns-value]
    other = np.roll(portrait, 128, axis=1)
    moved = other.copy()
    moved[:, :40] = np.roll(other[:, :40], 10, axis=0)
    _alpha(matter, [_frames([portrait]), _frames([other, moved])])
    assert looked == [1, 2]


def test_a_state_that_was_written_to_a_file_goes_on_as_if_nothing_was(
    portrait: np.ndarray, tmp_path: Path
) -> None:
    matter = MattingPipeline(
        device="cpu", options=replace(CLOSER, trimap=TrimapOptions(max_band_expansions=1))
    )
    parts = [_frames([np.roll(portrait, 3 * n + k, axis=1) for k in range(2)]) for n in range(3)]
    whole = _alpha(matter, parts)
    state, done = None, []
    for part in parts:
        ready, state = matter.step(part, state)
        done += ready
        torch.save(state, tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=False)
    done += matter.flush(state)[0]
    assert torch.equal(torch.cat([matte.alpha for _, matte in done]), whole)


def test_given_trimaps_are_kept_in_a_clip(matter: MattingPipeline, portrait: np.ndarray) -> None:
    trimap = torch.full((3, 1, *portrait.shape[:2]), 128, dtype=torch.uint8)
    trimap[:, :, :, :100], trimap[:, :, 50:100, 120:180] = 0, 255
    batch = _frames([np.roll(portrait, n, axis=1) for n in range(3)])
    alpha = torch.cat([matte.alpha for _, matte in matter.frames([batch], trimaps=[trimap])])
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 1).all()
    assert alpha[trimap == 128].unique().numel() > 10
    with pytest.raises(InputError, match="one for each frame"):
        list(matter.frames([batch, batch], trimaps=[trimap]))


def test_trimaps_need_not_come_in_batches_as_the_frames_do(matter: MattingPipeline) -> None:
    trimap = torch.zeros(4, 1, 48, 64, dtype=torch.uint8)
    for n in range(4):
        trimap[n, :, :, : 10 * n] = 255
    singles = [_frames([picture(n, 64, 48)]) for n in range(3)]
    for given in ([trimap], torch.split(trimap, 2), torch.split(trimap, 1)):
        alpha = torch.cat([matte.alpha for _, matte in matter.frames(singles, trimaps=given)])
        assert torch.equal(alpha, trimap[:3] / 255)


def test_a_trimap_and_a_choice_of_the_subject_exclude_each_other(matter: MattingPipeline) -> None:
    batch, guide = _frames([picture(0, 64, 48)]), SubjectPrompt(SubjectOptions(choice="largest"))
    trimap = torch.zeros(1, 1, 48, 64, dtype=torch.uint8)
    with pytest.raises(OptionError, match="trimap"):
        list(matter.frames([batch], trimaps=[trimap], guide=guide))
    with pytest.raises(OptionError, match="trimap"):
        matter.still(to_rgb(batch), trimap, guide)


class _ShortOfMemory:
    """A segmenter on a device that holds ``most`` frames."""

    def __init__(self, matter: MattingPipeline, most: int) -> None:
        self._segment, self._most = matter.segment, most
        self.failures = 0

    def __call__(self, rgb: Tensor) -> Tensor:
        if len(rgb) > self._most:
            self.failures += 1
            raise torch.OutOfMemoryError("out of memory")
        return self._segment(rgb)


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    matter = MattingPipeline(device="cpu", options=replace(HARD, temporal=TemporalOptions(mode="causal")))
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


def test_a_memory_that_was_too_small_once_is_not_tried_again() -> None:
    matter = MattingPipeline(device="cpu", options=replace(HARD, temporal=TemporalOptions(mode="causal")))
    batches = [_frames([picture(i, 64, 48) for i in range(4 * n, 4 * n + 4)]) for n in range(6)]
    wanted = _alpha(matter, batches)
    short = matter.segment = _ShortOfMemory(matter, 2)  # type: ignore[assignment]
    assert torch.equal(_alpha(matter, batches), wanted)
    # that of the first batch, and those of what was on its way already
    assert 1 <= short.failures <= 3
    failed = short.failures
    assert torch.equal(_alpha(matter, batches), wanted)
    assert short.failures == failed


def test_a_batch_too_large_to_be_made_ready_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = MattingPipeline(device="cpu", options=HARD)
    batch = _frames([picture(i, 64, 48) for i in range(5)])
    trimap = torch.zeros(5, 1, 48, 64, dtype=torch.uint8)
    trimap[2:] = 255
    wanted = _alpha(matter, [batch])

    def short_of_memory(frames: FrameBatch) -> Tensor:
        if len(frames) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return to_rgb(frames)

    monkeypatch.setattr("autohair_video.matting.preprocess.to_rgb", short_of_memory)
    assert torch.equal(_alpha(matter, [batch]), wanted)
    given = torch.cat([matte.alpha for _, matte in matter.frames([batch], trimaps=[trimap])])
    assert torch.equal(given, trimap / 255)


def test_tiers_and_devices_that_are_not_there_are_refused() -> None:
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


def test_the_best_tier_looks_closer_and_so_do_stills() -> None:
    fast, best = (MattingOptions.for_tier(tier) for tier in ("fast", "best"))
    assert fast.segment.long_side_px < fast.still_segment.long_side_px
    assert best.segment == best.still_segment


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"segmenter-fast.*not of a matting network"):
        MattingPipeline(device="cpu", matter="segmenter-fast")
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        MattingPipeline(device="cpu", segmenter="nowhere.safetensors")
