"""What a job is asked to do: the names of its outputs, and all that can be refused without opening a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from autohair_video.errors import OptionError
from autohair_video.media.atomic_output import check_output, is_sequence, make_folder, present_files
from autohair_video.media.image import image_depth
from autohair_video.media.inputs import Source
from autohair_video.media.presets import (
    Preset,
    Role,
    premultiplied,
    preset_for,
    preset_for_purpose,
    preset_named,
)
from autohair_video.option_group import with_changes
from autohair_video.options import JobOptions

StrPath = str | os.PathLike[str]
TRANSPARENT = "transparent"
Content = Literal["result", "matte", "foreground", "trimap"]
_DEFAULT_PRESETS: dict[Role, str] = {"alpha": "prores4444", "composite": "h264"}
_MISMATCHES: dict[Role, str] = {
    "composite": "needs a background",
    "alpha": "is no composite format: leave out the background, or take another format",
    "matte": "is a matte's: name its file as the matte, and leave out the format",
}


@dataclass(frozen=True)
class OutputSpec:
    """An output of a job: where it goes, and what it shows.

    ``result`` is the composite or the cut-out, ``foreground`` the subject's colours without alpha.
    """

    path: Path
    content: Content


@dataclass(frozen=True)
class ClipOutputSpec(OutputSpec):
    """An output of a clip's job, and what kind of file it is."""

    preset: Preset


@dataclass(frozen=True)
class JobSpec:
    """One job: an input, the paths of its results, and its options with the paths of the other outputs."""

    source: Source
    outputs: tuple[Path, ...] = ()
    options: JobOptions = field(default_factory=JobOptions)

    @property
    def is_still(self) -> bool:
        """Whether the input is a still, by its extension."""
        return self.source.is_still

    @property
    def is_cutout(self) -> bool:
        """Whether the result has alpha instead of a background."""
        return self.options.background is None or self.options.background.lower() == TRANSPARENT

    @cached_property
    def still_outputs(self) -> tuple[OutputSpec, ...]:
        """The outputs of a still image.

        Raises:
            OptionError: an option is for clips only, or a file format cannot hold such an image.
        """
        o = self.options
        for_clips = (o.preset, o.purpose, o.start_s, o.end_s, o.premultiplied or None)
        if any(value is not None for value in for_clips):
            raise OptionError(f"{self.source} is a still image: a format, a start or an end is for clips")
        results = self._result_paths(".png")
        outputs = [OutputSpec(path, "result") for path in results]
        outputs += [OutputSpec(path, content) for content, path in self._extras()]
        for output in outputs:
            if is_sequence(output.path):
                raise OptionError(f"{output.path} names a sequence, and {self.source} is one image")
            image_depth(output.path)
        for path in results:
            with self._hinting_at_background():
                image_depth(path, alpha=self.is_cutout)
        return tuple(outputs)

    @cached_property
    def clip_outputs(self) -> tuple[ClipOutputSpec, ...]:
        """The outputs of a clip.

        Raises:
            OptionError: an option is for stills only, or the formats, their files and the background do not
                go together.
        """
        self._check_given_trimap()
        outputs = self._clip_results()
        for content, path in self._extras():
            role: Role = "composite" if content == "foreground" else "matte"
            outputs.append(ClipOutputSpec(path, content, preset_for(path, role=role)))
        return tuple(outputs)

    def _check_given_trimap(self) -> None:
        trimap = self.options.trimap
        if trimap is None:
            return
        if Source.of(trimap).is_still:
            raise OptionError(
                f"{self.source} is a clip: its trimaps are a clip or an image sequence (name.%05d.png), "
                f"not the one image {trimap}"
            )
        if self.options.subject.choice != "all":
            raise OptionError("your own trimaps say who is kept: leave out --subject and --mask, or --trimap")
        if self.options.resume:
            raise OptionError("a job with trimaps of its own cannot be resumed: leave out --resume")

    def output_paths(self) -> tuple[Path, ...]:
        """All paths that the job will write.

        Raises:
            OptionError: as `still_outputs` and `clip_outputs`.
        """
        outputs = self.still_outputs if self.is_still else self.clip_outputs
        return tuple(output.path for output in outputs)

    @property
    def is_done(self) -> bool:
        """Whether all outputs are there already."""
        return all(present_files(path) for path in self.output_paths())

    @property
    def ineffective_option_warnings(self) -> tuple[str, ...]:
        """A line for each choice that changes nothing in what is written."""
        lines, blend = [], self.options.blend
        if blend.light_wrap and self.is_cutout:
            lines.append("the light wrap has no effect: there is no background that shines on the subject")
        has_colours = self._has_result or self.options.foreground is not None
        if not has_colours and (blend.linear or blend.despill != "off"):
            lines.append("despill and linear light have no effect: no colours are written")
        return tuple(lines)

    def check_outputs(self, *paths: Path, make_folders: bool = True) -> tuple[Path, ...]:
        """The same paths, refused here if they cannot be written to.

        Raises:
            OptionError: two are the same.
            OutputError: see `check_output`.
        """
        if len({path.resolve() for path in paths}) < len(paths):
            raise OptionError(f"two outputs have one name: {', '.join(str(path) for path in paths)}")
        o = self.options
        others = (o.background, o.trimap, *o.subject.images)
        inputs = [*self.source.files, *(Path(other) for other in others if other is not None)]
        if o.output_dir is not None and make_folders:
            make_folder(o.output_dir)
        for path in paths:
            if path.parent == o.output_dir and not o.output_dir.exists():
                continue
            check_output(path, overwrite=o.overwrite, inputs=inputs)
        return paths

    def _clip_results(self) -> list[ClipOutputSpec]:
        role: Role = "alpha" if self.is_cutout else "composite"
        o = self.options
        named = None if o.preset is None else preset_named(o.preset)
        if named is not None and named.role != role:
            raise OptionError(f"format {named.name} {_MISMATCHES[named.role]}")
        default = named or self._default_preset(role)
        outputs = []
        for path in self._result_paths(default.default_extension):
            preset = default
            # One format named for several outputs is meant for those that can have it.
            if self.outputs and (named is None or (len(self.outputs) > 1 and not named.fits(path))):
                with self._hinting_at_background():
                    preset = preset_for(path, role=role, purpose=o.purpose)
            preset.check_path(path)
            if o.premultiplied:
                preset = premultiplied(preset, in_light=o.blend.linear)
            outputs.append(ClipOutputSpec(path, "result", preset))
        return outputs

    def _default_preset(self, role: Role) -> Preset:
        if self.options.purpose is not None:
            return preset_for_purpose(self.options.purpose, role=role)
        return preset_named(_DEFAULT_PRESETS[role])

    def _extras(self) -> list[tuple[Content, Path]]:
        """The outputs beside the result."""
        asked: list[tuple[Content, Path | None]] = [
            ("matte", self.options.matte),
            ("foreground", self.options.foreground),
            ("trimap", self.options.trimap_out),
        ]
        return [(content, path) for content, path in asked if path is not None]

    @contextmanager
    def _hinting_at_background(self) -> Iterator[None]:
        """Adds to the errors of files without alpha the other way to mend them."""
        try:
            yield
        except OptionError as exc:
            raise OptionError(f"{exc}; or give a background" if self.is_cutout else str(exc)) from exc

    @property
    def _has_result(self) -> bool:
        """Whether a composite or a cut-out is asked for, as it is if nothing else is."""
        o = self.options
        return bool(self.outputs or o.background or o.preset or o.purpose or not self._extras())

    def _result_paths(self, extension: str) -> tuple[Path, ...]:
        """Where the result goes, by default beside the input with ``extension``; or nowhere."""
        if self.outputs:
            return self.outputs
        if not self._has_result:
            return ()
        folder = self.source.folder if self.options.output_dir is None else self.options.output_dir
        return (folder / f"{self.source.stem}_{self._content()}{extension}",)

    def _content(self) -> str:
        """What an output's name says of its content: ``cutout``, or the background."""
        background = self.options.background
        if background is None or self.is_cutout:
            return "cutout"
        return "".join(c for c in Path(background).stem if c.isalnum() or c in "-_") or "composite"


def make_job_spec(
    input: Source | StrPath,
    output: StrPath | Sequence[StrPath] | None = None,
    options: JobOptions | None = None,
    **changes: Any,
) -> JobSpec:
    """The job that the arguments of `process` describe.

    Raises:
        OptionError: an option is unknown or out of range, or an output's name has another word in braces than
            ``{name}``.
    """
    given = with_changes(options or JobOptions(), changes)
    source = Source.of(input, given.rate, given.missing)
    folder = given.output_dir
    others = {name: getattr(given, name) for name in ("matte", "foreground", "trimap_out")}
    placed: dict[str, Any] = {
        name: _placed(path, source, folder) for name, path in others.items() if path is not None
    }
    outputs = tuple(_placed(path, source, folder) for path in _listed(output))
    return JobSpec(source, outputs, replace(given, **placed))


def _listed(output: StrPath | Sequence[StrPath] | None) -> Sequence[StrPath]:
    if output is None:
        return ()
    return (output,) if isinstance(output, str | os.PathLike) else output


def _placed(path: StrPath, source: Source, output_dir: Path | None) -> Path:
    """An output's path with ``{name}`` filled in, relative ones in ``output_dir``.

    >>> _placed("{name}.mov", Source("in/a.mp4"), Path("out")).as_posix()
    'out/a.mov'

    Raises:
        OptionError: there is another word in braces in the file's name.
    """
    for word in re.findall(r"\{\w*\}", Path(path).name):
        if word != "{name}":
            raise OptionError(f"{path}: {word} stands for nothing; {{name}} is the input's name")
    named = os.fspath(path).replace("{name}", source.stem)
    return Path(named) if output_dir is None else output_dir / named
