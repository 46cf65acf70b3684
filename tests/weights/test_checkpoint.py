"""Weight files of every kind that users bring, good and bad."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autohair_video.errors import WeightsError
from autohair_video.weights import read_state


def small_state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_half_precision_storage_comes_back_as_float32(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in small_state().items()}
    counter = {"n.num_batches_tracked": torch.tensor(7)}
    save_file(state | counter, tmp_path / "w.safetensors")
    back = read_state(tmp_path / "w.safetensors")
    assert back["a.weight"].dtype == torch.float32
    assert same(back, {k: v.float() for k, v in state.items()} | counter)


@pytest.mark.parametrize("header_bytes", [0x180, 0x280, 0x480])
def test_safetensors_whose_first_byte_is_a_pickles_are_none(tmp_path: Path, header_bytes: int) -> None:
    """A file begins with its header's length: one in 32 begins with 0x80, as pickles do."""
    path, state = tmp_path / "w.safetensors", small_state()
    save_file(state, path, metadata={"note": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    save_file(state, path, metadata={"note": "x" * (header_bytes - length)})
    assert int.from_bytes(path.read_bytes()[:8], "little") % 256 == 0x80
    assert same(read_state(path), state)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_checkpoint_is_unwrapped(tmp_path: Path, zipped: bool) -> None:
    """As huochaitiantang's port saves them: epoch, a NumPy score, keys of parallel training."""
    state = small_state()
    content = {
        "epoch": 12,
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "best_sad": np.float64(54.4),
    }
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    assert same(read_state(tmp_path / "c.pth"), state)


def test_a_numpy_number_of_the_other_numpy_generation(tmp_path: Path) -> None:
    """NumPy 2 moved numpy.core to numpy._core; files of either kind load."""
    path = tmp_path / "c.pth"
    content = {"state_dict": small_state(), "best_sad": np.float32(1.5)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    data = path.read_bytes()
    assert (new in data) != (old in data)
    path.write_bytes(data.replace(new, old) if new in data else data.replace(old, new))
    assert same(read_state(path), content["state_dict"])


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": small_state(), "extra": Dangerous()}, "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth pickles \w+\.mkdir.*state_dict") as caught:
        read_state(Path("bad.pth"))
    assert "\n" not in str(caught.value)
    assert not Path("owned").exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"pickles torch\.nn\.modules\.conv\.Conv2d"):
        read_state(tmp_path / "net.pth")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("keep", [0, 3, 40, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    path = tmp_path / f"w.{suffix}"
    state = {"a": torch.randn(64, 64)}
    if suffix == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    state = small_state()
    state["a.bias"][1] = bad
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"a\.bias holds values that are not finite"):
        read_state(tmp_path / "w.safetensors")


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file"):
        read_state(tmp_path / "absent.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        read_state(tmp_path / "empty.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match="holds a Tensor"):
        read_state(tmp_path / "tensor.pth")
    (tmp_path / "page.pth").write_text("<html>404</html>")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(tmp_path / "page.pth")
