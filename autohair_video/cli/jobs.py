"""Runs the jobs of a bare call, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from autohair_video.cli.console import progress_lines, say, stop_on_signal
from autohair_video.errors import AutohairError

if TYPE_CHECKING:
    from autohair_video.batch import Outcome
    from autohair_video.pipeline import Matter
    from autohair_video.request import Request


def run_jobs(
    requests: Sequence[Request],
    load: Callable[[], Matter],
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
    from autohair_video.batch import run_batch

    outcomes, sound = [], True
    with progress_lines(len(requests), quiet=quiet) as begin, stop_on_signal() as stop:
        jobs = run_batch(
            requests,
            matter=load,
            skip_existing=skip_existing,
            on_start=lambda number, request: begin(number, str(request.source)),
            stop=stop,
        )
        for outcome in jobs:
            if outcome.error is not None and len(requests) == 1:
                raise outcome.error
            outcomes.append(outcome)
            _tell(outcome, several=len(requests) > 1, quiet=quiet)
            if check and outcome.report is not None:
                sound = _verified(outcome.request, quiet=quiet) and sound
    if not quiet:
        for notice in notices:
            say(f"note: {notice}")
    if len(requests) > 1:
        _sum_up(outcomes, quiet=quiet)
    if not sound:
        raise typer.Exit(1)


def _verified(request: Request, *, quiet: bool) -> bool:
    """Whether all outputs of a job are as promised; says so, and what is wrong with those that are not."""
    from autohair_video.verify import verify_request

    results = verify_request(request)
    for result in results:
        for check in result.failures:
            say(f"failed: {result.output}: {check.name}: expected {check.expected}, found {check.found}")
        if result.passed and not quiet:
            say(f"verified: {result.output}: {len(result.checks)} checks")
    return all(result.passed for result in results)


def _tell(outcome: Outcome, *, several: bool, quiet: bool) -> None:
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


def _sum_up(outcomes: Sequence[Outcome], *, quiet: bool) -> None:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    skipped = sum(outcome.is_skipped for outcome in outcomes)
    if not quiet:
        say(f"{len(outcomes) - len(failed) - skipped} done, {skipped} skipped, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)
