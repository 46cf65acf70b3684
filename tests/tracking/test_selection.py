"""The selected person is tracked through a clip, through occlusions and cuts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from autohair_video import MattingPipeline, OptionError, SubjectOptions
from autohair_video.matting.trimap import adaptive_trimap
from autohair_video.media import ClipReader, to_rgb
from autohair_video.tracking.selection import (
    SubjectPrompt,
    SubjectState,
    limit_alpha,
    select_subject,
    upper_limit,
)
from tests.helpers.options import CLOSER

WIDTH, HEIGHT, RADIUS = 160, 90, 14
RED, BLUE = (200, 60, 40), (40, 60, 200)
Disc = tuple[tuple[int, int], tuple[int, int, int]]


def _scene(discs: list[Disc]) -> tuple[Tensor, Tensor]:
    """Probabilities (1, 2, h, w) and RGB (1, 3, H, W) of textured discs, the last one in front."""
    rng = np.random.default_rng(1)
    rgb = cv2.resize(
        rng.integers(90, 150, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    person = np.zeros((HEIGHT, WIDTH), np.float32)
    for centre, colour in discs:
        spots = np.random.default_rng(sum(colour)).integers(-25, 25, (2 * RADIUS + 1, 2 * RADIUS + 1, 1))
        y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
        for dy, dx in zip(*np.nonzero(np.hypot(x, y) <= RADIUS), strict=True):
            row, column = centre[1] + dy - RADIUS, centre[0] + dx - RADIUS
            if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                rgb[row, column] = np.clip(np.array(colour) + spots[dy, dx], 0, 255)
                person[row, column] = 1
    probability = torch.from_numpy(np.stack([person, 0 * person]))[None]
    return probability, torch.from_numpy(rgb).permute(2, 0, 1)[None]


def _select_sequence(scenes: list[list[Disc]], prompt: SubjectPrompt) -> tuple[list[Tensor], list[str]]:
    """Selected probability (h, w) of each frame, at 10 frames per second, and the notices."""
    state: SubjectState | None = None
    selected, notices = [], []
    for index, discs in enumerate(scenes):
        result = select_subject(*_scene(discs), (Fraction(index, 10),), prompt, state)
        state = result.state
        selected.append(result.probability[0, 0])
        notices += result.notices
    return selected, notices


def _at(selected: Tensor, centre: tuple[int, int]) -> bool:
    return bool(selected[centre[1], centre[0]] > 0.5)


def _point(x: float, y: float, at_s: float = 0.0) -> SubjectPrompt:
    return SubjectPrompt(SubjectOptions(choice="point", place=(x, y), at_s=at_s))


@pytest.mark.parametrize("wanted", [RED, BLUE], ids=["behind", "in front"])
def test_point_prompt_selects_the_same_person_through_a_crossing(wanted: tuple[int, int, int]) -> None:
    paths = [((80, 45), (20 + 4 * i, 40)) for i in range(28)]
    scenes: list[list[Disc]] = [[(still, RED), (walker, BLUE)] for still, walker in paths]
    start = paths[0][0] if wanted == RED else paths[0][1]
    selected, notices = _select_sequence(scenes, _point(*start))
    for (still, walker), frame in zip(paths, selected, strict=True):
        own, other = (still, walker) if wanted == RED else (walker, still)
        apart = abs(still[0] - walker[0])
        assert _at(frame, own) or (wanted == RED and apart < 2 * RADIUS)
        if apart > RADIUS:
            assert not _at(frame, other)
    assert not notices


def test_returning_person_is_reidentified_and_reported() -> None:
    scenes: list[list[Disc]] = [[((130, 45), RED), ((30, 45), BLUE)]] * 5
    scenes += [[((30, 45), BLUE)]] * 8 + [[((30, 45), BLUE), ((110, 50), RED)]] * 4
    selected, notices = _select_sequence(scenes, _point(130, 45))
    assert _at(selected[4], (130, 45))
    assert all(frame.max() == 0 for frame in selected[5:13])
    assert _at(selected[-1], (110, 50))
    assert not _at(selected[-1], (30, 45))
    assert [line.split(":")[0] for line in notices] == [
        "the subject is lost from 0.50 s on",
        "the subject is seen again at 1.30 s",
    ]


def test_subject_is_reidentified_across_a_cut() -> None:
    first: list[Disc] = [((40, 45), RED), ((120, 45), BLUE)]
    second: list[Disc] = [((40, 45), BLUE), ((120, 45), RED)]
    selected, _ = _select_sequence([first] * 3 + [second] * 3, _point(40, 45))
    assert (_at(selected[2], (40, 45)), _at(selected[2], (120, 45))) == (True, False)
    assert (_at(selected[5], (40, 45)), _at(selected[5], (120, 45))) == (False, True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SubjectOptions(choice="largest"), (True, False, False)),
        (SubjectOptions(choice="largest", count=2), (True, True, False)),
        (SubjectOptions(choice="box", place=(220, 10, 80, 80)), (False, False, True)),
        (SubjectOptions(choice="point", place=(319, 0)), (False, False, True)),
    ],
)
def test_each_subject_choice(options: SubjectOptions, expected: tuple[bool, ...]) -> None:
    """Places count in pixels of the frame, which is twice as large as the probabilities here."""
    probability = torch.zeros(1, 2, HEIGHT, WIDTH)
    rgb = torch.full((1, 3, 2 * HEIGHT, 2 * WIDTH), 128, dtype=torch.uint8)
    for rows, columns in ((slice(10, 80), slice(5, 40)), (slice(20, 70), slice(60, 90))):
        probability[:, 0, rows, columns] = 1
    probability[:, 0, 10:40, 120:140] = 1
    selected = select_subject(probability, rgb, (Fraction(0),), SubjectPrompt(options), None).probability[
        0, 0
    ]
    assert tuple(_at(selected, centre) for centre in ((20, 40), (75, 40), (130, 25))) == expected


def test_prompt_selects_the_nearest_track_before_its_time() -> None:
    scenes: list[list[Disc]] = [[((40, 45), RED)]] * 3 + [[((40, 45), RED), ((130, 45), BLUE)]] * 3
    selected, _ = _select_sequence(scenes, _point(128, 45, at_s=0.4))
    assert _at(selected[0], (40, 45))
    assert (_at(selected[5], (40, 45)), _at(selected[5], (130, 45))) == (False, True)


def test_prompt_time_counts_from_the_clip_start() -> None:
    """Some clips' clocks do not begin at 0; what an editor shows as 0 s does."""
    options, scene = SubjectOptions(choice="point", place=(80, 90), at_s=0.4), _scene([((40, 45), RED)])
    for time_s, is_due in ((Fraction(17, 10), False), (Fraction(18, 10), True)):
        state = select_subject(
            *scene, (time_s,), SubjectPrompt(options, begin_s=Fraction(14, 10)), None
        ).state
        assert state is not None
        assert state.is_final == is_due


def test_pruning_keeps_recent_tracks_and_the_subject() -> None:
    """Flat patches of colours that are unlike, one after the other, each where the last one was not."""
    colours = [(r, g, b) for r in (30, 120, 220) for g in (40, 130, 230) for b in (20, 110, 210)] * 2
    state: SubjectState | None = None
    for index, colour in enumerate([(250, 250, 250), *colours]):
        rgb, probability = torch.full((1, 3, 30, 40), 128, dtype=torch.uint8), torch.zeros(1, 2, 30, 40)
        place = (..., slice(5, 25), slice(2, 18) if index % 2 else slice(22, 38))
        rgb[place] = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)
        probability[:, :1][place] = 1
        state = select_subject(probability, rgb, (Fraction(index, 10),), _point(30, 10), state).state
        assert state is not None
    names = [track.track_id for track in state.tracks.known]
    assert 5 < len(names) <= 25
    assert state.selected == (1,)
    assert 1 in names


def test_mask_prompt_separates_touching_persons() -> None:
    scenes: list[list[Disc]] = [[((70, 45), RED), ((92, 45), BLUE)]] * 4
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., :81] = 1
    prompt = SubjectPrompt(SubjectOptions(choice="mask", mask=Path("mask.png")), mask=mask)
    for frame in _select_sequence(scenes, prompt)[0]:
        assert _at(frame, (66, 45))
        assert not _at(frame, (96, 45))


def test_mask_prompt_in_mid_clip_selects_that_person() -> None:
    scenes: list[list[Disc]] = [[((40, 45), RED), ((120, 45), BLUE)]] * 8
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., 100:140] = 1
    options = SubjectOptions(choice="mask", mask=Path("mask.png"), at_s=0.3)
    selected, notices = _select_sequence(scenes, SubjectPrompt(options, mask=mask))
    for frame in selected:
        assert _at(frame, (120, 45))
        assert not _at(frame, (40, 45))
    assert not notices


@pytest.mark.parametrize("choice", ["largest", "point"])
def test_selection_survives_reidentification(choice: str) -> None:
    """Half red and half blue, gone for a second, and back with the blue half first."""
    place, at_s = ((5, 30), 1.6) if choice == "point" else ((), 0.0)
    prompt = SubjectPrompt(SubjectOptions(choice=choice, place=place, at_s=at_s))  # type: ignore[arg-type]
    state: SubjectState | None = None
    for n, left in enumerate([40] * 5 + [None] * 10 + [min(40, 4 * n - 30) for n in range(25)]):
        rgb, probability = torch.full((1, 3, 60, 120), 128, dtype=torch.uint8), torch.zeros(1, 2, 60, 120)
        for begin, colour in () if left is None else ((left, RED), (left + 20, BLUE)):
            half = (..., slice(10, 50), slice(max(0, begin), max(0, begin + 20)))
            rgb[half] = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)
            probability[:, :1][half] = 1
        result = select_subject(probability, rgb, (Fraction(n, 10),), prompt, state)
        state = result.state
        assert torch.equal(result.probability, probability), n


def test_no_person_selects_nothing() -> None:
    scenes: list[list[Disc]] = [[]] * 3
    selected, notices = _select_sequence(scenes, _point(10, 10))
    assert all(frame.max() == 0 for frame in selected)
    assert not notices


def test_alpha_is_clamped_between_keep_and_drop() -> None:
    alpha, keep, drop = torch.full((1, 1, 4, 6), 0.4), torch.zeros(1, 1, 4, 6), torch.zeros(1, 1, 4, 6)
    keep[..., :2], drop[..., 4:] = 1, 1
    held = limit_alpha(alpha, keep, upper_limit(drop, None, (4, 6)))
    assert held[0, 0, 0].tolist() == pytest.approx([1, 1, 0.4, 0.4, 0, 0])
    assert limit_alpha(alpha, None, upper_limit(None, None, (4, 6))) is alpha


def test_region_that_is_a_person_in_the_trimap_is_a_track() -> None:
    """A small person far from the largest one is dropped, not left between the two stages."""
    probability = torch.zeros(1, 2, 100, 200)
    probability[0, 0, 30:60, 10:40] = 1
    probability[0, 0, 50:52, 150:153] = 1  # 3e-4 of the image
    trimap = adaptive_trimap(probability[:, :1], probability[:, 1:], size=(100, 200))
    assert trimap[0, 0, 50, 151] != 0
    rgb = torch.full((1, 3, 100, 200), 128, dtype=torch.uint8)
    result = select_subject(
        probability, rgb, (Fraction(0),), SubjectPrompt(SubjectOptions(choice="largest")), None
    )
    assert result.probability[0, 0, 30:60, 10:40].min() == 1
    assert result.probability[0, 0, 50:52, 150:153].max() == 0


@pytest.mark.parametrize("is_cut", [False, True])
def test_tracks_end_at_the_cuts_of_optical_flow(is_cut: bool) -> None:
    """Colours alike enough to keep a track within a shot are too different to re-identify one after a cut."""
    probability = torch.zeros(1, 2, 60, 80)
    probability[:, 0, 10:50, 10:50] = 1
    first = torch.full((1, 3, 60, 80), 128, dtype=torch.uint8)
    first[..., 10:50, 10:50] = torch.tensor(RED, dtype=torch.uint8).view(3, 1, 1)
    second = first.clone()
    second[..., 10:50, 30:50] = torch.tensor(BLUE, dtype=torch.uint8).view(3, 1, 1)
    state = select_subject(probability, first, (Fraction(0),), _point(30, 30), None).state
    result = select_subject(probability, second, (Fraction(1, 10),), _point(30, 30), state, [is_cut])
    assert bool(result.probability.max() == 0) == is_cut


def test_mask_prompt_without_a_mask_is_refused() -> None:
    prompt = SubjectPrompt(SubjectOptions(choice="mask", mask=Path("mask.png")))
    with pytest.raises(OptionError, match="mask"):
        _select_sequence([[((40, 45), RED)]], prompt)


# Real people


def _signer(path: Path, pipeline: MattingPipeline, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, 210, 280, 3) in 0..255 of a clip, and the signer's mask (N, 210, 280)."""
    pictures: list[np.ndarray] = []
    with ClipReader(path, batch_size=8) as reader:
        for batch in reader:
            rgb = (to_rgb(batch) * 255).permute(0, 2, 3, 1).numpy()
            pictures += [cv2.resize(p, (280, 210), interpolation=cv2.INTER_AREA) for p in rgb]
            if len(pictures) >= frames:
                break
    rgb = np.stack(pictures[:frames])
    probability = pipeline.segment(torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255)
    person = (
        torch.nn.functional.interpolate(probability[:, :1], (210, 280), mode="bilinear")[:, 0].numpy() > 0.5
    )
    main = [cv2.connectedComponentsWithStats(mask.astype(np.uint8)) for mask in person]
    return rgb, np.stack([c[1] == 1 + np.argmax(c[2][1:, cv2.CC_STAT_AREA]) for c in main])


def test_either_of_two_crossing_signers_can_be_selected(shared: Path) -> None:
    frames, width = 32, 480
    pipeline = MattingPipeline(device="cpu", options=CLOSER)
    behind, front = (
        _signer(shared / "data" / "clips" / f"asl_{name}.mkv", pipeline, frames) for name in ("milk", "night")
    )
    pictures = np.full((frames, 210, width, 3), 150, np.uint8)
    truth = np.zeros((2, frames, 210, width), bool)
    for n in range(frames):
        for person, (rgb, mask), left in ((0, behind, 0), (1, front, round(290 - 470 * n / (frames - 1)))):
            begin, end = max(0, left), min(width, left + 280)
            inside = mask[n][:, begin - left : end - left]
            pictures[n, :, begin:end][inside] = rgb[n][:, begin - left : end - left][inside]
            truth[:, n, :, begin:end][:, inside] = False
            truth[person, n, :, begin:end] |= inside
    rgb = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    probability, times = pipeline.segment(rgb / 255), [Fraction(n, 20) for n in range(frames)]
    for person, x in ((0, 140), (1, 430)):
        result = select_subject(probability, rgb, times, _point(x, 120), None).probability
        selected = torch.nn.functional.interpolate(result, (210, width), mode="bilinear")[:, 0].numpy() > 0.5
        own, other = truth[person], truth[1 - person]
        apart = [n for n in range(frames) if other[n].sum() > 4000 and (n < 9 or n > 26)]
        for n in apart:
            assert (selected[n] & other[n]).sum() < 0.1 * other[n].sum(), (person, n)
        for n in (n for n in apart if own[n].sum() > 9000):
            assert (selected[n] & own[n]).sum() > 0.7 * own[n].sum(), (person, n)
