"""Plans: what they promise is what the job then does, and nothing is left of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from autohair_video import InputError, MattingPipeline, OptionError, OutputError, SubjectOptions
from autohair_video.jobs.dry_run import plan_job
from autohair_video.jobs.runner import run_job
from autohair_video.jobs.spec import JobSpec, make_job_spec
from autohair_video.runtime.profiling import peak_memory_bytes
from tests.helpers.clips import damage_packets, make_clip, picture
from tests.helpers.options import HARD


@pytest.fixture(scope="module")
def pipeline() -> MattingPipeline:
    return MattingPipeline(device="cpu", options=HARD)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_dry_run_estimate_is_close_to_the_job(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(48), sound="aac")
    request = make_job_spec(clip, background="red", matte="{name}.%03d.png", output_dir=tmp_path / "out")
    held_before = peak_memory_bytes() or 0
    plan = plan_job(request, pipeline)
    assert plan.peak_bytes is not None
    assert held_before <= plan.peak_bytes <= (peak_memory_bytes() or 0)
    assert _files(tmp_path) == ["a.mp4"]
    assert plan.frames == 48
    assert plan.fits
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert [output.format for output in plan.outputs] == ["h264", "png-sequence"]
    report = run_job(request, pipeline)
    assert tuple(output.path for output in plan.outputs) == report.outputs
    sizes = [
        report.outputs[0].stat().st_size,
        sum(p.stat().st_size for p in (tmp_path / "out").glob("*.png")),
    ]
    for output, size in zip(plan.outputs, sizes, strict=True):
        assert output.bytes == pytest.approx(size, rel=0.6)
    assert plan.disk_bytes == pytest.approx(sum(sizes), rel=0.6)


def test_dry_run_refuses_impossible_jobs(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(3))
    with pytest.raises(OutputError, match="is the input itself"):
        plan_job(make_job_spec(clip, clip, background="red", overwrite=True), pipeline)
    with pytest.raises(InputError, match=r"none\.mp4"):
        plan_job(make_job_spec(tmp_path / "none.mp4"), pipeline)
    with pytest.raises(OptionError, match="pipe"):
        plan_job(make_job_spec("-"), pipeline)
    cv2.imwrite(str(tmp_path / "p.png"), picture(0, 64, 48))
    plan = plan_job(make_job_spec(tmp_path / "p.png"), pipeline)
    assert [(output.path.name, output.format) for output in plan.outputs] == [("p_cutout.png", "png")]
    assert _files(tmp_path) == ["a.mp4", "p.png"]


def test_dry_run_checks_the_subject_time(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(48))

    def asked(at_s: float) -> JobSpec:
        subject = SubjectOptions(choice="point", place=(30, 20), at_s=at_s)
        return make_job_spec(clip, background="red", subject=subject)

    assert plan_job(asked(1.8), pipeline).frames == 48
    with pytest.raises(OptionError, match=r"time 1\.92 s lies past the clip's end at 1\.92 s"):
        plan_job(asked(1.92), pipeline)


def test_dry_run_reports_damage_without_temporary_files(tmp_path: Path, pipeline: MattingPipeline) -> None:
    clip = make_clip(tmp_path / "a.mp4", size=(160, 120), pts=range(30), options={"g": "5"})
    damage_packets(clip, [6])
    with pytest.raises(
        InputError, match=r"a\.mp4 is damaged: near 0\.\d\d s [^;]*; its frames end at [^;]*$"
    ):
        plan_job(make_job_spec(clip, background="red"), pipeline)
    assert _files(tmp_path) == ["a.mp4"]
