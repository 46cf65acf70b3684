"""Weights: from a name, file or URL to a network, verified and without running foreign code.

registry    the manifests of shipped and added weights; size and SHA-256
download    a file or URL -> verified, cached and registered
checkpoint  safetensors and PyTorch files -> clean tensors
detect      tensors -> the architecture that they belong to
build       a name or file -> the network with its weights
"""

from autohair_video.weights.build import build, load, load_network
from autohair_video.weights.checkpoint import read_state
from autohair_video.weights.detect import Architecture, Role, detect_architecture
from autohair_video.weights.download import add
from autohair_video.weights.registry import (
    WeightsEntry,
    cache_folder,
    check_file,
    entries,
    for_tier,
    register,
    shipped_folder,
)

__all__ = [
    "Architecture",
    "Role",
    "WeightsEntry",
    "add",
    "build",
    "cache_folder",
    "check_file",
    "detect_architecture",
    "entries",
    "for_tier",
    "load",
    "load_network",
    "read_state",
    "register",
    "shipped_folder",
]
