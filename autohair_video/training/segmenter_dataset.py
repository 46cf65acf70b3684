"""Training samples for the segmenter: people as photographed, people moved to other places, nobody.

A composite's label is the alpha that it was made with, so it is exact even where the photo's label was
only plausible; that also shows the network the same person before many backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.training import augment
from autohair_video.training.backgrounds import Photo, backdrop
from autohair_video.training.crops import random_view
from autohair_video.training.labels import Labelled, load
from autohair_video.training.loop import Batch
from autohair_video.training.manifest import Source

Floats = NDArray[np.float32]
# A person's layer and a generator in, the layer out: straight colour (S, S, 3), alpha with the hair included
# and hair, both (S, S), all in 0..1.
LayerTransform = Callable[[Floats, Floats, Floats, np.random.Generator], tuple[Floats, Floats, Floats]]

# Sizes of a batch's samples, relative to the smallest.
_SCALES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
# A photo's label nearer to one half than this does not count.
_UNSURE = 0.35
# Where alpha is above this the person's weight counts, below it the scene's.
_VISIBLE = 0.05
# Chances of 0, 1, 2 and 3 more people in a composite.
_MORE_PEOPLE = (0.7, 0.17, 0.08, 0.05)


@dataclass(frozen=True)
class Chances:
    """How often samples are of a kind and augmented, each in 0..1.

    ``nobody`` and ``as_photographed`` are shares of all samples, the rest are composites; of scenes
    ``photo_of_nobody`` (of pictures of nobody), ``clutter`` and ``camouflage``; of people in composites the
    others.
    """

    nobody: float = 0.15
    as_photographed: float = 0.35
    photo_of_nobody: float = 0.5
    clutter: float = 0.2
    camouflage: float = 0.3
    gaps: float = 0.45
    other_clothes: float = 0.45
    hands: float = 0.25
    shadows: float = 0.25
    motion_blur: float = 0.25


@dataclass(frozen=True)
class Group:
    """What there is of a source: its labelled pictures, or rendered people where it is one of these."""

    source: Source
    items: Sequence[Path]

    def load(self, index: int) -> Labelled:
        """One of them."""
        return load_rendered(self.items[index]) if self.source.kind == "rendered" else load(self.items[index])


class PeopleSamples:
    """Endless samples; `batches` yields picture (N, 3, S, S) in -1..1, truth and weight (N, 2, S, S).

    ``truth`` holds person and hair, 0..1; ``weight`` says where each of them is to be trusted. S changes from
    batch to batch, from ``size_px`` to three times that, and N with it, so that all have about as many
    pixels: in use a person fills several hundred pixels, with a middle far from any edge. ``transforms`` are
    applied to the people of composites whose hair is known, each with its chance.

    Raises:
        InputError: ``groups`` hold no people.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        scenes: Sequence[Photo],
        *,
        size_px: int,
        seed: int,
        chances: Chances = Chances(),
        transforms: Sequence[tuple[float, LayerTransform]] = (),
    ) -> None:
        self._groups = [group for group in groups if group.items and group.source.share > 0]
        if not self._groups:
            raise InputError("no labelled people in the cache; `autohair-video train labels` makes them")
        self._scenes, self._size = scenes, size_px
        self._chances, self._transforms = chances, transforms
        self._rng = np.random.default_rng(seed)

    def batches(self, count: int) -> Iterator[Batch]:
        """Batches of ``count`` samples of ``size_px``, or of fewer that are larger, without end."""
        while True:
            size = 32 * round(self._size * self._rng.choice(_SCALES) / 32)
            fewer = max(1, round(count * (self._size / size) ** 2))
            rows = [self.sample(size) for _ in range(fewer)]
            picture, truth, weight = (np.stack(column) for column in zip(*rows, strict=True))
            yield {
                "picture": _tensor(picture) * 2 - 1,
                "truth": _tensor(truth),
                "weight": _tensor(weight),
            }

    def sample(self, size: int) -> tuple[Floats, Floats, Floats]:
        """One sample of ``size`` px: picture (S, S, 3), truth (S, S, 2), weight (S, S, 2)."""
        kind = self._rng.random()
        if kind < self._chances.nobody:
            picture = self._nobody(size)
            truth = np.zeros((size, size, 2), np.float32)
            weight = np.ones_like(truth)
        elif kind < self._chances.nobody + self._chances.as_photographed and self._photographs():
            picture, truth, weight = self._photo(size)
        else:
            picture, truth, weight = self._composite(size)
        return augment.as_photographed(picture, self._rng), truth, weight

    def _happens(self, chance: float) -> bool:
        return bool(self._rng.random() < chance)

    def _nobody(self, size: int) -> Floats:
        """Nobody: a backdrop, or nearly all of a photo."""
        if not self._happens(self._chances.photo_of_nobody):
            return np.asarray(backdrop(self._scenes, self._rng, size), np.float32)
        scene = self._scenes[int(self._rng.integers(len(self._scenes)))]
        return augment.squeezed_photo(scene, self._rng, size)

    def _photo(self, size: int) -> tuple[Floats, Floats, Floats]:
        item, source = self._pick(self._photographs())
        view = random_view(item, size, self._rng)
        weight = known(view[..., 5:6], source)
        # where a label is soft it is only unsure: the exact edges of composites teach how sharp they are
        weight = weight * (np.abs(view[..., 3:4] - 0.5) > _UNSURE)
        return view[..., :3], view[..., 3:5], weight

    def _composite(self, size: int) -> tuple[Floats, Floats, Floats]:
        scene = np.asarray(backdrop(self._scenes, self._rng, size), np.float32)
        if self._happens(self._chances.clutter):
            scene = augment.with_clutter(scene, self._scenes, self._rng)
        truth = np.zeros((size, size, 2), np.float32)
        weight, gain = np.ones_like(truth), augment.random_light(self._rng)
        for number in range(1 + int(self._rng.choice(len(_MORE_PEOPLE), p=_MORE_PEOPLE))):
            colour, alpha, hair, trusted = self._person(size, gain)
            if number == 0 and self._happens(self._chances.camouflage):
                scene = augment.camouflaged(scene, colour, alpha, self._rng)
            layer = np.dstack([alpha * colour, alpha, hair])
            if self._happens(self._chances.motion_blur):
                layer = augment.with_motion_blur(layer, self._rng)
            alpha = layer[..., 3:4]
            scene = layer[..., :3] + (1 - alpha) * scene
            truth = layer[..., 3:] + (1 - alpha) * truth
            weight = np.where(alpha > _VISIBLE, trusted, weight)
        return scene.astype(np.float32), truth.astype(np.float32), weight.astype(np.float32)

    def _person(self, size: int, gain: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """A person to be composited: straight colour, alpha, hair, and the weight of the last two."""
        rng, chances = self._rng, self._chances
        item, source = self._pick(self._groups)
        view = random_view(item, size, rng)
        trusted = known(view[..., 5:6], source)
        alpha, hair = np.clip(view[..., 3:4], 0, 1), np.clip(view[..., 4:5], 0, 1)
        colour = augment.decontaminated(view[..., :3], alpha)
        if source.knows_hair:
            colour, alpha, hair, trusted = self._transformed(colour, alpha, hair, trusted)
        if self._happens(chances.gaps):
            pierced = augment.with_gaps(alpha, rng)
            alpha, hair = pierced, np.minimum(hair, pierced)
        if self._happens(chances.other_clothes):
            colour = augment.with_other_clothes(colour, rng)
        if self._happens(chances.hands):
            colour, hair = augment.with_hands(colour, hair, alpha, rng)
        colour = np.clip(colour * gain, 0, 1)
        if self._happens(chances.shadows):
            colour = augment.with_shadows(colour, rng)
        return colour, alpha, hair, trusted

    def _transformed(
        self, colour: Floats, alpha: Floats, hair: Floats, trusted: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        for chance, transform in self._transforms:
            if self._happens(chance):
                colour, person, strands = transform(colour, alpha[..., 0], hair[..., 0], self._rng)
                # what a transform adds is exact
                added = np.abs(person[..., None] - alpha) > 1 / 255
                trusted = np.where(added, np.float32(1), trusted)
                alpha, hair = person[..., None], strands[..., None]
        return colour, alpha, hair, trusted

    def _photographs(self) -> list[Group]:
        """Groups whose pictures show people where they were."""
        return [group for group in self._groups if group.source.kind != "rendered"]

    def _pick(self, groups: Sequence[Group]) -> tuple[Labelled, Source]:
        shares = np.array([group.source.share for group in groups])
        group = groups[int(self._rng.choice(len(shares), p=shares / shares.sum()))]
        return group.load(int(self._rng.integers(len(group.items)))), group.source


def find_groups(cache: Path, sources: Sequence[Source]) -> list[Group]:
    """What the cache holds of each source so far: ``labels/SOURCE/*.png``, or rendered people.

    Paths of rendered sources are relative to the cache.
    """
    groups = []
    for source in sources:
        if source.kind == "rendered":
            items = source.files(cache)
        else:
            labels = sorted((cache / "labels" / source.name).glob("*.png"))
            items = [p.with_name(p.name.removesuffix(".png")) for p in labels]
        groups.append(Group(source, [item for item in items if not source.is_held_out(item.name)]))
    return groups


def load_rendered(path: Path) -> Labelled:
    """A rendered person: a straight RGBA picture, and STEM_labels.png with person, hair and hands in R, G, B.

    Raises:
        InputError: one of the two is missing or of another kind.
    """
    label_path = path.with_name(f"{path.stem}_labels.png")
    image, label = (cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in (path, label_path))
    if image is None or label is None or image.ndim != 3 or image.shape[2] != 4 or label.ndim != 3:
        raise InputError(
            f"{path}: not a rendered person (RGBA, with {label_path.name} beside it); render it again"
        )
    planes = np.dstack([label[..., 2], label[..., 1], np.full(label.shape[:2], 255, np.uint8)])
    return Labelled(np.ascontiguousarray(image[..., 2::-1]), np.ascontiguousarray(planes))


def known(weight: Floats, source: Source) -> Floats:
    """Weights (S, S, 2) of person and hair from a label's weight (S, S, 1), see `labels`."""
    both = np.concatenate([2 * weight, (2 * weight - 1) * np.float32(source.knows_hair)], axis=-1)
    return np.asarray(np.clip(both, 0, 1), np.float32)


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
