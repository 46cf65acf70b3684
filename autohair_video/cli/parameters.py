"""Command-line parameters made from option groups.

A command takes whole groups (`JobOptions`, `PipelineOptions`); `with_options` gives it a parameter for each
of their fields that has a flag, with the field's type, default and help. So a field that is declared in
`autohair_video.options` is an option of every command that takes its group, and a key of the configuration
file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from functools import wraps
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Optional,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from autohair_video.cli.console import say
from autohair_video.option_group import OptionGroup, OptionInfo, option_info, option_types
from autohair_video.options import PipelineOptions

Command = TypeVar("Command", bound=Callable[..., None])
# The names that lead to a field, from the command's parameter on.
Path = tuple[str, ...]


@dataclass(frozen=True)
class _Fields:
    """Fields of a group, or groups in it, by their dotted names."""

    names: tuple[str, ...]

    def covers(self, name: str) -> bool:
        """Whether a field is among them."""
        return any(name == one or name.startswith(f"{one}.") for one in self.names)


class Only(_Fields):
    """Annotates a group of which a command takes these fields and no others."""


class Without(_Fields):
    """Annotates a group of which a command takes all fields but these."""


class Given(frozenset[str]):
    """The flags of options that a call gives, whatever their values: a command may ask for them."""


@dataclass(frozen=True)
class _Parameter:
    """A command-line parameter that stands for a field of a group."""

    path: Path
    kind: Any
    info: OptionInfo
    default: Any

    @property
    def name(self) -> str:
        """Its name in the command's signature."""
        return "__".join(self.path)

    @property
    def flag(self) -> str:
        """How it is written: ``--flag``, or ``--flag/--no-flag``."""
        return cast(str, self.info.flag)

    def as_option(self, flag: str, name: str, *, hidden: bool = False) -> inspect.Parameter:
        """The parameter as typer takes it; None stands for "not given"."""
        shown = typer.Option(
            *([flag] if hidden else self.flag.split()),
            help=self._help(),
            metavar=self._metavar(),
            show_default=False,
            hidden=hidden,
        )
        annotation: Any = Annotated[Optional[_typer_type(self.kind)], shown]  # noqa: UP045  # a value, no type
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    def _help(self) -> str:
        default = self.info.shown_default
        if default is None and self.default is True:
            default = self.flag.partition("/")[0][2:]
        if default is None and self.default is not None and self.default is not False:
            default = str(self.default)
        return self.info.help if default is None else f"{self.info.help} [default: {default}]"

    def _metavar(self) -> str | None:
        if self.info.metavar is None and get_origin(self.kind) is Literal:
            return "|".join(get_args(self.kind))
        return self.info.metavar


def with_options(command: Command) -> Command:
    """Replaces those parameters of a command that are option groups by one for each of their fields.

    A group may be annotated with `Only` or `Without`. A parameter of type `Given` receives the call's flags.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: group for name, hint in hints.items() if (group := _group(hint)) is not None}
    asks_for_given = [name for name, hint in hints.items() if hint is Given]
    parameters = [p for name, group in groups.items() for p in _parameters(group, (name,), hints[name])]
    options = [p.as_option(p.flag, p.name) for p in parameters]
    options += [
        p.as_option(alias, _alias(p, alias), hidden=True) for p in parameters for alias in p.info.aliases
    ]

    @wraps(command)
    def with_groups(**arguments: Any) -> None:
        values, given = _values(parameters, arguments)
        for name, group in groups.items():
            arguments[name] = build(group, (name,), values)
        command(**arguments, **dict.fromkeys(asks_for_given, Given(given)))

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name not in groups and name not in asks_for_given
    ]
    signature = inspect.Signature([*own, *options])
    with_groups.__signature__ = signature  # type: ignore[attr-defined]  # read by typer
    with_groups.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return cast(Command, with_groups)


def build(group: type[OptionGroup], path: Path, values: Mapping[Path, Any]) -> OptionGroup:
    """A group with the given values, by the paths of their fields, and the defaults for the others.

    Raises:
        OptionError: a value is refused.
    """
    if group is PipelineOptions:
        return _changed(PipelineOptions.for_tier(values.get((*path, "tier"), "fast")), path, values)
    return _changed(group(), path, values)


def _changed(group: OptionGroup, path: Path, values: Mapping[Path, Any]) -> OptionGroup:
    changes = {}
    for declared in fields(group):  # type: ignore[arg-type]  # a dataclass
        inner, kind = (*path, declared.name), option_types(type(group))[declared.name]
        if inner in values:
            changes[declared.name] = _parsed(values[inner], kind)
        elif is_dataclass(kind) and any(key[: len(inner)] == inner for key in values):
            changes[declared.name] = _changed(getattr(group, declared.name), inner, values)
    return replace(group, **changes)  # type: ignore[type-var]  # a dataclass


def _group(hint: Any) -> type[OptionGroup] | None:
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return kind if isinstance(kind, type) and issubclass(kind, OptionGroup) else None


def _parameters(group: type[OptionGroup], path: Path, hint: Any) -> Iterator[_Parameter]:
    """The fields of a group and of the groups in it that a command takes."""
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    for parameter in _all_parameters(group, path):
        name = ".".join(parameter.path[len(path) :])
        only = [mark for mark in marks if isinstance(mark, Only)]
        without = [mark for mark in marks if isinstance(mark, Without)]
        if all(mark.covers(name) for mark in only) and not any(mark.covers(name) for mark in without):
            yield parameter


def _all_parameters(group: type[OptionGroup], path: Path) -> Iterator[_Parameter]:
    for declared in fields(group):  # type: ignore[arg-type]  # a dataclass
        kind, info = option_types(group)[declared.name], option_info(declared)
        if is_dataclass(kind):
            yield from _all_parameters(cast(type[OptionGroup], kind), (*path, declared.name))
        elif info is not None and info.flag is not None:
            yield _Parameter((*path, declared.name), kind, info, declared.default)


def _values(parameters: list[_Parameter], arguments: dict[str, Any]) -> tuple[dict[Path, Any], set[str]]:
    """Takes out of a call's arguments those that stand for fields; and the flags that were given."""
    values, given = {}, set()
    for parameter in parameters:
        value = arguments.pop(parameter.name)
        for alias in parameter.info.aliases:
            former = arguments.pop(_alias(parameter, alias))
            if former is not None:
                say(f"note: {alias} is now {parameter.flag}")
                value = former if value is None else value
        if value is not None:
            values[parameter.path] = value
            given.add(parameter.flag)
    return values, given


def _alias(parameter: _Parameter, alias: str) -> str:
    return f"{parameter.name}__{alias[2:].replace('-', '_')}"


def _typer_type(kind: Any) -> Any:
    """The type that typer parses a field's value as; the rest is up to the group."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    return str if get_origin(kind) is Literal or kind is Fraction else kind


def _parsed(value: Any, kind: Any) -> Any:
    """A value as the field holds it."""
    if Fraction in get_args(kind):
        from autohair_video.media.inputs import parse_rate

        return parse_rate(value)
    return value
