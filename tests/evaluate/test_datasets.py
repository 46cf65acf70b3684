"""Folders of each layout, matted by engines whose error is known."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from autohair_video.errors import InputError, JobError, OptionError, OutputError
from autohair_video.evaluate.report import as_table
from autohair_video.evaluate.runner import Engines, run_evaluation
from autohair_video.frames import Matte
from autohair_video.media.image import read_gray
from autohair_video.media.reader import ClipReader

SIZE = (64, 48)
FRAMES = 6


def truth_of(index: int) -> np.ndarray:
    """(48, 64) uint8: a soft-edged square that moves to the right."""
    alpha = np.zeros(SIZE[::-1], np.uint8)
    alpha[12:36, 10 + 2 * index : 34 + 2 * index] = 255
    return cv2.blur(alpha, (3, 3))


def picture_of(index: int) -> np.ndarray:
    alpha = truth_of(index)[..., None] / 255
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    ground = np.stack([2 * x, 3 * y, 0 * x + 90], axis=2)
    return np.uint8(alpha * 230 + (1 - alpha) * ground)


def write_gray_clip(path: Path, frames: int = FRAMES, codec: str = "ffv1") -> None:
    gray = codec == "ffv1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "gray" if gray else "yuv420p"
        for index in range(frames):
            pixels = truth_of(index) if gray else picture_of(index)
            frame = av.VideoFrame.from_ndarray(pixels, format="gray" if gray else "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    write_gray_clip(tmp_path / "walk.mp4", codec="libx264")
    write_gray_clip(tmp_path / "walk_alpha.mkv")
    return tmp_path


@pytest.fixture
def trimaps(tmp_path: Path) -> Path:
    for name, index in (("one", 0), ("two", 3)):
        alpha = truth_of(index)
        trimap = np.where((alpha > 0) & (alpha < 255), 128, alpha).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}_image.png"), picture_of(index))
        cv2.imwrite(str(tmp_path / f"{name}_trimap.png"), trimap)
        cv2.imwrite(str(tmp_path / f"{name}_alpha.png"), alpha)
    return tmp_path


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "cat.png"), picture_of(1))
    cv2.imwrite(str(tmp_path / "cat_alpha.png"), truth_of(1))
    return tmp_path


def as_matte(alpha: np.ndarray) -> Matte:
    return Matte.of_still(torch.from_numpy(np.float32(alpha))[None, None])


def forbidden(*_: object) -> Matte:
    raise AssertionError("this engine was not to be asked")


def engines(**given: object) -> Engines:
    default: dict[str, object] = dict.fromkeys(("infer", "matte_clip", "matte_image"), forbidden)
    return Engines(**(default | given))  # type: ignore[arg-type]


def exact_clip(path: Path) -> Iterator[Matte]:
    """The truth itself, in batches."""
    with ClipReader(path.with_name(f"{path.stem}_alpha.mkv"), batch_size=4) as reader:
        for batch in reader:
            yield Matte(batch.planes[0].float() / 255, batch.pts, batch.durations, batch.time_base)


def test_perfect_clip_scores_zero(clips: Path) -> None:
    result = run_evaluation(clips, engines(matte_clip=exact_clip))
    assert result.layout == "video"
    assert result.mean == {
        **dict.fromkeys(
            ("SAD", "MAD", "MSE", "Grad", "Conn", "band", "translucency", "dtSSD", "MESSDdt"), 0.0
        ),
        "IoU": 1.0,
    }


def test_flickering_clip_raises_dtssd(clips: Path) -> None:
    """Even frames are right, odd ones are 0.1 off everywhere, clipped nowhere."""

    def flicker(path: Path) -> Iterator[Matte]:
        index = 0
        for matte in exact_clip(path):
            for alpha in matte.alpha:
                yield Matte.of_still(0.1 * (index % 2) + alpha[None])
                index += 1

    mean = run_evaluation(clips, engines(matte_clip=flicker)).mean
    assert mean["MAD"] == pytest.approx(50, rel=1e-4)
    assert mean["band"] == pytest.approx(50, rel=1e-4)
    assert mean["MSE"] == pytest.approx(5, rel=1e-4)
    assert mean["dtSSD"] == pytest.approx(10, rel=1e-4)
    assert mean["MESSDdt"] == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("missing", [1, -1])
def test_wrong_number_of_mattes_raises(clips: Path, missing: int) -> None:
    def wrong(path: Path) -> Iterator[Matte]:
        for index in range(FRAMES - missing):
            yield as_matte(truth_of(index))

    with pytest.raises(JobError, match="number of mattes"):
        run_evaluation(clips, engines(matte_clip=wrong))


def test_matte_of_wrong_size_raises(clips: Path) -> None:
    def small(_: Path) -> Iterator[Matte]:
        for _index in range(FRAMES):
            yield as_matte(np.zeros((24, 32)))

    with pytest.raises(JobError, match=r"\(24, 32\)"):
        run_evaluation(clips, engines(matte_clip=small))


def test_clip_and_truth_of_different_length_raise(clips: Path) -> None:
    write_gray_clip(clips / "walk_alpha.mkv", frames=FRAMES - 2)
    with pytest.raises(InputError, match=r"walk_alpha.mkv differ"):
        run_evaluation(clips, engines(matte_clip=exact_clip))


def test_given_trimap_is_passed_and_scored_in_unknown_region(trimaps: Path) -> None:
    seen = []

    def half(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        seen.append((image.shape, image.dtype, set(np.unique(trimap).tolist())))
        return np.float32(np.where(trimap == 128, 0.5, trimap / 255))

    result = run_evaluation(trimaps, engines(infer=half))
    assert seen == [((48, 64, 3), np.uint8, {0, 128, 255})] * 2
    assert [item.name for item in result.items] == ["one", "two"]
    soft = np.float32(truth_of(0)[(truth_of(0) > 0) & (truth_of(0) < 255)]) / 255
    expected = np.abs(soft - 0.5)
    assert result.items[0].scores["SAD"] == pytest.approx(expected.sum() / 1000, rel=1e-5)
    assert result.items[0].scores["MAD"] == pytest.approx(expected.mean() * 1000, rel=1e-5)
    whole = run_evaluation(trimaps, engines(infer=half), region="whole")
    assert whole.items[0].scores["SAD"] == pytest.approx(result.items[0].scores["SAD"])
    assert whole.mean["MAD"] == pytest.approx(expected.sum() / (48 * 64) * 1000, rel=1e-5)


def test_stills_are_scored_over_whole_image(stills: Path) -> None:
    def shifted(path: Path) -> Matte:
        truth = read_gray(path.with_name(f"{path.stem}_alpha.png"))[0, 0].numpy()
        return as_matte(np.roll(truth, 1, axis=1) / 255)

    scores = run_evaluation(stills, engines(matte_image=shifted)).mean
    # 22 rows of 24 px and two of 22 px, whose corners the blur took.
    assert scores["IoU"] == pytest.approx((22 * 23 + 2 * 21) / (22 * 25 + 2 * 23))
    assert 0 < scores["MAD"] < scores["band"]
    assert "dtSSD" not in scores


def test_region_mad_is_scored_where_a_region_is_given(stills: Path) -> None:
    for name in ("dog", "elk"):
        cv2.imwrite(str(stills / f"{name}.png"), picture_of(1))
        cv2.imwrite(str(stills / f"{name}_alpha.png"), truth_of(1))
    region = np.zeros(SIZE[::-1], np.uint8)
    region[20:30, 20:24] = 255
    cv2.imwrite(str(stills / "dog_region.png"), region)
    half = as_matte(np.full(SIZE[::-1], 0.5))
    found = run_evaluation(stills, engines(matte_image=lambda _: half))
    scores = {item.name: item.scores["region MAD"] for item in found.items}
    assert set(scores) == {"cat", "dog", "elk"}
    assert scores["dog"] == pytest.approx(500)
    assert np.isnan(scores["cat"])
    assert found.mean["region MAD"] == pytest.approx(500)
    as_table(found)
    cv2.imwrite(str(stills / "elk_region.png"), region[:10])
    with pytest.raises(InputError, match="elk_region"):
        run_evaluation(stills, engines(matte_image=lambda _: half))


def test_empty_layout_scores_mean_alpha(tmp_path: Path) -> None:
    for index, name in enumerate(("hall.png", "street.JPG")):
        cv2.imwrite(str(tmp_path / name), picture_of(index))
    ghost = np.zeros(SIZE[::-1])
    ghost[:24] = 0.25
    made = {"hall.png": np.zeros(SIZE[::-1]), "street.JPG": ghost}
    result = run_evaluation(
        tmp_path, engines(matte_image=lambda path: as_matte(made[path.name])), no_person=True
    )
    assert {item.name: item.scores["MAD"] for item in result.items} == {"hall.png": 0, "street.JPG": 125}


def test_json_and_sheet_reports(clips: Path, tmp_path: Path) -> None:
    """JSON that any parser reads, and a sheet with a heading and five panels for each clip."""

    def empty(path: Path) -> Iterator[Matte]:
        for matte in exact_clip(path):
            yield replace(matte, alpha=torch.zeros_like(matte.alpha))

    json_path, sheet_path = tmp_path / "out.json", tmp_path / "out.png"
    result = run_evaluation(clips, engines(matte_clip=empty), json_path=json_path, sheet_path=sheet_path)
    content = json.loads(json_path.read_text())
    assert content["mean"]["MAD"] == pytest.approx(result.mean["MAD"])
    assert content["items"][0]["name"] == "walk"
    assert content["units"]["dtSSD"] == "x1e2"
    sheet = cv2.imread(str(sheet_path))
    assert sheet.shape == (26 + 26 + 48, 5 * 320, 3)
    truth, ours, error = (sheet[52:, 320 * i : 320 * i + 64] for i in (2, 3, 4))
    assert truth[24].max() == 255
    assert ours.max() == 0
    assert error[24].max() > 200
    printed = io.StringIO()
    Console(width=160, file=printed).print(as_table(result))
    assert "walk" in printed.getvalue()
    assert f"{result.mean['MAD']:.2f}" in printed.getvalue()


def test_undefined_metric_is_null_in_json(tmp_path: Path) -> None:
    """No person in the picture: there is no transition to measure at."""
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((48, 64, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "wall_alpha.png"), np.zeros((48, 64), np.uint8))
    json_path = tmp_path / "out.json"
    no_person = engines(matte_image=lambda _: as_matte(np.zeros((48, 64))))
    run_evaluation(tmp_path, no_person, json_path=json_path)
    content = json.loads(json_path.read_text())
    assert content["mean"]["band"] is None
    assert content["mean"]["MAD"] == 0
    assert content["mean"]["IoU"] == 1


def test_wrong_calls_give_one_error_line(tmp_path: Path, stills: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        run_evaluation(tmp_path / "nowhere", engines())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"NAME_alpha\.mkv"):
        run_evaluation(empty, engines())
    with pytest.raises(OptionError, match="no trimaps"):
        run_evaluation(stills, engines(), region="unknown")
    exact = engines(matte_image=lambda _: as_matte(truth_of(1) / 255))
    with pytest.raises(OutputError, match=r"nowhere"):
        run_evaluation(stills, exact, json_path=tmp_path / "nowhere" / "out.json")


def test_truth_of_wrong_size_raises(stills: Path) -> None:
    cv2.imwrite(str(stills / "cat_alpha.png"), np.zeros((10, 20), np.uint8))
    with pytest.raises(InputError, match="20x10"):
        run_evaluation(stills, engines(matte_image=lambda _: as_matte(np.zeros((48, 64), np.float32))))
