"""Reading weight files: safetensors, or PyTorch checkpoints without running any code of theirs."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autohair_video.errors import WeightsError

State = dict[str, Tensor]

# Keys under which training scripts store the state_dict, beside epoch, score and optimiser.
_WRAPPERS: Final = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
# Prefixes that parallel training and torch.compile add to each key.
_PREFIXES: Final = ("module.", "_orig_mod.")
_PICKLE_STARTS: Final = (b"PK\x03\x04", b"\x80")


def read_state(path: Path) -> State:
    """The tensors of a weight file, on the CPU; floating-point ones as float32.

    Wrapped state_dicts ({'epoch', 'state_dict', ...}) are unwrapped, prefixes of parallel training removed.

    Raises:
        WeightsError: the file is missing or truncated, pickles anything but tensors and plain values,
            has no tensors, or has values that are not finite.
    """
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}")
    with path.open("rb") as file:
        start = file.read(9)
    # Safetensors begin with an 8-byte length, which may equal a pickle's first bytes, and a brace.
    pickled = start.startswith(_PICKLE_STARTS) and start[8:] != b"{"
    raw = _read_torch(path) if pickled else _read_safetensors(path)
    state = _tensors(raw)
    if not state:
        raise WeightsError(f"{path} holds no tensors: a state_dict is expected")
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{path} is damaged: {name} holds values that are not finite")
    return state


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as exc:
        raise WeightsError(
            f"{path} cannot be read as weights: it is cut short, or neither safetensors nor a checkpoint"
        ) from exc


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        if found := re.search(r"GLOBAL ([\w.]+)", str(exc)):
            raise WeightsError(
                f"{path} pickles {found[1]}, which could run code: ask for its state_dict or safetensors"
            ) from exc
        raise WeightsError(f"{path} cannot be read: it is damaged or no checkpoint") from exc
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as exc:
        raise WeightsError(f"{path} cannot be read: it is cut short or no checkpoint") from exc
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__} where a state_dict is expected")
    return content


def _numpy_scalars() -> list[Any]:
    """Globals in the pickle of a NumPy scalar, which is pure data: many checkpoints store a score so."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "b1")}
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _tensors(content: Mapping[str, Any]) -> State:
    """The tensors of a wrapped or bare state_dict, under keys without prefixes."""
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            return _tensors(inner)
    state = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            for prefix in _PREFIXES:
                key = key.removeprefix(prefix)
            state[key] = value.detach().float() if value.is_floating_point() else value.detach()
    return state
