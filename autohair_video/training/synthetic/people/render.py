"""The loop that renders people into files; seed and number decide what is in a file."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError, OutputError
from autohair_video.training.synthetic.people.body import BodyModel
from autohair_video.training.synthetic.people.camera import place_camera
from autohair_video.training.synthetic.people.clothing import Pattern, read_patterns
from autohair_video.training.synthetic.people.figure import Figure, build_figure
from autohair_video.training.synthetic.people.pose import read_poses
from autohair_video.training.synthetic.people.sample import Wardrobe, random_scene
from autohair_video.training.synthetic.people.scene import Picture, load_mitsuba, read_panorama, render
from autohair_video.training.synthetic.people.spec import SceneSpec

Split = Literal["train", "held-out"]
CLIP_FRAMES: Final = 8
_SAMPLES: Final = 8  # light paths in a pixel, before denoising
_COLOUR_QUALITY: Final = 90  # of 100; WebP keeps alpha losslessly beside it
_HELD_OUT_EVERY: Final = 4  # every fourth panorama and pose is kept for the held-out split
_STILLS_PER_CLIP: Final = 13


@dataclass(frozen=True)
class Assets:
    """What pictures are made from.

    Attributes:
        body: the base mesh.
        patterns: MakeHuman's garments by name.
        poses: MakeHuman's poses by name.
        panoramas: file name to the path of a panorama.
    """

    body: BodyModel
    patterns: dict[str, Pattern]
    poses: dict[str, dict[str, NDArray[Any]]]
    panoramas: dict[str, Path]

    @staticmethod
    def load(shared: Path) -> Assets:
        """Read everything; the base mesh last, as its first construction takes minutes.

        Args:
            shared: folder with ``data/makehuman`` and ``data/backgrounds/panoramas``.

        Raises:
            InputError: a folder, or MakeHuman's licence file, is missing.
            OptionError: a package of the extra ``train`` is not installed.
        """
        makehuman = shared / "data/makehuman"
        if not (makehuman / "LICENSE.txt").is_file():
            raise InputError(
                f"{makehuman}/LICENSE.txt is missing: put MakeHuman's CC0 assets and their licence there"
            )
        panoramas = {
            path.name: path for path in sorted((shared / "data/backgrounds/panoramas").glob("*.jpg"))
        }
        if len(panoramas) < _HELD_OUT_EVERY:
            raise InputError(
                f"{shared}/data/backgrounds/panoramas has fewer than {_HELD_OUT_EVERY} .jpg panoramas"
            )
        patterns, poses = read_patterns(makehuman / "base/clothes"), read_poses(makehuman / "base/poses")
        load_mitsuba()
        return Assets(BodyModel(), patterns, poses, panoramas)

    def wardrobe(self, split: Split) -> Wardrobe:
        """Names for one split: panoramas and poses are disjoint between the two."""
        garments = sorted(self.patterns)
        return Wardrobe(
            suits=tuple(name for name in garments if "suit" in name),
            shoes=tuple(name for name in garments if "shoes" in name),
            hats=tuple(name for name in garments if "fedora" in name),
            poses=_of_split(sorted(self.poses), split),
            panoramas=_of_split(sorted(self.panoramas), split),
        )


def _of_split(names: list[str], split: Split) -> tuple[str, ...]:
    held_out = set(names[::_HELD_OUT_EVERY])
    return tuple(name for name in names if (name in held_out) == (split == "held-out"))


@dataclass(frozen=True)
class RenderJob:
    """What is to be rendered.

    Attributes:
        out: folder of the files.
        stills: number of stills.
        clips: number of clips.
        seed: other seeds give other people.
        split: people of one split share neither panoramas nor poses with the other's.
    """

    out: Path
    stills: int
    clips: int
    seed: int
    split: Split = "train"


def render_people(shared: Path, job: RenderJob, report: Callable[[str], None] | None = None) -> int:
    """Render what is missing of a job, stills and clips by turns; returns the number of items rendered.

    A still is ``person_00042.webp``, straight sRGB and alpha, and ``person_00042_labels.png``, whose R, G and
    B are the coverage (0 to 255) of people with their clothes, of hair, and of bare hands and forearms. Where
    R is below alpha, there is a thing held. A clip is a folder ``clip_00012`` of eight such pairs,
    ``0000.webp`` and so on.
    A file appears under its name only when it is complete, so a killed run resumes where it stopped.

    Raises:
        InputError: see :meth:`Assets.load`.
        OutputError: a file cannot be written.
    """
    todo = [item for item in _items(job) if not item.done()]
    if not todo:
        return 0
    assets = Assets.load(shared)
    report = report or _print_line
    start = time.monotonic()
    for number, item in enumerate(todo):
        _render_item(item, job, assets)
        done = number + 1
        each = (time.monotonic() - start) / done
        left = each * (len(todo) - done) / 60
        report(f"{item.path.name}: {done}/{len(todo)}, {each:.1f} s each, {left:.0f} min left")
    return len(todo)


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Item:
    path: Path
    index: int
    is_clip: bool

    def done(self) -> bool:
        return self.path.exists()


def _items(job: RenderJob) -> Iterator[_Item]:
    """Stills and clips by turns, so that both exist early."""
    clip = 0
    for index in range(job.stills):
        yield _Item(job.out / f"person_{index:05d}.webp", index, False)
        if (index + 1) % _STILLS_PER_CLIP == 0 and clip < job.clips:
            yield _Item(job.out / f"clip_{clip:05d}", clip, True)
            clip += 1
    for index in range(clip, job.clips):
        yield _Item(job.out / f"clip_{index:05d}", index, True)


def scene_spec(job: RenderJob, index: int, wardrobe: Wardrobe, *, clip: bool) -> SceneSpec:
    """The picture that seed, split and number mean."""
    rng = np.random.default_rng([job.seed, job.split == "held-out", clip, index])
    return random_scene(rng, wardrobe, clip=clip, hands=job.split == "held-out")


def _render_item(item: _Item, job: RenderJob, assets: Assets) -> None:
    spec = scene_spec(job, item.index, assets.wardrobe(job.split), clip=item.is_clip)
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        if not item.is_clip:
            picture = render_scene(spec, assets, 0.0)
            _write(picture, spec, job.out, item.path.stem)
            return
        aside = job.out / f".{item.path.name}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for frame in range(CLIP_FRAMES):
            _write(render_scene(spec, assets, frame / (CLIP_FRAMES - 1)), spec, aside, f"{frame:04d}")
        aside.rename(item.path)
    except OSError as exc:
        raise OutputError(f"cannot write {item.path}: {exc.strerror}") from exc


def render_scene(spec: SceneSpec, assets: Assets, share: float) -> Picture:
    """One picture of a scene at a moment, 0 (its start) to 1 (its end)."""
    figures = _figures(spec, assets, share)
    camera = replace(spec.camera, azimuth_deg=spec.camera.azimuth_deg + share * spec.camera.drift_deg)
    # The camera frames the first moment, so that motion is seen.
    framed = figures if share == 0 else _figures(spec, assets, 0.0)
    view = place_camera(camera, framed)
    light = read_panorama(assets.panoramas[spec.panorama])
    return render(figures, view, light, spec.panorama_deg, _SAMPLES)


def _figures(spec: SceneSpec, assets: Assets, share: float) -> list[Figure]:
    return [build_figure(person, assets.body, assets.patterns, assets.poses, share) for person in spec.people]


def to_srgb(picture: Picture, exposure: float, warmth: float) -> NDArray[Any]:
    """(H, W, 3) uint8 sRGB, exposed so that the subject's bright parts come to ``exposure``."""
    colour = picture.colour * np.array([warmth, 1.0, 1.0 / warmth], np.float32)
    inside = picture.alpha > 0.9
    bright = colour.max(axis=-1)
    level = float(np.percentile(bright[inside] if inside.any() else bright, 92))
    # The gain is bounded so that black clothes stay black.
    linear = colour * min(exposure / max(level, 1e-3), 3.0)
    linear = linear / (1 + 0.15 * linear)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-8) ** (1 / 2.4) - 0.055
    )
    srgb: NDArray[Any] = np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
    return srgb


def _write(picture: Picture, spec: SceneSpec, folder: Path, name: str) -> None:
    """The labels first: where the picture is, its labels are."""
    coverage = picture.coverage
    person = picture.alpha - coverage["prop"]
    labels = np.stack([person, coverage["hair"], coverage["hand"]], axis=-1)
    rgb = to_srgb(picture, spec.exposure, spec.warmth)
    alpha = np.rint(picture.alpha * 255).astype(np.uint8)
    _save(folder / f"{name}_labels.png", np.rint(labels[..., ::-1] * 255).clip(0, 255).astype(np.uint8), [])
    bgra = np.dstack([rgb[..., ::-1], alpha])
    _save(folder / f"{name}.webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, _COLOUR_QUALITY])


def _save(path: Path, image: NDArray[Any], options: list[int]) -> None:
    """Write aside and rename, so that a file is complete or absent."""
    _, data = cv2.imencode(path.suffix, image, options)
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(data.tobytes())
    aside.rename(path)
