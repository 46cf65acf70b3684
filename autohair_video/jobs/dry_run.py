"""What a job would do, and what it would take: measured on its first frames, with nothing left behind."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autohair_video.errors import JobError, OptionError
from autohair_video.jobs.progress import Progress
from autohair_video.jobs.runner import expected_frames, open_reader, run_job
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
    """What a job would do. ``info`` is None for a still image.

    Estimates, None where nothing is known: ``frames``, ``seconds`` of work, ``peak_bytes`` of memory (the
    accelerator's, if there is one), ``disk_bytes`` needed and ``free_bytes`` at the first output.
    """

    spec: JobSpec
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


def plan_job(spec: JobSpec, pipeline: MattingPipeline) -> Plan:
    """Looks at the input, checks the outputs' names and does the first frames in a temporary folder.

    Raises:
        OptionError: the call is contradictory, or the input is a pipe.
        InputError, OutputError, DeviceError: the job could not be done.
    """
    if spec.source.is_stdin:
        raise OptionError("a pipe can be read only once: save it to a file to plan its job")
    if spec.is_still:
        read_image(spec.source.location)
        spec.check_outputs(*spec.output_paths(), make_folders=False)
        outputs = tuple(PlannedOutput(path, path.suffix[1:]) for path in spec.output_paths())
        return Plan(spec, outputs, str(pipeline.device))
    return _plan_clip(spec, pipeline)


def _plan_clip(spec: JobSpec, pipeline: MattingPipeline) -> Plan:
    specs, o = spec.clip_outputs, spec.options
    with open_reader(spec) as reader:
        info = reader.info
        check_subject_time(o.subject, start_s=o.start_s, end_s=o.end_s, length_s=reader.length_s)
    spec.check_outputs(*(output.path for output in specs), make_folders=False)
    frames = expected_frames(info, o)
    with tempfile.TemporaryDirectory(prefix="autohair-plan-") as folder:
        sample = _sample(spec, specs, info, Path(folder))
        done, frame_s, notices = _timed(sample, pipeline)
        sizes = [_size(Path(folder), output) for output in sample.clip_outputs]
    scale = None if frames is None else frames / done
    outputs = tuple(
        PlannedOutput(output.path, output.preset.name, None if scale is None else round(size * scale))
        for output, size in zip(specs, sizes, strict=True)
    )
    return Plan(
        spec,
        outputs,
        str(pipeline.device),
        info,
        frames,
        seconds=None if frames is None else frame_s * frames,
        peak_bytes=peak_device_memory_bytes(pipeline.device) or peak_memory_bytes(),
        # until they are concatenated, the segments take as much again
        disk_bytes=None if scale is None else round(sum(sizes) * scale) * (2 if o.resume else 1),
        free_bytes=shutil.disk_usage(_existing(specs[0].path.parent)).free,
        notices=notices,
    )


def _sample(spec: JobSpec, specs: tuple[ClipOutputSpec, ...], info: ClipInfo, folder: Path) -> JobSpec:
    """The same job for the first frames, into ``folder``."""
    o = spec.options
    end_s = (o.start_s or 0) + _SAMPLE_FRAMES / float(info.rate or _USUAL_RATE)

    def moved(path: Path | None) -> Path | None:
        return None if path is None else folder / path.name

    options = replace(
        o,
        matte=moved(o.matte),
        foreground=moved(o.foreground),
        trimap_out=moved(o.trimap_out),
        # the frame that it names may come later
        subject=replace(o.subject, at_s=0.0),
        end_s=end_s if o.end_s is None else min(end_s, o.end_s),
        output_dir=None,
        resume=False,
    )
    results = tuple(folder / output.path.name for output in specs if output.content == "result")
    return replace(spec, outputs=results, options=options)


def _timed(sample: JobSpec, pipeline: MattingPipeline) -> tuple[int, float, tuple[str, ...]]:
    """Frames done, seconds for each after the first batch, which warms up, and notices."""
    marks: list[tuple[int, float]] = []

    def mark(progress: Progress) -> None:
        marks.append((progress.frames, time.perf_counter()))

    begin_s = time.perf_counter()
    try:
        report = run_job(sample, pipeline, on_progress=mark)
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
