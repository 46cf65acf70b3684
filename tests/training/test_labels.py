"""Labels on disk: who makes them, what they hold, and that work is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.options import MattingOptions
from autohair_video.training.agreement import Opinions
from autohair_video.training.labels import (
    Job,
    Labelled,
    Labeller,
    from_drawn,
    load,
    prepare_labels,
    read_levels,
)
from autohair_video.training.manifest import Source
from autohair_video.weights import load_network
from tests.helpers.clips import make_clip

DRAWN = Source(
    "street",
    "street/*.jpg",
    "drawn",
    "CC0",
    "",
    drawn="drawn/{stem}.png",
    bystanders="list.txt",
    excluded={"3": "half"},
)
CLIPS = Source("clips", "clips/*.mkv", "teachers", "CC0", "", frames=4)
PORTRAITS = Source("portraits", "portraits/*.jpg", "teachers", "CC0", "")
SOURCES = [PORTRAITS, DRAWN, CLIPS]


def all_see(patch: tuple[slice, slice]) -> Callable[[np.ndarray], Opinions]:
    """Teachers who all see somebody in the same patch, whatever the picture shows."""

    def teach(picture: np.ndarray) -> Opinions:
        seen, no = np.zeros((2, *picture.shape[:2]), np.float32)
        seen[patch] = 1
        return Opinions((), seen[None], seen, no, seen, no, no + 1)

    return teach


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three street photos, one with bystanders and one that is excluded, a portrait, and a clip."""
    root = tmp_path / "data"
    for folder in ("street", "drawn", "portraits", "clips"):
        (root / folder).mkdir(parents=True)
    for name in "123":
        cv2.imwrite(str(root / f"street/{name}.jpg"), np.full((120, 160, 3), 90, np.uint8))
        classes = np.zeros((120, 160), np.uint8)
        classes[30:, 20:60] = 1
        cv2.imwrite(str(root / f"drawn/{name}.png"), classes)
    (root / "list.txt").write_text("# number, share\n2 2.1\n")
    cv2.imwrite(str(root / "portraits/a.b.jpg"), np.full((800, 1440, 3), 90, np.uint8))
    make_clip(root / "clips/walk.mkv", pts=range(32))
    return root


@pytest.fixture(scope="module")
def solver() -> TiledMattingNet:
    return TiledMattingNet(load_network("matting-fast", role="matting"), MattingOptions().tiles)


def test_the_matting_network_finds_the_edge_that_a_drawing_misses(
    solver: TiledMattingNet, tmp_path: Path
) -> None:
    """A drawn label is 4 px too wide; what is cut out along the solved one brings no old scene along."""
    truth = np.zeros((320, 320, 1), np.float32)
    cv2.circle(truth, (160, 160), 90, 1.0, -1, cv2.LINE_AA)
    rng = np.random.default_rng(1)
    grain = cv2.resize(rng.normal(0, 12, (80, 80, 1)), (320, 320))[..., None]
    scene = truth * (200, 90, 60) + (1 - truth) * (60, 120, 170) + grain
    classes = np.zeros((320, 320), np.uint8)
    cv2.circle(classes, (160, 160), 94, 1, -1)
    cv2.imwrite(str(tmp_path / "drawn.png"), classes)
    job = Job(tmp_path / "x", DRAWN, lambda: scene.clip(0, 255).astype(np.uint8), tmp_path / "drawn.png")
    made = Labeller(all_see(np.s_[:0, :0]), solver)(job)
    error = np.abs(made.label[..., 0] / 255 - truth[..., 0]).mean()
    assert error < 0.2 * np.abs(from_drawn(classes).person - truth[..., 0]).mean()
    assert made.label[..., 2].min() == 255, "the edge is trusted now"


def test_a_screen_is_keyed_and_a_dark_frame_is_labelled_by_the_teachers(
    solver: TiledMattingNet, tmp_path: Path
) -> None:
    alpha = cv2.circle(np.zeros((160, 160), np.float32), (80, 80), 40, 1.0, -1, cv2.LINE_AA)[..., None]
    frame = (alpha * (200, 150, 120) + (1 - alpha) * (30, 200, 60)).astype(np.uint8)
    keyed = Source("screen", "*.mp4", "keyed", "CC0", "")
    labeller = Labeller(all_see(np.s_[40:120, 40:120]), solver)
    made = labeller(Job(tmp_path / "x", keyed, lambda: frame))
    assert np.abs(made.label[..., 0] / 255 - alpha[..., 0]).max() < 0.2
    assert made.label[..., 2].min() >= 128
    dark = labeller(Job(tmp_path / "x", keyed, lambda: frame // 16))
    assert dark.label[80, 80, 0] > 127
    assert dark.label[5, 5, 0] == 0


def test_labels_are_made_once_and_a_killed_run_is_resumed(
    data: Path, tmp_path: Path, solver: TiledMattingNet
) -> None:
    cache, left = tmp_path / "labels", [3]

    class KilledError(Exception):
        pass

    def teach(picture: np.ndarray) -> Opinions:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1
        return all_see(np.s_[10:40, 70:110])(picture)

    def run(**options: tuple[int, int]) -> int:
        return prepare_labels(cache, data, SOURCES, lambda: Labeller(teach, solver), **options)

    with pytest.raises(KilledError):
        run()
    names = {"portraits/a.b", "street/1", "street/2", *(f"clips/walk_{i:05d}" for i in range(0, 32, 8))}
    made = {str(p.relative_to(cache))[:-4] for p in cache.glob("*/*.png")}
    assert made == {"portraits/a.b", "street/1", "street/2", "clips/walk_00000"}
    left[0] = 10
    before = (cache / "street/1.png").stat().st_mtime_ns
    assert run() == 3
    assert {str(p.relative_to(cache))[:-4] for p in cache.glob("*/*.png")} == names
    assert (cache / "street/1.png").stat().st_mtime_ns == before
    assert load(cache / "portraits/a.b").label.shape == (356, 640, 3)
    bystander = load(cache / "street/2").label[25, 90], load(cache / "street/1").label[25, 90]
    assert [label[0] > 100 for label in bystander] == [True, False]

    assert prepare_labels(cache, data, SOURCES, lambda: pytest.fail("nobody is asked")) == 0

    for name in names:
        (cache / f"{name}.png").unlink()
    assert run(shard=(0, 2)) + run(shard=(1, 2)) == len(names)
    assert all((cache / f"{name}.png").exists() for name in names)


def test_a_drawn_label_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(InputError, match=r"bad\.png: not a readable mask"):
        read_levels(tmp_path / "bad.png", np.zeros((4, 4, 3), np.uint8))


def test_a_label_of_maps_keeps_their_levels() -> None:
    classes = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]] * 9, np.uint8)
    label = Labelled.of(np.zeros((9, 16, 3), np.uint8), from_drawn(classes)).label
    assert label[4, 1].tolist() == [0, 0, 255]
    assert label[4, 15].tolist() == [255, 255, 255]
    assert label[4, 8, 2] == 0
