"""Whole jobs: a clip or a picture in, matted files out.

process
├── a clip:    ClipReader -> Matter.frames -> outputs -> ClipWriter, each at its own pace on
│              bounded queues, whatever the clip's length
└── a picture: read_image -> Matter.still -> outputs -> write_image

What can be refused is refused first: the call, then the inputs, then the outputs' names; only then are
the networks loaded, and the outputs opened last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from autohair_video.errors import InputError
from autohair_video.frames import FrameBatch, FrameFormat, Matte
from autohair_video.matting.trimap import quantise_trimap
from autohair_video.media.colour import quantise_alpha, to_rgb
from autohair_video.media.image import image_depth, read_gray, read_image, write_image
from autohair_video.media.presets import codec_format
from autohair_video.media.reader import ClipReader
from autohair_video.media.source import Source, from_stdin
from autohair_video.media.writer import ClipWriter
from autohair_video.outputs import Scene, composite, cut_out, open_scene
from autohair_video.pipeline import Matter
from autohair_video.queues import Behind, ahead
from autohair_video.request import Request, StrPath, Target, make_request

LoadMatter = Callable[[], Matter]

BATCH_FRAMES = {"cpu": 4, "mps": 8, "cuda": 16}


@dataclass(frozen=True)
class Progress:
    """How far a job is: frames done, and expected in all if that is known."""

    frames: int
    expected: int | None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Report:
    """What a job did: the files written, the frames in each, and one line per thing to know."""

    outputs: tuple[Path, ...]
    frames: int
    notices: tuple[str, ...] = field(default=())


def process(
    input: Source | StrPath,
    output: StrPath | None = None,
    *,
    background: StrPath | None = None,
    matte: StrPath | None = None,
    trimap: StrPath | None = None,
    preset: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    overwrite: bool = False,
    output_dir: StrPath | None = None,
    rate: Fraction | None = None,
    matter: Matter | LoadMatter = Matter,
    on_progress: OnProgress | None = None,
) -> Report:
    """Matte one clip or one picture.

    Args:
        input: a clip that FFmpeg decodes, a URL, numbered stills (``shot.%04d.png``), ``-`` for
            standard input, or a picture.
        output: where the result goes. Without it, beside the input under a name that tells what it
            is; or nowhere, if only ``matte`` is asked for.
        background: a picture, a clip, a colour (``#00ff00`` or a name), ``blur``, or
            ``transparent``, which is the default.
        matte: where alpha goes as gray: ``.mkv`` (lossless), ``.mp4``, ``name.%05d.png``; ``.png``
            for a picture.
        trimap: for a picture, its trimap (0, 128, 255) instead of an automatic one.
        preset: name of the output's format instead of that which its extension stands for.
        start_s: where in the clip to begin, in seconds.
        end_s: where to end.
        overwrite: replace outputs that are there already.
        output_dir: the folder, made if need be, of all outputs with relative names; ``{name}`` in
            those stands for the input's.
        rate: frames per second of numbered stills, 24 without it.
        matter: networks already loaded, or what loads them once the inputs have proved good.
        on_progress: called after each batch.

    Returns:
        The files written, and notices.

    Raises:
        OptionError: the call is contradictory.
        InputError, OutputError, WeightsError, DeviceError: the job cannot be done; nothing half
            written is left under the outputs' names or beside them.
    """
    request = make_request(
        input,
        output,
        background=background,
        matte=matte,
        trimap=trimap,
        preset=preset,
        start_s=start_s,
        end_s=end_s,
        overwrite=overwrite,
        output_dir=output_dir,
        rate=rate,
    )
    return run_request(request, matter=matter, on_progress=on_progress)


def run_request(
    request: Request, *, matter: Matter | LoadMatter = Matter, on_progress: OnProgress | None = None
) -> Report:
    """`process` for arguments that are already put together."""
    if request.source.is_stdin:
        with from_stdin() as source:
            return run_request(replace(request, source=source), matter=matter, on_progress=on_progress)
    job = _process_picture if request.is_picture else _process_clip
    return job(request, matter, on_progress)


def _process_picture(request: Request, matter: Matter | LoadMatter, on_progress: OnProgress | None) -> Report:
    result_path, matte_path = request.picture_paths()
    batch = read_image(request.source.location)
    outputs = request.check_outputs(*(path for path in (result_path, matte_path) if path))
    notices: list[str] = []
    known = None if request.trimap is None else _given_trimap(request.trimap, batch.format, notices)
    with ExitStack() as stack:
        scene = _scene(request, batch.format, Fraction(0), stack)
        network = _loaded(matter)
        solved = network.still(to_rgb(batch), known)
        if result_path is not None:
            samples = _picture(batch.to(network.device), solved, scene)
            _write_picture(result_path, samples, batch.format, overwrite=request.overwrite)
        if matte_path is not None:
            samples = quantise_alpha(solved.alpha, batch.format.bit_depth)
            _write_picture(matte_path, samples, batch.format, overwrite=request.overwrite)
    if on_progress is not None:
        on_progress(Progress(1, 1))
    return Report(outputs, 1, tuple(notices))


def _given_trimap(path: Path, fmt: FrameFormat, notices: list[str]) -> Tensor:
    given = read_gray(path)
    if given.shape[2:] != (fmt.height, fmt.width):
        raise InputError(
            f"trimap {path} is {given.shape[3]}x{given.shape[2]}, "
            f"the picture {fmt.width}x{fmt.height}: they must be of one size"
        )
    trimap = quantise_trimap(given)
    if not torch.equal(trimap, given):
        notices.append(
            f"trimap {path} has greys other than 0, 128 and 255: "
            "close to black or white they count as known, else as unknown"
        )
    return trimap


def _picture(batch: FrameBatch, matte: Matte, scene: Scene | None) -> Tensor:
    """(1, C, H, W) samples of the picture's depth: RGB over the scene, or RGB and alpha."""
    fmt = batch.format
    if scene is not None:
        return torch.cat(composite(batch, matte, scene, fmt).planes, dim=1)
    alpha = quantise_alpha(matte.alpha, fmt.bit_depth)
    return torch.cat([*cut_out(batch, matte, fmt).planes, alpha], dim=1)


def _write_picture(path: Path, samples: Tensor, fmt: FrameFormat, *, overwrite: bool) -> None:
    """Writes samples of more than 8 bit with 16 where the file's format has them, else with 8."""
    if fmt.bit_depth > 8:
        depth = image_depth(path)
        scaled = samples.cpu().double() * (((1 << depth) - 1) / fmt.max_value)
        samples = scaled.round().to(torch.uint16 if depth == 16 else torch.uint8)
    write_image(path, samples, overwrite=overwrite)


def _process_clip(request: Request, matter: Matter | LoadMatter, on_progress: OnProgress | None) -> Report:
    result, matte = request.clip_targets()
    frames = 0
    with ExitStack() as stack:
        with _reader(request, batch_size=1) as peek:
            outputs = request.check_outputs(*(target.path for target in (result, matte) if target))
            fmt = codec_format(result.preset, peek.format) if result else None
            scene = _scene(request, fmt, peek.origin, stack)
        network = _loaded(matter)
        reader = stack.enter_context(_reader(request, BATCH_FRAMES[network.device.type]))
        expected = _expected_frames(reader, request)
        writers = _Writers(
            _open_writer(result, fmt, reader, request, stack),
            _open_writer(matte, reader.format, reader, request, stack),
        )
        mattes = network.frames(stack.enter_context(closing(ahead(reader))))
        with Behind(writers.write) as encoder:
            for done in _finished(mattes, scene, fmt):
                encoder.put(done)
                frames += len(done.frames)
                if on_progress is not None:
                    on_progress(Progress(frames, expected))
    notices = writers.notices + ([reader.truncated] if reader.truncated else [])
    return Report(outputs, frames, tuple(notices))


def _loaded(matter: Matter | LoadMatter) -> Matter:
    return matter if isinstance(matter, Matter) else matter()


def _scene(request: Request, fmt: FrameFormat | None, origin: Fraction, stack: ExitStack) -> Scene | None:
    """What lies behind the subject, until ``stack`` closes; None for a cut-out, or without a result."""
    if fmt is None or request.background is None or request.is_cutout:
        return None
    return stack.enter_context(closing(open_scene(request.background, fmt, origin=origin)))


def _reader(request: Request, batch_size: int) -> ClipReader:
    return ClipReader(request.source, batch_size=batch_size, start_s=request.start_s, end_s=request.end_s)


def _open_writer(
    target: Target | None, fmt: FrameFormat | None, reader: ClipReader, request: Request, stack: ExitStack
) -> ClipWriter | None:
    """The writer of one output, finished or given up when ``stack`` closes."""
    if target is None or fmt is None:
        return None
    silent = target.preset.role == "matte" or request.source.is_sequence
    writer = ClipWriter(
        target.path,
        target.preset,
        fmt,
        reader.time_base,
        copy_from=None if silent else request.source.location,
        origin=reader.origin,
        until=reader.until,
        overwrite=request.overwrite,
    )
    return stack.enter_context(writer)


def _expected_frames(reader: ClipReader, request: Request) -> int | None:
    expected, length_s = reader.info.expected_frames, reader.info.duration_s
    if expected is None or not length_s:
        return expected
    span_s = min(request.end_s or length_s, length_s) - (request.start_s or 0)
    return max(1, round(expected * span_s / length_s))


@dataclass(frozen=True)
class _Finished:
    """One batch, ready for the encoders: ``result`` is composited, or a cut-out that needs alpha."""

    frames: FrameBatch
    alpha: Tensor
    result: FrameBatch | None
    is_cutout: bool


def _finished(
    mattes: Iterator[tuple[FrameBatch, Matte]], scene: Scene | None, target: FrameFormat | None
) -> Iterator[_Finished]:
    for frames, matte in mattes:
        result = None
        if target is not None and scene is not None:
            result = composite(frames, matte, scene, target)
        elif target is not None:
            result = cut_out(frames, matte, target)
        yield _Finished(frames, matte.alpha, result, is_cutout=scene is None)


@dataclass(frozen=True)
class _Writers:
    result: ClipWriter | None
    matte: ClipWriter | None

    def write(self, done: _Finished) -> None:
        if self.result is not None and done.result is not None:
            self.result.write(done.result, done.alpha if done.is_cutout else None)
        if self.matte is not None:
            self.matte.write(done.frames, done.alpha)

    @property
    def notices(self) -> list[str]:
        return [line for writer in (self.result, self.matte) if writer for line in writer.notices]
