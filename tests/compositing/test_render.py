"""What a matted batch becomes: exact where alpha is one, own colours at the edge, the background right."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autohair_video import BlendOptions, DeviceError, EdgeOptions, FrameBatch, FrameFormat, Matte
from autohair_video.compositing.over import Planes
from autohair_video.compositing.render import (
    BackgroundPlanes,
    composite,
    open_background_planes,
    straight_foreground,
)
from autohair_video.matting.matte_adjust import adjust_matte
from autohair_video.media import PRESETS, ClipReader, codec_format, to_rgb
from autohair_video.media.colour import from_rgb, round_planes
from autohair_video.media.encoder_input import encoder_planes
from autohair_video.media.presets import Preset, premultiplied
from autohair_video.media.transfer import from_linear, to_linear
from tests.helpers.clips import make_clip


def _read(path: Path) -> FrameBatch:
    with ClipReader(path) as reader:
        return next(iter(reader))


def _matte(batch: FrameBatch, alpha: Tensor | float, raw_alpha: Tensor | None = None) -> Matte:
    size = (len(batch), 1, batch.format.height, batch.format.width)
    return Matte(
        alpha if isinstance(alpha, Tensor) else torch.full(size, alpha),
        batch.pts,
        batch.durations,
        batch.time_base,
        raw_alpha=raw_alpha,
    )


def _batch(rgb: tuple[float, float, float], *, frames: int = 1) -> FrameBatch:
    """Frames of one colour, 24x16 RGB of 8 bit."""
    fmt = FrameFormat(24, 16, subsample_x=1, subsample_y=1, matrix=0, full_range=True)
    r, g, b = (torch.full((frames, 1, 16, 24), round(255 * value), dtype=torch.uint8) for value in rgb)
    return FrameBatch((r, g, b), fmt, tuple(range(frames)), (1,) * frames, Fraction(1, 10))


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "yuv422p10le", "yuv444p10le"],
)
@pytest.mark.parametrize("background", ["#ff00ff", "blur"])
def test_samples_under_alpha_one_reach_the_encoder_untouched(
    tmp_path: Path, pixel_format: str, background: str
) -> None:
    batch = _read(make_clip(tmp_path / "a.mp4", pts=range(2), pixel_format=pixel_format))
    target = codec_format(PRESETS["h264"], batch.format)
    assert target == batch.format
    result = composite(batch, _matte(batch, 1.0), open_background_planes(background, target), target)
    assert all(torch.equal(ours, given) for ours, given in zip(result.planes, batch.planes, strict=True))
    assert (result.pts, result.durations, result.format) == (batch.pts, batch.durations, target)


@pytest.mark.parametrize("size", [(64, 48), (17, 33)])
@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
def test_a_cut_out_in_another_format_shows_the_same_colours(
    tmp_path: Path, matrix: int, color_range: int, size: tuple[int, int]
) -> None:
    # FFV1 takes the odd size in 4:2:0 that x264 refuses
    clip = make_clip(
        tmp_path / "a.mkv",
        size=size,
        pts=range(2),
        codec="ffv1",
        tags={"colorspace": matrix, "color_range": color_range},
    )
    batch = _read(clip)
    assert (batch.format.matrix, batch.format.full_range) == (matrix, color_range == 2)
    target = codec_format(PRESETS["prores4444"], batch.format)
    assert (target.bit_depth, target.subsample_x, target.full_range) == (10, 1, False)
    result = straight_foreground(batch, _matte(batch, 1.0), target)
    assert (to_rgb(result) - to_rgb(batch)).abs().max() <= 2 / 255


def test_alpha_zero_leaves_the_background_alone(tmp_path: Path) -> None:
    batch = _read(make_clip(tmp_path / "a.mp4", pts=range(2)))
    result = composite(
        batch, _matte(batch, 0.0), open_background_planes("#204080", batch.format), batch.format
    )
    wanted = torch.tensor([0x20, 0x40, 0x80]).view(3, 1, 1) / 255
    assert (to_rgb(result) - wanted).abs().max() <= 2 / 255


def test_the_old_background_is_taken_out_of_the_edge() -> None:
    """A dark subject before green; its half covered columns must not bring green along."""
    batch = _batch((0.2, 0.1, 0.1))
    alpha = torch.zeros(1, 1, 16, 24)
    alpha[..., 10:14], alpha[..., 14:] = 0.5, 1.0
    mixed = [
        (plane.float() * alpha + level * (1 - alpha)).round().to(torch.uint8)
        for plane, level in zip(batch.planes, (0, 255, 0), strict=True)
    ]
    batch = batch.with_planes((mixed[0], mixed[1], mixed[2]), batch.format)
    red, green, _ = straight_foreground(batch, _matte(batch, alpha), batch.format).planes
    edge = slice(10, 14)
    assert batch.planes[1][..., edge].float().mean() > 130
    assert green[..., edge].float().mean() < 60
    assert (red[..., edge].float() - 51).abs().mean() < 15
    result = composite(batch, _matte(batch, alpha), open_background_planes("red", batch.format), batch.format)
    assert result.planes[1][..., edge].float().mean() < 40


def test_blur_keeps_the_subject_out_of_its_surroundings() -> None:
    batch = _batch((0.0, 0.0, 1.0))
    alpha = torch.zeros(1, 1, 16, 24)
    alpha[..., 4:12, 8:16] = 1.0
    white = [torch.where(alpha == 1, 255, plane).to(torch.uint8) for plane in batch.planes]
    batch = batch.with_planes((white[0], white[1], white[2]), batch.format)
    result = composite(
        batch, _matte(batch, alpha), open_background_planes("blur", batch.format), batch.format
    )
    outside = (alpha == 0).expand(1, 3, -1, -1)
    wanted = torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1).expand(1, 3, 16, 24)
    assert (to_rgb(result) - wanted)[outside].abs().max() <= 2 / 255


def test_blur_keeps_out_what_the_edge_controls_took_from_the_subject() -> None:
    """A white body before blue, its matte choked by 12 px: only blue lies behind it."""
    body = torch.zeros(1, 1, 120, 200)
    body[..., 30:, 60:140] = 1.0
    batch = _rgb_batch(torch.cat([body, body, torch.ones_like(body)], dim=1))
    alpha = adjust_matte(body, EdgeOptions(choke_px=12))
    result = composite(
        batch, _matte(batch, alpha, body), open_background_planes("blur", batch.format), batch.format
    )
    outside = (alpha == 0).expand(1, 3, -1, -1)
    wanted = _flat(to_rgb(result), 0, 0, 1)
    assert (to_rgb(result) - wanted)[outside].abs().max() <= 1 / 255


@pytest.mark.parametrize(
    "edges",
    [EdgeOptions(feather_px=3), EdgeOptions(choke_px=-4), EdgeOptions(choke_px=4), EdgeOptions(gamma=3)],
    ids=["feathered", "grown", "choked", "denser"],
)
def test_an_adjusted_edge_has_the_subjects_own_colours(edges: EdgeOptions) -> None:
    """Filmed before green, the edge adjusted, put on magenta: no green comes along."""
    front, raw_alpha = _strands()
    batch = _rgb_batch(torch.lerp(_flat(front, 0.1, 0.8, 0.2), front, raw_alpha))
    alpha = adjust_matte(raw_alpha, edges)
    scene = open_background_planes("magenta", batch.format)
    shown = to_rgb(composite(batch, _matte(batch, alpha, raw_alpha), scene, batch.format))
    error = _band_error(shown, torch.lerp(_flat(front, 1, 0, 1), front, alpha), alpha)
    assert error.mean() < 3
    assert error.quantile(0.99) < 8


def test_a_clip_behind_is_shown_from_the_origin_on(tmp_path: Path) -> None:
    behind = make_clip(tmp_path / "b.mp4", size=(24, 16), pts=range(4), time_base=Fraction(1, 10))
    batch = _batch((1.0, 0.0, 0.0), frames=4)
    with ClipReader(behind) as reader:
        pictures = to_rgb(next(iter(reader)))
    for first, origin in ((0, Fraction(0)), (2, Fraction(-2, 10))):
        scene = open_background_planes(str(behind), batch.format, origin=origin)
        result = to_rgb(composite(batch, _matte(batch, 0.0), scene, batch.format))
        scene.close()
        assert (result - pictures.roll(-first, 0)).abs().max() <= 1 / 255


# Known answers


def _rgb_batch(rgb: Tensor, *, transfer: int = 2) -> FrameBatch:
    """(1, 3, H, W) in 0..1 as a frame of 12 bit RGB, so that rounding does not count."""
    height, width = rgb.shape[2:]
    fmt = FrameFormat(width, height, 12, 1, 1, matrix=0, full_range=True, transfer=transfer)
    r, g, b = (rgb * 4095).round().to(torch.int16).split(1, dim=1)
    return FrameBatch((r, g, b), fmt, (0,), (1,), Fraction(1, 10))


def _strands(size: tuple[int, int] = (96, 128)) -> tuple[Tensor, Tensor]:
    """Colours and alpha of a head with strands of hair: thin, tilted, soft, over a solid lower half."""
    y, x = torch.meshgrid(*(torch.arange(side).float() for side in size), indexing="ij")
    solid = ((y - size[0] * 0.6) / 6).clamp(0, 1)
    hair = torch.zeros(size)
    for k in range(24):
        away = (x - (5 * k + 6) - (k % 7 - 3) * 0.15 * (size[0] * 0.6 - y)).abs()
        hair = torch.maximum(hair, (1.4 - away).clamp(0, 1) * (y > 12 + k % 5 * 6))
    alpha = torch.maximum(solid, 0.9 * hair)[None, None]
    red = 0.35 + 0.15 * torch.sin(x / 40)
    return torch.stack([red, 0.6 * red, 0.4 * red])[None], alpha


def _flat(like: Tensor, *rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand_as(like)


def _band_error(shown: Tensor, truth: Tensor, alpha: Tensor) -> Tensor:
    """Largest error over the channels of each mixed pixel, in 1/255."""
    return (255 * (shown - truth).abs()).amax(dim=1, keepdim=True)[(alpha > 0) & (alpha < 1)]


@pytest.mark.parametrize("despill", ["off", "green"])
def test_filmed_before_green_and_put_on_magenta_it_is_as_if_filmed_there(despill: str) -> None:
    front, alpha = _strands()
    batch = _rgb_batch(torch.lerp(_flat(front, 0.1, 0.8, 0.2), front, alpha))
    scene = open_background_planes("magenta", batch.format)
    blend = BlendOptions(despill=despill)  # type: ignore[arg-type]
    shown = to_rgb(composite(batch, _matte(batch, alpha), scene, batch.format, blend))
    error = _band_error(shown, torch.lerp(_flat(front, 1, 0, 1), front, alpha), alpha)
    assert error.max() < 4
    assert error.mean() < 1


@pytest.mark.parametrize("subsample_y", [1, 2])
def test_the_known_answer_holds_for_subsampled_chroma_too(subsample_y: int) -> None:
    """In sample values of 8 bit video, against the truth that went through the same subsampling."""
    front, alpha = _strands()
    fmt = FrameFormat(128, 96, subsample_x=2, subsample_y=subsample_y, matrix=1)
    before_green, before_magenta = (
        FrameBatch(round_planes(from_rgb(rgb, fmt), fmt), fmt, (0,), (1,), Fraction(1, 10))
        for rgb in (
            torch.lerp(_flat(front, *colour), front, alpha) for colour in ((0.1, 0.8, 0.2), (1, 0, 1))
        )
    )
    shown = composite(before_green, _matte(before_green, alpha), open_background_planes("magenta", fmt), fmt)
    for ours, truth in zip(shown.planes, before_magenta.planes, strict=True):
        error = (ours.int() - truth.int()).abs()
        assert error.max() <= 4
        assert error.float().mean() < 1


def test_despill_takes_a_screens_light_off_the_subject_and_nothing_else() -> None:
    colours = torch.tensor([[0.4, 0.3, 0.2], [0.4, 0.6, 0.3], [0.2, 0.3, 0.7]]).T.reshape(1, 3, 1, 3)
    batch = _rgb_batch(colours.repeat(1, 1, 8, 4))
    matte = _matte(batch, 1.0)
    for despill, channel, column, limit in (("green", 1, 1, 0.4), ("blue", 2, 2, 0.3)):
        wanted = to_rgb(batch)
        wanted[:, channel, :, column::3] = limit
        blend = BlendOptions(despill=despill)  # type: ignore[arg-type]
        assert (to_rgb(straight_foreground(batch, matte, batch.format, blend)) - wanted).abs().max() < 1e-3


@pytest.mark.parametrize("transfer", [1, 13, 18])
def test_linear_blending_adds_light(transfer: int) -> None:
    front, alpha = _strands()
    fmt = _rgb_batch(front, transfer=transfer).format
    front_light, green, behind = (
        to_linear(x, fmt) for x in (front, _flat(front, 0.1, 0.7, 0.2), _flat(front, 1, 0, 1))
    )
    batch = _rgb_batch(from_linear(torch.lerp(green, front_light, alpha), fmt), transfer=transfer)
    scene = open_background_planes("magenta", fmt)
    truth = from_linear(torch.lerp(behind, front_light, alpha), fmt)
    shown = to_rgb(composite(batch, _matte(batch, alpha), scene, fmt, BlendOptions(linear=True)))
    coded = to_rgb(composite(batch, _matte(batch, alpha), scene, fmt))
    assert _band_error(shown, truth, alpha).mean() < 4
    assert _band_error(coded, truth, alpha).mean() > 2 * _band_error(shown, truth, alpha).mean()
    for level, plain in ((1, batch), (0, None)):
        same = (alpha == level).expand_as(shown)
        wanted = to_rgb(batch) if plain else _flat(front, 1, 0, 1)
        assert torch.equal(shown[same], wanted[same])


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("transfer", [1, 13, 18])
def test_a_premultiplied_cut_out_put_on_a_colour_is_the_composite(transfer: int, linear: bool) -> None:
    """Put there as editors do: with --linear in light, without it as colours are coded."""
    front, alpha = _strands()
    batch = _rgb_batch(torch.lerp(_flat(front, 0.1, 0.7, 0.2), front, alpha), transfer=transfer)
    fmt, blend = batch.format, BlendOptions(linear=linear)
    row = premultiplied(PRESETS["cineform"], in_light=linear)
    cut = straight_foreground(batch, _matte(batch, alpha), fmt, blend)
    *colours, stored = (plane.float() / 4095 for plane in encoder_planes(row, cut.planes, fmt, alpha))
    over, behind = torch.cat(colours, dim=1), _flat(front, 1, 0, 1)
    if linear:
        shown = from_linear(to_linear(over, fmt) + to_linear(behind, fmt) * (1 - stored), fmt)
    else:
        shown = over + behind * (1 - stored)
    wanted = to_rgb(
        composite(batch, _matte(batch, alpha), open_background_planes("magenta", fmt), fmt, blend)
    )
    assert (shown - wanted).abs().max() < 3 / 255


@pytest.mark.parametrize("transfer", [1, 4, 5, 7, 8, 13, 16, 18])
def test_light_and_samples_are_each_others_inverse(transfer: int) -> None:
    fmt = FrameFormat(1, 1, transfer=transfer)
    coded = torch.linspace(0, 1, 257)
    torch.testing.assert_close(from_linear(to_linear(coded, fmt), fmt), coded, atol=2e-4, rtol=0)


def test_light_wrap_lights_the_edge_and_not_the_middle() -> None:
    batch = _rgb_batch(torch.full((1, 3, 120, 200), 0.2))
    alpha = torch.zeros(1, 1, 120, 200)
    alpha[..., 40:160] = 1
    matte, scene = _matte(batch, alpha), open_background_planes("white", batch.format)
    plain, lit = (
        to_rgb(composite(batch, matte, scene, batch.format, BlendOptions(light_wrap=amount)))[0, 0, 60]
        for amount in (0.0, 0.6)
    )
    assert lit[40] > plain[40] + 0.1
    assert (lit[40:45].diff() < 0).all()
    assert torch.equal(lit[60:140], plain[60:140])
    assert torch.equal(lit[:40], plain[:40])
    black = open_background_planes("black", batch.format)
    dark = composite(batch, matte, black, batch.format, BlendOptions(light_wrap=1))
    assert torch.equal(to_rgb(dark)[..., 40:160], to_rgb(batch)[..., 40:160])


@pytest.mark.parametrize(("linear", "wanted"), [(False, 0.8), (True, 0.8465)])
def test_light_wrap_screens_the_background_as_it_is_blended(linear: bool, wanted: float) -> None:
    """sRGB 0.5 is light 0.2140. Half before white is 0.75, or light 0.6070; a fifth of the rest is added."""
    batch = _rgb_batch(torch.full((1, 3, 32, 48), 0.5), transfer=13)
    matte, scene = _matte(batch, 0.5), open_background_planes("white", batch.format)
    shown = to_rgb(composite(batch, matte, scene, batch.format, BlendOptions(linear=linear, light_wrap=0.8)))
    assert (shown - wanted).abs().max() < 3e-4


@pytest.mark.parametrize(
    ("linear", "row", "wanted"),
    [
        (False, PRESETS["cineform"], 0.5),
        (True, PRESETS["cineform"], 0.5),
        (False, premultiplied(PRESETS["cineform"]), 0.125),
        (True, premultiplied(PRESETS["cineform"], in_light=True), 0.2564),
        (True, PRESETS["exr"], 0.0535),
    ],
    ids=["straight", "straight-linear", "multiplied", "multiplied-linear", "exr"],
)
def test_a_quarter_covered_gray_is_written_as_its_format_says(
    linear: bool, row: Preset, wanted: float
) -> None:
    """sRGB 0.5 is light 0.2140; a quarter of that is 0.0535, or sRGB 0.2564."""
    batch = _rgb_batch(torch.full((1, 3, 32, 48), 0.5), transfer=13)
    cut = straight_foreground(batch, _matte(batch, 0.25), batch.format, BlendOptions(linear=linear))
    *colours, stored = encoder_planes(row, cut.planes, batch.format, torch.full((1, 1, 32, 48), 0.25))
    white = 1.0 if stored.is_floating_point() else 4095.0
    assert (stored / white - 0.25).abs().max() < 2e-4
    for plane in colours:
        assert (plane / white - wanted).abs().max() < 3e-4


# Memory


class _ShortOfMemory:
    """A scene on a device that holds ``most`` frames."""

    def __init__(self, scene: BackgroundPlanes, most: int) -> None:
        self._scene, self._most = scene, most

    def behind(self, source: Planes, taken: Tensor, times_s: Sequence[Fraction]) -> Planes:
        if len(times_s) > self._most:
            raise torch.OutOfMemoryError("out of memory")
        return self._scene.behind(source, taken, times_s)

    def close(self) -> None:
        self._scene.close()


def test_a_batch_too_large_for_the_memory_is_composited_in_parts() -> None:
    batch = _batch((0.2, 0.5, 0.1), frames=5)
    matte, scene = _matte(batch, torch.rand(5, 1, 16, 24)), open_background_planes("red", batch.format)
    wanted = composite(batch, matte, scene, batch.format)
    result = composite(batch, matte, _ShortOfMemory(scene, 2), batch.format)
    # smooth colours are held to the range of the batch, so parts may differ by a rounding
    for ours, whole in zip(result.planes, wanted.planes, strict=True):
        assert (ours.int() - whole.int()).abs().max() <= 1
    assert result.pts == wanted.pts
    with pytest.raises(DeviceError, match="24x16"):
        composite(batch, matte, _ShortOfMemory(scene, 0), batch.format)
