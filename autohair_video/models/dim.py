"""Deep Image Matting (Xu, Price, Cohen, Huang, CVPR 2017): alpha from an image and its trimap.

`DeepImageMatting` is the published VGG-16 network, with the key names of the common PyTorch port
(huochaitiantang/pytorch-deep-image-matting), so that its checkpoints load strictly. `MobileDIM` is
made for CPUs: a MobileNetV2 encoder, skip connections, and no layer at full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.blocks import conv_relu, fold_batch_norms, mobilenet_features, space_to_depth2

# Channels of each encoder block (section 3.2); each block ends in max pooling whose indices are kept.
_BLOCKS = {1: (64, 64), 2: (128, 128), 3: (256,) * 3, 4: (512,) * 3, 5: (512,) * 3}
_DECONV = {5: (512, 512), 4: (512, 256), 3: (256, 128), 2: (128, 64), 1: (64, 64)}


class DeepImageMatting(nn.Module):
    """The published encoder-decoder (section 3.2) with its refinement stage (section 3.3).

    Sides must be multiples of 32. ``skip`` adds the encoder's maps to the unpooled ones, as v1.5 of
    the port does; the keys and shapes stay the same, so a checkpoint cannot tell. ``conv6_kernel`` is
    3 from v1.4 of the port and 1 before. ``refine_scale`` multiplies the alpha that the refinement
    reads: 256 in v1.0 and v1.1 of the port, 1 later.
    """

    stride = 32

    def __init__(
        self,
        *,
        refine: bool = True,
        skip: bool = False,
        conv6_kernel: Literal[1, 3] = 3,
        refine_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.skip = skip
        self.refine_scale = refine_scale
        inputs = 4
        for block, widths in _BLOCKS.items():
            for i, outputs in enumerate(widths, start=1):
                self.add_module(f"conv{block}_{i}", _conv(inputs, outputs, 3))
                inputs = outputs
        self.conv6_1 = _conv(512, 512, conv6_kernel)
        self.deconv6_1 = _conv(512, 512, 1)
        for block, (wide, narrow) in _DECONV.items():
            self.add_module(f"deconv{block}_1", _conv(wide, narrow, 5))
        self.deconv1 = _conv(64, 1, 5)
        self.has_refinement = refine
        if refine:
            self.refine_conv1 = _conv(4, 64, 3)
            self.refine_conv2 = _conv(64, 64, 3)
            self.refine_conv3 = _conv(64, 64, 3)
            self.refine_pred = _conv(64, 1, 3)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of each pixel.

        Args:
            image: (N, 3, H, W) float32, RGB normalised by ImageNet's mean and standard deviation.
            trimap: (N, 1, H, W) float32 in 0..1; unknown is 128/255.

        Returns:
            (N, 1, H, W) alpha in 0..1, of the weights' dtype; not yet replaced where the trimap is known.
        """
        image = image.to(self.deconv1.weight.dtype, memory_format=torch.channels_last)
        x = torch.cat([image, trimap.to(image.dtype)], dim=1)
        indices: dict[int, Tensor] = {}
        skips: dict[int, Tensor] = {}
        for block, widths in _BLOCKS.items():
            for i in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{block}_{i}")(x))
            skips[block] = x
            x, indices[block] = F.max_pool2d(x, 2, 2, return_indices=True)
        x = F.relu(self.deconv6_1(F.relu(self.conv6_1(x))))
        for block in _DECONV:
            x = F.max_unpool2d(x, indices[block], [2, 2], [2, 2])
            x = x + skips[block] if self.skip else x
            x = F.relu(self.get_submodule(f"deconv{block}_1")(x))
        raw = self.deconv1(x)
        return torch.sigmoid(raw + self._refinement(image, raw) if self.has_refinement else raw)

    def _refinement(self, image: Tensor, raw: Tensor) -> Tensor:
        x = torch.cat([image, torch.sigmoid(raw) * self.refine_scale], dim=1)
        for conv in (self.refine_conv1, self.refine_conv2, self.refine_conv3):
            x = F.relu(conv(x))
        return cast(Tensor, self.refine_pred(x))


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class MobileDIM(nn.Module):
    """Deep Image Matting for CPUs: MobileNetV2 encoder, skip connections, colour hints, 2.3 M parameters.

    Layers at full resolution dominate the cost on a CPU, so there are none: the encoder begins with a
    stride, the image reaches the last decoder stage by pixel-unshuffle, and alpha leaves it by
    pixel-shuffle. The inputs are the image, the one-hot trimap, hints from the known pixels' colours
    (`colour_hints`) and a coarse alpha prior from the segmenter (guidance as in Yu et al., "Mask Guided
    Matting via Progressive Refinement Network", CVPR 2021). Sides must be multiples of 32.

    The receptive field of the last decoder stage is two of its pixels to each side. In eval mode on a CPU
    it runs only on blocks that contain unknown pixels: most of a tile is known.
    """

    stride = 32
    accepts_alpha_prior = True
    # Callers stretch [alpha_floor, 1 - alpha_floor] to [0, 1]: a sigmoid never saturates, and residual alpha
    # is visible. Of 0.01 to 0.08 this gives the least mean error on rendered crops held out of training.
    alpha_floor = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _trimap_encoder()
        self.context = _PyramidPooling(320, 128)
        self.up8 = conv_relu(128 + 32, 96, 3)
        self.up4 = conv_relu(96 + 24, 40, 3)
        # unpadded: blocks are cut out with the border that it needs
        self.up2 = nn.Sequential(
            conv_relu(40 + 16 + 4 * _INPUTS, 32, 3, padding=0),
            conv_relu(32, 32, 3, padding=0),
        )
        self.alpha = nn.Conv2d(32, 4, 1)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of each pixel; arguments and result as in `DeepImageMatting.forward`.

        Unlike there, ``trimap`` values from 0.25 to 0.75 are all unknown and encode the alpha prior: 0.25 for
        likely background, 0.75 for likely foreground, 0.5 for no prior.
        """
        known, prior = one_hot_trimap(trimap), (2 * trimap - 0.5).clamp(0, 1)
        dtype = self.alpha.weight.dtype
        parts = image, known, colour_hints(image, known), prior
        x = torch.cat([part.to(dtype) for part in parts], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        s2 = self.encoder[:2](x)
        s4 = self.encoder[2:4](s2)
        s8 = self.encoder[4:7](s4)
        deep = self.context(self.encoder[7:](s8))
        y = self.up8(torch.cat([_resize_like(deep, s8), s8], dim=1))
        y = self.up4(torch.cat([_resize_like(y, s4), s4], dim=1))
        if self.training or image.device.type != "cpu":
            fine = [_pad(_resize_like(y, s2)), _pad(s2), F.pixel_unshuffle(_pad(x, 2 * _HALO), 2)]
            return self._last_stage(torch.cat(fine, dim=1))
        wanted = _blocks_containing(known[:, 1], 2 * _BLOCK)
        result = known[:, 2:].to(x.dtype, copy=True)
        if not wanted:
            return result
        coarse = F.interpolate(_cut_blocks(y, wanted, _BLOCK // 2), scale_factor=2.0, mode="bilinear")
        coarse = coarse[..., _HALO:-_HALO, _HALO:-_HALO]
        whole = space_to_depth2(_cut_blocks(x, wanted, 2 * _BLOCK, halo=2 * _HALO))
        alphas = self._last_stage(torch.cat([coarse, _cut_blocks(s2, wanted, _BLOCK), whole], dim=1))
        for (n, rows, columns), alpha in zip(_block_slices(wanted, 2 * _BLOCK), alphas, strict=True):
            result[n, :, rows, columns] = alpha
        return result

    def _last_stage(self, fine: Tensor) -> Tensor:
        fine = fine.contiguous(memory_format=torch.channels_last)
        return torch.sigmoid(F.pixel_shuffle(self.alpha(self.up2(fine)), 2))


# A block's frame, row and column.
_Block = tuple[int, int, int]

# Channels: image, one-hot trimap, hints, alpha prior.
_INPUTS = 3 + 3 + 4 + 1
# Side of a block and the border that the last decoder stage needs, in pixels of half resolution.
_BLOCK, _HALO = 16, 2
# Hints are computed on an image downscaled by this factor.
_HINT_DOWNSCALE = 4
# Weight of the coarser level in `_pull_push`; it dominates where a cell contains no known pixel.
_FALLBACK_WEIGHT = 1e-3


def colour_hints(image: Tensor, known: Tensor) -> Tensor:
    """Hints from the known pixels' colours, as sampling-based matting derives them.

    The colours of the known foreground and background are extrapolated over the unknown band by means over
    cells of increasing size, each filled from the next where it contains no known pixel (the pull-push of
    Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4). The projection of the pixel's colour on the
    line between them is a first alpha (Wang and Cohen, "Optimized Color Sampling for Robust Matting", CVPR
    2007, eq. 2).

    Args:
        image: (N, 3, H, W) float in any unit, sides multiples of 32.
        known: (N, 3, H, W) from `one_hot_trimap`.

    Returns:
        (N, 4, H, W): the trimap extrapolated over the band in 0..1, the first alpha in 0..1, the distance of
        the two colours, and the pixel's distance from the line between them, both in the image's unit.
    """
    foreground, background = known[:, 2:], known[:, :1]
    sums = _cell_means(torch.cat([image * foreground, image * background, foreground, background], dim=1))
    inside, outside = sums[:, 6:7], sums[:, 7:]
    weights = [*[inside] * 3, *[outside] * 3, inside + outside]
    far = _upsample4(_pull_push(sums[:, :7], torch.cat(weights, dim=1)))
    behind = far[:, 3:6]
    apart, own = far[:, :3] - behind, image - behind
    square = _dot(apart, apart)
    alpha = (_dot(apart, own) / (square + _FALLBACK_WEIGHT)).clamp(0, 1)
    off = torch.addcmul(own, alpha, apart, value=-1)
    return torch.cat(
        [far[:, 6:], alpha, (square + _FALLBACK_WEIGHT).sqrt(), (_dot(off, off) + _FALLBACK_WEIGHT).sqrt()],
        dim=1,
    )


def _cell_means(x: Tensor) -> Tensor:
    """Means of 4x4 cells; on a CPU in a third of `F.avg_pool2d`'s time."""
    n, c, h, w = x.shape
    rows = x.view(n, c, h // _HINT_DOWNSCALE, _HINT_DOWNSCALE, w).sum(dim=3)
    columns = rows[..., ::_HINT_DOWNSCALE] + rows[..., 1::_HINT_DOWNSCALE]
    for k in range(2, _HINT_DOWNSCALE):
        columns = columns + rows[..., k::_HINT_DOWNSCALE]
    return columns / _HINT_DOWNSCALE**2


def _upsample4(x: Tensor) -> Tensor:
    """(N, C, h, w) upsampled 4x, bilinear; on a CPU in less than half of `F.interpolate`'s time."""
    for dim in (2, 3):
        side = x.shape[dim]
        around = F.pad(x, (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0), mode="replicate")
        fine = x.new_empty((*x.shape[: dim + 1], 4, *x.shape[dim + 1 :]))
        # interpolation weight of the previous (0) or next (2) sample for each of the four new ones
        for phase, (begin, weight) in enumerate(((0, 0.375), (0, 0.125), (2, 0.125), (2, 0.375))):
            torch.lerp(x, around.narrow(dim, begin, side), weight, out=fine.select(dim + 1, phase))
        x = fine.flatten(dim, dim + 1)
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot product over the channels: (N, 3, H, W) twice -> (N, 1, H, W)."""
    red = a[:, :1] * b[:, :1]
    return torch.addcmul(torch.addcmul(red, a[:, 1:2], b[:, 1:2]), a[:, 2:], b[:, 2:])


def _pull_push(sums: Tensor, weight: Tensor) -> Tensor:
    """``sums / weight``, filled from larger cells where the weight is 0."""
    if min(weight.shape[2:]) > 1:
        larger = _pull_push(*(F.avg_pool2d(x, 2, ceil_mode=True) for x in (sums, weight)))
        behind = _resize_like(larger, sums)
    else:
        total = weight.mean(dim=(2, 3), keepdim=True)
        behind = (sums.mean(dim=(2, 3), keepdim=True) / total.clamp(min=1e-6)).expand_as(sums)
    return (sums + _FALLBACK_WEIGHT * behind) / (weight + _FALLBACK_WEIGHT)


def _blocks_containing(mask: Tensor, block: int) -> list[_Block]:
    """The blocks of ``block`` px in (N, H, W) with any value above 0."""
    n, height, width = mask.shape
    rows = mask.reshape(n, height // block, block, width).amax(dim=2)
    nonzero = rows.view(n, height // block, width // block, block).amax(dim=3) > 0
    return [(frame, row, column) for frame, row, column in nonzero.nonzero().tolist()]


def _block_slices(blocks: Sequence[_Block], block: int, more: int = 0) -> Iterator[tuple[int, slice, slice]]:
    """Frame, rows and columns of each block, enlarged by ``more`` px."""
    for frame, *corner in blocks:
        top, left = (block * index for index in corner)
        yield frame, slice(top, top + block + more), slice(left, left + block + more)


def _cut_blocks(x: Tensor, wanted: Sequence[_Block], block: int, *, halo: int = _HALO) -> Tensor:
    """The wanted blocks of (N, C, h, w) with a border of ``halo`` px: (K, C, side, side)."""
    padded = _pad(x, halo).permute(0, 2, 3, 1)
    # On a CPU in a fifth of the time of advanced indexing.
    parts = [padded[frame, rows, columns] for frame, rows, columns in _block_slices(wanted, block, 2 * halo)]
    return torch.stack(parts).permute(0, 3, 1, 2)


def _pad(x: Tensor, halo: int = _HALO) -> Tensor:
    return F.pad(x, (halo,) * 4, mode="replicate")


def one_hot_trimap(trimap: Tensor) -> Tensor:
    """(N, 1, H, W) in 0..1 -> (N, 3, H, W): background, unknown, foreground.

    >>> one_hot_trimap(torch.tensor([[[[0.0, 128 / 255, 1.0]]]])).squeeze().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    background, foreground = trimap < 0.25, trimap > 0.75
    return torch.cat([background, ~(background | foreground), foreground], dim=1).to(trimap.dtype)


def _resize_like(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def _trimap_encoder() -> nn.Sequential:
    """MobileNetV2's features with more input channels and output stride 16."""
    features = mobilenet_features()
    fold_batch_norms(features)
    features[0] = nn.Sequential(nn.Conv2d(_INPUTS, 32, 3, stride=2, padding=1), nn.Identity(), nn.ReLU6())
    depthwise = cast(nn.Conv2d, features.get_submodule("14.conv.1.0"))
    depthwise.stride = (1, 1)
    return features


class _PyramidPooling(nn.Module):
    """The deep features concatenated with their means over the whole tile and over a 4x4 grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_relu(inputs, outputs, 1)
        self.pooled = nn.ModuleList(nn.Conv2d(outputs, outputs // 4, 1) for _ in (1, 4))
        self.merge = conv_relu(outputs + 2 * (outputs // 4), outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        views = [x]
        for cells, conv in zip((1, 4), self.pooled, strict=True):
            views.append(_resize_like(F.relu(conv(F.adaptive_avg_pool2d(x, cells))), x))
        return cast(Tensor, self.merge(torch.cat(views, dim=1)))
