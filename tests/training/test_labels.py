"""Labels from drawings and from teachers whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.options import MattingOptions
from autohair_video.training.labels import Labeller, from_drawn, from_teachers, load, prepare_labels
from autohair_video.weights import load_network
from tests.helpers.clips import make_clip

SIZE = (90, 180)
LEFT, MIDDLE, RIGHT = (np.s_[20:70, left : left + 40] for left in (10, 70, 130))


def patches(*patches: tuple[slice, slice]) -> np.ndarray:
    """1 in the patches, 0 elsewhere."""
    plane = np.zeros(SIZE, np.float32)
    for patch in patches:
        plane[patch] = 1
    return plane


@dataclass(frozen=True)
class Answers:
    """What the teachers say of a picture, whatever it shows."""

    views: np.ndarray
    voc: np.ndarray
    strands: np.ndarray

    def person_views(self, picture: np.ndarray) -> np.ndarray:
        return np.stack([cv2.resize(view, picture.shape[1::-1]) for view in self.views])

    def voc_person(self, picture: np.ndarray) -> np.ndarray:
        return cv2.resize(self.voc, picture.shape[1::-1])

    def hair(self, picture: np.ndarray) -> np.ndarray:
        return cv2.resize(self.strands, picture.shape[1::-1])


def weighed(answers: Answers) -> dict[str, tuple[int, int, int]]:
    """Person, hair and weight in the middle of each patch."""
    label = from_teachers(np.zeros((*SIZE, 3), np.uint8), answers).label
    return {
        name: tuple(int(v) for v in label[45, x]) for name, x in (("left", 30), ("mid", 90), ("right", 150))
    }


def test_where_the_teachers_differ_nothing_is_trusted() -> None:
    """Left both see somebody; in the middle only the first, in one view with doubts; right only the other."""
    sure, doubtful = patches(LEFT, MIDDLE), patches(LEFT) + 0.6 * patches(MIDDLE)
    said = weighed(Answers(np.stack([sure, doubtful]), patches(LEFT, RIGHT), patches()))
    assert said["left"] == (255, 0, 255)
    assert said["mid"][0] > 127
    assert said["mid"][2] == 0
    assert (said["right"][0], said["right"][2]) == (0, 0)


def test_who_is_seen_in_all_views_is_believed_in() -> None:
    sure = patches(LEFT, MIDDLE)
    assert weighed(Answers(np.stack([sure, sure]), patches(LEFT), patches()))["mid"] == (255, 0, 255)


def test_hair_counts_on_people_only() -> None:
    seen = patches(LEFT)
    said = weighed(Answers(np.stack([seen, seen]), seen, patches(LEFT, RIGHT)))
    assert said["left"] == (255, 255, 255)
    assert said["right"] == (0, 0, 255)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three street photos, one with passers-by and one that is left out, a portrait, and two clips."""
    root = tmp_path / "data"
    for folder in ("people/ccp/image", "people/ccp/label", "people/interfaces", "clips"):
        (root / folder).mkdir(parents=True)
    for name in ("0001", "0002", "0868"):
        cv2.imwrite(str(root / f"people/ccp/image/{name}.jpg"), np.full((120, 80, 3), 90, np.uint8))
        label = np.zeros((120, 80), np.uint8)
        label[30:, 20:60] = 1
        cv2.imwrite(str(root / f"people/ccp/label/{name}.png"), label)
    (root / "people/ccp/bystanders.txt").write_text("# number, share\n0002 2.1\n")
    cv2.imwrite(str(root / "people/interfaces/007.jpg"), np.full((800, 1440, 3), 90, np.uint8))
    make_clip(root / "clips/asl_walk.mkv", pts=range(32))
    make_clip(root / "clips/holiday.mp4")
    return root


@pytest.fixture(scope="module")
def solver() -> TiledMattingNet:
    return TiledMattingNet(load_network("matting-fast", role="matting"), MattingOptions().still_tiles)


def test_the_matter_finds_the_edge_that_a_label_misses(solver: TiledMattingNet) -> None:
    """A drawn label is 4 px too wide; what is cut out along the solved one brings no old scene along."""
    truth = np.zeros((320, 320, 1), np.float32)
    cv2.circle(truth, (160, 160), 90, 1.0, -1, cv2.LINE_AA)
    rng = np.random.default_rng(1)
    grain = cv2.resize(rng.normal(0, 12, (80, 80, 1)), (320, 320))[..., None]
    scene = truth * (200, 90, 60) + (1 - truth) * (60, 120, 170) + grain
    drawn = np.zeros((320, 320), np.uint8)
    cv2.circle(drawn, (160, 160), 94, 1, -1)
    made = Labeller(teachers=None, solver=solver)(scene.clip(0, 255).astype(np.uint8), drawn)  # type: ignore[arg-type]
    alpha, before = made.label[..., 0] / 255, from_drawn(made.picture, drawn).label[..., 0] / 255
    assert np.abs(alpha - truth[..., 0]).mean() < 0.2 * np.abs(before - truth[..., 0]).mean()
    assert made.label[..., 2].min() == 255, "the edge is trusted now"


def test_labels_are_made_once_and_a_broken_off_call_goes_on(
    data: Path, tmp_path: Path, solver: TiledMattingNet
) -> None:
    cache, loaded = tmp_path / "labels", []

    def teach() -> Labeller:
        loaded.append(1)
        answers = Answers(np.stack([patches(LEFT)] * 2), patches(LEFT), patches())
        return Labeller(answers, solver)  # type: ignore[arg-type]

    written = prepare_labels(cache, data, teach)
    names = sorted(path.stem for path in cache.glob("*.png"))
    clip = [f"asl_walk_{index:05d}" for index in range(0, 32, 2)]
    assert names == sorted(["ccp_0001", "crowd_0002", "interfaces_007", *clip])
    assert written == len(names)
    assert load(cache / "interfaces_007").label.shape == (400, 720, 3)
    assert load(cache / "asl_walk_00004").label[24, 10].tolist() == [255, 0, 255]

    assert prepare_labels(cache, data, teach) == 0
    assert loaded == [1], "nothing is missing, so nobody is asked"

    (cache / "whole").unlink()
    (cache / "ccp_0001.png").unlink()
    assert prepare_labels(cache, data, teach) == 1
    assert (cache / "ccp_0001.png").exists()
