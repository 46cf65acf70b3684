"""Choice of the device that the networks run on, and of its precision."""

from __future__ import annotations

import torch

from autohair_video.errors import DeviceError, OptionError


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        OptionError: there is no device type of that name.
        DeviceError: this machine, or this build of torch, does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind = name.split(":")[0]
    if kind not in available:
        raise OptionError(f"unknown device {name!r}: use auto, cpu, cuda or mps")
    if not available[kind]:
        raise DeviceError(f"no {kind} device on this machine; use --device cpu or auto")
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise OptionError(f"unknown device {name!r}: a number goes after the colon, as in cuda:1") from exc
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"no {name} on this machine, which has {torch.cuda.device_count()} CUDA device(s)")
    return device


def out_of_memory_error(device: torch.device, width: int, height: int) -> DeviceError:
    """The error for a single frame of this size that does not fit into the memory of ``device``."""
    return DeviceError(
        f"{device} has too little memory for one {width}x{height} frame; use --device cpu or a smaller clip"
    )


def working_dtype(device: torch.device) -> torch.dtype:
    """The dtype of the networks on ``device``: half precision where it is faster."""
    if device.type != "cpu":
        return torch.float16
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 on ``device``.

    On CPUs that is so with AVX512-BF16 only; others emulate it many times slower.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    try:
        # Not public, and not in all versions of torch; float32 is always right.
        return bool(torch.cpu._is_avx512_bf16_supported())
    except (AttributeError, TypeError, RuntimeError):
        return False
