from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.training.synthetic.people.body import Shape, SkinWeights
from autohair_video.training.synthetic.people.cloth_texture import cloth_texture
from autohair_video.training.synthetic.people.clothing import read_pattern, read_patterns, tuck_in

MHCLO = """# a patch
obj_file patch.obj
x_scale 0 1 1.0
verts 0
  0 1 2 0.5 0.5 0.0 0.0 0.0 1.0
  2
  0 1 2 0.0 0.0 1.0 2.0 0.0 0.0
delete_verts
1 3 - 5
"""
REST = np.array([[0.0, 0, 0], [2.0, 0, 0], [0.0, 2, 0]])
WEIGHTS = SkinWeights(np.ones((3, 1)), np.array([[0], [1], [2]]))


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    path = tmp_path / "shirts" / "patch.mhclo"
    path.parent.mkdir()
    path.write_text(MHCLO)
    (path.parent / "patch.obj").write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n")
    return path


def test_vertices_lie_on_their_triangles_at_scaled_offsets(patch: Path) -> None:
    garment = read_pattern(patch).fit(Shape(REST, REST), WEIGHTS, folds=0.0)
    # x offsets scale with the distance 2 over the reference 1; the others are decimetres.
    np.testing.assert_allclose(garment.vertices, [[1, 0, 0.1], [0, 2, 0], [4, 2, 0]])
    assert garment.hidden.tolist() == [1, 3, 4, 5]


def test_a_garment_follows_the_bones_of_the_skin_below_it(patch: Path) -> None:
    garment = read_pattern(patch).fit(Shape(REST, REST), WEIGHTS, folds=0.0)
    np.testing.assert_allclose(garment.weights.of([0]), [0.5, 0, 0])
    np.testing.assert_allclose(garment.weights.of([2]), [0, 1, 1])


def test_folders_are_read_by_name_and_empty_ones_reported(patch: Path, tmp_path: Path) -> None:
    assert list(read_patterns(tmp_path)) == ["patch"]
    with pytest.raises(InputError, match=r"no \.mhclo files"):
        read_patterns(patch.parent)


def test_a_file_without_vertices_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "empty.mhclo"
    path.write_text("obj_file x.obj\n")
    with pytest.raises(InputError, match=r"empty\.mhclo"):
        read_pattern(path)


def test_skin_above_cloth_moves_below_it_and_skin_far_away_stays() -> None:
    skin = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    up = np.array([[0.0, 1, 0]] * 2)
    tucked = tuck_in(skin, up, np.array([[0.0, -0.005, 0]]))
    assert tucked[0, 1] < -0.005
    assert tucked[1].tolist() == [1, 0, 0]


@pytest.mark.parametrize("weave", ["plain", "stripes", "checks", "dots", "blotches"])
def test_prints_stay_within_the_colours_of_cloth(weave: str) -> None:
    texture = cloth_texture(weave, (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), np.random.default_rng(0))
    assert texture.min() >= 0.01
    assert texture.max() <= 0.9
    assert (texture.std() > 0.2) == (weave != "plain")
