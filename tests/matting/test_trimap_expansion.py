"""The band grows where the matte runs out of it, and only there."""

from __future__ import annotations

import torch

from autohair_video.matting.trimap_expansion import expand_band, keep_expansion

SIZE = (300, 400)


def _band(top: int, bottom: int) -> torch.Tensor:
    """Subject below, background above, unknown in between."""
    trimap = torch.zeros(1, 1, *SIZE, dtype=torch.uint8)
    trimap[:, :, bottom:] = 255
    trimap[:, :, top:bottom] = 128
    return trimap


def _settled(trimap: torch.Tensor) -> torch.Tensor:
    """Alpha that comes to 0 and 1 in the middle of the band."""
    alpha = torch.zeros(trimap.shape)
    alpha[:, :, 150:] = 1
    return alpha


def test_saturated_alpha_keeps_the_band() -> None:
    trimap = _band(130, 170)
    assert torch.equal(expand_band(_settled(trimap), trimap, trimap), trimap)


def test_band_expands_along_a_strand() -> None:
    initial = trimap = _band(130, 170)
    alpha = _settled(trimap)
    alpha[:, :, 90:150, 200:206] = 0.6
    for _ in range(4):
        solved = alpha.masked_fill(trimap == 0, 0).masked_fill(trimap == 255, 1)
        trimap = expand_band(solved, trimap, initial)
    assert (trimap[:, :, 110:130, 200:206] == 128).all()
    assert (trimap[:, :, :130, :180] == 0).all()
    assert (trimap[:, :, :90] == 0).all()
    assert torch.equal(trimap[:, :, 170:], initial[:, :, 170:])


def test_band_expands_along_a_gap_in_the_subject() -> None:
    trimap = _band(130, 170)
    alpha = _settled(trimap)
    alpha[:, :, 150:, 100:110] = 0.2
    solved = alpha.masked_fill(trimap == 255, 1)
    grown = expand_band(solved, trimap, trimap)
    assert (grown[:, :, 170:172, 100:110] == 128).all()
    assert (grown[:, :, 170:, 200:] == 255).all()


def test_expansion_is_bounded() -> None:
    initial = trimap = _band(130, 170)
    for _ in range(40):
        trimap = expand_band(torch.full(initial.shape, 0.5), trimap, initial)
    assert (trimap[:, :, :90] == 0).all()
    assert (trimap[:, :, 210:] == 255).all()


def test_expansion_persists_while_alpha_is_mixed() -> None:
    initial, before = _band(130, 170), _band(130, 170)
    before[:, :, 120:130, 190:216] = 128
    alpha = _settled(initial)
    assert torch.equal(keep_expansion(initial, before, alpha), initial)
    alpha[:, :, 122:150, 200:206] = 0.6
    kept = keep_expansion(initial, before, alpha)
    assert (kept[:, :, 122:130, 200:206] == 128).all()
    assert (kept[:, :, :130, :180] == 0).all()
