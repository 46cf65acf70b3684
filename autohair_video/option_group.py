"""Frozen groups of options whose fields are declared once: type, default, range, help, command-line flag."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from autohair_video.errors import OptionError

T = TypeVar("T", bound="OptionGroup")
_METADATA: Final = "option"


@dataclass(frozen=True)
class OptionInfo:
    """What is declared of a field besides its type and default.

    Attributes:
        help: one sentence for ``--help`` and the reference.
        flag: its name on the command line, ``--on/--off`` for a pair; None if it cannot be set there.
        aliases: former names, accepted there and in files for one release.
        name: what an error calls it, if not by the field's name.
        minimum, maximum: the range of values, both included unless ``below`` is set.
        below: excludes ``maximum`` itself.
        unit: follows the range in errors.
        metavar: stands for the value in ``--help``.
        shown_default: how ``--help`` names a default that depends on something else.
    """

    help: str
    flag: str | None = None
    aliases: tuple[str, ...] = ()
    name: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    below: bool = False
    unit: str = ""
    metavar: str | None = None
    shown_default: str | None = None


def option(default: Any, help: str, **info: Any) -> Any:
    """A field of an option group; see `OptionInfo` for ``info``."""
    return field(default=default, metadata={_METADATA: OptionInfo(help, **info)})


def option_info(declared: Field[Any]) -> OptionInfo | None:
    """What `option` declared of a field; None for a field that is a group of its own."""
    info: OptionInfo | None = declared.metadata.get(_METADATA)
    return info


def option_types(group: Any) -> dict[str, Any]:
    """The evaluated type of each field of a group."""
    return _option_types(group)


@cache
def _option_types(group: Any) -> dict[str, Any]:
    return get_type_hints(group)


class OptionGroup:
    """Base of the groups: checks every field against its declaration."""

    def __post_init__(self) -> None:
        for declared in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            kind, value = option_types(type(self))[declared.name], getattr(self, declared.name)
            if Path in get_args(kind) and value is not None:
                object.__setattr__(self, declared.name, Path(value))
            info = option_info(declared)
            if info is not None:
                _check_value(info.name or declared.name.replace("_", " "), value, kind, info)


def _check_value(name: str, value: Any, kind: Any, info: OptionInfo) -> None:
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise OptionError(f"unknown {name} {value!r}: use {_listed(get_args(kind))}")
    if value is None or info.minimum is None:
        return
    if info.maximum is None:
        if not info.minimum <= value:
            raise OptionError(f"{name} {value} is too small: use {info.minimum} or more")
    elif not info.minimum <= value <= info.maximum or (info.below and value == info.maximum):
        excluded = f" ({info.maximum} excluded)" if info.below else ""
        unit = f" {info.unit}" if info.unit else ""
        raise OptionError(f"{name} {value} is not between {info.minimum} and {info.maximum}{excluded}{unit}")


def _listed(choices: tuple[str, ...]) -> str:
    """Words in a sentence.

    >>> _listed(("off", "causal", "lookahead"))
    'off, causal or lookahead'
    """
    return " or ".join([", ".join(choices[:-1]), choices[-1]])


def check_choice(name: str, value: str, choices: Any) -> None:
    """Refuse a value that is none of the ``choices`` of a Literal type.

    Raises:
        OptionError: it is none of them.
    """
    if value not in get_args(choices):
        raise OptionError(f"unknown {name} {value!r}: use {_listed(get_args(choices))}")


def with_changes(options: T, changes: dict[str, Any]) -> T:
    """The same options with other values of some fields.

    Raises:
        OptionError: a name is none of the group's fields, or a value is refused.
    """
    names = {declared.name for declared in fields(options)}  # type: ignore[arg-type]  # a dataclass
    for name in changes:
        if name not in names:
            meant = get_close_matches(name, names, 1)
            hint = f": {meant[0]} was probably meant" if meant else ""
            raise OptionError(f"{type(options).__name__} has no option {name!r}{hint}")
    changed: T = replace(options, **changes)  # type: ignore[type-var]  # a dataclass
    return changed
