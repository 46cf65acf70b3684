"""What a bare call says of its jobs: progress, outputs, notices, failures, plans."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich import filesize

from autohair_video.cli.console import progress_lines, say
from autohair_video.errors import AutohairError

if TYPE_CHECKING:
    from autohair_video.jobs.batch import Outcome
    from autohair_video.jobs.dry_run import Plan
    from autohair_video.jobs.progress import OnProgress
    from autohair_video.jobs.spec import JobSpec
    from autohair_video.options import PipelineOptions


class JobReporter:
    """Outputs on stdout as they are done, notes and failures on stderr.

    Notes that are known before the work are printed before it. A job that is alone raises its error; of
    several, each that fails has its line, and `summarize` fails the call. It also fails if ``check`` finds an
    output that is not as promised.
    """

    def __init__(self, specs: Sequence[JobSpec], notices: Sequence[str], *, check: bool, quiet: bool) -> None:
        self._several, self._check, self._quiet = len(specs) > 1, check, quiet
        self._outcomes: list[Outcome] = []
        self._verified = True
        warnings = (line for spec in specs for line in spec.ineffective_option_warnings)
        self._before_start = iter(dict.fromkeys([*notices, *warnings]))
        self._progress = progress_lines(len(specs), quiet=quiet)
        self._stack = ExitStack()

    def start(self, number: int, spec: JobSpec) -> OnProgress:
        """Say what is known before the first job; what shows the progress of job ``number``."""
        for line in () if self._quiet else self._before_start:
            say(f"note: {line}")
        return self._begin(number, str(spec.source))

    def report(self, outcome: Outcome) -> None:
        """Say what became of a job.

        Raises:
            Exception: the error of a job that is alone.
        """
        if outcome.error is not None and not self._several:
            raise outcome.error
        self._outcomes.append(outcome)
        _report_outcome(outcome, several=self._several, quiet=self._quiet)
        if self._check and outcome.report is not None:
            self._verified &= _verify_outputs(outcome.spec, quiet=self._quiet)

    def summarize(self) -> None:
        """Say how many jobs were done.

        Raises:
            typer.Exit: one failed, or an output is not as promised.
        """
        failed = any(outcome.error is not None for outcome in self._outcomes)
        if self._several and not self._quiet:
            _print_summary(self._outcomes)
        if failed or not self._verified:
            raise typer.Exit(1)

    def __enter__(self) -> JobReporter:
        self._begin = self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def _verify_outputs(spec: JobSpec, *, quiet: bool) -> bool:
    """Whether all outputs of a job are as promised; says so, and what is wrong with those that are not."""
    from autohair_video.verify.runner import unverifiable_reason, verify_job

    reason = unverifiable_reason(spec)
    if reason is not None:
        say(f"not verified: {spec.source}: {reason}")
        return True
    results = verify_job(spec)
    for result in results:
        for check in result.failures:
            say(f"failed: {result.output}: {check.name}: expected {check.expected}, found {check.found}")
        if result.passed and not quiet:
            say(f"verified: {result.output}: {len(result.checks)} checks")
    return all(result.passed for result in results)


def print_plans(specs: Sequence[JobSpec], pipeline: PipelineOptions, notices: Sequence[str]) -> None:
    """Print what each job would do and about what it would take; exit code 1 if one could not be done."""
    from autohair_video.jobs.batch import check_together
    from autohair_video.jobs.dry_run import plan_job
    from autohair_video.matting.loading import load_pipeline

    check_together(specs)
    loaded, failed = load_pipeline(pipeline), False
    for line in notices:
        say(f"note: {line}")
    for spec in specs:
        try:
            plan = plan_job(spec, loaded)
        except AutohairError as error:
            if len(specs) == 1:
                raise
            say(f"failed: {error}")
            failed = True
            continue
        print("\n".join(_plan_lines(plan)), flush=True)
        for notice in plan.notices:
            say(f"note: {notice}")
        if not plan.fits:
            say(f"note: the disk of {plan.outputs[0].path} has too little room")
            failed = True
    if failed:
        raise typer.Exit(1)


def _plan_lines(plan: Plan) -> list[str]:
    lines = [f"{plan.spec.source}: {_input(plan)}"]
    for output in plan.outputs:
        size = "" if output.bytes is None else f", about {filesize.decimal(output.bytes)}"
        lines.append(f"  -> {output.path}: {output.format}{size}")
    if plan.seconds is not None and plan.frames:
        rate = plan.frames / plan.seconds
        lines.append(f"  about {_time(plan.seconds)} on {plan.device} ({rate:.1f} frames a second)")
    if plan.peak_bytes is not None and plan.free_bytes is not None:
        memory, free = filesize.decimal(plan.peak_bytes), filesize.decimal(plan.free_bytes)
        needs = "" if plan.disk_bytes is None else f", {filesize.decimal(plan.disk_bytes)} of disk"
        lines.append(f"  about {memory} of memory{needs} ({free} free)")
    return lines


def _input(plan: Plan) -> str:
    if plan.info is None:
        return "a still image"
    info, fmt = plan.info, plan.info.format
    rate = "unknown" if info.rate is None else f"{float(info.rate):.6g}"
    frames = "unknown many" if plan.frames is None else str(plan.frames)
    size = f"{fmt.width}x{fmt.height}, {fmt.bit_depth} bit, {info.codec}"
    return f"{frames} frames of {size}, {rate} a second"


def _time(seconds: float) -> str:
    """Seconds for people.

    >>> _time(3725), _time(75), _time(3.2)
    ('1 h 02 min', '1 min 15 s', '4 s')
    """
    whole = ceil(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def _report_outcome(outcome: Outcome, *, several: bool, quiet: bool) -> None:
    source, report, error = outcome.spec.source, outcome.report, outcome.error
    if error is not None:
        text = str(error) if isinstance(error, AutohairError) else f"{type(error).__name__}: {error}"
        say(f"failed: {text}" if str(source) in text else f"failed: {source}: {text}")
    elif report is not None and not quiet:
        for notice in report.notices:
            say(f"note: {source}: {notice}" if several else f"note: {notice}")
        for path in report.outputs:
            print(path, flush=True)
    elif report is None and not quiet:
        say(f"skipped: {source}: its outputs exist")


def _print_summary(outcomes: Sequence[Outcome]) -> None:
    failed = sum(outcome.error is not None for outcome in outcomes)
    skipped = sum(outcome.is_skipped for outcome in outcomes)
    say(f"{len(outcomes) - failed - skipped} done, {skipped} skipped, {failed} failed")
