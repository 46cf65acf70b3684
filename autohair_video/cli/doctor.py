"""What a bug report needs: versions, devices, encoders, cameras and whether the weights are unaltered."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from autohair_video.cli.console import print_table
from autohair_video.errors import WeightsError

_PACKAGES = ("autohair-video", "torch", "torchvision", "av", "opencv-python", "numpy", "kornia", "typer")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
_HARDWARE_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_videotoolbox", "hevc_videotoolbox")


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a bug report needs to know of this installation; exit code 1 if weights are damaged."""
    found = examine()
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print_table(_table(found))
    if any(state != "ok" for state in found["weights"].values()):
        raise typer.Exit(WeightsError.exit_code)


def examine() -> dict[str, Any]:
    """Everything by topic, ready for JSON."""
    return {
        "system": _system(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch": _torch(),
        "encoders": _encoders(),
        "cameras": _camera_count(),
        "weights": _weights(),
    }


def _system() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "processor flags": _cpu_flags(),
    }


def _cpu_flags() -> list[str]:
    """The processor's instruction sets that change speed here; none where the system does not say."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return []
    words = set(info.read_text(encoding="utf-8", errors="replace").split())
    return [flag for flag in _CPU_FLAGS if flag in words]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _torch() -> dict[str, Any]:
    import torch

    from autohair_video.runtime.devices import choose_device, working_dtype

    device = choose_device("auto")
    return {
        "device": str(device),
        "precision": str(working_dtype(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "cuda devices": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
    }


def _encoders() -> dict[str, list[str]]:
    """The encoders of the output formats and of graphics cards that FFmpeg here has, and those it lacks."""
    import av

    from autohair_video.media.presets import format_rows

    wanted = sorted({row.as_dict()["codec"] for row in format_rows()}) + list(_HARDWARE_ENCODERS)
    available = av.codecs_available
    return {
        "available": [name for name in wanted if name in available],
        "missing": [name for name in wanted if name not in available],
    }


def _camera_count() -> int | None:
    """How many video devices the system has; None where that cannot be known without opening them."""
    return len(list(Path("/dev").glob("video*"))) if sys.platform == "linux" else None


def _weights() -> dict[str, str]:
    from autohair_video.weights import check_file, entries

    states = {}
    for entry in entries():
        try:
            check_file(entry)
            states[entry.name] = "ok"
        except WeightsError as exc:
            states[entry.name] = str(exc)
    return states


def _table(found: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    for topic, content in found.items():
        rows = content if isinstance(content, dict) else {"": content}
        for name, value in rows.items():
            shown = ", ".join(str(one) for one in value) or "none" if isinstance(value, list) else str(value)
            table.add_row(topic, str(name), "unknown" if value is None else shown)
    return table
