"""Times a live session, with a clip as its camera and no sink."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autohair_video.bench.report import describe_machine
from autohair_video.errors import OptionError
from autohair_video.live.run import LiveSinks, run_live
from autohair_video.live.settings import LiveOptions
from autohair_video.live.stats import SessionStats, as_json_dict
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.atomic_output import check_output, write_text
from autohair_video.options import Tier


def time_live_session(
    clip: Path,
    load: Callable[[], MattingPipeline],
    options: LiveOptions,
    *,
    seconds: float,
    json_path: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> SessionStats:
    """Runs a session for a while; frames count as displayed when they are rendered.

    Args:
        clip: plays at its own rate, repeatedly.
        load: loads the networks of ``options.tier``.
        options: as for `run_live`.
        seconds: duration.
        json_path: where the figures are written as JSON; overwritten.
        report: called with a line if the clip cannot be played as a camera.

    Raises:
        OptionError: the duration is not positive.
        InputError: the clip or the background cannot be read.
        OutputError: the JSON file cannot be written.
    """
    if not seconds > 0:
        raise OptionError(f"{seconds:g} seconds cannot be timed: give more than 0")
    if json_path is not None:
        check_output(json_path, overwrite=True)
    machine: dict[str, str | int] = {}

    def load_described(_: Tier) -> MattingPipeline:
        pipeline = load()
        machine.update(describe_machine(pipeline.device))
        return pipeline

    stats = run_live(
        str(clip),
        load=load_described,
        options=options,
        sinks=LiveSinks(window=False),
        report=report,
        seconds=seconds,
    )
    if json_path is not None:
        content: dict[str, Any] = {
            "clip": clip.name,
            "width": options.width,
            "height": options.height,
            "machine": machine,
            "options": asdict(options.matting),
            "live": as_json_dict(stats),
        }
        write_text(json_path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return stats
