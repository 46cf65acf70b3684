"""An accelerator that is not there: its tensors lie in this machine's memory and say that they do not.

Run as a program it mattes and composites a clip there and on the CPU, and prints what it found as JSON. An
operation that meets tensors of both fails, as on a real device, and so does `Tensor.numpy`; what waits for
the device is counted. It is a program of its own because torch has one such device for as long as it runs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

if TYPE_CHECKING:
    from autohair_video import BlendOptions, MattingOptions, SubjectOptions

NAME = "pretended"
FRAMES, BATCHES = 3, 2
DEVICE = torch.device("privateuseone", 0)
waits: list[str] = []


def is_possible() -> bool:
    """Whether this torch lets Python be a device."""
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


class There(Tensor):
    """A tensor that says it lies on the device; ``held`` is where its numbers are."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        """The same numbers, there."""
        there = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=held.requires_grad,
        )
        there.held = held
        return there

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        """Waits for the device, as the real one."""
        waits.append("tolist")
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        """Not possible, as for the real one."""
        raise TypeError("a tensor of the device is no array")


class Pretending(TorchDispatchMode):
    """While it lasts, tensors can be made there."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operation on what lies here."""
        return _run(func, args, kwargs or {})


def _there(x: Any) -> Any:
    return There(x) if isinstance(x, Tensor) and not isinstance(x, There) else x


def _here(x: Any) -> Any:
    return x.held if isinstance(x, There) else x


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
    name = func.name().split(".")[0]
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    theirs = [x for x in tensors if isinstance(x, There)]
    ours = [x for x in tensors if not isinstance(x, There) and x.dim()]
    asked = kwargs.pop("device", None)
    goes_there = bool(theirs) if asked is None else torch.device(asked).type == DEVICE.type
    moves = name in ("aten::_to_copy", "aten::copy_")
    if theirs and ours and not moves:
        raise RuntimeError(f"{name}: tensors of both devices, {[tuple(x.shape) for x in (*theirs, *ours)]}")
    comes_back = isinstance(args[1], There) and ours if name == "aten::copy_" else theirs and not goes_there
    if comes_back or (theirs and name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")):
        waits.append(name)
    found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    if name == "aten::copy_":
        return args[0]
    if not goes_there:
        return found
    # what is changed in place stays the tensor that it was
    same = {id(x.held): x for x in theirs}
    return tree_map(lambda x: same[id(x)] if id(x) in same else _there(x), found)


def _empty(size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return There(torch.empty(size, dtype=dtype))


def _empty_strided(size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, **_: Any) -> Tensor:
    return There(torch.empty_strided(size, stride, dtype=dtype))


def _copy(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    if isinstance(source, There):
        waits.append("aten::_copy_from")
    _here(target).copy_(_here(source))
    return target


@contextmanager
def pretending() -> Iterator[None]:
    """While it lasts, there is a device of the name `NAME`, which computes in float32."""
    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("aten", "IMPL")
    for operation, work in (
        ("empty.memory_format", _empty),
        ("empty_strided", _empty_strided),
        ("_copy_from", _copy),
    ):
        library.impl(operation, work, "PrivateUse1")
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    # tensors of other classes cannot be made in inference mode
    torch.inference_mode = torch.no_grad  # type: ignore[misc, assignment]
    with torch.no_grad(), Pretending():
        _check()
        yield


def _check() -> None:
    try:
        torch.ones(2, device=NAME) + torch.ones(2)
    except RuntimeError:
        return
    raise AssertionError("tensors of both devices were added")


def main() -> dict[str, dict[str, float]]:
    """Of each case the mean differences from the CPU's alpha and levels, and the waits of a batch."""
    from autohair_video import BlendOptions, MattingOptions, SubjectOptions, TemporalOptions
    from autohair_video.bench.clip import prepare
    from autohair_video.matting import pipeline
    from autohair_video.matting import tiled_inference as matte

    matte._BATCH_PX[NAME] = matte._BATCH_PX["cuda"]
    pipeline.choose_device = torch.device
    pipeline.working_dtype = lambda _: torch.float32
    fast, best = (MattingOptions.for_tier(tier) for tier in ("fast", "best"))
    largest, causal = SubjectOptions("largest"), replace(fast, temporal=TemporalOptions("causal"))
    cases = {
        "fast": (fast, SubjectOptions(), "blur", BlendOptions()),
        "best": (best, SubjectOptions(), "navy", BlendOptions(linear=True, light_wrap=0.5)),
        "causal": (causal, largest, "white", BlendOptions(despill="green")),
    }
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = prepare(Path(folder), None, "360p", BATCHES * FRAMES, copied=False).path
        for name, (options, *job) in cases.items():
            # the CPU alone keeps tiles
            options = replace(options, tiles=replace(options.tiles, reuse=False))
            found[name] = _compared(*(_matted(clip, device, options, *job) for device in ("cpu", NAME)))
        found["live"] = _compared(*(_live(clip, device) for device in ("cpu", NAME)))
    return found


def _compared(here: tuple[Tensor, Tensor, float], there: tuple[Tensor, Tensor, float]) -> dict[str, float]:
    return {
        "alpha": float((there[0] - here[0]).abs().mean()),
        "levels": float((there[1] - here[1]).abs().mean()),
        "subject": float(here[0].mean()),
        "waits": there[2],
    }


def _matted(
    clip: Path, device: str, options: MattingOptions, who: SubjectOptions, behind: str, blend: BlendOptions
) -> tuple[Tensor, Tensor, float]:
    """Alpha and the composite's luma of all frames, and how often each batch of `FRAMES` waits."""
    from autohair_video import MattingPipeline
    from autohair_video.compositing.render import composite, open_background_planes
    from autohair_video.jobs.subject_inputs import load_subject_prompt
    from autohair_video.media import ClipReader

    matter, alphas, lumas = MattingPipeline(device=device, options=options), [], []
    with ClipReader(clip, batch_size=FRAMES) as reader:
        form = reader.info.format
        guide, scene = load_subject_prompt(who, form), open_background_planes(behind, form)
        waits.clear()
        for batch, matte in matter.frames(reader, prompt=guide):
            alphas.append(matte.alpha)
            lumas.append(composite(batch, matte, scene, form, blend).planes[0])
    waited = len(waits) / BATCHES
    return torch.cat(alphas).cpu(), torch.cat(lumas).cpu().float(), waited


def _live(clip: Path, device: str) -> tuple[Tensor, Tensor, float]:
    """Alpha and trimap of a live session's pictures, and how often each waits."""
    from autohair_video import MattingPipeline
    from autohair_video.live.pipeline import LivePipeline
    from autohair_video.live.quality import LEVELS
    from autohair_video.live.settings import LiveOptions, Settings
    from autohair_video.media import ClipReader, to_rgb

    live = LivePipeline(MattingPipeline(device=device), LiveOptions())
    with ClipReader(clip, batch_size=1, end_s=0.16) as reader:
        pictures = [(to_rgb(batch)[0].permute(1, 2, 0).flip(-1) * 255).byte().numpy() for batch in reader]
    waits.clear()
    mattes = [live(picture, Settings("blur"), LEVELS[0]) for picture in pictures]
    waited = len(waits) / len(pictures)
    alphas, trimaps = [matte.alpha for matte in mattes], [matte.trimap for matte in mattes]
    return torch.cat(alphas).cpu(), torch.cat(trimaps).cpu().float(), waited


if __name__ == "__main__":
    with pretending():
        json.dump(main(), sys.stdout)
