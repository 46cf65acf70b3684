"""What the ffmpeg and ffprobe of the system make of a file: a reader that is not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def tool(name: str) -> str:
    """The path of ``ffmpeg`` or ``ffprobe``; the test skips where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def displayed_frames(path: Path, *options: str) -> NDArray[np.uint8]:
    """(N, H, W) luma of all frames as ffmpeg displays them: rotated, mirrored, none dropped or repeated."""
    command = [tool("ffmpeg"), "-v", "error", *options, "-i", f"file:{path}", "-map", "0:v:0"]
    raw = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"],
        capture_output=True,
        check=True,
    ).stdout
    width, height = displayed_size(path, *options)
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)


def displayed_size(path: Path, *options: str) -> tuple[int, int]:
    """Width and height after ffmpeg's autorotation."""
    command = [tool("ffmpeg"), "-v", "error", *options, "-i", f"file:{path}", "-map", "0:v:0"]
    png = subprocess.run(
        [*command, "-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "-"], capture_output=True, check=True
    ).stdout
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def displayed_times(path: Path, *options: str) -> list[Fraction]:
    """Begin of every video frame in seconds from the first, as ffmpeg's command line passes them on."""
    command = [tool("ffmpeg"), "-v", "error", *options, "-i", f"file:{path}", "-map", "0:v:0"]
    text = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framehash", "-"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    base = Fraction(1)
    times = []
    for line in text.splitlines():
        if line.startswith("#tb 0:"):
            base = Fraction(line.split(":")[1].strip())
        elif not line.startswith("#"):
            times.append(int(line.split(",")[2]) * base)
    return [time - times[0] for time in times]


def stream_entries(path: Path, entries: str) -> dict[str, str]:
    """Entries of the first video stream, by ffprobe."""
    command = [tool("ffprobe"), "-v", "error", "-select_streams", "v:0", "-show_entries", f"stream={entries}"]
    text = subprocess.run(
        [*command, "-of", "json", str(path)], capture_output=True, check=True, text=True
    ).stdout
    return dict(json.loads(text)["streams"][0])
