"""Files to frames and back; the only part that knows PyAV and OpenCV's image files.

In the order in which a frame meets them:

    source      what an input may be: file, folder, sequence, URL, pipe
    decode      opens a clip and decodes its video stream
    probe       what a clip holds: streams, times, rotation, colour
    planes      FFmpeg's frames <-> sample planes; which pixel formats are native
    deinterlace interlaced frames made whole
    reader      clip -> batches of planes with pts and durations
    camera      webcam, stream or looped file -> the newest picture
    image       still image <-> planes
    colour      Y'CbCr <-> R'G'B', and from one format to another, on the device
    background  image, video or colour -> pictures of the frame's size
    preset_table the table of outputs: container, codec, sample layout
    presets     which row serves, and what it makes of a frame's format
    samples     planes and alpha as an encoder takes them
    transfer    gamma-coded samples -> light
    palette     frames for GIFs
    sound       audio and subtitle packets, copied in step with the video
    belongings  tags, chapters, timecode, attachments
    hdr         static HDR metadata
    staging     outputs written aside and renamed when whole
    writer      batches and alpha -> clip
    alpha       colours and alpha of a file as they were stored
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
