"""The over operator (Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984) on sample planes.

Blending is linear and Y'CbCr an affine map of R'G'B', so the planes can be blended directly, chroma with
alpha filtered as chroma is. Planes are three float tensors, luma (or R) (N, 1, H, W) and two chroma (or
G, B) (N, 1, h, w), in one unit; rounding is left to the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor

Planes = tuple[Tensor, Tensor, Tensor]


def chroma_alpha(alpha: Tensor, size: tuple[int, int]) -> Tensor:
    """Alpha at the chroma samples, with the filter of chroma subsampling.

    Chroma is sited as MPEG-2 and H.264 do by default: on every second luma column, half way between two
    rows. Hence the mean of two rows and (1, 2, 1) / 4 along columns, with the frame's edge replicated.

    Args:
        alpha: (N, 1, H, W) float, on any device.
        size: height and width of the chroma planes: those of luma, or half of them rounded up.

    Returns:
        (N, 1, h, w) float; ``alpha`` itself where chroma is not subsampled.

    >>> chroma_alpha(torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]]), (1, 2))
    tensor([[[[0.7500, 0.0000]]]])
    """
    if alpha.shape[2] != size[0]:
        upper, lower = _even_and_odd(alpha, 2)
        alpha = (upper + lower) * 0.5
    if alpha.shape[3] != size[1]:
        centre, right = _even_and_odd(alpha, 3)
        left = torch.cat([alpha[..., :1], right[..., :-1]], dim=3)
        alpha = (left + right).mul_(0.25).add_(centre, alpha=0.5)
    return alpha


def _even_and_odd(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The even and the odd rows or columns; the last one stands in for the odd one that an odd side lacks."""
    length = x.shape[dim]
    even = torch.arange(0, length, 2, device=x.device)
    return x.index_select(dim, even), x.index_select(dim, (even + 1).clamp(max=length - 1))


def composite_planes(foreground: Planes, alpha: Tensor, background: Planes) -> Planes:
    """``alpha * foreground + (1 - alpha) * background``, plane by plane.

    Exactly the foreground's samples where alpha is 1 and the background's where it is 0.

    Args:
        foreground: planes of the subject's colours (straight, not premultiplied).
        alpha: (N, 1, H, W) float in 0..1, on the planes' device.
        background: planes of the same sizes and unit; a batch of 1 is broadcast to all frames.
    """
    luma_f, u_f, v_f = foreground
    luma_b, u_b, v_b = background
    subsampled = chroma_alpha(alpha, (u_f.shape[2], u_f.shape[3]))
    return (
        torch.lerp(luma_b, luma_f, alpha),
        torch.lerp(u_b, u_f, subsampled),
        torch.lerp(v_b, v_f, subsampled),
    )
