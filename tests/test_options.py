"""Options: declared once, checked on creation, and the same on the command line and in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from autohair_video import InputError, JobOptions, OptionError, PipelineOptions, process
from autohair_video.cli import run
from autohair_video.option_group import option_info, option_types
from autohair_video.options import (
    BlendOptions,
    EdgeOptions,
    MattingOptions,
    SegmentOptions,
    SubjectOptions,
    TemporalOptions,
    TileOptions,
    TrimapOptions,
)

GROUPS = (JobOptions, PipelineOptions)


def _declared(group: Any) -> Iterator[tuple[Any, Any]]:
    """Every field of a group and of those in it, with its default."""
    for declared in fields(group):
        kind = option_types(group)[declared.name]
        if is_dataclass(kind):
            yield from _declared(kind)
        elif option_info(declared) is not None:
            yield declared, getattr(group, declared.name)


@pytest.mark.parametrize(
    ("group", "changes", "text"),
    [
        (SegmentOptions, {"long_side_px": 100}, "multiple of 32"),
        (SegmentOptions, {"every": 0}, "segmentation interval 0 is too small: use 1 or more"),
        (TrimapOptions, {"mode": "wide"}, "unknown trimap mode 'wide': use adaptive or fixed"),
        (TrimapOptions, {"band": 11.0}, "band scale 11.0 is not between 0.1 and 10"),
        (TrimapOptions, {"max_band_expansions": 9}, "number of band expansions 9 is not between 0 and 8"),
        (TileOptions, {"overlap_px": 97}, "tile overlap"),
        (TemporalOptions, {"mode": "never"}, "use off, causal or lookahead"),
        (TemporalOptions, {"lookahead": 17}, "look-ahead 17 is not between 1 and 16 frames"),
        (TemporalOptions, {"strength": 1.0}, r"temporal strength 1.0 is not between 0 and 1 \(1 excluded\)"),
        (EdgeOptions, {"choke_px": float("nan")}, "choke nan is not between -100 and 100 px"),
        (EdgeOptions, {"black_point": 0.6, "white_point": 0.5}, "black point < white point"),
        (BlendOptions, {"despill": "red"}, "unknown despill 'red': use green, blue or off"),
        (SubjectOptions, {"choice": "point"}, "a point is X,Y"),
        (JobOptions, {"segment_s": float("inf")}, "give more than 0"),
        (JobOptions, {"input_alpha": "drop"}, "unknown input alpha 'drop': use keep or replace"),
        (PipelineOptions, {"tier": "medium"}, "unknown tier 'medium': use fast or best"),
    ],
)
def test_values_out_of_range_are_refused(group: Any, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        group(**changes)


def test_paths_may_be_texts() -> None:
    options = JobOptions(matte="m.mkv", background=Path("b.png"))  # type: ignore[arg-type]
    assert (options.matte, options.background) == (Path("m.mkv"), "b.png")


def test_unknown_keywords_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(OptionError, match="no option 'backgroud': background was probably meant"):
        process("a.mp4", backgroud="red")


def test_former_keywords_still_work() -> None:
    with pytest.warns(DeprecationWarning, match="keep_alpha is now input_alpha"), pytest.raises(InputError):
        process("missing.mp4", keep_alpha=False)


@pytest.mark.parametrize("tier", ["fast", "best"])
def test_every_default_is_in_its_own_range(tier: Any) -> None:
    PipelineOptions.for_tier(tier)
    for group in GROUPS:
        for declared, default in _declared(group):
            info = option_info(declared)
            assert info is not None
            if default is not None and info.minimum is not None:
                assert info.minimum <= default


def test_every_flag_is_declared_once_and_in_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    flags = [info.flag for group in GROUPS for d, _ in _declared(group) if (info := option_info(d))]
    named = [flag for flag in flags if flag is not None]
    assert len(named) == len(set(named))
    assert run(["matte", "--help"]) == 0
    text = capfd.readouterr().out.replace(" / ", "/")
    assert [flag for flag in named if flag not in text] == []
    assert "--rounds" not in text


def test_the_command_line_builds_the_same_options_as_python() -> None:
    from autohair_video.cli.parameters import build

    values = {("p", "tier"): "best", ("p", "matting", "temporal", "mode"): "causal"}
    made = build(PipelineOptions, ("p",), values)
    assert isinstance(made, PipelineOptions)
    assert made.matting.trimap == MattingOptions.for_tier("best").trimap
    assert made.matting.temporal == TemporalOptions(mode="causal")
    assert build(JobOptions, ("j",), {}) == JobOptions()
    assert build(JobOptions, ("j",), {("j", "blend", "linear"): True}) == JobOptions(
        blend=BlendOptions(linear=True)
    )
