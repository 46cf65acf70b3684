"""What a job would do, and what it would take: measured on its first frames, with nothing left behind."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autohair_video.errors import JobError, OptionError
from autohair_video.jobs.runner import Progress, expected_frames, open_reader, run_job
from autohair_video.jobs.spec import ClipOutputSpec, JobSpec, OutputSpec
from autohair_video.jobs.subject_inputs import check_subject_time
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.atomic_output import is_sequence
from autohair_video.media.image import read_image
from autohair_video.media.probe import ClipInfo
from autohair_video.runtime.profiling import peak_device_memory_bytes, peak_memory_bytes

_SAMPLE_FRAMES: Final = 16
_USUAL_RATE: Final = 25


@dataclass(frozen=True)
class PlannedOutput:
    """An output: where it would go, the name of its format, and about how many bytes it would have."""

    path: Path
    format: str
    bytes: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a job would do. ``info`` is None for a picture.

    Estimates, None where nothing is known: ``frames``, ``seconds`` of work, ``peak_bytes`` of memory (the
    accelerator's, if there is one), ``disk_bytes`` needed and ``free_bytes`` at the first output.
    """

    request: JobSpec
    outputs: tuple[PlannedOutput, ...]
    device: str
    info: ClipInfo | None = None
    frames: int | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    disk_bytes: int | None = None
    free_bytes: int | None = None
    notices: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the disk has room, as far as is known."""
        return self.disk_bytes is None or self.free_bytes is None or self.disk_bytes < self.free_bytes


def plan_job(request: JobSpec, pipeline: MattingPipeline) -> Plan:
    """Looks at the input, checks the outputs' names and does the first frames in a temporary folder.

    Raises:
        OptionError: the call is contradictory, or the input is a pipe.
        InputError, OutputError, DeviceError: the job could not be done.
    """
    if request.source.is_stdin:
        raise OptionError("a pipe can be read only once: save it to a file to plan its job")
    if request.is_still:
        read_image(request.source.location)
        request.check_outputs(*request.output_paths(), make_folders=False)
        outputs = tuple(PlannedOutput(path, path.suffix[1:]) for path in request.output_paths())
        return Plan(request, outputs, str(pipeline.device))
    return _plan_clip(request, pipeline)


def _plan_clip(request: JobSpec, pipeline: MattingPipeline) -> Plan:
    targets = request.clip_outputs()
    with open_reader(request, batch_size=1) as reader:
        info = reader.info
        check_subject_time(
            request.subject, start_s=request.start_s, end_s=request.end_s, length_s=reader.length_s
        )
    request.check_outputs(*(target.path for target in targets), make_folders=False)
    frames = expected_frames(info, request)
    with tempfile.TemporaryDirectory(prefix="autohair-plan-") as folder:
        sample = _sample(request, targets, info, Path(folder))
        done, frame_s, notices = _timed(sample, pipeline)
        sizes = [_size(Path(folder), target) for target in sample.clip_outputs()]
    scale = None if frames is None else frames / done
    outputs = tuple(
        PlannedOutput(target.path, target.preset.name, None if scale is None else round(size * scale))
        for target, size in zip(targets, sizes, strict=True)
    )
    return Plan(
        request,
        outputs,
        str(pipeline.device),
        info,
        frames,
        seconds=None if frames is None else frame_s * frames,
        peak_bytes=peak_device_memory_bytes(pipeline.device) or peak_memory_bytes(),
        # until they are joined, the parts lie beside the whole
        disk_bytes=None if scale is None else round(sum(sizes) * scale) * (2 if request.resume else 1),
        free_bytes=shutil.disk_usage(_existing(targets[0].path.parent)).free,
        notices=notices,
    )


def _sample(request: JobSpec, targets: tuple[ClipOutputSpec, ...], info: ClipInfo, folder: Path) -> JobSpec:
    """The same job for the first frames, into ``folder``."""
    begin_s = request.start_s or 0
    end_s = begin_s + _SAMPLE_FRAMES / float(info.rate or _USUAL_RATE)

    def moved(path: Path | None) -> Path | None:
        return None if path is None else folder / path.name

    return replace(
        request,
        outputs=tuple(folder / target.path.name for target in targets if target.content == "result"),
        matte=moved(request.matte),
        foreground=moved(request.foreground),
        trimap_out=moved(request.trimap_out),
        # what it names may come later
        subject=replace(request.subject, at_s=0.0),
        end_s=end_s if request.end_s is None else min(end_s, request.end_s),
        output_dir=None,
        resume=False,
    )


def _timed(sample: JobSpec, pipeline: MattingPipeline) -> tuple[int, float, tuple[str, ...]]:
    """Frames done, seconds for each after the first batch, which warms up, and notices."""
    marks: list[tuple[int, float]] = []

    def mark(progress: Progress) -> None:
        marks.append((progress.frames, time.perf_counter()))

    begin_s = time.perf_counter()
    try:
        report = run_job(sample, pipeline=pipeline, on_progress=mark)
    except JobError as exc:
        # What such an error says of files that were kept is not true here.
        raise exc.__cause__ if isinstance(exc.__cause__, JobError) else exc from None
    warm, warm_s = marks[0] if marks[0][0] < report.frames else (0, begin_s)
    frame_s = (time.perf_counter() - warm_s) / (report.frames - warm)
    return report.frames, frame_s, (*sample.ineffective_option_warnings, *report.notices)


def _size(folder: Path, product: OutputSpec) -> int:
    name = product.path.name
    files = folder.glob(f"{name.split('%')[0]}*") if is_sequence(name) else [folder / name]
    return sum(file.stat().st_size for file in files)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
