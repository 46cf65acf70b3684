from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.training.labels import Labelled, from_drawn, load, save
from autohair_video.training.manifest import Source
from autohair_video.training.segmenter_dataset import (
    Chances,
    Group,
    PeopleSamples,
    find_groups,
    known,
    load_rendered,
)

STREET = Source("street", "*.jpg", "teachers", "CC0", "nobody")
RENDERED = Source("made", "people/person_*.webp", "rendered", "CC0", "nobody", held_out_every=10)


def drawn() -> Labelled:
    """A standing figure, red with black hair, cut off by the lower border, on green."""
    label = np.zeros((120, 90), np.uint8)
    label[30:, 25:65] = 1
    label[20:45, 35:55] = 2
    colours = np.array([[20, 160, 60], [200, 40, 40], [10, 10, 10]], np.uint8)
    return Labelled.of(colours[label], from_drawn(label))


@pytest.fixture
def samples(tmp_path: Path) -> PeopleSamples:
    save(tmp_path / "0001", drawn())
    blue = np.full((100, 100, 3), (30, 60, 220), np.uint8)
    return PeopleSamples([Group(STREET, [tmp_path / "0001"])], [blue], size_px=64, seed=5)


def test_a_label_comes_back_from_disk(tmp_path: Path) -> None:
    item = drawn()
    save(tmp_path / "one", item)
    back = load(tmp_path / "one")
    assert np.array_equal(back.label, item.label)
    assert np.abs(back.picture.astype(int) - item.picture).mean() < 4


def test_drawn_labels_are_not_trusted_at_their_edges() -> None:
    weight, person = drawn().label[..., 2], drawn().label[..., 0]
    assert (weight[80, 45], person[80, 45]) == (255, 255)
    assert (weight[5, 5], person[5, 5]) == (255, 0)
    assert weight[80, 25] == weight[80, 24] == 0


def test_hair_is_part_of_the_person_and_ranges_hold(samples: PeopleSamples) -> None:
    for _ in range(40):
        picture, truth, weight = samples.sample(64)
        assert picture.shape == (64, 64, 3)
        assert truth.shape == weight.shape == (64, 64, 2)
        assert 0 <= picture.min() <= picture.max() <= 1
        assert 0 <= truth.min() <= truth.max() <= 1 + 1e-6
        assert (truth[..., 1] <= truth[..., 0] + 0.02)[weight[..., 1] == 1].all()


def test_the_same_seed_gives_the_same_samples(tmp_path: Path) -> None:
    save(tmp_path / "0001", drawn())
    group = Group(STREET, [tmp_path / "0001"])
    scene = np.full((100, 100, 3), 90, np.uint8)
    first, second = (PeopleSamples([group], [scene], size_px=48, seed=7) for _ in range(2))
    for _ in range(5):
        for a, b in zip(first.sample(48), second.sample(48), strict=True):
            assert np.array_equal(a, b)


def test_some_samples_show_nobody_and_say_so(samples: PeopleSamples) -> None:
    empty = [t for _, t, w in (samples.sample(64) for _ in range(80)) if t.max() == 0 and w.min() == 1]
    assert 2 <= len(empty) <= 30


def test_batches_are_what_the_network_takes(samples: PeopleSamples) -> None:
    sides, plain = set(), 0
    for batch in islice(samples.batches(8), 12):
        count, channels, *size = batch["picture"].shape
        sides.add(size[0])
        assert channels == 3
        assert size[0] == size[1]
        assert size[0] % 32 == 0
        assert 0.5 <= count * size[0] ** 2 / (8 * 64**2) <= 1.5
        assert batch["truth"].shape == batch["weight"].shape == (count, 2, *size)
        low, high = batch["picture"].aminmax()
        assert -1 <= low <= high <= 1
        plain += int(low == high)
    assert plain <= 2, "a batch of one plain backdrop is rare"
    assert min(sides) == 64
    assert max(sides) == 192


def test_what_is_labelled_so_far_is_found_by_source_and_held_out_pictures_are_not(tmp_path: Path) -> None:
    portraits = Source("portraits", "*.jpg", "teachers", "CC0", "nobody", held_out_every=10)
    for name in ("ann-19.jpg.rf", "ann-7", "ann-20"):
        stem = tmp_path / "labels/portraits" / name
        stem.parent.mkdir(parents=True, exist_ok=True)
        save(stem, drawn())
    (tmp_path / "labels/portraits/bob-3.png.new").write_bytes(b"killed while it was written")
    found, empty = find_groups(tmp_path, [portraits, STREET])
    assert [path.name for path in found.items] == ["ann-19.jpg.rf", "ann-7"]
    assert found.load(0).label.shape == (120, 90, 3)
    assert not empty.items


def test_nobody_labelled_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no labelled people.*train labels"):
        PeopleSamples(find_groups(tmp_path, [STREET]), [], size_px=64, seed=0)


def test_half_a_weight_is_for_the_person_only() -> None:
    levels = np.array([0, 128, 255], np.float32)[:, None, None] / np.float32(255)
    assert np.allclose(known(levels, STREET)[:, 0], [[0, 0], [1, 0], [1, 1]], atol=0.01)
    blind = Source("far", "*.jpg", "teachers", "CC0", "nobody", knows_hair=False)
    assert known(levels, blind)[..., 1].max() == 0


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """A white ellipse in straight RGBA, half of it hair, no colour where alpha is 0."""
    alpha = cv2.GaussianBlur(
        cv2.ellipse(np.zeros((96, 64), np.uint8), (32, 48), (20, 40), 0, 0, 360, 255, -1), (0, 0), 2
    )
    (tmp_path / "people").mkdir()
    path = tmp_path / "people/person_00042.webp"
    image = np.dstack([*[np.where(alpha > 0, 255, 0)] * 3, alpha]).astype(np.uint8)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, 101])
    hair = np.where(np.arange(96)[:, None] < 48, alpha, 0)
    cv2.imwrite(str(path.with_name("person_00042_labels.png")), np.dstack([0 * alpha, hair, alpha]))
    return path


def test_rendered_people_are_composited_with_their_exact_alpha(rendered: Path) -> None:
    """A white person before black: at every pixel the colour is the alpha, light and codec aside."""
    groups = find_groups(rendered.parents[1], [RENDERED])
    assert list(groups[0].items) == [rendered]
    item = load_rendered(rendered)
    assert item.picture[item.label[..., 0] > 0].min() == 255, "straight colours"
    assert item.label[..., 2].min() == 255
    only = Chances(0, 0.9, 0, 0, 0, 0, 0, 0, 0, 0)
    black = [np.zeros((100, 100, 3), np.uint8)]
    samples = PeopleSamples(groups, black, size_px=64, seed=3, chances=only)
    for _ in range(10):
        _, truth, weight = samples.sample(64)
        assert weight.min() == 1, "a renderer's picture has no place of its own: it is composited"
        assert truth[..., 0].max() > 0.9


def test_a_rendered_person_without_label_is_named(rendered: Path) -> None:
    rendered.with_name("person_00042_labels.png").unlink()
    with pytest.raises(InputError, match=r"person_00042\.webp.*person_00042_labels\.png"):
        load_rendered(rendered)


def test_a_transform_adds_to_alpha_and_hair_and_what_it_adds_is_trusted(tmp_path: Path) -> None:
    """A wisp of hair over an otherwise untrusted picture."""
    item = drawn()
    item.label[..., 2] = 128
    save(tmp_path / "0001", item)

    def with_wisp(colour, person, hair, rng):  # type: ignore[no-untyped-def]
        person, hair = person.copy(), hair.copy()
        person[:4], hair[:4] = 1, 1
        return colour, person, hair

    samples = PeopleSamples(
        [Group(STREET, [tmp_path / "0001"])],
        [np.full((90, 90, 3), 40, np.uint8)],
        size_px=64,
        seed=2,
        chances=Chances(0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        transforms=[(1.0, with_wisp)],
    )
    for _ in range(5):
        _, truth, weight = samples.sample(64)
        assert truth[:4].min() == pytest.approx(1, abs=1e-5)
        added = truth[:4, :, 1] > 0.99
        assert (weight[:4, :, 1][added] > 0).any()
