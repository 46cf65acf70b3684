"""``--verbose`` and ``--debug``, which go with every command."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, TypeVar, cast, get_type_hints

import typer

Command = TypeVar("Command", bound=Callable[..., None])
DEBUG: Final = "--debug"
VERBOSE: Final = "--verbose"
_KEY: Final = "autohair_video.debug"


def is_debug(context: Any) -> bool:
    """Whether ``--debug`` was given to the call of a click context, or of one below it."""
    return context is not None and bool(context.meta.get(_KEY, False))


def with_log_options(command: Command) -> Command:
    """The same command with the two options; they take effect as they are parsed."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
    ]

    @wraps(command)
    def with_log(*, verbose: bool, debug: bool, **arguments: Any) -> None:
        command(**arguments)

    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    signature = inspect.Signature([*own, *shared])
    with_log.__signature__ = signature  # type: ignore[attr-defined]  # read by typer
    with_log.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return cast(Command, with_log)


def _verbose(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        _log_to_stderr(context, logging.INFO)
    return wanted


def _debug(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        context.meta[_KEY] = True
        _log_to_stderr(context, logging.DEBUG)
    return wanted


_OPTIONS: Final[dict[str, Any]] = {
    "verbose": Annotated[
        bool, typer.Option(VERBOSE, is_eager=True, callback=_verbose, help="Log what is done.")
    ],
    "debug": Annotated[
        bool,
        typer.Option(
            DEBUG, is_eager=True, callback=_debug, help="Show the traceback of an error; log everything."
        ),
    ],
}


def _log_to_stderr(context: typer.Context, level: int) -> None:
    """Shows the package's log until the end of the call."""
    logger, handler = logging.getLogger("autohair_video"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level if before == logging.NOTSET else min(level, before))

    def restore() -> None:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)

    context.find_root().call_on_close(restore)
