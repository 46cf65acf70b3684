"""Hair-accurate alpha mattes for video.

The way of a frame through a clip's job:

    media.reader       matting.segmentation  matting.trimap     matting.tiled_inference  matting.temporal
    demux, decode,     DeepLab v3+           unknown band       Deep Image Matting       warp along the
    planes, pts     -> person, hair       -> fg / bg / ?     -> on tiles of the band  -> flow, average --+
                                                                                                         |
    media.writer       media.colour          compositing.over   compositing.foreground                   |
    encode, mux,    <- RGB -> YUV         <- over background,<- foreground colours   <-------------------+
    audio copied                             straight alpha

    jobs         a file job: options, sinks, resumable segments, batches; `process` does a whole job
    live         the same stages for a camera
    cli          the command line
    matting      segmentation to alpha; `MattingPipeline` composes the stages
    tracking     which person is the subject
    compositing  foreground colours, despill, backgrounds
    media        everything that touches FFmpeg and image files
    models       the networks; weights: their files
    verify       outputs compared with their inputs
    evaluate     errors against known alpha; bench: speed
    training     how the shipped weights were made
    runtime      devices, threads, queues, profiling

`errors` holds what they raise, `options` every option, `frames` the frames that they hand on.

Nothing heavy is imported before a name is used.
"""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohair_video.errors import (
        AutohairError,
        DeviceError,
        InputError,
        JobError,
        OptionError,
        OutputError,
        StoppedError,
        WeightsError,
    )
    from autohair_video.frames import FrameBatch, FrameFormat, Matte
    from autohair_video.jobs.progress import Progress, Report
    from autohair_video.jobs.runner import process
    from autohair_video.matting.pipeline import MattingPipeline
    from autohair_video.options import (
        BlendOptions,
        EdgeOptions,
        JobOptions,
        MattingOptions,
        PipelineOptions,
        SegmentOptions,
        SubjectOptions,
        TemporalOptions,
        TileOptions,
        TrimapOptions,
    )

_HOMES = {
    "AutohairError": "errors",
    "BlendOptions": "options",
    "DeviceError": "errors",
    "EdgeOptions": "options",
    "FrameBatch": "frames",
    "FrameFormat": "frames",
    "InputError": "errors",
    "JobError": "errors",
    "JobOptions": "options",
    "Matte": "frames",
    "MattingPipeline": "matting.pipeline",
    "MattingOptions": "options",
    "OptionError": "errors",
    "OutputError": "errors",
    "PipelineOptions": "options",
    "Progress": "jobs.progress",
    "Report": "jobs.progress",
    "SegmentOptions": "options",
    "StoppedError": "errors",
    "SubjectOptions": "options",
    "TemporalOptions": "options",
    "TileOptions": "options",
    "TrimapOptions": "options",
    "WeightsError": "errors",
    "process": "jobs.runner",
}
__all__ = [
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


# an application that wants the log adds a handler of its own
logging.getLogger(__name__).addHandler(logging.NullHandler())

# names of version 0.1, kept for one release
_RENAMED = {"Matter": "MattingPipeline", "MatterOptions": "MattingOptions"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
