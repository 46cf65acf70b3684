"""Another program on the same clip, timed in turn with ours."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autohair_video.errors import JobError, OptionError


@dataclass(frozen=True)
class CompetitorTime:
    """Two whole commands, from start to end, the loading of networks included: seconds on the clock."""

    command: str
    ours_s: float
    theirs_s: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs_s / self.ours_s


def parse_command(command: str) -> list[str]:
    """The command's parts, as a shell takes them, without its operators.

    Raises:
        OptionError: it names no clip, or no program that is there.
    """
    try:
        parts = shlex.split(command)
    except ValueError as exc:
        raise OptionError(f"cannot read the command {command!r} ({exc})") from exc
    if "{clip}" not in command:
        raise OptionError("the other command needs {clip} where the clip's path is to stand")
    if shutil.which(parts[0]) is None:
        raise OptionError(f"there is no program {parts[0]!r} to compare with")
    return parts


def time_competitor(command: str, clip: Path, out: Path, ours: Callable[[], None]) -> CompetitorTime:
    """Times ``ours`` and then ``command``.

    Args:
        command: see `parse_command`; ``{clip}`` and ``{out}`` stand for the paths.
        clip: what both read.
        out: where the other program may write.
        ours: our whole job.

    Raises:
        OptionError: as `parse_command`.
        JobError: the other program failed.
    """
    call = [part.replace("{clip}", str(clip)).replace("{out}", str(out)) for part in parse_command(command)]
    began_s = time.perf_counter()
    ours()
    turned_s = time.perf_counter()
    done = subprocess.run(call, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    ended_s = time.perf_counter()
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise JobError(f"{call[0]} failed with exit code {done.returncode}: {last[0]}")
    return CompetitorTime(command, turned_s - began_s, ended_s - turned_s)
