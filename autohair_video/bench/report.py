"""Output of a benchmark: tables and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Group
from rich.table import Table

from autohair_video.bench.clip import BenchClip
from autohair_video.bench.competitor import CompetitorTime
from autohair_video.bench.end_to_end import EndToEndTime
from autohair_video.bench.stages import StageTime
from autohair_video.runtime.devices import working_dtype


@dataclass(frozen=True)
class BenchResult:
    """All results of one clip. ``baseline`` is the same clip decoded and encoded, without matting."""

    clip: BenchClip
    machine: Mapping[str, str | int]
    job: EndToEndTime
    baseline: EndToEndTime
    stages: tuple[StageTime, ...]
    against: CompetitorTime | None = None


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Device, precision and versions to which the figures belong."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": str(device),
        "device_name": name,
        "precision": str(working_dtype(device)).removeprefix("torch."),
        "cpus": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "system": platform.system(),
    }


def as_table(bench: BenchResult) -> Group:
    """Time per stage and the whole job, for a rich console."""
    clip, m = bench.clip, bench.machine
    title = f"{clip.name}, {clip.width}x{clip.height}, {bench.job.frames} frames, {m['device']}"
    parts = [_stage_table(bench.stages, title), _whole_table(bench)]
    return Group(*parts)


def as_json(bench: BenchResult) -> str:
    """Everything as a JSON text; seconds, milliseconds and bytes as the keys say."""
    clip = bench.clip
    content: dict[str, Any] = {
        "clip": {"name": clip.name, "width": clip.width, "height": clip.height},
        "machine": dict(bench.machine),
        "job": _job(bench.job),
        "codec_baseline": _job(bench.baseline),
        "fraction_of_baseline": bench.job.fps / bench.baseline.fps,
        "stages": [
            {
                "name": stage.name,
                "mean_ms": stage.mean_ms,
                "median_ms": stage.median_ms,
                "quartiles_ms": list(stage.spread_ms),
            }
            for stage in bench.stages
        ],
    }
    if bench.against is not None:
        content["against"] = _against(bench.against)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _against(other: CompetitorTime) -> dict[str, Any]:
    ours_fps, theirs_fps = other.fps
    return {
        **asdict(other),
        "ours_fps": ours_fps,
        "theirs_fps": theirs_fps,
        "ratios": list(other.ratios),
        "ratio": other.ratio,
    }


def _job(job: EndToEndTime) -> dict[str, Any]:
    return {
        "frames": job.frames,
        "fps": job.fps,
        "wall_s": job.wall_s,
        "cpu_s": job.cpu_s,
        "peak_rss_bytes": job.peak_memory_bytes,
        "peak_device_bytes": job.peak_device_memory_bytes,
    }


def _stage_table(stages: tuple[StageTime, ...], title: str) -> Table:
    table = Table(title=title, caption="each stage by itself; quartiles of the batches")
    for column in ("stage", "ms/frame", "median", "quartiles", "fraction"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    whole = sum(stage.mean_ms for stage in stages)
    for stage in stages:
        low, high = stage.spread_ms
        table.add_row(
            stage.name,
            f"{stage.mean_ms:.1f}",
            f"{stage.median_ms:.1f}",
            f"{low:.1f} - {high:.1f}",
            f"{stage.mean_ms / whole:.0%}",
        )
    table.add_section()
    table.add_row("all, in turn", f"{whole:.1f}", "", "", f"{1000 / whole:.2f} fps")
    return table


def _whole_table(bench: BenchResult) -> Table:
    job, baseline = bench.job, bench.baseline
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("whole job, stages overlapped", f"{job.fps:.2f} fps")
    table.add_row("processor time of all threads", f"{1000 * job.cpu_s / job.frames:.1f} ms/frame")
    table.add_row("codec baseline: decode and encode alone", f"{baseline.fps:.2f} fps")
    table.add_row("fraction of the baseline", f"{job.fps / baseline.fps:.1%}")
    table.add_row("peak memory", _megabytes(job.peak_memory_bytes))
    if job.peak_device_memory_bytes is not None:
        table.add_row("peak memory of the device", _megabytes(job.peak_device_memory_bytes))
    if (other := bench.against) is not None:
        table.add_section()
        (ours_fps, theirs_fps), start = other.fps, other.startup
        table.add_row("the other program", other.command)
        table.add_row("start-up: this program, the other", f"{start.ours_s:.2f}, {start.theirs_s:.2f} s")
        table.add_row("frame rate: this program, the other", f"{ours_fps:.2f}, {theirs_fps:.2f} fps")
        spread = f"{min(other.ratios):.2f} - {max(other.ratios):.2f}"
        table.add_row(
            f"speed ratio, median of {len(other.pairs)} pairs (range)", f"{other.ratio:.2f} ({spread})"
        )
    return table


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"
