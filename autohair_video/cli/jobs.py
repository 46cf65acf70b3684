"""Runs the jobs of a bare call, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

import typer

from autohair_video.cli.console import progress_lines, say, stop_on_signal
from autohair_video.errors import AutohairError

if TYPE_CHECKING:
    from autohair_video.jobs.batch import Outcome
    from autohair_video.jobs.dry_run import Plan
    from autohair_video.jobs.runner import OnProgress
    from autohair_video.jobs.spec import JobSpec
    from autohair_video.matting.pipeline import MattingPipeline


def run_jobs(
    requests: Sequence[JobSpec],
    load: Callable[[], MattingPipeline],
    *,
    skip_existing: bool,
    check: bool,
    notices: Sequence[str],
    quiet: bool,
) -> None:
    """Run the jobs: outputs on stdout as they are done, notes and failures on stderr.

    A job that is alone raises its error; of several, each that fails has its line, and at the end the
    call fails with exit code 1. It also fails if ``check`` finds an output that is not as promised. Ctrl-C
    stops after the batch under way; the second one at once.
    """
    from autohair_video.jobs.batch import run_batch

    outcomes, sound = [], True
    lines = [*notices, *(line for request in requests for line in request.ineffective_option_warnings)]
    before_start = iter(dict.fromkeys(lines))

    with progress_lines(len(requests), quiet=quiet) as begin, stop_on_signal() as stop:

        def start_job(number: int, request: JobSpec) -> OnProgress:
            for line in () if quiet else before_start:
                say(f"note: {line}")
            return begin(number, str(request.source))

        jobs = run_batch(
            requests,
            pipeline=load,
            skip_existing=skip_existing,
            on_start=start_job,
            stop=stop,
        )
        for outcome in jobs:
            if outcome.error is not None and len(requests) == 1:
                raise outcome.error
            outcomes.append(outcome)
            _report_outcome(outcome, several=len(requests) > 1, quiet=quiet)
            if check and outcome.report is not None:
                sound = _verify_outputs(outcome.request, quiet=quiet) and sound
    if len(requests) > 1:
        _print_summary(outcomes, quiet=quiet)
    if not sound:
        raise typer.Exit(1)


def _verify_outputs(request: JobSpec, *, quiet: bool) -> bool:
    """Whether all outputs of a job are as promised; says so, and what is wrong with those that are not."""
    from autohair_video.verify.runner import unverifiable_reason, verify_job

    reason = unverifiable_reason(request)
    if reason is not None:
        say(f"not verified: {request.source}: {reason}")
        return True
    results = verify_job(request)
    for result in results:
        for check in result.failures:
            say(f"failed: {result.output}: {check.name}: expected {check.expected}, found {check.found}")
        if result.passed and not quiet:
            say(f"verified: {result.output}: {len(result.checks)} checks")
    return all(result.passed for result in results)


def plan_jobs(requests: Sequence[JobSpec], load: Callable[[], MattingPipeline]) -> None:
    """Print what each job would do and about what it would take; exit code 1 if one could not be done."""
    from autohair_video.jobs.batch import check_together
    from autohair_video.jobs.dry_run import plan_job

    check_together(requests)
    matter, failed = load(), False
    for request in requests:
        try:
            plan = plan_job(request, matter)
        except AutohairError as error:
            if len(requests) == 1:
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
    lines = [f"{plan.request.source}: {_input(plan)}"]
    for output in plan.outputs:
        size = "" if output.bytes is None else f", about {_size(output.bytes)}"
        lines.append(f"  -> {output.path}: {output.format}{size}")
    if plan.seconds is not None and plan.frames:
        rate = plan.frames / plan.seconds
        lines.append(f"  about {_time(plan.seconds)} on {plan.device} ({rate:.1f} frames a second)")
    if plan.peak_bytes is not None and plan.free_bytes is not None:
        needs = "" if plan.disk_bytes is None else f", {_size(plan.disk_bytes)} of disk"
        lines.append(f"  about {_size(plan.peak_bytes)} of memory{needs} ({_size(plan.free_bytes)} free)")
    return lines


def _input(plan: Plan) -> str:
    if plan.info is None:
        return "a picture"
    info, fmt = plan.info, plan.info.format
    rate = "unknown" if info.rate is None else f"{float(info.rate):.6g}"
    frames = "unknown many" if plan.frames is None else str(plan.frames)
    size = f"{fmt.width}x{fmt.height}, {fmt.bit_depth} bit, {info.codec}"
    return f"{frames} frames of {size}, {rate} a second"


def _size(count: int) -> str:
    """Bytes for people.

    >>> _size(1_234_567), _size(900)
    ('1.2 MB', '1 kB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{max(1, round(count / 1e3))} kB"


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
    source, report, error = outcome.request.source, outcome.report, outcome.error
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


def _print_summary(outcomes: Sequence[Outcome], *, quiet: bool) -> None:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    skipped = sum(outcome.is_skipped for outcome in outcomes)
    if not quiet:
        say(f"{len(outcomes) - len(failed) - skipped} done, {skipped} skipped, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)
