"""Rendering by Mitsuba 3 (BSD-3; Jakob et al., 2022): colour by path tracing, coverage by primary rays.

Colour and coverage are separate passes. Colour needs many light paths and may be denoised; alpha must be
exact, so every pixel is split into a grid of sub-pixels, and what is hit first in each is counted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError, OptionError
from autohair_video.training.synthetic.people.figure import Category, Figure, Part, Strands
from autohair_video.training.synthetic.people.meshes import vertex_normals

_SUBPIXELS: Final = 4  # per side of a pixel, in the coverage pass
_MAX_DEPTH: Final = 3
_PANORAMA_SIZE: Final = (512, 256)
_LLVM_PATTERNS: Final = (
    "usr/lib/*/libLLVM*.so*",
    "usr/lib/llvm-*/lib/libLLVM*.so*",
    "usr/lib64/libLLVM*.so*",
    "opt/homebrew/opt/llvm/lib/libLLVM.dylib",
)
_FILM_SIDES: Final = (128, 256, 384)
_SPECK: Final = Part(
    "skin",
    np.array([[0, -99, 0], [1e-3, -99, 0], [0, -99, 1e-3]]),
    np.array([[0, 1, 2]]),
    np.full((3, 3), 0.5),
)
_SPECK_OF_CLOTH: Final = replace(
    _SPECK,
    category="cloth",
    colours=None,
    texture=np.full((256, 256, 3), 0.5, np.float32),
    uv=np.zeros((3, 2)),
)
_SPECK_OF_HAIR: Final = Strands(np.linspace([0, -99, 0], [0, -98.99, 0], 4)[None], 1e-5, (0.1, 0.1, 0.1))
_COLOURED: Final[tuple[Category, ...]] = ("skin", "hand", "hair", "prop")
_OLDEST_LLVM: Final = 16  # 14 and 15 abort on AVX-512


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    Attributes:
        origin: (3,) position, metres.
        target: (3,) point in the middle of the picture.
        up: (3,) direction.
        fov_deg: field of view of the longer side.
        width_px: width of the picture.
        height_px: height of the picture.
    """

    origin: NDArray[Any]
    target: NDArray[Any]
    up: NDArray[Any]
    fov_deg: float
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Picture:
    """A rendered foreground.

    Attributes:
        colour: (H, W, 3) float32 straight linear RGB, also valid where alpha is zero beside the subject.
        coverage: category to (H, W) float32 coverage in 0 to 1; the sum is alpha.
    """

    colour: NDArray[Any]
    coverage: dict[str, NDArray[Any]]

    @property
    def alpha(self) -> NDArray[Any]:
        """(H, W) float32 in 0 to 1."""
        total: NDArray[Any] = np.sum(list(self.coverage.values()), axis=0)
        alpha: NDArray[Any] = np.clip(total, 0, 1).astype(np.float32)
        return alpha


def load_mitsuba() -> ModuleType:
    """Import Mitsuba with its fastest variant that runs here, on one thread.

    Raises:
        OptionError: it is not installed.
    """
    library = os.environ.get("DRJIT_LIBLLVM_PATH") or _find_llvm()
    if library:
        os.environ["DRJIT_LIBLLVM_PATH"] = library
    try:
        import drjit
        import mitsuba
    except ImportError as exc:
        raise OptionError("rendered people need `mitsuba`: pip install 'autohair-video[train]'") from exc
    if mitsuba.variant() is None:
        mitsuba.set_variant("llvm_ad_rgb" if library else "scalar_rgb")
        drjit.set_thread_count(1)
    module: ModuleType = mitsuba
    return module


def _find_llvm() -> str | None:
    """The newest LLVM library in the usual folders, if it is new enough."""
    files = [path for pattern in _LLVM_PATTERNS for path in Path("/").glob(pattern)]
    found = {_llvm_version(path): str(path) for path in files}
    newest = max(found, default=0)
    return found[newest] if newest >= _OLDEST_LLVM else None


def _llvm_version(path: Path) -> int:
    digits = "".join(c if c.isdigit() else " " for c in path.name).split()
    return int(digits[0]) if digits else 0


def read_panorama(path: Path) -> NDArray[Any]:
    """Light from a panorama photograph: (256, 512, 3) float32 linear RGB of mean about 0.45.

    Bright pixels are made brighter, as lamps and the sun are clipped in a photograph.

    Raises:
        InputError: it is no picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path} is no picture")
    rgb = cv2.resize(bgr, _PANORAMA_SIZE, interpolation=cv2.INTER_AREA)[..., ::-1] / 255.0
    light = rgb**2.2
    bright = light.min(axis=-1, keepdims=True)
    light = light * (1 + 8 * np.clip((bright - 0.75) / 0.25, 0, 1) ** 2)
    scaled: NDArray[Any] = (light * 0.45 / (light.mean() + 1e-6)).astype(np.float32)
    return scaled


def render(
    figures: Sequence[Figure], view: View, light: NDArray[Any], light_deg: float, samples: int
) -> Picture:
    """Render people, hair and things before nothing.

    Args:
        figures: the people.
        view: the camera.
        light: from :func:`read_panorama`.
        light_deg: turn of the light about the vertical.
        samples: light paths in a pixel.
    """
    mi = load_mitsuba()
    side = _film_side(max(view.width_px, view.height_px))
    shift = round(light_deg / 360 * light.shape[1])
    turned = np.ascontiguousarray(np.roll(light, shift, axis=1))
    parts, strands = _slots(figures)
    shapes: dict[str, Any] = {}
    categories: list[str] = []
    with tempfile.TemporaryDirectory(prefix="strands") as scratch:
        for part in parts:
            name = f"shape{len(categories):03d}"
            shapes[name] = _mesh(mi, name, part)
            categories.append(part.category)
        for hair in strands:
            name = f"shape{len(categories):03d}"
            shapes[name] = _curves(mi, Path(scratch) / f"{name}.txt", hair)
            categories.append("hair")
        emitter = {"type": "envmap", "bitmap": mi.Bitmap(turned)}
        scene = mi.load_dict({"type": "scene", "light": emitter, **shapes})
    # Mitsuba orders shapes by itself: the identifiers say which is which.
    order = [categories[int(shape.id()[5:])] for shape in scene.shapes()]
    window = _window(view, side)
    colour = _render_colour(mi, scene, view, side, samples)[window]
    indices = _render_indices(mi, scene, view, side)
    coverage = {name: share[window] for name, share in _coverage(indices, order).items()}
    return Picture(_denoise(colour), coverage)


def _film_side(longest_px: int) -> int:
    """Side of the square film: kernels are compiled again for every size, so there are few of them."""
    return next((side for side in _FILM_SIDES if side >= longest_px), longest_px)


def _window(view: View, side: int) -> tuple[slice, slice]:
    """The middle of the film, which is the picture."""
    top, left = (side - view.height_px) // 2, (side - view.width_px) // 2
    return slice(top, top + view.height_px), slice(left, left + view.width_px)


def _slots(figures: Sequence[Figure]) -> tuple[list[Part], list[Strands]]:
    """All meshes and strands, merged and padded to fixed numbers.

    Kernels are compiled again for every number of shapes, which takes longer than a picture; so there are
    two sets of slots only, for one person and for several. Unused ones hold a speck far below the scene.
    """
    every = [part for figure in figures for part in figure.parts]
    merged = [_merge(category, every) for category in _COLOURED]
    cloth = [part for part in every if part.category == "cloth"]
    strands = [figure.strands for figure in figures if figure.strands is not None]
    single = len(figures) == 1
    cloth += [_SPECK_OF_CLOTH] * ((4 if single else 12) - len(cloth))
    strands += [_SPECK_OF_HAIR] * ((1 if single else 3) - len(strands))
    return merged + cloth, strands


def _merge(category: Category, parts: Sequence[Part]) -> Part:
    """One mesh of all parts of a category that have colours at their vertices."""
    members = [part for part in parts if part.category == category] or [replace(_SPECK, category=category)]
    first = np.cumsum([0] + [len(part.vertices) for part in members])
    return Part(
        category,
        np.concatenate([part.vertices for part in members]),
        np.concatenate([part.faces + start for part, start in zip(members, first, strict=False)]),
        np.concatenate([part.colours for part in members if part.colours is not None]),
    )


def _sensor(mi: ModuleType, view: View, side: int, film_px: int) -> Any:
    """A square camera whose middle is the view; its ``film_px`` pixels cover ``side`` of the view's."""
    film = {
        "type": "hdrfilm",
        "width": film_px,
        "height": film_px,
        "pixel_format": "rgba",
        "rfilter": {"type": "box"},
    }
    to_world = mi.ScalarTransform4f().look_at(
        origin=view.origin.tolist(), target=view.target.tolist(), up=view.up.tolist()
    )
    half = np.tan(np.radians(view.fov_deg / 2)) * side / max(view.width_px, view.height_px)
    kind = {"type": "perspective", "fov": float(2 * np.degrees(np.arctan(half))), "near_clip": 0.02}
    return mi.load_dict({**kind, "to_world": to_world, "film": film})


def _render_colour(mi: ModuleType, scene: Any, view: View, side: int, samples: int) -> NDArray[Any]:
    """(S, S, 3) float32 straight colour of the whole film."""
    integrator = mi.load_dict({"type": "path", "max_depth": _MAX_DEPTH, "hide_emitters": True})
    image = np.array(
        mi.render(scene, sensor=_sensor(mi, view, side, side), integrator=integrator, spp=samples)
    )
    return _extend(np.minimum(image[..., :3], 8.0), image[..., 3])


def _denoise(colour: NDArray[Any]) -> NDArray[Any]:
    """Colour without the noise of few light paths, where Open Image Denoise (Apache-2.0) is installed."""
    try:
        import mitsuba_oidn
    except ImportError:
        return colour
    denoised: NDArray[Any] = mitsuba_oidn.denoise(np.ascontiguousarray(colour), hdr=True)
    positive: NDArray[Any] = np.maximum(denoised, 0)
    return positive


def _extend(premultiplied: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Straight colour; pixels of small alpha take it from ever wider surroundings."""
    colour, weight = premultiplied.astype(np.float32), np.clip(alpha, 0, 1).astype(np.float32)
    total, total_weight = colour.copy(), weight.copy()
    for sigma, share in ((1.0, 1e-2), (3.0, 1e-4), (9.0, 1e-6)):
        total += share * cv2.GaussianBlur(colour, (0, 0), sigma)
        total_weight += share * cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = colour.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    straight = (total + 1e-9 * mean) / (total_weight + 1e-9)[..., None]
    extended: NDArray[Any] = straight.astype(np.float32)
    return extended


def _render_indices(mi: ModuleType, scene: Any, view: View, side: int) -> NDArray[Any]:
    """(4S, 4S) int, the number of the shape hit first in each sub-pixel, 0 for none."""
    integrator = mi.load_dict({"type": "aov", "aovs": "shape:shape_index"})
    sensor = _sensor(mi, view, side, side * _SUBPIXELS)
    image = np.array(mi.render(scene, sensor=sensor, integrator=integrator, spp=1))
    indices: NDArray[Any] = np.rint(image[..., -1]).astype(np.int64)
    return indices


def _coverage(indices: NDArray[Any], order: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Category to (H, W) float32: the share of a pixel's sub-pixels that it takes."""
    height, width = indices.shape[0] // _SUBPIXELS, indices.shape[1] // _SUBPIXELS
    coverage = {}
    for category in ("skin", "hand", "hair", "cloth", "prop"):
        members = [number + 1 for number, name in enumerate(order) if name == category]
        mask = np.isin(indices, members).reshape(height, _SUBPIXELS, width, _SUBPIXELS)
        coverage[category] = mask.mean(axis=(1, 3)).astype(np.float32)
    return coverage


def _mesh(mi: ModuleType, name: str, part: Part) -> Any:
    properties = mi.Properties()
    properties["bsdf"] = _material(mi, part)
    has_uv = part.uv is not None
    mesh = mi.Mesh(
        name,
        len(part.vertices),
        len(part.faces),
        has_vertex_normals=True,
        has_vertex_texcoords=has_uv,
        props=properties,
    )
    fields = mi.traverse(mesh)
    fields["vertex_positions"] = part.vertices.astype(np.float32).ravel()
    fields["vertex_normals"] = vertex_normals(part.vertices, part.faces).astype(np.float32).ravel()
    fields["faces"] = part.faces.astype(np.uint32).ravel()
    if part.uv is not None:
        fields["vertex_texcoords"] = part.uv.astype(np.float32).ravel()
    if part.colours is not None:
        mesh.add_attribute("vertex_color", 3, part.colours.astype(np.float32).ravel())
    fields.update()
    return mesh


def _material(mi: ModuleType, part: Part) -> Any:
    colour: dict[str, Any] = {"type": "mesh_attribute", "name": "vertex_color"}
    if part.texture is not None:
        colour = {"type": "bitmap", "bitmap": mi.Bitmap(part.texture), "raw": True}
    surface = {
        "type": "principled",
        "base_color": colour,
        "roughness": 0.85 if part.texture is not None else 0.5,
        "specular": 0.35,
    }
    return mi.load_dict({"type": "twosided", "surface": surface})


def _curves(mi: ModuleType, path: Path, strands: Strands) -> Any:
    """Mitsuba reads curves from a text file: lines of x, y, z and radius, an empty line between strands."""
    taper = np.linspace(1.0, 0.35, strands.points.shape[1]) * strands.radius
    radii = np.broadcast_to(taper[None, :, None], (*strands.points.shape[:2], 1))
    rows = np.concatenate([strands.points, radii], axis=2)
    # A hit at the very end of a strand reads the segment after it, so the last one must not be hit.
    unseen = np.linspace([0, -99, 0, 1e-5], [0, -98.9, 0, 1e-5], rows.shape[1])[None]
    rows = np.concatenate([unseen, rows, unseen])
    line = "%.5f %.5f %.5f %.6f"
    curve = "\n".join([line] * rows.shape[1])
    path.write_text("\n\n".join(curve % tuple(row) for row in rows.reshape(len(rows), -1).tolist()) + "\n")
    surface = {
        "type": "principled",
        "base_color": {"type": "rgb", "value": list(strands.colour)},
        "roughness": 0.35,
        "specular": 0.6,
    }
    return mi.load_dict(
        {"type": "bsplinecurve", "filename": str(path), "surface": {"type": "twosided", "bsdf": surface}}
    )
