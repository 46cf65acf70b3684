"""What a job is asked to do: the names of its outputs, and all that can be refused without opening a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Literal

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
from autohair_video.options import BlendOptions, SubjectOptions

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
    """The arguments of `stream.process`.

    ``background`` None is a cut-out, and so is ``transparent``. ``output_dir`` is where outputs without a
    folder of their own go, if not beside the input.
    """

    source: Source
    outputs: tuple[Path, ...] = ()
    background: str | None = None
    matte: Path | None = None
    foreground: Path | None = None
    trimap_out: Path | None = None
    trimap: Path | None = None
    subject: SubjectOptions = field(default_factory=SubjectOptions)
    blend: BlendOptions = field(default_factory=BlendOptions)
    preset: str | None = None
    purpose: str | None = None
    premultiplied: bool = False
    start_s: float | None = None
    end_s: float | None = None
    overwrite: bool = False
    deinterlace: bool = True
    output_dir: Path | None = None
    resume: bool = False
    segment_s: float = 10
    keep_alpha: bool = True

    @property
    def is_still(self) -> bool:
        """Whether the input is a still, by its extension."""
        return self.source.is_still

    @property
    def is_cutout(self) -> bool:
        """Whether the result has alpha instead of a background."""
        return self.background is None or self.background.lower() == TRANSPARENT

    def still_outputs(self) -> tuple[OutputSpec, ...]:
        """What becomes of a picture.

        Raises:
            OptionError: the call asks for what goes with clips, or for files that hold no such picture.
        """
        for_clips = (self.preset, self.purpose, self.start_s, self.end_s, self.premultiplied or None)
        if any(value is not None for value in for_clips):
            raise OptionError(f"{self.source} is a picture: a format, a start or an end goes with clips")
        results = self._result_paths(".png")
        products = [OutputSpec(path, "result") for path in results]
        products += [OutputSpec(path, content) for content, path in self._extras()]
        for product in products:
            if is_sequence(product.path):
                raise OptionError(f"{product.path} names a sequence, and {self.source} is one picture")
            image_depth(product.path)
        for path in results:
            with self._hinting_at_background():
                image_depth(path, alpha=self.is_cutout)
        return tuple(products)

    def clip_outputs(self) -> tuple[ClipOutputSpec, ...]:
        """What becomes of a clip.

        Raises:
            OptionError: the call asks for what goes with pictures, or the formats, their files and the
                background do not go together.
        """
        if self.trimap is not None and Source.of(self.trimap).is_still:
            raise OptionError(
                f"{self.source} is a clip: its trimaps are a clip or numbered stills (name.%05d.png), "
                f"not the one picture {self.trimap}"
            )
        if self.trimap is not None and self.subject.choice != "all":
            raise OptionError("your own trimaps say who is kept: leave out --subject and --mask, or --trimap")
        if self.trimap is not None and self.resume:
            raise OptionError("a job with trimaps of its own cannot be resumed: leave out --resume")
        targets = self._clip_results()
        for content, path in self._extras():
            role: Role = "composite" if content == "foreground" else "matte"
            targets.append(ClipOutputSpec(path, content, preset_for(path, role=role)))
        return tuple(targets)

    def output_paths(self) -> tuple[Path, ...]:
        """All paths that the job will write.

        Raises:
            OptionError: as `still_outputs` and `clip_outputs`.
        """
        products = self.still_outputs() if self.is_still else self.clip_outputs()
        return tuple(product.path for product in products)

    @property
    def is_done(self) -> bool:
        """Whether all outputs are there already."""
        return all(present_files(path) for path in self.output_paths())

    @property
    def ineffective_option_warnings(self) -> tuple[str, ...]:
        """A line for each choice that changes nothing in what is written."""
        lines, blend = [], self.blend
        if blend.light_wrap and self.is_cutout:
            lines.append("the light wrap has no effect: there is no background that shines on the subject")
        has_colours = self._has_result or self.foreground is not None
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
        pictures = (self.background, self.trimap, *self.subject.pictures)
        inputs = [*self.source.files, *(Path(p) for p in pictures if p is not None)]
        if self.output_dir is not None and make_folders:
            make_folder(self.output_dir)
        for path in paths:
            if path.parent == self.output_dir and not self.output_dir.exists():
                continue
            check_output(path, overwrite=self.overwrite, inputs=inputs)
        return paths

    def _clip_results(self) -> list[ClipOutputSpec]:
        role: Role = "alpha" if self.is_cutout else "composite"
        named = None if self.preset is None else preset_named(self.preset)
        if named is not None and named.role != role:
            raise OptionError(f"format {named.name} {_MISMATCHES[named.role]}")
        default = named or self._default_preset(role)
        targets = []
        for path in self._result_paths(default.default_extension):
            preset = default
            # One format named for several outputs is meant for those that can have it.
            if self.outputs and (named is None or (len(self.outputs) > 1 and not named.fits(path))):
                with self._hinting_at_background():
                    preset = preset_for(path, role=role, purpose=self.purpose)
            preset.check_path(path)
            if self.premultiplied:
                preset = premultiplied(preset, in_light=self.blend.linear)
            targets.append(ClipOutputSpec(path, "result", preset))
        return targets

    def _default_preset(self, role: Role) -> Preset:
        if self.purpose is not None:
            return preset_for_purpose(self.purpose, role=role)
        return preset_named(_DEFAULT_PRESETS[role])

    def _extras(self) -> list[tuple[Content, Path]]:
        """The outputs beside the result."""
        asked: list[tuple[Content, Path | None]] = [
            ("matte", self.matte),
            ("foreground", self.foreground),
            ("trimap", self.trimap_out),
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
        return bool(self.outputs or self.background or self.preset or self.purpose or not self._extras())

    def _result_paths(self, extension: str) -> tuple[Path, ...]:
        """Where the result goes, by default beside the input with ``extension``; or nowhere."""
        if self.outputs:
            return self.outputs
        if not self._has_result:
            return ()
        folder = self.source.folder if self.output_dir is None else self.output_dir
        return (folder / f"{self.source.stem}_{self._content()}{extension}",)

    def _content(self) -> str:
        """What an output's name tells of its content: ``cutout``, or the background."""
        if self.background is None or self.is_cutout:
            return "cutout"
        return "".join(c for c in Path(self.background).stem if c.isalnum() or c in "-_") or "composite"


def make_job_spec(
    input: Source | StrPath,
    output: StrPath | Sequence[StrPath] | None = None,
    *,
    background: StrPath | None = None,
    matte: StrPath | None = None,
    foreground: StrPath | None = None,
    trimap_out: StrPath | None = None,
    trimap: StrPath | None = None,
    subject: SubjectOptions | None = None,
    blend: BlendOptions | None = None,
    preset: str | None = None,
    purpose: str | None = None,
    premultiplied: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    overwrite: bool = False,
    deinterlace: bool = True,
    output_dir: StrPath | None = None,
    rate: Fraction | None = None,
    resume: bool = False,
    segment_s: float = 10,
    keep_alpha: bool = True,
) -> JobSpec:
    """The request that the arguments of `stream.process` stand for.

    Raises:
        OptionError: parts of ``segment_s`` seconds cannot be made, or an output's name has another word in
            braces than ``{name}``.
    """
    if not 0 < segment_s < inf:
        raise OptionError(f"parts of {segment_s} s cannot be made: give more than 0")
    source = Source.of(input, rate)
    folder = None if output_dir is None else Path(output_dir)
    return JobSpec(
        source=source,
        outputs=tuple(_placed(path, source, folder) for path in _listed(output)),
        background=None if background is None else os.fspath(background).strip(),
        matte=None if matte is None else _placed(matte, source, folder),
        foreground=None if foreground is None else _placed(foreground, source, folder),
        trimap_out=None if trimap_out is None else _placed(trimap_out, source, folder),
        trimap=None if trimap is None else Path(trimap),
        subject=subject or SubjectOptions(),
        blend=blend or BlendOptions(),
        preset=preset,
        purpose=purpose,
        premultiplied=premultiplied,
        start_s=start_s,
        end_s=end_s,
        overwrite=overwrite,
        deinterlace=deinterlace,
        output_dir=folder,
        resume=resume,
        segment_s=segment_s,
        keep_alpha=keep_alpha,
    )


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
