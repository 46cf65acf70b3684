"""Comparisons of a soft-edged disc, whose alpha is known, and of short clips."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autohair_video.cli import run
from autohair_video.errors import InputError, OptionError, OutputError
from autohair_video.evaluate.contact_sheet import ENGINES, Comparison, comparison_sheet
from autohair_video.evaluate.grid import CompareOptions, run_compare
from autohair_video.matting.segmentation import Segmenter
from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.models.dim import MobileDIM
from autohair_video.options import SegmentOptions, TileOptions, TrimapOptions
from autohair_video.weights import shipped_folder
from tests.helpers.clips import make_clip, picture

NARROW = TrimapOptions(mode="fixed", erosion=4, size=10)
WIDE = TrimapOptions(mode="fixed", erosion=8, size=16)
ADAPTIVE = TrimapOptions(mode="adaptive")
DIM_ONLY = CompareOptions(trimaps=(NARROW,), engines=("dim",))


@dataclass(frozen=True)
class ScriptedPipeline:
    """The stages of a MattingPipeline, without weights files."""

    segment: Segmenter
    still_matting_net: TiledMattingNet
    device: torch.device


@pytest.fixture(scope="module")
def pipeline() -> ScriptedPipeline:
    """Finds what is yellow or red, takes what is red for hair; its DIM is not trained."""
    finder = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        finder.weight.copy_(torch.tensor([[8.0, 0.0, -4.0], [8.0, -8.0, 0.0]]).view(2, 3, 1, 1))
        finder.bias.copy_(torch.tensor([-2.0, -4.0]))
    torch.manual_seed(0)
    solver = TiledMattingNet(MobileDIM().eval(), TileOptions(tile_px=64, overlap_px=16))
    segmenter = Segmenter(finder.eval(), SegmentOptions(long_side_px=64))
    return ScriptedPipeline(segmenter, solver, torch.device("cpu"))


def disc_alpha(side: int = 96, radius: float = 28, soft_px: float = 6) -> NDArray[np.float32]:
    y, x = np.mgrid[0:side, 0:side]
    distance = np.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5)
    return np.clip((radius - distance) / soft_px + 0.5, 0, 1).astype(np.float32)


def write_scene(path: Path, alpha: NDArray[np.float32], colour: tuple[int, int, int]) -> Path:
    """``colour`` over a blue gradient."""
    height, width = alpha.shape
    shade = np.linspace(90, 200, width)[None].repeat(height, 0)
    background = np.dstack([shade * 0.1, shade * 0.3, shade])
    rgb = alpha[..., None] * np.array(colour) + (1 - alpha[..., None]) * background
    assert cv2.imwrite(str(path), rgb.round().astype(np.uint8)[..., ::-1])
    return path


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "disc.png", disc_alpha(), (240, 220, 40))


def read_sheet(path: Path) -> NDArray[np.uint8]:
    sheet = cv2.imread(str(path))
    assert sheet is not None
    return np.asarray(sheet[..., ::-1], np.uint8)


def test_every_combination_has_a_labelled_panel(
    disc: Path, tmp_path: Path, pipeline: ScriptedPipeline
) -> None:
    options = CompareOptions(trimaps=(NARROW, ADAPTIVE))
    reported: list[str] = []
    result = run_compare(
        disc, tmp_path / "sheet.png", pipeline=pipeline, options=options, progress=reported.append
    )

    (frame,) = result.frames
    assert [row.name for row in frame.trimaps] == ["fixed:4,10", "adaptive"]
    for row in frame.trimaps:
        assert [cell.engine for cell in row.cells] == list(ENGINES)
        for cell in row.cells:
            assert cell.alpha is not None, cell.reason
            assert cell.alpha.shape == (96, 96)
            assert (cell.alpha[row.trimap == 0] == 0).all()
            assert (cell.alpha[row.trimap == 255] == 1).all()
    assert result.failures == ()
    assert len(reported) == 12
    assert "disc.png" in reported[-1]
    assert "adaptive, random walk" in reported[-1]

    # Two rows at the foot, each a line of text above seven panels of 96 px in columns of 328.
    sheet = read_sheet(tmp_path / "sheet.png")
    assert sheet.shape[1] == 7 * 328
    for row_top in range(sheet.shape[0] - 2 * 122, sheet.shape[0], 122):
        for left in range(0, 7 * 328, 328):
            assert sheet[row_top : row_top + 26, left : left + 320].max() > 200
        for left in range(328, 7 * 328, 328):
            assert sheet[row_top + 28, left + 2].tolist() == list(frame.background)
            np.testing.assert_allclose(sheet[row_top + 74, left + 48], (240, 220, 40), atol=2)


def test_classical_engines_find_the_soft_edge(disc: Path, tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    engines = ("cf", "knn", "lbdm", "lkm", "rw")
    options = CompareOptions(trimaps=(NARROW,), engines=engines)
    (frame,) = run_compare(disc, tmp_path / "sheet.png", pipeline=pipeline, options=options).frames
    (row,) = frame.trimaps
    band = row.trimap == 128
    errors = {c.engine: float(np.abs(c.alpha - disc_alpha())[band].mean()) for c in row.cells}
    assert errors["cf"] < 0.01
    # A random walk knows edges only, not mixtures.
    assert max(error for engine, error in errors.items() if engine != "rw") < 0.05
    assert errors["rw"] < 0.2


def test_missing_extra_leaves_reasons_and_one_line(
    disc: Path, tmp_path: Path, pipeline: ScriptedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    options = CompareOptions(trimaps=(NARROW, WIDE))
    result = run_compare(disc, tmp_path / "sheet.png", pipeline=pipeline, options=options)
    assert result.failures == (
        "closed-form, KNN, learning-based, large-kernel, random walk: "
        "pymatting is not installed: pip install 'autohair-video[classical]'",
    )
    for row in result.frames[0].trimaps:
        assert row.cells[0].alpha is not None
        assert all("autohair-video[classical]" in cell.reason for cell in row.cells[1:])
    assert read_sheet(tmp_path / "sheet.png").shape[1] == 7 * 328


def test_failed_engine_leaves_only_its_cell_empty(
    disc: Path, tmp_path: Path, pipeline: ScriptedPipeline
) -> None:
    eaten_up = TrimapOptions(mode="fixed", erosion=4, size=96)
    options = CompareOptions(trimaps=(eaten_up, NARROW), engines=("dim", "cf"))
    result = run_compare(disc, tmp_path / "sheet.png", pipeline=pipeline, options=options)
    failed, solved = result.frames[0].trimaps
    assert failed.cells[0].alpha is not None
    assert failed.cells[1].alpha is None
    assert all(cell.alpha is not None for cell in solved.cells)
    (line,) = result.failures
    assert line.startswith("closed-form: ")
    assert "background" in line


def test_image_without_person_is_background(tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    empty = write_scene(tmp_path / "empty.png", np.zeros((64, 80), np.float32), (0, 0, 0))
    options = CompareOptions(trimaps=(NARROW, ADAPTIVE), engines=("dim", "cf", "rw"))
    result = run_compare(empty, tmp_path / "sheet.png", pipeline=pipeline, options=options)
    cells = [cell for row in result.frames[0].trimaps for cell in row.cells]
    assert len(cells) == 6
    assert all(cell.alpha is not None and not cell.alpha.any() for cell in cells)


def test_every_segmenter_has_its_rows(disc: Path, tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    def blind(rgb: Tensor) -> Tensor:
        return torch.zeros(1, 2, 8, 8)

    segmenters = {"sees": lambda: pipeline.segment, "blind": lambda: blind}
    result = run_compare(
        disc, tmp_path / "sheet.png", pipeline=pipeline, segmenters=segmenters, options=DIM_ONLY
    )
    seeing, unseeing = result.frames[0].trimaps
    assert (seeing.segmenter, unseeing.segmenter) == ("sees", "blind")
    assert seeing.trimap.max() == 255
    assert unseeing.trimap.max() == 0


def test_trimap_is_made_at_full_size_and_downscaled(tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    scene = write_scene(tmp_path / "large.png", disc_alpha(384, 112, 4), (240, 220, 40))
    options = CompareOptions(trimaps=(NARROW,), engines=("dim",), long_side_px=96)
    (frame,) = run_compare(scene, tmp_path / "sheet.png", pipeline=pipeline, options=options).frames
    assert frame.image.shape == (96, 96, 3)
    assert frame.trimaps[0].cells[0].alpha.shape == (96, 96)
    # 10 px of the picture are 2.5 here, and a pixel more where known and unknown mix.
    across = np.flatnonzero(frame.trimaps[0].trimap[48, :48] == 128)
    assert 3 <= len(across) <= 4


def test_window_shows_the_hair_at_full_size(tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    body = np.zeros((400, 640), np.float32)
    body[150:400, 60:260] = 1
    path = write_scene(tmp_path / "person.png", body, (240, 220, 40))
    scene = cv2.imread(str(path))
    hair = (slice(20, 60), slice(560, 620))
    scene[hair] = (30, 20, 220)
    cv2.imwrite(str(path), scene)
    result = run_compare(path, tmp_path / "sheet.png", pipeline=pipeline, options=DIM_ONLY)
    (frame,) = result.frames
    rows, columns = frame.window
    assert rows.stop - rows.start == columns.stop - columns.start == 320
    assert rows.start <= 20
    assert columns.start <= 560
    assert (rows.stop, columns.stop) <= (400, 640)

    sheet, bare = comparison_sheet(result), comparison_sheet(result, crop=False)
    assert sheet.shape[0] == bare.shape[0] + 2 * 320
    first = 26 + 26 + 200
    np.testing.assert_array_equal(sheet[first : first + 320, :320], frame.image[frame.window])


def colours_of(result: Comparison) -> list[NDArray[np.uint8]]:
    return [frame.image[-4, -4] for frame in result.frames]


def test_clip_is_compared_at_evenly_spaced_times(tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    clip = make_clip(tmp_path / "clip.mp4", options={"crf": "4"})
    options = CompareOptions(trimaps=(NARROW,), engines=("dim",), frames=3)
    result = run_compare(clip, tmp_path / "sheet.png", pipeline=pipeline, options=options)
    assert [frame.label for frame in result.frames] == [
        "clip.mp4 at 0.08 s",
        "clip.mp4 at 0.24 s",
        "clip.mp4 at 0.40 s",
    ]
    for index, colour in zip((2, 6, 10), colours_of(result), strict=True):
        np.testing.assert_allclose(colour.astype(int), picture(index, 64, 48)[-4, -4], atol=8)


def test_one_frame_from_the_middle_by_default(tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    clip = make_clip(tmp_path / "clip.mkv", options={"crf": "4"})
    result = run_compare(clip, tmp_path / "sheet.png", pipeline=pipeline, options=DIM_ONLY)
    (colour,) = colours_of(result)
    np.testing.assert_allclose(colour.astype(int), picture(6, 64, 48)[-4, -4], atol=8)


def test_clip_of_one_long_frame_and_clip_without_a_duration(
    tmp_path: Path, pipeline: ScriptedPipeline
) -> None:
    options = CompareOptions(trimaps=(NARROW,), engines=("dim",), frames=4)
    single = make_clip(tmp_path / "single.mp4", pts=[0], last=50)
    assert len(run_compare(single, tmp_path / "a.png", pipeline=pipeline, options=options).frames) == 1
    raw = make_clip(tmp_path / "raw.h264")
    assert len(run_compare(raw, tmp_path / "b.png", pipeline=pipeline, options=options).frames) == 4


def test_outputs_are_checked_before_any_work(disc: Path, tmp_path: Path, pipeline: ScriptedPipeline) -> None:
    reported: list[str] = []
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"kept")
    with pytest.raises(OutputError, match="exists"):
        run_compare(disc, sheet, pipeline=pipeline, progress=reported.append)
    assert sheet.read_bytes() == b"kept"
    with pytest.raises(OptionError, match=r"sheet\.txt .*\.png"):
        run_compare(disc, tmp_path / "sheet.txt", pipeline=pipeline, progress=reported.append)
    with pytest.raises(InputError, match="does not exist"):
        run_compare(tmp_path / "gone.mp4", tmp_path / "new.png", pipeline=pipeline, progress=reported.append)
    assert reported == []
    run_compare(disc, sheet, pipeline=pipeline, options=DIM_ONLY, overwrite=True)
    assert read_sheet(sheet).ndim == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"engines": ("dim", "sampling")}, "unknown engine 'sampling': use dim, cf"),
        ({"engines": ()}, "at least one"),
        ({"trimaps": ()}, "at least one"),
        ({"frames": 0}, "1 or more"),
        ({"long_side_px": 8}, "64 or more"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        CompareOptions(**wrong)


def test_command_compares_several_segmenters(
    disc: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each by the name that it was given by, a long one in two lines."""
    weights = shipped_folder() / "deeplabv3plus-mobilenetv2-fast.safetensors"
    other = tmp_path / "another-segmenter-of-a-long-name.safetensors"
    shutil.copyfile(weights, other)
    call = ["compare", str(disc), "--engines", "dim", "--trimap", "adaptive", "--device", "cpu"]
    sheets = []
    for given in ([weights.stem], [weights.stem, str(other)]):
        sheet = tmp_path / f"{len(given)}.png"
        chosen = [part for name in given for part in ("--segmenter", name)]
        assert run([*call, *chosen, "-o", str(sheet)]) == 0
        assert capfd.readouterr().out == f"{sheet}\n"
        sheets.append(read_sheet(sheet))
    one, two = sheets
    assert two.shape[0] > one.shape[0] + 96
    assert two.shape[1] == one.shape[1] + 328
    wrong = ["--segmenter", weights.stem, "--segmenter", "missing", "-o", str(tmp_path / "none.png")]
    assert run([*call, *wrong]) == 1
    assert "missing is neither a weights file nor registered" in capfd.readouterr().err
