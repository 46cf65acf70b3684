"""Held-out sets rendered from made-up people, and measured by `evaluate`'s own layouts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.evaluate.datasets import find_layout
from autohair_video.training import held_out
from autohair_video.training.held_out import render_held_out
from autohair_video.training.synthetic.sources import Sources


def portrait_with_outlines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A coloured portrait (600, 600, 3), uint8 RGB, and the masks of the person and the hair."""
    person, hair = np.zeros((2, 600, 600), np.uint8)
    cv2.circle(person, (300, 220), 110, 1, -1)
    cv2.ellipse(person, (300, 600), (250, 220), 0, 0, 360, 1, -1)
    cv2.circle(hair, (300, 220), 110, 1, -1)
    cv2.ellipse(hair, (300, 260), (75, 100), 0, 0, 360, 0, -1)
    photo = np.full((600, 600, 3), (90, 120, 200), np.uint8)
    photo[person > 0] = (220, 170, 140)
    photo[hair > 0] = (90, 60, 30)
    return photo, person > 0, hair > 0


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A data folder of the real layout with one portrait for training and one held out."""
    photo, person, hair = portrait_with_outlines()
    data = tmp_path / "shared" / "data"
    for name in ("people/interfaces/010", "people/interfaces/011", "people/ccp/image/0001"):
        path = data / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo[..., ::-1])
    rng = np.random.default_rng(0)
    for name in ("backgrounds/wall", "backgrounds/panoramas/room"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (16, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(data / f"{name}.jpg"), cv2.resize(noise, (1024, 512)))
    # what the teachers would say, kept as the sources keep it
    masks = tmp_path / "out" / "masks"
    masks.mkdir(parents=True)
    both = [cv2.resize(m.astype(np.uint8) * 255, (512, 512)) for m in (hair, person)]
    for name in ("010", "011"):
        cv2.imwrite(str(masks / f"interfaces_{name}.png"), np.dstack([*both, both[0] * 0]))
    return tmp_path / "shared"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """One rendered person with a hand."""
    folder = tmp_path / "people"
    folder.mkdir()
    rgba = np.zeros((300, 200, 4), np.uint8)
    cv2.ellipse(rgba, (100, 150), (50, 140), 0, 0, 360, (40, 80, 160, 255), -1)
    label = np.zeros((300, 200, 3), np.uint8)
    label[..., 2] = rgba[..., 3]  # stored as BGR: person is the first channel of RGB
    cv2.circle(label, (130, 150), 15, (255, 0, 255), -1)
    cv2.imwrite(str(folder / "person_00001.webp"), rgba, [cv2.IMWRITE_WEBP_QUALITY, 101])
    cv2.imwrite(str(folder / "person_00001_labels.png"), label)
    return folder


def test_training_and_held_out_sources_are_disjoint(shared: Path, tmp_path: Path) -> None:
    kept, held = (
        Sources.find(shared / "data", teachers=tmp_path, masks=tmp_path, size=64, held_out=way)
        for way in (False, True)
    )
    assert [p.stem for p in kept.portraits] == ["011"]
    assert [p.stem for p in held.portraits] == ["010"]


def test_the_sets_have_the_layout_of_stills_and_are_resumed(
    shared: Path, people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = render_held_out(out, shared, count=2, seed=3, people=people)
    assert made == {"loose_hair": 2, "bodies": 2, "hands": 2}
    before = {}
    for name in made:
        assert find_layout(out / name) == "stills"
        assert len(list((out / name).iterdir())) == 6
        for path in sorted((out / name).glob("*_alpha.png")):
            alpha, picture, region = (
                cv2.imread(str(path).replace("_alpha", end)) for end in ("_alpha", "", "_region")
            )
            assert alpha.shape == picture.shape == region.shape
            assert 640 <= max(alpha.shape) <= 960
            assert alpha.max() == region.max() == 255
            before[path] = path.read_bytes()
    broken = out / "loose_hair" / "loose_hair_001_alpha.png"
    broken.unlink()
    kept = out / "bodies" / "bodies_000_alpha.png"
    written = kept.stat().st_mtime_ns
    render_held_out(out, shared, count=2, seed=3, people=people)
    assert kept.stat().st_mtime_ns == written
    assert broken.read_bytes() == before[broken]


def test_the_region_of_loose_hair_covers_what_has_grown(shared: Path, tmp_path: Path) -> None:
    render_held_out(tmp_path / "out", shared, count=2, seed=1)
    for path in (tmp_path / "out" / "loose_hair").glob("*_alpha.png"):
        alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        region = cv2.imread(str(path).replace("_alpha", "_region"), cv2.IMREAD_GRAYSCALE)
        rows = len(alpha) // 3
        assert (alpha[:rows] > 128).sum() == ((alpha[:rows] > 128) & (region[:rows] > 0)).sum()


def test_what_is_missing_is_named(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render people into it first"):
        render_held_out(tmp_path / "out", shared, count=1, people=tmp_path)
    with pytest.raises(InputError, match="backgrounds"):
        render_held_out(tmp_path / "out", tmp_path, count=1)


def test_grey_portraits_are_left_out(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.jpg"), np.full((50, 50, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "red.jpg"), np.full((50, 50, 3), (20, 20, 200), np.uint8))
    assert not held_out._is_coloured(tmp_path / "grey.jpg")
    assert held_out._is_coloured(tmp_path / "red.jpg")


def test_people_cut_off_by_their_own_frame_end_at_the_pictures_frame() -> None:
    rgba = np.zeros((200, 160, 4), np.uint8)
    rgba[60:, 50:110] = 255  # cut off at the bottom
    rgba[80:100, 110:] = 255  # and an arm at the right
    labels = np.zeros((200, 160, 3), np.uint8)
    labels[80:100, 130:, 2] = 255
    placed = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        near = held_out._placed(rgba, labels, (300, 400), rng, hands=seed % 2 == 0)
        assert near is not None
        seen = near[..., 3] > 0.5
        if seen[:-1].any():
            placed += 1
            rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
            assert rows[-1] == 299 or not seen[:, : columns[-1]].any()
            assert columns[-1] == 399
    assert placed > 20


def test_a_person_who_would_be_enlarged_too_much_is_left_out() -> None:
    rgba = np.full((100, 100, 4), 255, np.uint8)
    labels = np.zeros((100, 100, 3), np.uint8)
    assert held_out._placed(rgba, labels, (300, 400), np.random.default_rng(0), hands=False) is None
    assert held_out._placed(rgba, labels, (200, 250), np.random.default_rng(0), hands=True) is None
