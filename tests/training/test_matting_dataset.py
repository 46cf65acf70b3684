from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from autohair_video.cli import run
from autohair_video.errors import InputError
from autohair_video.models.dim import MobileDIM
from autohair_video.training import degrade, trimaps
from autohair_video.training import matting_dataset as data
from autohair_video.training.backgrounds import backdrop, load_photos, view
from autohair_video.training.loop import TrainOptions
from autohair_video.training.matting_dataset import MatteCrops, MatteSample, MatteSource, collate, sample
from autohair_video.training.synthetic.recipes import RECIPES, loose_hair, random_foreground
from autohair_video.training.synthetic.render_cache import SIZE, read_layer, render_layers
from autohair_video.training.synthetic.sources import Sources
from autohair_video.training.train import train_matting_net
from autohair_video.weights import read_state
from autohair_video.weights.detect import detect_architecture

COUNT = 8


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training data folder of the real layout: noise for photos, an ellipse for each person."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def write(name: str, height: int, width: int) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 256, (height // 20, width // 20, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (width, height)))

    for i in range(3):
        write(f"backgrounds/photo{i}.jpg", 300, 400)
        write(f"people/ccp/image/{i:04d}.jpg", 800, 550)
        label = np.zeros((800, 550), np.uint8)
        cv2.ellipse(label, (275, 420), (90, 340), 0, 0, 360, 1, -1)
        cv2.ellipse(label, (275, 130), (50, 60), 0, 0, 360, 2, -1)
        (root / "people/ccp/label").mkdir(exist_ok=True)
        cv2.imwrite(str(root / f"people/ccp/label/{i:04d}.png"), label)
    write("people/interfaces/001.jpg", 600, 600)
    write("backgrounds/panoramas/room.jpg", 256, 512)
    return root


@pytest.fixture(scope="session")
def cache(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    render_layers(folder, shared_data=photos, teachers=None, count=COUNT, seed=1)
    return folder


@pytest.fixture(scope="session")
def source(photos: Path, cache: Path) -> MatteSource:
    return MatteSource.load(cache, shared_data=photos)


def drawn(source: MatteSource, count: int, seed: int = 0) -> list[MatteSample]:
    rng = np.random.default_rng(seed)
    return [sample(source, rng, size=128) for _ in range(count)]


def test_a_sample_has_the_shapes_and_ranges_that_the_trainer_expects(source: MatteSource) -> None:
    batch = collate(drawn(source, 6))
    assert batch.image.shape == batch.foreground.shape == batch.background.shape == (6, 3, 128, 128)
    assert batch.alpha.shape == batch.trimap.shape == (6, 1, 128, 128)
    for tensor in vars(batch).values():
        assert tensor.dtype == torch.float32
        assert tensor.min() >= 0
        assert tensor.max() <= 1
    unknown = (batch.trimap >= 0.25) & (batch.trimap <= 0.75)
    assert set(batch.trimap[~unknown].unique().tolist()) <= {0.0, 1.0}
    mixed = (batch.alpha > 0.02) & (batch.alpha < 0.98)
    assert mixed.float().mean() > 0.02


def test_without_degradation_the_image_is_the_composite(
    source: MatteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "degrade", lambda image, _: image)
    for s in drawn(source, 12):
        composite = s.alpha * s.foreground + (1 - s.alpha) * s.background
        torch.testing.assert_close(s.image, composite, atol=1e-6, rtol=0)


def test_degradation_leaves_alpha_alone_and_some_pictures_clean(source: MatteSource) -> None:
    clean = 0
    for s in drawn(source, 40):
        composite = s.alpha * s.foreground + (1 - s.alpha) * s.background
        clean += int(torch.allclose(s.image, composite, atol=1e-6))
    assert 4 <= clean <= 24


def test_the_same_seed_draws_the_same_samples_and_another_seed_others(source: MatteSource) -> None:
    once, again, other = (drawn(source, 3, seed) for seed in (7, 7, 8))
    for a, b in zip(once, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))
    assert not torch.equal(once[0].image, other[0].image)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
def test_workers_of_a_loader_draw_streams_of_their_own(source: MatteSource) -> None:
    crops = MatteCrops(source, seed=3, size=64)
    loader = DataLoader(crops, batch_size=2, num_workers=2, collate_fn=collate)
    first, second = islice(loader, 2)  # the first batch of either worker
    assert first.image.shape == (2, 3, 64, 64)
    assert not torch.equal(first.image, second.image)
    assert torch.equal(next(iter(loader)).image, first.image)


def test_a_broken_off_render_goes_on_and_gives_the_same_layers(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    render_layers(tmp_path, shared_data=photos, teachers=None, count=1, seed=1)
    first = tmp_path / "layer_00000.webp"
    written = first.stat().st_mtime_ns
    (tmp_path / "layer_00001.part.webp").write_bytes(b"half a layer")

    paths = render_layers(tmp_path, shared_data=photos, teachers=None, count=3, seed=1)

    assert first.stat().st_mtime_ns == written
    for path in paths:
        np.testing.assert_array_equal(read_layer(path), read_layer(cache / path.name))
    assert len(MatteSource.load(tmp_path, shared_data=photos).layers) == 3


def test_a_kept_layer_has_its_exact_alpha(photos: Path, cache: Path, tmp_path: Path) -> None:
    sources = Sources.find(photos, teachers=None, masks=tmp_path, size=SIZE)
    layer = random_foreground(sources, np.random.default_rng([1, 2]))
    kept = read_layer(cache / "layer_00002.webp")
    np.testing.assert_array_equal(kept[..., 3], np.round(layer.alpha * 255))
    seen = layer.alpha > 0.5
    assert np.abs(kept[..., :3] / 255 - layer.colour)[seen].mean() < 0.06


def test_a_packed_set_trains_either_network(source: MatteSource, tmp_path: Path) -> None:
    written = source.pack(tmp_path / "packed", layers=5, photos=4)
    packed = MatteSource.unpack(tmp_path / "packed")
    assert (len(packed.layers), len(packed.photos)) == (5, 4)
    assert written == sum(path.stat().st_size for path in (tmp_path / "packed").iterdir())
    options = TrainOptions(steps=1, batch=1, crop_px=64)
    for name, architecture in (("mobile-dim", "mobile-dim"), ("dim-vgg16", "dim-vgg16")):
        weights = train_matting_net(tmp_path / name, packed, options, network=name)
        assert detect_architecture(read_state(weights)).name == architecture


def test_training_starts_from_whatever_fits(source: MatteSource, tmp_path: Path) -> None:
    state = MobileDIM().state_dict()
    given = {"alpha.bias": torch.full((4,), 3.0), "up4.0.bias": torch.zeros(7)}
    save_file({**state, **given}, tmp_path / "start.safetensors")
    options = TrainOptions(steps=1, batch=1, crop_px=64, learning_rate=1e-9)
    weights = train_matting_net(tmp_path, source, options, start=[tmp_path / "start.safetensors"])
    trained = load_file(weights)
    torch.testing.assert_close(trained["alpha.bias"].float(), given["alpha.bias"], atol=0.01, rtol=0)
    assert trained["up4.0.bias"].shape == state["up4.0.bias"].shape


def test_the_mean_of_weights_is_written_and_one_named_twice_counts_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    low, high, other, out = (
        tmp_path / f"{name}.safetensors" for name in ("low", "high", "other", "runs/mean")
    )
    for path, level in ((low, 1.0), (high, 4.0)):
        save_file({"bias": torch.full((4,), level)}, path)
    save_file({"bias": torch.zeros(3)}, other)
    assert run(["train", "mean", str(low), str(high), str(high), "--out", str(out)]) == 0
    assert torch.equal(load_file(out)["bias"], torch.full((4,), 3.0, dtype=torch.float16))
    assert run(["train", "mean", str(low), str(other), "--out", str(tmp_path / "none.safetensors")]) == 1
    assert "different networks" in capsys.readouterr().err
    assert not (tmp_path / "none.safetensors").exists()


def test_training_starts_from_the_mean_of_several_weights(source: MatteSource, tmp_path: Path) -> None:
    names, state = ["a.safetensors", "b.safetensors", "c.safetensors"], MobileDIM().state_dict()
    for name, level in zip(names, (1.0, 4.0, 2.0), strict=True):
        save_file({"alpha.bias": torch.full((4,), level)}, tmp_path / name)
    save_file({"alpha.bias": state["alpha.bias"][:2].contiguous()}, tmp_path / "other.safetensors")
    options = TrainOptions(steps=1, batch=1, crop_px=64, learning_rate=1e-9)
    starts = [tmp_path / name for name in names]
    trained = load_file(train_matting_net(tmp_path / "run", source, options, start=starts))
    torch.testing.assert_close(trained["alpha.bias"].float(), torch.full((4,), 7 / 3), atol=0.01, rtol=0)
    with pytest.raises(InputError, match="different networks"):
        train_matting_net(
            tmp_path / "mixed", source, options, start=[*starts, tmp_path / "other.safetensors"]
        )


def test_inputs_that_the_start_does_not_know_are_not_heeded_at_first(
    source: MatteSource, tmp_path: Path
) -> None:
    state = {name: tensor.clone() for name, tensor in MobileDIM().state_dict().items()}
    state["encoder.0.0.weight"] = state["encoder.0.0.weight"][:, :-1].contiguous()
    save_file(state, tmp_path / "start.safetensors")
    options = TrainOptions(steps=1, batch=1, crop_px=64, learning_rate=1e-9)
    trained = load_file(train_matting_net(tmp_path, source, options, start=[tmp_path / "start.safetensors"]))
    first = trained["encoder.0.0.weight"].float()
    torch.testing.assert_close(first[:, :-1], state["encoder.0.0.weight"], atol=1e-3, rtol=0)
    assert first[:, -1].abs().max() < 1e-6


def test_the_asked_share_of_crops_shows_loose_hair(source: MatteSource, tmp_path: Path) -> None:
    clear, full = np.zeros((2, SIZE, SIZE, 4), np.uint8)
    full[...] = 128
    for name, rgba in (("plain/layer_00000.webp", clear), ("loose/layer_00000.webp", full)):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), rgba, [cv2.IMWRITE_WEBP_QUALITY, 101])
    two = MatteSource(
        [tmp_path / "plain/layer_00000.webp"], source.photos, [tmp_path / "loose/layer_00000.webp"], 0.3
    )
    rng = np.random.default_rng(0)
    shown = np.mean([bool(sample(two, rng, size=64).alpha.any()) for _ in range(200)])
    assert shown == pytest.approx(0.3, abs=0.08)
    two.pack(tmp_path / "packed", layers=2, photos=1)
    packed = MatteSource.unpack(tmp_path / "packed", loose_share=0.5)
    assert (len(packed.layers), len(packed.loose), packed.loose_share) == (1, 1, 0.5)


def test_a_folder_that_is_no_packed_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no packed training set"):
        MatteSource.unpack(tmp_path)


@pytest.mark.parametrize("recipe", [*(recipe for recipe, _ in RECIPES), loose_hair], ids=lambda r: r.__name__)
def test_every_recipe_gives_a_layer_with_an_edge(recipe, photos: Path, tmp_path: Path) -> None:
    sources = Sources.find(photos, teachers=None, masks=tmp_path, size=256)
    mixed = 0.0
    for seed in range(3):
        layer = recipe(sources, np.random.default_rng(seed))
        assert layer.colour.shape == (256, 256, 3)
        assert layer.alpha.shape == (256, 256)
        for plane in (layer.colour, layer.alpha):
            assert plane.dtype == np.float32
            assert plane.min() >= 0
            assert plane.max() <= 1
        mixed += ((layer.alpha > 0.02) & (layer.alpha < 0.98)).mean()
    assert mixed > 0.002


def test_loose_hair_is_rendered_and_loaded_beside_the_other_layers(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    render_layers(tmp_path, shared_data=photos, teachers=None, count=2, seed=2, recipe=loose_hair)
    both = MatteSource.load(cache, loose=tmp_path, loose_share=0.5, shared_data=photos)
    assert (len(both.layers), len(both.loose)) == (COUNT, 2)
    drawn(both, 4)
    with pytest.raises(InputError, match="no rendered layers"):
        MatteSource.load(cache, loose=tmp_path / "absent", shared_data=photos)


def test_missing_folders_are_named(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(InputError, match="no rendered layers"):
        MatteSource.load(tmp_path, shared_data=photos)
    with pytest.raises(InputError, match="people"):
        render_layers(tmp_path, shared_data=tmp_path, teachers=None, count=1, seed=0)
    with pytest.raises(InputError, match="backgrounds"):
        load_photos(tmp_path, rng=np.random.default_rng(0))


def fuzzy_disc() -> np.ndarray:
    y, x = np.mgrid[:200, :200]
    return np.clip((60 - np.hypot(x - 100, y - 100)) / 12 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize(("inward", "outward"), [(1, 1), (3, 20), (25, 2)])
def test_the_band_covers_all_mixed_pixels_and_reaches_as_far_as_asked(inward, outward) -> None:
    alpha = fuzzy_disc()
    trimap = trimaps.band_trimap(alpha, inward_px=inward, outward_px=outward)
    assert np.abs(trimap - alpha)[trimap != 0.5].max() <= 0.006
    row = trimap[100]
    unknown = np.flatnonzero(row[100:] == 0.5)
    # Alpha is mixed from 54 to 66 px off the centre.
    assert unknown.min() == pytest.approx(54 - inward, abs=1.5)
    assert unknown.max() == pytest.approx(66 + outward, abs=1.5)


def test_a_razor_sharp_edge_has_a_band_too() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1
    trimap = trimaps.band_trimap(alpha, inward_px=3, outward_px=5)
    assert np.flatnonzero(trimap[20] == 0.5).tolist() == list(range(15, 23))


def test_known_pixels_of_random_trimaps_are_right_but_for_a_few(source: MatteSource) -> None:
    rng = np.random.default_rng(2)
    wrong = []
    for s in drawn(source, 40):
        alpha = s.alpha[0].numpy()
        made = trimaps.random_trimap(alpha, rng)
        wrong.append(float(((made != 0.5) & (np.abs(made - alpha) > 0.1)).mean()))
    assert max(wrong) < 0.04
    assert np.median(wrong) == 0


def test_the_trimap_of_loose_hair_leaves_it_unknown() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    strands = (np.abs((x + y // 3) % 9 - 4) < 1) * 0.4 * (np.hypot(x - 100, y - 100) < 85)
    alpha = np.maximum(fuzzy_disc(), strands).astype(np.float32)
    reached = []
    for _ in range(20):
        trimap = trimaps.loose_trimap(alpha, rng)
        assert trimaps.wrong_share(trimap, alpha) <= 0.04
        reached.append(float((trimap == 0.5).mean()))
    assert max(reached) > 1.3 * min(reached)


def test_a_guessed_trimap_is_sure_of_a_plain_body_and_unsure_at_its_edge() -> None:
    alpha = fuzzy_disc()
    for seed in range(10):
        trimap = trimaps.segmenter_trimap(alpha, np.random.default_rng(seed))
        assert trimap[100, 100] == 1
        assert trimap[2, 2] == 0
        edge = trimap[(alpha > 0.3) & (alpha < 0.7)]
        assert (edge == 0.5).mean() > 0.9


@pytest.mark.parametrize(
    "change",
    [
        degrade.average_chroma,
        lambda p: degrade.compress(p, 95),
        lambda p: degrade.compress_as_video(p, 20),
        lambda p: degrade.rescale(p, 0.5),
        lambda p: degrade.add_noise(p, np.random.default_rng(0), level=0.01),
        lambda p: degrade.sharpen(p, 1.0),
    ],
)
def test_a_degraded_plain_picture_keeps_its_colour(change) -> None:
    plain = np.broadcast_to(np.float32([0.6, 0.4, 0.3]), (64, 64, 3))
    assert change(np.ascontiguousarray(plain)).mean((0, 1)) == pytest.approx([0.6, 0.4, 0.3], abs=0.01)


def test_h264_loses_more_at_a_higher_rate_factor_and_keeps_the_picture() -> None:
    y, x = np.mgrid[:64, :64]
    grain = np.random.default_rng(0).normal(0, 0.05, (64, 64, 1))
    picture = np.repeat((0.5 + 0.3 * np.sin(x / 9 + y / 5))[..., None] + grain, 3, -1).astype(np.float32)
    errors = [np.abs(degrade.compress_as_video(picture, crf) - picture).mean() for crf in (0, 20, 40)]
    assert errors[0] < errors[1] < errors[2] < 0.1
    assert errors[0] < 0.01


def test_averaged_chroma_keeps_luma() -> None:
    picture = np.random.default_rng(0).uniform(0.3, 0.7, (64, 64, 3)).astype(np.float32)
    weights = np.float32([0.299, 0.587, 0.114])
    np.testing.assert_allclose(degrade.average_chroma(picture) @ weights, picture @ weights, atol=2e-3)


def test_a_view_ahead_shows_the_middle_of_the_panorama_and_turns_with_yaw() -> None:
    columns = np.linspace(0, 255, 512).astype(np.uint8)
    panorama = np.broadcast_to(columns[None, :, None], (256, 512, 3))
    panorama = np.ascontiguousarray(panorama)
    quarter = view(panorama, yaw=np.pi / 2, pitch=0, fov=1, size=65)
    half = view(panorama, yaw=np.pi, pitch=0, fov=1, size=65)
    assert quarter[32, 32, 0] == pytest.approx(64, abs=2)
    assert half[32, 32, 0] == pytest.approx(128, abs=2)
    assert np.all(np.diff(half[32, :, 0].astype(int)) >= 0)


def test_backdrops_differ_fill_the_range_and_need_no_photos() -> None:
    rng = np.random.default_rng(0)
    pictures = [backdrop([], rng, 64) for _ in range(30)]
    for picture in pictures:
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1
    assert np.std([p.mean() for p in pictures]) > 0.05


def test_photos_with_passers_by_give_no_person_free_crops(photos: Path) -> None:
    listing = photos / "people/ccp/bystanders.txt"
    everybody = len(load_photos(photos, rng=np.random.default_rng(0), people=0))
    listing.write_text("# number, share\n0001 2.1\n")
    alone = len(load_photos(photos, rng=np.random.default_rng(0), people=0))
    listing.unlink()
    assert alone == everybody - 2  # either side of the person


def test_teachers_outline_real_portraits(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    sources = Sources.find(shared / "data", teachers=shared / "init" / "teachers", masks=tmp_path, size=256)
    found = sources.portrait(np.random.default_rng(3))
    again = sources.portrait(np.random.default_rng(3))
    assert 0.2 < found.person.mean() < 0.95
    assert 0.01 < found.hair.mean() < 0.8
    assert (found.hair & ~found.person).mean() < 0.001
    np.testing.assert_array_equal(found.hair, again.hair)
    assert len(list(tmp_path.glob("*.png"))) == 1
