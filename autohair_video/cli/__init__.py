"""The command line: parse, build options, call, print.

app         the commands together, and what becomes of errors
parameters  command-line parameters made from option groups
options     options that commands share, and their texts
config      options from a TOML file
log         --verbose and --debug
console     progress, notes and tables
matte       the default command
jobs        what it says of its jobs
formats     the table of output formats
probe       what a clip holds
verify      an output compared with its input
live        a camera, matted as it runs
evaluate    errors of the mattes of a folder whose alpha is known
compare     segmenters, trimaps and engines on one sheet
bench       how fast a job or a live session is
doctor      what a bug report needs
weights     weights list, verify, add
train       train segmenter, matting, mean, pack

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

__all__ = ["main", "run"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process."""
    # Modules that are being imported may turn a KeyboardInterrupt into an error of their own.
    signal.signal(signal.SIGINT, _end_at_once)
    from autohair_video.cli.app import main as run_app

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_app()


def run(arguments: Sequence[str]) -> int:
    """Run one call; see `autohair_video.cli.app.run`."""
    from autohair_video.cli.app import run as run_app

    return run_app(arguments)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """While nothing has begun, nothing is to be tidied up."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"autohair-video: interrupted\n")
    os._exit(_INTERRUPTED)
