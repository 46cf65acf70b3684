"""What a job is asked to do: the names of its outputs, and all that can be refused without opening a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autohair_video.errors import OptionError
from autohair_video.media.image import image_depth, is_image
from autohair_video.media.presets import Preset, Role, preset_for, preset_named
from autohair_video.media.staging import check_output, is_sequence

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

    ``background`` None is a cut-out, and so is ``transparent``.
    """

    source: Path
    output: Path | None = None
    background: str | None = None
    matte: Path | None = None
    trimap: Path | None = None
    preset: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    overwrite: bool = False

    @property
    def is_picture(self) -> bool:
        """Whether the input is a still, by its extension."""
        return is_image(self.source)

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

    def check_outputs(self, *paths: Path) -> tuple[Path, ...]:
        """The same paths, refused here if they cannot be written to.

        Raises:
            OptionError: two are the same.
            OutputError: see `check_output`.
        """
        if len({path.resolve() for path in paths}) < len(paths):
            raise OptionError(f"{paths[0]} cannot be both the result and the matte")
        inputs = [self.source, *(Path(p) for p in (self.background, self.trimap) if p is not None)]
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
        return self.source.with_name(f"{self.source.stem}_{self._content()}{extension}")

    def _content(self) -> str:
        """What an output's name tells of its content: ``cutout``, or the background."""
        if self.background is None or self.is_cutout:
            return "cutout"
        return "".join(c for c in Path(self.background).stem if c.isalnum() or c in "-_") or "composite"
