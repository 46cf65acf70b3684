from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.training.synthetic.people.figure import Figure, Part
from autohair_video.training.synthetic.people.render import RenderJob, render_people, scene_spec, to_srgb
from autohair_video.training.synthetic.people.sample import Wardrobe
from autohair_video.training.synthetic.people.scene import Picture, View, render

WARDROBE = Wardrobe(("male_suit", "female_suit"), ("shoes",), ("fedora",), ("sit01",), ("a.jpg", "b.jpg"))


def test_seed_split_and_number_decide_the_scene(tmp_path: Path) -> None:
    job = RenderJob(tmp_path, 1, 1, seed=3)
    spec = scene_spec(job, 5, WARDROBE, clip=False)
    assert spec == scene_spec(job, 5, WARDROBE, clip=False)
    others = [
        scene_spec(job, 6, WARDROBE, clip=False),
        scene_spec(RenderJob(tmp_path, 1, 1, seed=4), 5, WARDROBE, clip=False),
        scene_spec(RenderJob(tmp_path, 1, 1, seed=3, split="held-out"), 5, WARDROBE, clip=False),
    ]
    assert spec not in others


def test_scenes_vary_as_people_do(tmp_path: Path) -> None:
    specs = [scene_spec(RenderJob(tmp_path, 1, 1, 0), i, WARDROBE, clip=False) for i in range(200)]
    assert {spec.camera.framing for spec in specs} == {"whole", "knees", "waist", "bust", "hand"}
    assert {len(spec.people) for spec in specs} == {1, 2, 3}
    first = [spec.people[0] for spec in specs]
    assert {person.hair.style for person in first} == {"bald", "short", "loose", "ponytail", "afro"}
    assert min(spec.camera.height_px for spec in specs) < 100
    assert any(person.props for person in first)


def test_clips_have_two_poses_and_stills_one(tmp_path: Path) -> None:
    job = RenderJob(tmp_path, 1, 1, 0)
    assert len(scene_spec(job, 0, WARDROBE, clip=True).people[0].poses) == 2
    assert len(scene_spec(job, 0, WARDROBE, clip=False).people[0].poses) == 1


def test_finished_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "person_00000.webp").write_bytes(b"done")
    (tmp_path / "clip_00000").mkdir()
    job = RenderJob(tmp_path, stills=1, clips=1, seed=0)
    assert render_people(tmp_path / "missing", job) == 0
    assert (tmp_path / "person_00000.webp").read_bytes() == b"done"


def test_missing_licence_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"makehuman/LICENSE\.txt is missing") as caught:
        render_people(tmp_path, RenderJob(tmp_path / "out", 1, 0, 0))
    assert "\n" not in str(caught.value)


def test_missing_panoramas_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "data/makehuman"
    folder.mkdir(parents=True)
    (folder / "LICENSE.txt").touch()
    with pytest.raises(InputError, match="panoramas has fewer than 4"):
        render_people(tmp_path, RenderJob(tmp_path / "out", 1, 0, 0))


def test_dim_and_bright_exposures_order_the_picture() -> None:
    colour = np.full((4, 4, 3), 0.3, np.float32)
    picture = Picture(colour, {"skin": np.ones((4, 4), np.float32)})
    assert to_srgb(picture, 0.4, 1.0).mean() < to_srgb(picture, 0.8, 1.0).mean()
    warm = to_srgb(picture, 0.6, 1.2)[0, 0]
    assert warm[0] > warm[1] > warm[2]


def test_coverage_of_a_square_is_its_area() -> None:
    pytest.importorskip("mitsuba")
    corners = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    square = Part("hand", corners, np.array([[0, 1, 2], [0, 2, 3]]), np.full((4, 3), 0.5))
    # At distance 1 and 90 degrees, 64 px show 2 m: the square is 32 px wide.
    view = View(np.array([0.0, 0, 1]), np.zeros(3), np.array([0.0, 1, 0]), 90.0, 64, 64)
    light = np.full((256, 512, 3), 0.5, np.float32)
    picture = render([Figure((square,), None, {})], view, light, 0.0, 2)
    assert picture.coverage["hand"].sum() == pytest.approx(32 * 32, rel=0.02)
    assert picture.alpha[32, 32] == 1
    assert picture.alpha[4, 4] == 0
    assert picture.coverage["skin"].sum() == 0


@pytest.mark.filterwarnings("default")
def test_a_person_is_rendered_and_resumed(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("mitsuba")
    anny_paths = pytest.importorskip("anny.paths")
    if not any(anny_paths.get_anny_cache_path().glob("*/build_model_data_*")):
        pytest.skip("anny's cache is empty, and filling it takes five minutes")
    lines: list[str] = []
    assert render_people(shared, RenderJob(tmp_path, 1, 0, 1), lines.append) == 1
    assert "person_00000.webp: 1/1" in lines[0]
    picture = cv2.imread(str(tmp_path / "person_00000.webp"), cv2.IMREAD_UNCHANGED)
    labels = cv2.imread(str(tmp_path / "person_00000_labels.png"))
    assert picture is not None
    assert labels is not None
    alpha = picture[..., 3].astype(int)
    assert alpha.max() == 255
    assert alpha.min() == 0
    person, hair, hand = (labels[..., k].astype(int) for k in (2, 1, 0))
    assert (person <= alpha + 1).all()
    assert (hair + hand <= person + 2).all()
    assert render_people(shared, RenderJob(tmp_path, 1, 0, 1), lines.append) == 0
