"""Options that commands share and that are no fields of a group, and what their texts stand for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from autohair_video.errors import OptionError
from autohair_video.options import MattingOptions, PipelineOptions, SubjectOptions, TrimapOptions

JsonOption = Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Write the figures as JSON.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
AutomaticTrimapOption = Annotated[str, typer.Option("--trimap", help="adaptive or fixed:EROSION,SIZE.")]


def parse_trimap(text: str, *, or_file: bool = False) -> TrimapOptions:
    """``adaptive`` or ``fixed:EROSION,SIZE``; with ``or_file`` the error names ``file:PATH`` too.

    >>> parse_trimap("fixed:5,25").size
    25

    Raises:
        OptionError: it is neither.
    """
    if text == "adaptive":
        return TrimapOptions()
    kind, _, rest = text.partition(":")
    numbers = [number.strip() for number in rest.split(",")]
    if kind == "fixed" and len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        return TrimapOptions(mode="fixed", erosion=int(numbers[0]), size=int(numbers[1]))
    known = "adaptive, fixed:EROSION,SIZE or file:PATH" if or_file else "adaptive or fixed:EROSION,SIZE"
    raise OptionError(f"unknown trimap {text!r}: use {known}")


def with_trimap(pipeline: PipelineOptions, trimap: TrimapOptions) -> PipelineOptions:
    """The same pipeline with the trimaps that ``--trimap`` says; the other options of trimaps stay."""
    asked = pipeline.matting.trimap
    made = replace(asked, mode=trimap.mode, erosion=trimap.erosion, size=trimap.size)
    return replace(pipeline, matting=replace(pipeline.matting, trimap=made))


def trimap_file(text: str) -> Path | None:
    """The path of ``file:PATH``; None if ``text`` is something else.

    >>> trimap_file("adaptive")
    """
    kind, _, path = text.partition(":")
    return Path(path) if kind == "file" and path else None


def parse_subject(text: str) -> SubjectOptions:
    """``all``, ``largest``, a count, ``point:X,Y[@TIME]`` or ``box:X,Y,W,H[@TIME]``.

    >>> parse_subject("point:320,80@1.5").place, parse_subject("2").count
    ((320.0, 80.0), 2)

    Raises:
        OptionError: it is none of these.
    """
    if text == "all":
        return SubjectOptions()
    if text == "largest" or text.isdecimal():
        return SubjectOptions(choice="largest", count=int(text) if text.isdecimal() else 1)
    kind, _, place = text.partition(":")
    place, at_s = split_time(place)
    try:
        numbers = tuple(float(number) for number in place.split(","))
    except ValueError:
        numbers = ()
    if kind == "point" and len(numbers) == 2:
        return SubjectOptions(choice="point", place=numbers, at_s=at_s)
    if kind == "box" and len(numbers) == 4:
        return SubjectOptions(choice="box", place=numbers, at_s=at_s)
    raise OptionError(
        f"unknown subject {text!r}: use all, largest, a count, point:X,Y[@TIME] or box:X,Y,W,H[@TIME]"
    )


def split_time(text: str) -> tuple[str, float]:
    """What stands before ``@TIME``, and the time in seconds; 0 without it.

    >>> split_time("mask.png@2.5"), split_time("me@home.png")
    (('mask.png', 2.5), ('me@home.png', 0.0))
    """
    head, mark, time = text.rpartition("@")
    try:
        return (head, float(time)) if mark else (text, 0.0)
    except ValueError:
        return text, 0.0


def choose_subject(subject: str, mask: str | None, others: SubjectOptions) -> SubjectOptions:
    """What ``--subject`` and ``--mask`` say together; ``keep`` and ``drop`` are those of ``others``.

    Raises:
        OptionError: they exclude each other, or one is wrong.
    """
    options = parse_subject(subject)
    if mask is not None:
        if options.choice != "all":
            raise OptionError("--mask is a choice of the subject: leave out --subject, or the mask")
        path, at_s = split_time(mask)
        options = SubjectOptions(choice="mask", mask=Path(path), at_s=at_s)
    return replace(options, keep=others.keep, drop=others.drop)


def lookahead_warnings(matting: MattingOptions, given: frozenset[str]) -> list[str]:
    """A line if ``--lookahead`` is given where nothing looks ahead."""
    temporal = matting.temporal
    if temporal.mode == "lookahead" or "--lookahead" not in given:
        return []
    return [f"--lookahead has no effect with --temporal {temporal.mode}"]
