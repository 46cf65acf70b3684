"""The checkpoint folder of a resumable job: encoded segments, and the temporal state after them.

A segment is a fixed span of frames, matted from the state that the one before it left and written to files of
its own, so that it is the same whether or not the job was interrupted before or after it. The packets of an
output's segments, concatenated, are the output.

    out.mov.resume/
      job.json        the job's options; another job is refused
      00000-0.mov     segment 0 of output 0, and so on
      00000.state     the state after segment 0; only the last is kept
      00000.json      written last: segment 0 is complete
      joined.json     all segments are, and the outputs are being renamed
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import torch

from autohair_video.errors import OutputError
from autohair_video.matting.state import CarriedState
from autohair_video.media.decode import reason
from autohair_video.media.seek_point import SeekPoint
from autohair_video.runtime.atomic import atomic_write, flush_to_disk

_JOB: Final = "job.json"
_JOINED: Final = "joined.json"


@dataclass(frozen=True)
class Segment:
    """A completed span of frames.

    ``frames``: how many. ``end``: the tick at which its last one ends. ``seek_point``: where in the clip the
    next segment begins.
    """

    index: int
    frames: int
    end: int
    files: tuple[str, ...]
    notices: tuple[str, ...] = ()
    seek_point: SeekPoint | None = None


def finalize_was_interrupted(output: Path) -> bool:
    """Whether a job was killed while its outputs were renamed: those that exist are then its own.

    ``output``: the first of them.
    """
    return (_folder_of(output) / _JOINED).exists()


def remove_stale(output: Path) -> None:
    """Removes what a job killed after its outputs were complete left beside ``output``, its first."""
    shutil.rmtree(_discarded(_folder_of(output)), ignore_errors=True)


class JobCheckpoint:
    """The folder of a job that can be resumed, named after the job's first output.

    ``done``: the complete segments, in order; what a crash left of others is removed.

    Raises:
        OutputError: the folder is of another job, or cannot be made or read.
    """

    def __init__(self, output: Path, job: dict[str, Any]) -> None:
        self.path = _folder_of(output)
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as exc:
            raise OutputError(f"cannot write to {output.parent} ({reason(exc)})") from exc
        try:
            self._check_job(job)
            self.done = self._complete_segments()
            self.tidy()
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise OutputError(f"cannot resume from {self.path} ({exc}): delete it to start again") from exc

    def file(self, index: int, output: int, like: Path) -> Path:
        """Where output number ``output`` of segment ``index`` goes; ``like`` is the output's own name."""
        number = "%05d" if "%" in like.name else ""
        return self.path / f"{index:05}-{output}{'-' * bool(number)}{number}{like.suffix}"

    def files(self, output: int) -> list[Path]:
        """The files of one output in all complete segments, in order."""
        return [self.path / segment.files[output] for segment in self.done]

    def commit(self, segment: Segment, after: CarriedState) -> None:
        """Makes a segment durable, with the state after it; it survives a power cut."""
        for name in segment.files:
            for file in self._of(name):
                flush_to_disk(file)
        state = self.path / f"{segment.index:05}.state"
        held = io.BytesIO()
        torch.save(after.state, held)
        try:
            state.write_bytes(held.getbuffer())
            flush_to_disk(state)
        except OSError as exc:
            raise OutputError(f"cannot write {state} ({reason(exc)})") from exc
        self._write_json(f"{segment.index:05}.json", asdict(segment))
        self.done.append(segment)
        if segment.index:
            (self.path / f"{segment.index - 1:05}.state").unlink(missing_ok=True)

    def load_state(self) -> CarriedState:
        """The state after the last complete segment."""
        if not self.done:
            return CarriedState()
        file = self.path / f"{self.done[-1].index:05}.state"
        try:
            with torch.serialization.safe_globals(_state_classes(CarriedState)):
                return CarriedState(torch.load(file, weights_only=True))
        except (OSError, RuntimeError, pickle.UnpicklingError) as exc:
            raise OutputError(f"cannot resume from {file}: delete {self.path} to start again") from exc

    def mark_joined(self) -> None:
        """Notes that from now on the outputs get their names, which the same call may then replace."""
        self._write_json(_JOINED, {})

    def remove(self) -> None:
        """Removes the folder with its content; a crash meanwhile leaves nothing that would be resumed."""
        discarded = _discarded(self.path)
        shutil.rmtree(discarded, ignore_errors=True)
        with suppress(OSError):
            self.path.replace(discarded)
        for folder in (discarded, self.path):
            shutil.rmtree(folder, ignore_errors=True)

    def _check_job(self, job: dict[str, Any]) -> None:
        asked = json.loads(json.dumps(job))
        if not (self.path / _JOB).exists():
            self._write_json(_JOB, asked)
            return
        begun = json.loads((self.path / _JOB).read_text())
        changed = sorted(key for key in asked.keys() | begun.keys() if asked.get(key) != begun.get(key))
        if changed:
            raise OutputError(
                f"{self.path} is of a job with another {', '.join(changed)}: call it as before, "
                "or delete that folder to start again"
            )

    def _complete_segments(self) -> list[Segment]:
        segments: list[Segment] = []
        while (file := self.path / f"{len(segments):05}.json").exists():
            entry = json.loads(file.read_text())
            lists = {name: tuple(entry[name]) for name in ("files", "notices")}
            seek_point = entry.get("seek_point")
            if seek_point is not None:
                seek_point = SeekPoint(**seek_point | {"damage": tuple(seek_point["damage"])})
            segments.append(Segment(**entry | lists | {"seek_point": seek_point}))
        return segments

    def tidy(self) -> None:
        """Removes files of incomplete segments."""
        last = f"{len(self.done) - 1:05}.state"
        kept = {_JOB, _JOINED, last, *(f"{segment.index:05}.json" for segment in self.done)}
        kept |= {file.name for segment in self.done for name in segment.files for file in self._of(name)}
        for file in self.path.iterdir():
            if file.name not in kept:
                shutil.rmtree(file) if file.is_dir() else file.unlink()

    def _of(self, name: str) -> Sequence[Path]:
        """The file of that name, or those of a numbered sequence."""
        if "%" not in name:
            return [self.path / name]
        return sorted(self.path.glob(name.replace("%05d", "[0-9]*")))

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        try:
            with atomic_write(self.path / name, durable=True) as part:
                part.write_text(json.dumps(content, indent=1))
        except OSError as exc:
            raise OutputError(f"cannot write {self.path / name} ({reason(exc)})") from exc


def _folder_of(output: Path) -> Path:
    return output.with_name(output.name.replace("%", "") + ".resume")


def _discarded(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}")


def _state_classes(kind: Any) -> list[Any]:
    """The dataclasses and tuples of which a saved state may consist: those that fields of ``kind`` name."""
    found: list[Any] = []
    for inner in (kind, *get_args(kind)):
        if isinstance(inner, type) and (is_dataclass(inner) or issubclass(inner, tuple)):
            found.append(inner)
            found += [name for hint in get_type_hints(inner).values() for name in _state_classes(hint)]
        elif inner is not kind:
            found += _state_classes(inner)
    return found
