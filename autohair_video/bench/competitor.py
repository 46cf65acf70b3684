"""Paired timing of another program on the same clip."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from autohair_video.errors import JobError, OptionError


@dataclass(frozen=True)
class PairedTime:
    """Wall-clock seconds of both programs, run one right after the other."""

    ours_s: float
    theirs_s: float


@dataclass(frozen=True)
class CompetitorTime:
    """Both programs on the same clip of ``frames`` frames, as whole commands.

    ``startup``: on the clip's first frame alone: interpreter, imports, networks, and the codecs' set-up.
    ``pairs``: on the whole clip. What another load on the machine adds to both runs of a pair cancels in
    the pair's ratio, so ratios are compared and not times.
    """

    command: str
    frames: int
    startup: PairedTime
    pairs: tuple[PairedTime, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of each pair: how many times faster ours is, start-up apart.

        >>> CompetitorTime("x", 11, PairedTime(1, 2), (PairedTime(3, 8), PairedTime(5, 8))).ratios
        (3.0, 1.5)
        """
        return tuple(self._net(pair)[1] / self._net(pair)[0] for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """Median of `ratios`."""
        return median(self.ratios)

    @property
    def fps(self) -> tuple[float, float]:
        """Median frames per second of ours and theirs, start-up apart."""
        ours_s, theirs_s = zip(*(self._net(pair) for pair in self.pairs), strict=True)
        return (self.frames - 1) / median(ours_s), (self.frames - 1) / median(theirs_s)

    def _net(self, pair: PairedTime) -> tuple[float, float]:
        """Seconds of ours and theirs without start-up."""
        ours_s, theirs_s = pair.ours_s - self.startup.ours_s, pair.theirs_s - self.startup.theirs_s
        if min(ours_s, theirs_s) <= 0:
            raise JobError("the clip took no longer than its first frame: time more frames (--frames)")
        return ours_s, theirs_s


def parse_command(command: str) -> list[str]:
    """The command's words, split as a shell does, without operators.

    Raises:
        OptionError: it contains no ``{clip}``, or its program does not exist.
    """
    try:
        parts = shlex.split(command)
    except ValueError as exc:
        raise OptionError(f"cannot read the command {command!r} ({exc})") from exc
    if "{clip}" not in command:
        raise OptionError("the other command needs {clip} in the place of the clip's path")
    if shutil.which(parts[0]) is None:
        raise OptionError(f"there is no program {parts[0]!r} to compare with")
    return parts


def time_competitor(
    command: str,
    clips: tuple[Path, Path],
    out: Path,
    ours: Callable[[Path], None],
    *,
    frames: int,
    pairs: int,
) -> CompetitorTime:
    """Runs ``ours`` and ``command`` alternately.

    The order is reversed in every second pair, so that a slow change of the machine's load favours neither.

    Args:
        command: see `parse_command`; ``{clip}`` and ``{out}`` are replaced by paths.
        clips: the clip's first frame alone, and the whole clip.
        out: where the other program may write; overwritten.
        ours: our whole job on a clip.
        frames: how many frames the whole clip has.
        pairs: how many pairs are run on it.

    Raises:
        OptionError: as `parse_command`.
        JobError: the other program failed, or the clip is too short to be timed.
    """
    words = parse_command(command)
    first, whole = clips

    def time_pair(clip: Path, *, reverse: bool) -> PairedTime:
        call = [word.replace("{clip}", str(clip)).replace("{out}", str(out)) for word in words]
        theirs_s = _seconds(lambda: _run(call)) if reverse else None
        ours_s = _seconds(lambda: ours(clip))
        return PairedTime(ours_s, _seconds(lambda: _run(call)) if theirs_s is None else theirs_s)

    # the first run of each reads its files from the disk, and is not counted
    time_pair(first, reverse=False)
    startup = time_pair(first, reverse=True)
    timed = tuple(time_pair(whole, reverse=bool(number % 2)) for number in range(pairs))
    return CompetitorTime(command, frames, startup, timed)


def _seconds(work: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def _run(call: list[str]) -> None:
    done = subprocess.run(call, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise JobError(f"{call[0]} failed with exit code {done.returncode}: {last[0]}")
