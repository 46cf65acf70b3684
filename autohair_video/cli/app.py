"""The commands together, and what becomes of errors: one line on stderr and an exit code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autohair_video.cli.console import say
from autohair_video.cli.formats import formats_command
from autohair_video.cli.live import live_command
from autohair_video.cli.matte import matte_command
from autohair_video.cli.measure import bench_command, compare_command, evaluate_command
from autohair_video.cli.probe import probe_command
from autohair_video.cli.train import train
from autohair_video.cli.verify import verify_command
from autohair_video.cli.weights import weights
from autohair_video.errors import AutohairError

PROGRAM = "autohair-video"
_BARE = "matte"
_DEBUG = "--debug"
_HELP = ("--help", "-h")
_INTERRUPTED = 130
_M_ARENA_MAX = -8  # malloc.h
# By its version typer brings its own click or takes the installed one; this base class is in either.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)


class _Commands(TyperGroup):
    """Sub-commands beside a bare call, whose options head the help."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(PROGRAM, "INPUT... [OPTIONS]")
        formatter.write_usage(PROGRAM, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.commands[_BARE].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


app = typer.Typer(
    cls=_Commands,
    help="Hair-accurate alpha mattes for video and pictures.",
    context_settings={"help_option_names": list(_HELP)},
    add_completion=False,
    rich_markup_mode=None,
)
app.command(_BARE)(matte_command)
app.command("formats")(formats_command)
app.command("probe")(probe_command)
app.command("verify")(verify_command)
app.command("live")(live_command)
app.command("evaluate")(evaluate_command)
app.command("compare")(compare_command)
app.command("bench")(bench_command)
app.add_typer(weights, name="weights")
app.add_typer(train, name="train")


def main() -> None:
    """Run the command line and end the process."""
    settle()
    # whoever ends the job by the usual signal finds no half-written files either
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def settle() -> None:
    """How this process, before torch is loaded, and those that it starts use cores and memory.

    Threads that wait for work leave the cores to decoder and encoder. All share two heaps: glibc gives
    each one of its own, and each keeps what it has freed, some 200 MB in a job at 720p.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    # elsewhere than with glibc there is no such call
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def run(arguments: Sequence[str]) -> int:
    """Run one call; the exit code: 0, 1 (failed job), 2 (wrong call) or 130 (interrupted)."""
    arguments, debug = _take_debug(list(arguments))
    commands = cast(TyperGroup, get_command(app))
    # a copy, as parsing empties it
    named = [*arguments] or [_HELP[0]]
    if named[0] not in {*commands.commands, *_HELP}:
        if (meant := _misspelt(named[0], commands.commands)) is not None:
            return _failed(f"there is no clip {named[0]}: for the command write {meant}", 2)
        named = [_BARE, *named]
    try:
        with commands.make_context(PROGRAM, named) as context:
            commands.invoke(context)
    except typer.Exit as exc:
        return exc.exit_code if arguments else 2
    except _UsageError as exc:
        return _failed(_usage_text(exc), 2)
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED)
    except AutohairError as exc:
        return _failed(str(exc), exc.exit_code, debug=debug)
    except Exception as exc:
        text = f"{type(exc).__name__}: {exc} (a fault of this program; {_DEBUG} shows where)"
        return _failed(text, 1, debug=debug)
    return 0


def _misspelt(word: str, commands: Iterable[str]) -> str | None:
    """The command that a call's first word was probably meant to be, if there is no such file."""
    close = get_close_matches(word, commands, 1, cutoff=0.8)
    return close[0] if close and not Path(word).exists() else None


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without ``--debug``, which goes with every command, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != _DEBUG]
    return options + arguments[end:], len(options) < end


def _usage_text(error: Any) -> str:
    command = error.ctx.command_path if error.ctx else PROGRAM
    return f"{error.format_message().rstrip('.')} (see {command} --help)"


def _failed(text: str, code: int, *, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    else:
        say(f"{PROGRAM}: {text}")
    return code
