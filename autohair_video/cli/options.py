"""Options that commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from autohair_video.errors import OptionError
from autohair_video.options import (
    EdgeOptions,
    MattingOptions,
    SubjectChoice,
    SubjectOptions,
    TemporalMode,
    TemporalOptions,
    Tier,
    TrimapOptions,
)

if TYPE_CHECKING:
    from autohair_video.matting.pipeline import MattingPipeline

TierOption = Annotated[str, typer.Option("--tier", help="fast or best.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
TemporalOption = Annotated[
    str,
    typer.Option(
        "--temporal", help="Steadied by the frames before (causal), also by those after (lookahead), or off."
    ),
]
LookaheadOption = Annotated[
    int, typer.Option("--lookahead", metavar="N", help="How many frames lookahead looks ahead.")
]
RoundsOption = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        metavar="N",
        help="How often the band may grow where alpha is not settled at its rim (0 in tier fast, 2 in best).",
    ),
]
EveryOption = Annotated[
    int | None,
    typer.Option(
        "--segment-every",
        metavar="N",
        help="Look for the subject in one of N frames where it hardly moves (2 in tier fast, 1 in best).",
    ),
]
SegmenterOption = Annotated[
    str | None, typer.Option("--segmenter", help="Weights of your own: a file or a name of weights list.")
]
MatterOption = Annotated[
    str | None, typer.Option("--matter", help="Weights of the matting network, likewise.")
]
AutomaticTrimapOption = Annotated[str, typer.Option("--trimap", help="adaptive or fixed:EROSION,SIZE.")]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="PATH", help="Write the figures as JSON.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def parse_trimap(text: str, *, or_file: bool = False) -> TrimapOptions:
    """``adaptive`` or ``fixed:EROSION,SIZE``; with ``or_file`` the error names ``file:PATH`` too.

    >>> parse_trimap("fixed:5,25")
    TrimapOptions(mode='fixed', erosion=5, size=25, band=1.0, max_band_expansions=0)

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


def parse_input_alpha(text: str) -> bool:
    """Whether ``keep``, and not ``replace``, was said.

    Raises:
        OptionError: it is neither.
    """
    if text not in ("keep", "replace"):
        raise OptionError(f"unknown input alpha {text!r}: use keep or replace")
    return text == "keep"


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
    if text in ("all", "largest"):
        return SubjectOptions(choice=cast(SubjectChoice, text))
    if text.isdecimal():
        return SubjectOptions(choice="largest", count=int(text))
    kind, _, place = text.partition(":")
    place, at_s = split_time(place)
    try:
        numbers = tuple(float(number) for number in place.split(","))
    except ValueError:
        numbers = ()
    if kind not in ("point", "box") or len(numbers) != (2 if kind == "point" else 4):
        raise OptionError(
            f"unknown subject {text!r}: use all, largest, a count, point:X,Y[@TIME] or box:X,Y,W,H[@TIME]"
        )
    return SubjectOptions(choice=cast(SubjectChoice, kind), place=numbers, at_s=at_s)


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


def subject_options(subject: str, mask: str | None, keep: Path | None, drop: Path | None) -> SubjectOptions:
    """What ``--subject``, ``--mask``, ``--keep`` and ``--drop`` say together.

    Raises:
        OptionError: they exclude each other, or one is wrong.
    """
    options = parse_subject(subject)
    if mask is not None:
        if options.choice != "all":
            raise OptionError("--mask is a choice of the subject: leave out --subject, or the mask")
        path, at_s = split_time(mask)
        options = SubjectOptions(choice="mask", mask=Path(path), at_s=at_s)
    return replace(options, keep=keep, drop=drop)


def pipeline_loader(
    *,
    tier: str,
    device: str,
    trimap: TrimapOptions | None = None,
    temporal: str = "lookahead",
    lookahead: int = TemporalOptions.lookahead,
    rounds: int | None = None,
    every: int | None = None,
    edges: EdgeOptions | None = None,
    segmenter: str | None,
    matter: str | None,
) -> Callable[[], MattingPipeline]:
    """What loads the networks when all else has proved good.

    Raises:
        OptionError: there is no such tier or temporal mode.
    """
    options = MattingOptions.for_tier(cast(Tier, tier))
    rounds = options.trimap.max_band_expansions if rounds is None else rounds
    options = replace(
        options,
        segment=options.segment if every is None else replace(options.segment, every=every),
        trimap=replace(trimap or options.trimap, max_band_expansions=rounds),
        temporal=TemporalOptions(mode=cast(TemporalMode, temporal), lookahead=lookahead),
        edges=edges or EdgeOptions(),
    )
    # torch takes seconds to import: only a call that is going to work pays for it
    from autohair_video.matting.pipeline import MattingPipeline

    return partial(
        MattingPipeline,
        tier=cast(Tier, tier),
        device=device,
        options=options,
        segmenter=segmenter,
        matter=matter,
    )
