"""Deep Image Matting (Xu, Price, Cohen, Huang, CVPR 2017): alpha from a picture and its trimap.

`DeepImageMatting` is the published VGG-16 network, with the key names of the common PyTorch port
(huochaitiantang/pytorch-deep-image-matting), so that its checkpoints load strictly. `MobileDIM` solves
the same task on a CPU: a MobileNetV2 encoder, skip connections, and no layer at the full size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autohair_video.models.blocks import conv_relu, fold_batch_norms, mobilenet_features, space_to_depth2

# Channels of each encoder block (section 3.2); a block ends in a pooling whose places are kept.
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
            image: (N, 3, H, W) float32, RGB with ImageNet's mean and deviation taken out.
            trimap: (N, 1, H, W) float32 in 0..1; unknown is 128/255.

        Returns:
            (N, 1, H, W) alpha in 0..1, not yet fixed where the trimap is known; of the weights' dtype.
        """
        image = image.to(self.deconv1.weight.dtype, memory_format=torch.channels_last)
        x = torch.cat([image, trimap.to(image.dtype)], dim=1)
        places: dict[int, Tensor] = {}
        skips: dict[int, Tensor] = {}
        for block, widths in _BLOCKS.items():
            for i in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{block}_{i}")(x))
            skips[block] = x
            x, places[block] = F.max_pool2d(x, 2, 2, return_indices=True)
        x = F.relu(self.deconv6_1(F.relu(self.conv6_1(x))))
        for block in _DECONV:
            x = F.max_unpool2d(x, places[block], [2, 2], [2, 2])
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

    Layers at the full size are what costs on a CPU, so there are none: the encoder begins with a
    stride, the picture itself reaches the last decoder stage folded into channels (pixel-unshuffle),
    and the result is unfolded again (pixel-shuffle). The trimap goes in one-hot, beside what the known
    pixels tell of the unknown ones (`colour_hints`) and what the segmenter guesses of them (guidance as in
    Yu et al., "Mask Guided Matting via Progressive Refinement Network", CVPR 2021). Sides must be multiples
    of 32.

    The last decoder stage sees no further than two of its pixels, and on a CPU in use it is run only in
    blocks that hold unknown pixels: of a tile most is known, and costs nothing there.
    """

    stride = 32
    accepts_alpha_prior = True
    # So near to 0 and to 1 alpha means these: a sigmoid does not reach its ends, and what is left is seen as
    # haze. Of 0.01 to 0.08 this gives the least mean error on rendered crops that were held out of training.
    alpha_floor = 0.02

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _trimap_encoder()
        self.context = _PyramidPooling(320, 128)
        self.up8 = conv_relu(128 + 32, 96, 3)
        self.up4 = conv_relu(96 + 24, 40, 3)
        # without padding: what it needs from around a block is given to it
        self.up2 = nn.Sequential(
            conv_relu(40 + 16 + 4 * _INPUTS, 32, 3, padding=0),
            conv_relu(32, 32, 3, padding=0),
        )
        self.alpha = nn.Conv2d(32, 4, 1)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """Alpha of each pixel; arguments and result as in `DeepImageMatting.forward`.

        But here unknown is all of ``trimap`` from 0.25 to 0.75, and the value is a guess: 0.25 where it is
        likely background, 0.75 where it is likely foreground, 0.5 where nothing is known.
        """
        known, guess = one_hot_trimap(trimap), (2 * trimap - 0.5).clamp(0, 1)
        dtype = self.alpha.weight.dtype
        parts = image, known, colour_hints(image, known), guess
        x = torch.cat([part.to(dtype) for part in parts], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        s2 = self.encoder[:2](x)
        s4 = self.encoder[2:4](s2)
        s8 = self.encoder[4:7](s4)
        deep = self.context(self.encoder[7:](s8))
        y = self.up8(torch.cat([_grow(deep, s8), s8], dim=1))
        y = self.up4(torch.cat([_grow(y, s4), s4], dim=1))
        if self.training or image.device.type != "cpu":
            fine = [_framed(_grow(y, s2)), _framed(s2), F.pixel_unshuffle(_framed(x, 2 * _HALO), 2)]
            return self._sharpened(torch.cat(fine, dim=1))
        wanted = _blocks_with(known[:, 1], 2 * _BLOCK)
        result = known[:, 2:].to(x.dtype, copy=True)
        if not wanted:
            return result
        coarse = F.interpolate(_blocks(y, wanted, _BLOCK // 2), scale_factor=2.0, mode="bilinear")
        coarse = coarse[..., _HALO:-_HALO, _HALO:-_HALO]
        whole = space_to_depth2(_blocks(x, wanted, 2 * _BLOCK, halo=2 * _HALO))
        solved = self._sharpened(torch.cat([coarse, _blocks(s2, wanted, _BLOCK), whole], dim=1))
        for (n, rows, columns), alpha in zip(_places(wanted, 2 * _BLOCK), solved, strict=True):
            result[n, :, rows, columns] = alpha
        return result

    def _sharpened(self, fine: Tensor) -> Tensor:
        fine = fine.contiguous(memory_format=torch.channels_last)
        return torch.sigmoid(F.pixel_shuffle(self.alpha(self.up2(fine)), 2))


# A block's frame, row and column.
_Block = tuple[int, int, int]

# Picture, one-hot trimap, hints, guess.
_INPUTS = 3 + 3 + 4 + 1
# Side of a block, and what the last decoder stage needs around it, in its own pixels.
_BLOCK, _HALO = 16, 2
# The hints are made on a picture this much smaller.
_HINT_SHRINK = 4
# Weight of what is known further away, where something is known nearby.
_FAR = 1e-3


def colour_hints(image: Tensor, known: Tensor) -> Tensor:
    """What the known pixels tell of the unknown ones, as sampling-based matting would use it.

    The colours of the known fore- and background go on smoothly over the unknown band: means over ever
    larger cells, each filled from the next where it holds nothing known (the pull-push of Gortler et al.,
    "The Lumigraph", SIGGRAPH 1996, section 3.4). They give a first alpha, the place of the pixel's colour
    between the two (Wang and Cohen, "Optimized Color Sampling for Robust Matting", CVPR 2007, eq. 2).

    Args:
        image: (N, 3, H, W) float in any unit, sides multiples of 32.
        known: (N, 3, H, W) from `one_hot_trimap`.

    Returns:
        (N, 4, H, W): the trimap carried on over the band in 0..1, the first alpha in 0..1, how far the two
        colours are apart, and how far the pixel lies off the line between them, in the image's unit.
    """
    foreground, background = known[:, 2:], known[:, :1]
    sums = _cell_means(torch.cat([image * foreground, image * background, foreground, background], dim=1))
    inside, outside = sums[:, 6:7], sums[:, 7:]
    weights = [*[inside] * 3, *[outside] * 3, inside + outside]
    far = _quadrupled(_filled(sums[:, :7], torch.cat(weights, dim=1)))
    behind = far[:, 3:6]
    apart, own = far[:, :3] - behind, image - behind
    square = _dot(apart, apart)
    alpha = (_dot(apart, own) / (square + _FAR)).clamp(0, 1)
    off = torch.addcmul(own, alpha, apart, value=-1)
    return torch.cat([far[:, 6:], alpha, (square + _FAR).sqrt(), (_dot(off, off) + _FAR).sqrt()], dim=1)


def _cell_means(x: Tensor) -> Tensor:
    """Means of cells of 4x4; on a CPU a third of what pooling takes."""
    n, c, h, w = x.shape
    rows = x.view(n, c, h // _HINT_SHRINK, _HINT_SHRINK, w).sum(dim=3)
    columns = rows[..., ::_HINT_SHRINK] + rows[..., 1::_HINT_SHRINK]
    for k in range(2, _HINT_SHRINK):
        columns = columns + rows[..., k::_HINT_SHRINK]
    return columns / _HINT_SHRINK**2


def _quadrupled(x: Tensor) -> Tensor:
    """(N, C, h, w) at four times the size, bilinear; on a CPU less than half of what interpolating takes."""
    for dim in (2, 3):
        side = x.shape[dim]
        around = F.pad(x, (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0), mode="replicate")
        fine = x.new_empty((*x.shape[: dim + 1], 4, *x.shape[dim + 1 :]))
        # a new sample lies so far from the old one on its way to the one before or after that
        for place, (begin, share) in enumerate(((0, 0.375), (0, 0.125), (2, 0.125), (2, 0.375))):
            torch.lerp(x, around.narrow(dim, begin, side), share, out=fine.select(dim + 1, place))
        x = fine.flatten(dim, dim + 1)
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(N, 3, H, W) twice -> (N, 1, H, W): their products' sum over the channels."""
    red = a[:, :1] * b[:, :1]
    return torch.addcmul(torch.addcmul(red, a[:, 1:2], b[:, 1:2]), a[:, 2:], b[:, 2:])


def _filled(sums: Tensor, weight: Tensor) -> Tensor:
    """``sums / weight``, and where there is no weight, what larger cells have."""
    if min(weight.shape[2:]) > 1:
        larger = _filled(*(F.avg_pool2d(x, 2, ceil_mode=True) for x in (sums, weight)))
        behind = _grow(larger, sums)
    else:
        total = weight.mean(dim=(2, 3), keepdim=True)
        behind = (sums.mean(dim=(2, 3), keepdim=True) / total.clamp(min=1e-6)).expand_as(sums)
    return (sums + _FAR * behind) / (weight + _FAR)


def _blocks_with(mask: Tensor, block: int) -> list[_Block]:
    """The blocks of (N, H, W) in which something is above zero, ``block`` px wide."""
    n, height, width = mask.shape
    rows = mask.reshape(n, height // block, block, width).amax(dim=2)
    held = rows.view(n, height // block, width // block, block).amax(dim=3) > 0
    return [(frame, row, column) for frame, row, column in held.nonzero().tolist()]


def _places(blocks: Sequence[_Block], block: int, more: int = 0) -> Iterator[tuple[int, slice, slice]]:
    """The frame, the rows and the columns of each block, ``more`` px wider."""
    for frame, *corner in blocks:
        top, left = (block * place for place in corner)
        yield frame, slice(top, top + block + more), slice(left, left + block + more)


def _blocks(x: Tensor, wanted: Sequence[_Block], block: int, *, halo: int = _HALO) -> Tensor:
    """The wanted blocks of (N, C, h, w), ``block`` px wide, and what lies around them: (K, C, side, side)."""
    padded = _framed(x, halo).permute(0, 2, 3, 1)
    # On a CPU this takes a fifth of what an index of blocks takes.
    parts = [padded[frame, rows, columns] for frame, rows, columns in _places(wanted, block, 2 * halo)]
    return torch.stack(parts).permute(0, 3, 1, 2)


def _framed(x: Tensor, halo: int = _HALO) -> Tensor:
    return F.pad(x, (halo,) * 4, mode="replicate")


def one_hot_trimap(trimap: Tensor) -> Tensor:
    """(N, 1, H, W) in 0..1 -> (N, 3, H, W): background, unknown, foreground.

    >>> one_hot_trimap(torch.tensor([[[[0.0, 128 / 255, 1.0]]]])).squeeze().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    background, foreground = trimap < 0.25, trimap > 0.75
    return torch.cat([background, ~(background | foreground), foreground], dim=1).to(trimap.dtype)


def _grow(x: Tensor, like: Tensor) -> Tensor:
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
    """The deep map beside its means over the whole tile and over its quarters' quarters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_relu(inputs, outputs, 1)
        self.pooled = nn.ModuleList(nn.Conv2d(outputs, outputs // 4, 1) for _ in (1, 4))
        self.merge = conv_relu(outputs + 2 * (outputs // 4), outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        views = [x]
        for cells, conv in zip((1, 4), self.pooled, strict=True):
            views.append(_grow(F.relu(conv(F.adaptive_avg_pool2d(x, cells))), x))
        return cast(Tensor, self.merge(torch.cat(views, dim=1)))
