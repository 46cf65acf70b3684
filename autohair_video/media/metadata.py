"""Copies container metadata: tags, chapters, timecode, attachments."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

# Tags that a muxer writes itself.
_OWN: Final = frozenset(
    {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "alpha_mode", "timecode"}
    | {"handler_name", "vendor_id", "rotate", "bps", "number_of_frames", "number_of_bytes"}
)
_WITH_CHAPTERS: Final = ("mp4", "mov", "matroska", "webm")
_WITH_TIMECODE: Final = ("mp4", "mov")
# Rates that SMPTE ST 12 counts frames for, rounded up.
_TIMECODE_RATES: Final = (24, 25, 30, 48, 50, 60)


def copy_metadata(
    source: InputContainer, output: OutputContainer, muxer: str, *, origin: Fraction, until: Fraction | None
) -> list[str]:
    """Copies all metadata that the container supports, before its header is written.

    Returns one line for each thing that was left out.

    Chapters are moved back by ``origin`` seconds and cut at ``until`` (seconds in the source).
    """
    output.metadata.update(_kept(source.metadata))
    video, target = source.streams.best("video"), output.streams.video[0]
    if video is not None:
        target.metadata.update(_kept(video.metadata))
    notices = _copy_chapters(source, output, muxer, origin, until)
    timecode = _timecode(source)
    if timecode and muxer in _WITH_TIMECODE and not origin and _counts_frames(target.average_rate):
        target.metadata["timecode"] = timecode
    elif timecode:
        notices.append(f"timecode {timecode} is not written: {_reason(muxer, origin)}")
    for stream in source.streams:
        notices += _copy_stream(stream, video, output, muxer, has_chapters=bool(source.chapters()))
    return notices


def _copy_stream(
    stream: Stream, video: Stream | None, output: OutputContainer, muxer: str, *, has_chapters: bool
) -> list[str]:
    """An attachment, or the notice that a track is left out; sound and subtitles are not ours."""
    if isinstance(stream, AttachmentStream):
        name = stream.metadata.get("filename", f"attachment {stream.index}")
        if muxer != "matroska":
            return [f"attachment {name} was left out: only Matroska files hold any"]
        output.add_attachment(name, stream.mimetype or "application/octet-stream", bytes(stream.data))
    elif stream.type == "video" and video is not None and stream.index != video.index:
        kind = "cover image" if stream.disposition & Disposition.attached_pic else "video track"
        return [f"{kind} {stream.index} was left out"]
    elif stream.type == "data" and not has_chapters and "timecode" not in stream.metadata:
        name = stream.metadata.get("handler_name", "unnamed")
        return [f"data track {stream.index} ({name}) was left out"]
    return []


def _copy_chapters(
    source: InputContainer,
    output: OutputContainer,
    muxer: str,
    origin: Fraction,
    until: Fraction | None,
) -> list[str]:
    chapters: list[Any] = []
    for chapter in source.chapters():
        base = Fraction(chapter["time_base"] or 1)
        begin_s, end_s = chapter["start"] * base, chapter["end"] * base
        if end_s > origin and (until is None or begin_s < until):
            begin_s, end_s = max(begin_s, origin), end_s if until is None else min(end_s, until)
            times = {"start": round((begin_s - origin) / base), "end": round((end_s - origin) / base)}
            chapters.append({**chapter, **times})
    if chapters and muxer not in _WITH_CHAPTERS:
        return [f"{len(chapters)} chapters were left out: {muxer} files hold none"]
    if chapters:
        output.set_chapters(chapters)
    return []


def _kept(metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _OWN and not name.lower().startswith(("_statistics", "duration-"))
    }


def _timecode(source: InputContainer) -> str | None:
    tags = [source.metadata, *(stream.metadata for stream in source.streams)]
    # Matroska writes names in capitals.
    pairs = ((name.lower(), value) for found in tags for name, value in found.items())
    return next((value for name, value in pairs if name == "timecode"), None)


def _counts_frames(rate: Fraction | None) -> bool:
    return rate is not None and any(abs(rate - whole) < Fraction(whole, 900) for whole in _TIMECODE_RATES)


def _reason(muxer: str, origin: Fraction) -> str:
    if origin:
        return "the clip does not begin at its beginning"
    return f"{muxer} files hold none" if muxer not in _WITH_TIMECODE else "its rate is none of SMPTE's"
