"""Builds a network with its weights from a registered name or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import nn

from autohair_video.errors import WeightsError
from autohair_video.weights.checkpoint import State, read_state
from autohair_video.weights.detect import Architecture, Role, detect_architecture
from autohair_video.weights.registry import WeightsEntry, check_file, entries, find, sha256_of

_ROLE_NAMES: Final[Mapping[Role, str]] = {"segmenter": "segmenter", "matting": "matting network"}


def load(source: str | Path) -> State:
    """The tensors of registered weights or of a file, floating-point ones as float32 on the CPU.

    A registered file's size and SHA-256 are checked first.

    Raises:
        WeightsError: no such weights, or they are missing, altered, damaged or unsafe.
    """
    found = _locate(source)
    if isinstance(found, Path):
        return read_state(found)
    check_file(found)
    return read_state(found.path)


def load_network(
    source: str | Path, *, role: Role | None = None, architecture: str | None = None
) -> nn.Module:
    """The network of registered weights or of a file, in eval mode on the CPU.

    Args:
        source: a registered name or a file.
        role: the role that the network must have, if given.
        architecture: names the network where its tensors are ambiguous ("dim-vgg16-skip"). Not needed for a
            file that was added under that name before: its SHA-256 is known.

    Raises:
        WeightsError: as `load`, or the network is unknown or of another role, or the tensors do not
            fit it.
    """
    found = _locate(source)
    if architecture is None:
        entry = found if isinstance(found, WeightsEntry) else _same_file(found)
        architecture = entry.architecture if entry else None
    state = load(source)
    try:
        known = detect_architecture(state)
        if role is not None and role != known.role:
            own, wanted = _ROLE_NAMES[known.role], _ROLE_NAMES[role]
            raise WeightsError(f"these are weights of a {own} ({known.name}), not of a {wanted}")
        return build(known.named(architecture) if architecture else known, state)
    except WeightsError as exc:
        raise WeightsError(f"{source}: {exc}") from exc


def build(architecture: Architecture, state: State) -> nn.Module:
    """A network with exactly these weights, in eval mode.

    Raises:
        WeightsError: a tensor is missing, left over or of another shape.
    """
    network = architecture.make()
    state = _canonical(architecture, state)
    due = network.state_dict()
    # Folded or converted files lack the counters of batch norm, which inference does not use.
    due = {key: value for key, value in due.items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    _check_fit(
        architecture.name,
        {key: tuple(value.shape) for key, value in due.items()},
        {key: tuple(value.shape) for key, value in given.items()},
    )
    network.load_state_dict(given, strict=False)
    return network.eval()


def _canonical(architecture: Architecture, state: State) -> State:
    """The state under this package's keys: VOC networks are wrapped, their training head dropped."""
    if not architecture.name.startswith("voc-"):
        return state
    inference = {k: v for k, v in state.items() if not k.startswith("aux_classifier.")}
    return {f"network.{key}": value for key, value in inference.items()}


def _check_fit(name: str, due: dict[str, tuple[int, ...]], given: dict[str, tuple[int, ...]]) -> None:
    if missing := sorted(due.keys() - given.keys()):
        raise WeightsError(f"{_counted(missing)} of {name} missing")
    if extra := sorted(given.keys() - due.keys()):
        raise WeightsError(f"{_counted(extra)} that {name} does not have")
    for key, shape in due.items():
        if given[key] != shape:
            raise WeightsError(f"{key} has shape {given[key]} where {name} has {shape}")


def _counted(keys: list[str]) -> str:
    return f"{len(keys)} tensors ({', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"


def _locate(source: str | Path) -> WeightsEntry | Path:
    if isinstance(source, str) and (entry := find(source)):
        return entry
    path = Path(source)
    if path.is_file():
        return path
    names = ", ".join(entry.name for entry in entries()) or "none"
    raise WeightsError(f"{source} is neither a weights file nor registered (registered: {names})")


def _same_file(path: Path) -> WeightsEntry | None:
    size = path.stat().st_size
    candidates = [entry for entry in entries() if entry.bytes == size]
    if not candidates:
        return None
    digest = sha256_of(path)
    return next((entry for entry in candidates if entry.sha256 == digest), None)
