"""The commands together, and what becomes of errors: one line on stderr and an exit code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autohair_video.cli.bench import bench_command
from autohair_video.cli.compare import compare_command
from autohair_video.cli.console import say
from autohair_video.cli.doctor import doctor_command
from autohair_video.cli.evaluate import evaluate_command
from autohair_video.cli.formats import formats_command
from autohair_video.cli.live import live_command
from autohair_video.cli.log import DEBUG, VERBOSE, is_debug, with_log_options
from autohair_video.cli.matte import matte_command
from autohair_video.cli.probe import probe_command
from autohair_video.cli.train import train
from autohair_video.cli.verify import verify_command
from autohair_video.cli.weights import weights
from autohair_video.errors import AutohairError, OptionError

PROGRAM = "autohair-video"
_DEFAULT = "matte"
_HELP = ("--help", "-h")
_INTERRUPTED = 130
_M_ARENA_MAX = -8  # malloc.h
# By its version typer brings its own click or takes the installed one; this base class is in either.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)


class _Commands(TyperGroup):
    """Sub-commands, and a default one whose options head the help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the default command before arguments that begin with none."""
        first = next((arg for arg in args if arg not in (DEBUG, VERBOSE)), None)
        if first is not None and first not in {*self.commands, *_HELP}:
            if (meant := _misspelt(first, self.commands)) is not None:
                raise OptionError(f"there is no clip {first}: for the command write {meant}")
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(PROGRAM, "INPUT... [OPTIONS]")
        formatter.write_usage(PROGRAM, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.commands[_DEFAULT].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


app = typer.Typer(
    cls=_Commands,
    help="Hair-accurate alpha mattes for video and still images.",
    context_settings={"help_option_names": list(_HELP)},
    add_completion=False,
    rich_markup_mode=None,
)
_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    _DEFAULT: matte_command,
    "formats": formats_command,
    "probe": probe_command,
    "verify": verify_command,
    "live": live_command,
    "evaluate": evaluate_command,
    "compare": compare_command,
    "bench": bench_command,
    "doctor": doctor_command,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(with_log_options(_command))
app.add_typer(weights, name="weights")
app.add_typer(train, name="train")
for _registered in (*weights.registered_commands, *train.registered_commands):
    if _registered.callback is not None:
        _registered.callback = with_log_options(_registered.callback)


def main() -> None:
    """Run the command line and end the process."""
    configure_process()
    # whoever ends the job by the usual signal finds no half-written files either
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def configure_process() -> None:
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
    commands, context = cast(TyperGroup, get_command(app)), None
    try:
        # a copy, as parsing empties it
        with commands.make_context(PROGRAM, [*arguments] or [_HELP[0]]) as context:
            commands.invoke(context)
    except typer.Exit as exc:
        return exc.exit_code if arguments else 2
    except _UsageError as exc:
        return _failed(_usage_text(exc), 2)
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED)
    except AutohairError as exc:
        return _failed(str(exc), exc.exit_code, debug=is_debug(context))
    except Exception as exc:
        text = f"{type(exc).__name__}: {exc} (a fault of this program; {DEBUG} shows where)"
        return _failed(text, 1, debug=is_debug(context))
    return 0


def _misspelt(word: str, commands: Iterable[str]) -> str | None:
    """The command that a call's first word was probably meant to be, if there is no such file."""
    close = get_close_matches(word, commands, 1, cutoff=0.8)
    return close[0] if close and not Path(word).exists() else None


def _usage_text(error: Any) -> str:
    command = error.ctx.command_path if error.ctx else PROGRAM
    return f"{error.format_message().rstrip('.')} (see {command} --help)"


def _failed(text: str, code: int, *, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    else:
        say(f"{PROGRAM}: {text}")
    return code
