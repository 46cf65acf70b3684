"""A live session by the clock, with a clip as its camera and nobody who shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autohair_video.bench.report import describe_machine
from autohair_video.errors import OptionError
from autohair_video.live.run import LiveSinks, run_live
from autohair_video.live.settings import LiveOptions
from autohair_video.live.stats import SessionStats, as_figures
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.atomic_output import check_output, write_text
from autohair_video.options import Tier, TrimapOptions


def time_live_session(
    clip: Path,
    load: Callable[[], MattingPipeline],
    background: str,
    *,
    seconds: float,
    tier: Tier = "fast",
    trimap: TrimapOptions | None = None,
    json_path: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> SessionStats:
    """Runs a session of 640x360 for a while; pictures count as displayed when they are drawn.

    Args:
        clip: plays at its own rate, again and again.
        load: makes the networks of ``tier``.
        background: what the subject is put on.
        seconds: how long it runs.
        tier: of the networks.
        trimap: how trimaps are made; adaptive without it.
        json_path: where the figures go as JSON, over what is there.
        say: told what is wrong with the clip as a camera.

    Raises:
        OptionError: the time is none.
        InputError: the clip or the background cannot be read.
        OutputError: the JSON file cannot be written.
    """
    if not seconds > 0:
        raise OptionError(f"{seconds:g} seconds cannot be timed: give more than 0")
    if json_path is not None:
        check_output(json_path, overwrite=True)
    options, machine = LiveOptions(backgrounds=(background,), tier=tier, trimap=trimap or TrimapOptions()), {}

    def loaded(_: Tier) -> MattingPipeline:
        matter = load()
        machine.update(describe_machine(matter.device))
        return matter

    nobody = LiveSinks(window=False)
    measured = run_live(str(clip), load=loaded, options=options, outlets=nobody, say=say, seconds=seconds)
    if json_path is not None:
        content: dict[str, Any] = {
            "clip": clip.name,
            "width": options.width,
            "height": options.height,
            "machine": machine,
            "live": as_figures(measured),
        }
        write_text(json_path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return measured
