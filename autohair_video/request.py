"""What a job is asked to do: the names of its outputs, and all that can be refused without opening a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from autohair_video.errors import OptionError
from autohair_video.media.image import image_depth
from autohair_video.media.presets import Preset, Role, preset_for, preset_named
from autohair_video.media.source import Source
from autohair_video.media.staging import check_output, is_sequence, make_folder, present_files

StrPath = str | os.PathLike[str]
TRANSPARENT = "transparent"
_DEFAULT_PRESETS: dict[Role, str] = {"alpha": "prores4444", "composite": "h264"}


@dataclass(frozen=True)
class Target:
    """An output of a clip's job: where it goes and what kind of file it is."""

    path: Path
    preset: Preset


@dataclass(frozen=True)
class Request:
    """The arguments of `stream.process`.

    ``background`` None is a cut-out, and so is ``transparent``. ``output_dir`` is where outputs without a
    folder of their own go, if not beside the input.
    """

    source: Source
    output: Path | None = None
    background: str | None = None
    matte: Path | None = None
    trimap: Path | None = None
    preset: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    overwrite: bool = False
    output_dir: Path | None = None

    @property
    def is_picture(self) -> bool:
        """Whether the input is a still, by its extension."""
        return self.source.is_still

    @property
    def is_cutout(self) -> bool:
        """Whether the result has alpha instead of a background."""
        return self.background is None or self.background.lower() == TRANSPARENT

    def picture_paths(self) -> tuple[Path | None, Path | None]:
        """Where a picture's result and its matte go; None: nowhere.

        Raises:
            OptionError: the call asks for what goes with clips, or for files that hold no such picture.
        """
        if self.preset or self.start_s is not None or self.end_s is not None:
            raise OptionError(f"{self.source} is a picture: a format, a start or an end goes with clips")
        result = self._result_path(".png")
        for path in (result, self.matte):
            if path is not None and is_sequence(path):
                raise OptionError(f"{path} names a sequence, and {self.source} is one picture")
            if path is not None:
                image_depth(path)
        if result is not None:
            with self._hinting_at_background():
                image_depth(result, alpha=self.is_cutout)
        return result, self.matte

    def clip_targets(self) -> tuple[Target | None, Target | None]:
        """What a clip's result and its matte become; None: nothing.

        Raises:
            OptionError: the call asks for what goes with pictures, or the formats, their files and the
                background do not go together.
        """
        if self.trimap is not None:
            raise OptionError(f"{self.source} is a clip: a trimap file goes with a picture")
        matte = None if self.matte is None else Target(self.matte, preset_for(self.matte, role="matte"))
        return self._clip_result(), matte

    def output_paths(self) -> tuple[Path, ...]:
        """All paths that the job will write.

        Raises:
            OptionError: as `picture_paths` and `clip_targets`.
        """
        if self.is_picture:
            return tuple(path for path in self.picture_paths() if path)
        return tuple(target.path for target in self.clip_targets() if target)

    @property
    def is_done(self) -> bool:
        """Whether all outputs are there already."""
        return all(present_files(path) for path in self.output_paths())

    def check_outputs(self, *paths: Path) -> tuple[Path, ...]:
        """The same paths, refused here if they cannot be written to.

        Raises:
            OptionError: two are the same.
            OutputError: see `check_output`.
        """
        if len({path.resolve() for path in paths}) < len(paths):
            raise OptionError(f"{paths[0]} cannot be both the result and the matte")
        inputs = [*self.source.files, *(Path(p) for p in (self.background, self.trimap) if p is not None)]
        if self.output_dir is not None:
            make_folder(self.output_dir)
        for path in paths:
            check_output(path, overwrite=self.overwrite, inputs=inputs)
        return paths

    def _clip_result(self) -> Target | None:
        role: Role = "alpha" if self.is_cutout else "composite"
        if self.preset is None and self.output is not None:
            with self._hinting_at_background():
                return Target(self.output, preset_for(self.output, role=role))
        preset = preset_named(self.preset or _DEFAULT_PRESETS[role])
        if preset.role != role:
            what = "needs a background" if preset.role == "composite" else f"is no {role} format"
            raise OptionError(f"format {preset.name} {what}")
        path = self._result_path(next(iter(preset.muxers)))
        if path is not None and path.suffix.lower() not in preset.muxers:
            raise OptionError(f"{path}: format {preset.name} is written to {', '.join(preset.muxers)}")
        return None if path is None else Target(path, preset)

    @contextmanager
    def _hinting_at_background(self) -> Iterator[None]:
        """Adds to the errors of files without alpha the other way to mend them."""
        try:
            yield
        except OptionError as exc:
            raise OptionError(f"{exc}; or give a background" if self.is_cutout else str(exc)) from exc

    def _result_path(self, extension: str) -> Path | None:
        """Where the result goes, by default beside the input with ``extension``; None: nowhere."""
        if self.output is not None:
            return self.output
        if self.matte is not None and self.background is None and self.preset is None:
            return None
        folder = self.source.folder if self.output_dir is None else self.output_dir
        return folder / f"{self.source.stem}_{self._content()}{extension}"

    def _content(self) -> str:
        """What an output's name tells of its content: ``cutout``, or the background."""
        if self.background is None or self.is_cutout:
            return "cutout"
        return "".join(c for c in Path(self.background).stem if c.isalnum() or c in "-_") or "composite"


def make_request(
    input: Source | StrPath,
    output: StrPath | None = None,
    *,
    background: StrPath | None = None,
    matte: StrPath | None = None,
    trimap: StrPath | None = None,
    preset: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    overwrite: bool = False,
    output_dir: StrPath | None = None,
    rate: Fraction | None = None,
) -> Request:
    """The request that the arguments of `stream.process` stand for."""
    source = Source.of(input, rate)
    folder = None if output_dir is None else Path(output_dir)
    return Request(
        source=source,
        output=_placed(output, source, folder),
        background=None if background is None else os.fspath(background).strip(),
        matte=_placed(matte, source, folder),
        trimap=None if trimap is None else Path(trimap),
        preset=preset,
        start_s=start_s,
        end_s=end_s,
        overwrite=overwrite,
        output_dir=folder,
    )


def _placed(path: StrPath | None, source: Source, output_dir: Path | None) -> Path | None:
    """An output's path with ``{name}`` filled in, relative ones in ``output_dir``.

    >>> _placed("{name}.mov", Source("in/a.mp4"), Path("out")).as_posix()
    'out/a.mov'
    """
    if path is None:
        return None
    named = os.fspath(path).replace("{name}", source.stem)
    return Path(named) if output_dir is None else output_dir / named
