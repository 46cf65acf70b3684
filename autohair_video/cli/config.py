"""Options from a TOML file, for what a project would else type with every call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import typer

from autohair_video.errors import InputError, OptionError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# They say what to do with this one call.
_NOT_HERE: Final = ("config", "help", "version", "debug")


def take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Makes what the file says the defaults of the call, so that the command line wins.

    Its keys are the options' long names without dashes (``bg = "blur"``, ``choke = 1.5``), on one level.

    Raises:
        InputError: the file is missing or is no TOML.
        OptionError: a key is no option, or its value is of another kind than the option's.
    """
    if path is not None:
        options = {
            name[2:]: option
            for option in context.command.params
            for name in option.opts
            if name.startswith("--")
        }
        said = _read(path)
        for key, value in said.items():
            if key not in options or key in _NOT_HERE:
                raise OptionError(f"{path}: {key!r} is no option that can be set in a file: see --help")
            _check(path, key, value, options[key])
        context.default_map = {str(options[key].name): _as_typed(value) for key, value in said.items()}
    return path


def _as_typed(value: Any) -> Any:
    """A value as the command line would have it: numbers are read from text."""
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if isinstance(value, bool) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InputError(f"{path} is not TOML: {str(exc).splitlines()[0]}") from exc
    return said


def _check(path: Path, key: str, value: Any, option: Any) -> None:
    if option.is_flag:
        if not isinstance(value, bool):
            raise OptionError(f"{path}: {key} is true or false, not {value!r}")
        return
    values = value if option.multiple and isinstance(value, list) and value else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values):
        what = "texts" if option.multiple else "a text or a number"
        raise OptionError(f"{path}: {key} is {what}, not {value!r}")
    if option.multiple and not isinstance(value, list):
        raise OptionError(f"{path}: {key} is a list: write [{value!r}]")
