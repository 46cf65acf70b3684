"""Many jobs in one call: one after the other with the same networks, whatever becomes of each."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event

from autohair_video.errors import OptionError, StoppedError
from autohair_video.jobs.checkpoint import finalize_was_interrupted
from autohair_video.jobs.progress import OnProgress, Report
from autohair_video.jobs.runner import run_job
from autohair_video.jobs.spec import JobSpec, StrPath
from autohair_video.matting.loading import LazyPipeline
from autohair_video.media.inputs import Source, find_sources
from autohair_video.options import MissingStills, PipelineOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one job: its report, or its error; neither where its outputs were there already."""

    spec: JobSpec
    report: Report | None = None
    error: Exception | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether there was nothing to do."""
        return self.report is None and self.error is None


def expand_inputs(
    given: Sequence[StrPath], *, rate: Fraction | None = None, missing: MissingStills = "error"
) -> list[Source]:
    """All inputs that files, folders, globs, sequences, URLs and ``-`` stand for.

    Args:
        given: see `find_sources`.
        rate: frames per second of image sequences.
        missing: what to do where numbers of a sequence lack (see `Source`).

    Raises:
        InputError: a folder or a glob gives nothing.
    """
    return find_sources(given, rate=rate, missing=missing)


def run_batch(
    specs: Sequence[JobSpec],
    pipeline: PipelineOptions,
    *,
    skip_existing: bool = False,
    on_start: Callable[[int, JobSpec], OnProgress],
    stop: Event | None = None,
) -> Iterator[Outcome]:
    """Does one job after the other; one that fails does not stop the others.

    Args:
        specs: the jobs, checked together before the first is begun.
        pipeline: the networks, loaded once, when the first job's inputs have proved good.
        skip_existing: skip jobs whose outputs all exist.
        on_start: called with the number, from 0, and the spec of the job that begins; what it returns
            receives the job's progress.
        stop: when it is set, the current job is stopped and no other is begun.

    Yields:
        What became of each, in order.

    Raises:
        OptionError: a spec is contradictory, or two jobs write the same file.
        AutohairError: the networks cannot be loaded, so that no job can be done.
        StoppedError: ``stop`` was set.
    """
    check_together(specs)
    lazy = LazyPipeline(pipeline)
    for number, spec in enumerate(specs):
        if skip_existing and _is_done(spec):
            yield Outcome(spec)
            continue
        try:
            report = run_job(spec, lazy, on_progress=on_start(number, spec), stop=stop)
        except StoppedError:
            raise
        except Exception as exc:
            if exc is lazy.error:
                raise
            if len(specs) > 1:
                _log.debug("job of %s failed", spec.source, exc_info=exc)
            yield Outcome(spec, error=exc)
        else:
            yield Outcome(spec, report=report)


def _is_done(spec: JobSpec) -> bool:
    interrupted = spec.options.resume and finalize_was_interrupted(spec.output_paths()[0])
    return spec.is_done and not interrupted


def check_together(specs: Sequence[JobSpec]) -> None:
    """Raises OptionError if a spec is contradictory, or two write the same file."""
    writers: dict[Path, list[str]] = defaultdict(list)
    for spec in specs:
        try:
            paths = spec.output_paths()
        except OptionError as exc:
            raise OptionError(f"{spec.source}: {exc}" if len(specs) > 1 else str(exc)) from exc
        for path in {path.resolve() for path in paths}:
            writers[path].append(str(spec.source))
    for path, names in writers.items():
        if len(names) > 1:
            raise OptionError(
                f"{names[0]} and {names[1]} would both be written to {path.name}: "
                "put {name} into the output's name, or rename an input"
            )
