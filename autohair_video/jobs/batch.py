"""Many jobs in one call: one after the other with the same networks, whatever becomes of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from autohair_video.errors import OptionError, StoppedError
from autohair_video.jobs.checkpoint import finalize_was_interrupted
from autohair_video.jobs.runner import LoadPipeline, OnProgress, Report, run_job
from autohair_video.jobs.spec import JobSpec, StrPath
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.inputs import Source, find_sources, parse_rate


@dataclass(frozen=True)
class Outcome:
    """What became of one job: its report, or its error; neither where its outputs were there already."""

    request: JobSpec
    report: Report | None = None
    error: Exception | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether there was nothing to do."""
        return self.report is None and self.error is None


def expand_inputs(given: Sequence[StrPath], *, rate: str | None = None) -> list[Source]:
    """All inputs that files, folders, globs, sequences, URLs and ``-`` stand for.

    Args:
        given: see `find_sources`.
        rate: frames per second of numbered stills: ``24``, ``23.976`` or ``30000/1001``.

    Raises:
        InputError: a folder or a glob gives nothing.
        OptionError: the rate is no number.
    """
    return find_sources(given, rate=None if rate is None else parse_rate(rate))


def run_batch(
    requests: Sequence[JobSpec],
    *,
    pipeline: LoadPipeline,
    skip_existing: bool = False,
    on_start: Callable[[int, JobSpec], OnProgress],
    stop: Event | None = None,
) -> Iterator[Outcome]:
    """Does one request after the other; one that fails does not stop the others.

    Args:
        requests: what is asked; checked together before the first is begun.
        pipeline: loads the networks, once, when the first job's inputs have proved good.
        skip_existing: pass over requests whose outputs are all there.
        on_start: called with the number, from 0, and the request that begins; what it returns is told
            the job's progress.
        stop: when it is set, the job under way is stopped and no other is begun.

    Yields:
        What became of each, in order.

    Raises:
        OptionError: a request is contradictory, or two write the same file.
        AutohairError: the networks cannot be loaded, so that no job can be done.
        StoppedError: ``stop`` was set.
    """
    check_together(requests)
    networks = _LoadOnce(pipeline)
    for number, request in enumerate(requests):
        if skip_existing and _is_done(request):
            yield Outcome(request)
            continue
        try:
            report = run_job(request, pipeline=networks, on_progress=on_start(number, request), stop=stop)
        except StoppedError:
            raise
        except Exception as exc:
            if exc is networks.error:
                raise
            yield Outcome(request, error=exc)
        else:
            yield Outcome(request, report=report)


def _is_done(request: JobSpec) -> bool:
    return request.is_done and not (request.resume and finalize_was_interrupted(request.output_paths()[0]))


def check_together(requests: Sequence[JobSpec]) -> None:
    """Raises OptionError if a request is contradictory, or two write the same file."""
    writers: dict[Path, list[str]] = defaultdict(list)
    for request in requests:
        try:
            paths = request.output_paths()
        except OptionError as exc:
            raise OptionError(f"{request.source}: {exc}" if len(requests) > 1 else str(exc)) from exc
        for path in {path.resolve() for path in paths}:
            writers[path].append(str(request.source))
    for path, names in writers.items():
        if len(names) > 1:
            raise OptionError(
                f"{names[0]} and {names[1]} would both be written to {path.name}: "
                "put {name} into the output's name, or rename an input"
            )


class _LoadOnce:
    """Loads the networks at the first call, and keeps what was raised instead."""

    def __init__(self, load: LoadPipeline) -> None:
        self._load = load
        self._pipeline: MattingPipeline | None = None
        self.error: Exception | None = None

    def __call__(self) -> MattingPipeline:
        if self._pipeline is None:
            try:
                self._pipeline = self._load()
            except Exception as exc:
                self.error = exc
                raise
        return self._pipeline
