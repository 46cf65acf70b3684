"""Files to frames and back; the only package that uses PyAV and OpenCV's image files.

In the order in which a frame meets them:

    inputs          what an input may be: file, folder, sequence, URL, pipe
    image_type      whether a file is a still image, by its content
    sequences       numbered stills: which files are one sequence, which numbers are missing
    animated_webp   animated WebP as a clip that FFmpeg decodes
    temporary       temporary files that last as long as the process
    decode          opens a clip and decodes its video stream
    probe           what a clip holds: streams, times, rotation, colour
    orientation     how a display matrix rotates and mirrors frames
    inspect         the same, human-readable
    clock           time stamps of containers whose clock may jump
    frame_loss      finds frames that are missing
    frame_times     begin and duration of decoded frames
    reader          clip -> batches of planes with pts and durations
    seek_point      where a reader stopped, for another one to resume
    deinterlace     interlaced frames -> progressive frames
    camera          webcam, stream or looped file -> the newest image
    image           still image <-> planes
    pixel_formats   FFmpeg's frames <-> sample planes; which pixel formats are native
    colour          Y'CbCr <-> R'G'B', and from one format to another, on the device
    transfer        gamma-coded samples <-> linear light
    hdr             static HDR metadata
    preset_spec     what defines an output format: container, codec, sample layout
    preset_table    the table of output formats
    presets         looks up a preset, and the frame format that it encodes
    encoder_input   planes and alpha as an encoder takes them
    encoder_quirks  workarounds for single encoders
    palette         frames for GIFs
    packet_times    durations and fixed-rate times of encoded packets
    audio           audio and subtitle packets, copied in step with the video
    metadata        tags, chapters, timecode, attachments
    atomic_output   outputs written under a temporary name and renamed when complete
    disk_space      free space needed to finalise outputs
    writer          batches and alpha -> clip
    concat          joins the segments of a resumable output
    alpha_reader    colours and alpha of a file as they were stored
"""

from autohair_video.media.atomic_output import check_output
from autohair_video.media.colour import (
    convert_format,
    effective_matrix,
    from_rgb,
    quantise_alpha,
    round_planes,
    to_rgb,
)
from autohair_video.media.image import is_image, read_gray, read_image, write_image
from autohair_video.media.inputs import Source, find_sources
from autohair_video.media.presets import PRESETS, Preset, codec_format, preset_for, preset_named
from autohair_video.media.probe import ClipInfo, TrackInfo, probe
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter

__all__ = [
    "PRESETS",
    "ClipInfo",
    "ClipReader",
    "ClipWriter",
    "Preset",
    "Source",
    "TrackInfo",
    "check_output",
    "codec_format",
    "convert_format",
    "effective_matrix",
    "find_sources",
    "from_rgb",
    "is_image",
    "preset_for",
    "preset_named",
    "probe",
    "quantise_alpha",
    "read_gray",
    "read_image",
    "round_planes",
    "to_rgb",
    "write_image",
]
