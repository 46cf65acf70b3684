"""The public names: adding, renaming or losing one is a decision, not an accident."""

from __future__ import annotations

import inspect
import subprocess
import sys

import autohair_video
from autohair_video import MattingPipeline, process

NAMES = [
    "AutohairError",
    "BlendOptions",
    "DeviceError",
    "EdgeOptions",
    "FrameBatch",
    "FrameFormat",
    "InputError",
    "JobError",
    "JobOptions",
    "Matte",
    "MattingOptions",
    "MattingPipeline",
    "OptionError",
    "OutputError",
    "PipelineOptions",
    "Progress",
    "Report",
    "SegmentOptions",
    "StoppedError",
    "SubjectOptions",
    "TemporalOptions",
    "TileOptions",
    "TrimapOptions",
    "WeightsError",
    "process",
]


def test_public_names() -> None:
    assert sorted(autohair_video.__all__) == NAMES
    assert all(getattr(autohair_video, name).__doc__ for name in NAMES)


def test_parameters_of_process_and_pipeline() -> None:
    assert list(inspect.signature(process).parameters) == [
        "input",
        "output",
        "options",
        "pipeline",
        "on_progress",
        "stop",
        "changes",
    ]
    assert list(inspect.signature(MattingPipeline).parameters) == [
        "tier",
        "device",
        "options",
        "segmenter",
        "matting_net",
    ]
    assert {"image", "frames", "still"} <= set(dir(MattingPipeline))


def test_errors_have_exit_codes() -> None:
    codes = {name: getattr(autohair_video, name).exit_code for name in NAMES if name.endswith("Error")}
    assert {name for name, code in codes.items() if code == 2} == {"OptionError"}
    assert all(issubclass(getattr(autohair_video, name), autohair_video.AutohairError) for name in codes)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import autohair_video, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
