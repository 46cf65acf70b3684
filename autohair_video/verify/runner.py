"""Compares an output with the clip that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
from av import VideoFormat
from torch import Tensor

from autohair_video.errors import InputError, OptionError
from autohair_video.frames import FrameFormat
from autohair_video.jobs.spec import JobSpec
from autohair_video.media.alpha_reader import stored_frames
from autohair_video.media.colour import to_rgb
from autohair_video.media.encoder_input import encoder_size
from autohair_video.media.inputs import Source, SourceLike
from autohair_video.media.inspect import colour_name, range_name
from autohair_video.media.presets import (
    PRESETS,
    Preset,
    codec_depth,
    codec_format,
    premultiplied,
    preset_named,
)
from autohair_video.media.probe import ClipInfo, probe
from autohair_video.media.reader import ClipReader
from autohair_video.options import JobOptions
from autohair_video.verify.checks import Check, Verification
from autohair_video.verify.pixels import PixelEvidence
from autohair_video.verify.timeline import Timeline, compare_times, compare_tracks, read_tracks

_BATCH_FRAMES = 4


def verify(
    source: Source | SourceLike, output: str | Path, options: JobOptions | None = None
) -> Verification:
    """Compare a clip's output with the clip.

    Args:
        source: the clip that was matted.
        output: a file, or the pattern of a numbered sequence.
        options: of the job. What it was written as (``preset``) is recognised by its codec if not given.

    Raises:
        InputError: one of the two cannot be opened at all.
        OptionError: there is no such preset, or none matches the output.
    """
    given = options or JobOptions()
    row = detect_preset(output) if given.preset is None else preset_named(given.preset)
    row = premultiplied(row, in_light=given.blend.linear) if given.premultiplied else row
    return verify_output(row, source, output, given)


def verify_job(spec: JobSpec) -> list[Verification]:
    """`verify` for all outputs of a job that is done; nothing where there is an `unverifiable_reason`.

    Raises:
        InputError: an output, or the input, cannot be opened any more.
    """
    if unverifiable_reason(spec) is not None:
        return []
    return [
        verify_output(output.preset, spec.source, output.path, spec.options) for output in spec.clip_outputs
    ]


def unverifiable_reason(spec: JobSpec) -> str | None:
    """Why the outputs of a job cannot be compared with its input; None where they can."""
    if spec.is_still:
        return "only clips are compared with their outputs, and this is a still image"
    if spec.source.is_stdin:
        return "a pipe cannot be read a second time to compare the outputs with it"
    return None


def detect_preset(output: str | Path) -> Preset:
    """The first row of the table that such a file can come from.

    Raises:
        InputError: it cannot be opened.
        OptionError: none of them matches.
    """
    if Path(output).suffix.lower() == ".webp":
        return PRESETS["webp"]
    info = probe(output)
    wanted = info.codec, info.has_alpha, info.pixel_format.startswith("gray")
    for row in PRESETS.values():
        kind = _codec_name(row), row.alpha != "none", row.is_gray
        if row.fits(output) and row.arrangement == "single" and kind == wanted:
            return row
    found = f"{info.codec}, {info.pixel_format}"
    raise OptionError(f"{output} ({found}) matches none of the output formats: name it by --format")


def verify_output(
    preset: Preset,
    source: Source | SourceLike,
    output: str | Path,
    options: JobOptions | None = None,
) -> Verification:
    """`verify` for a known row of the table."""
    o = options or JobOptions()
    with ClipReader(
        source,
        batch_size=_BATCH_FRAMES,
        start_s=o.start_s,
        end_s=o.end_s,
        deinterlace=o.deinterlace,
    ) as reader:
        evidence = PixelEvidence(preset, codec_format(preset, reader.format), o.blend.despill)
        given = Timeline(reader.time_base, reader.origin)
        failure = None
        frames = _frames(reader, given)
        try:
            for rgb, stored in zip_longest(frames, stored_frames(output)):
                evidence.add(rgb, stored)
        except InputError as exc:
            failure = str(exc)
            for _ in frames:
                pass
        wanted, until = reader.format, reader.until
        whole = not o.start_s and o.end_s is None
        heard = read_tracks(source, origin=reader.origin, until=until)
    checks = [Check("decodes", failure is None, "to its end", failure or "to its end")]
    checks.append(Check.equal("frames", given.count, evidence.count))
    if Path(output).suffix.lower() != ".webp":
        info = probe(output)
        checks += _format_checks(preset, wanted, info)
        if not preset.is_numbered:
            muxer = preset.muxers[Path(output).suffix.lower()]
            checks += compare_times(muxer, given, _timeline(output))
            if preset.role != "matte":
                tracks = read_tracks(output, origin=Fraction(0), until=None)
                checks += compare_tracks(muxer, heard, tracks, given, whole=whole)
    return Verification(str(source), str(output), preset.name, tuple(checks + evidence.checks()))


def _frames(reader: ClipReader, times: Timeline) -> Iterator[Tensor]:
    """(3, H, W) of every frame; its time is noted."""
    for batch in reader:
        for rgb, pts, duration in zip(to_rgb(batch), batch.pts, batch.durations, strict=True):
            times.add(pts, duration)
            yield rgb


def _timeline(output: str | Path) -> Timeline:
    with ClipReader(output, batch_size=_BATCH_FRAMES) as reader:
        times = Timeline(reader.time_base, Fraction(0))
        for batch in reader:
            for pts, duration in zip(batch.pts, batch.durations, strict=True):
                times.add(pts, duration)
    return times


def _format_checks(preset: Preset, given: FrameFormat, info: ClipInfo) -> list[Check]:
    target, found = codec_format(preset, given), info.format
    checks = [
        Check.equal("size", "{}x{}".format(*encoder_size(preset, target)), f"{found.width}x{found.height}"),
        _depth_check(codec_depth(preset, given), _bits(info)),
    ]
    if preset.is_numbered or preset.is_gray:
        return checks
    checks.append(Check.equal("pixel shape", target.sample_aspect_ratio, found.sample_aspect_ratio))
    if preset.is_rgb:
        return checks
    for kind in ("matrix", "primaries", "transfer"):
        # one name can stand for two codes
        tags = (
            f"{colour_name(kind, code)} ({code})" for code in (getattr(target, kind), getattr(found, kind))
        )
        checks.append(Check.equal(kind, *tags))
    checks.append(Check.equal("range", range_name(target), range_name(found)))
    return checks


def _depth_check(wanted: int, found: int) -> Check:
    """Some decoders (ProRes, CineForm) hand out more bits than were put in."""
    return Check("bits", found >= wanted, f"{wanted} or more", str(found))


def _bits(info: ClipInfo) -> int:
    fmt = VideoFormat(info.pixel_format)
    return 32 if "f16" in fmt.name or "f32" in fmt.name else max(part.bits for part in fmt.components)


def _codec_name(preset: Preset) -> str:
    return av.codec.Codec(preset.codec, "w").canonical_name
