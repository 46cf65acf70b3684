"""Makes portrait.mp4 and beach.jpg beside this file; the same files on every run.

    python samples/make_samples.py

Needs the project's test extra (scikit-image carries the portrait, PyMatting cuts it out).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from beach import render_beach
from numpy.typing import NDArray
from portrait import HEIGHT, RATE, SECONDS, WIDTH, portrait_frames

SAMPLE_RATE = 48_000
NOTES_HZ = (261.63, 392.00, 329.63, 440.00, 392.00, 523.25)


def main() -> None:
    """Write both samples."""
    here = Path(__file__).resolve().parent
    picture = render_beach()
    cv2.imwrite(str(here / "beach.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_clip(here / "portrait.mp4")


def write_clip(path: Path) -> None:
    """H.264 (BT.709, limited range) and AAC in MP4; one thread, so that runs agree bit for bit."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", RATE, options={"crf": "20", "preset": "medium"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        tags = video.codec_context
        tags.colorspace = tags.color_primaries = tags.color_trc = 1
        tags.color_range = 1
        sound = container.add_stream("aac", SAMPLE_RATE, layout="stereo")
        sound.bit_rate = 128_000
        for index, pixels in enumerate(portrait_frames()):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        samples = av.AudioFrame.from_ndarray(render_sound(), format="fltp", layout="stereo")
        samples.sample_rate, samples.pts = SAMPLE_RATE, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def render_sound() -> NDArray[np.float32]:
    """(2, samples) stereo in -1..1: surf, and a few soft notes over it."""
    rng = np.random.default_rng(48)
    t = np.arange(SAMPLE_RATE * SECONDS) / SAMPLE_RATE
    stereo = np.stack([_surf(t, rng, phase) for phase in (0.0, 0.9)])
    for index, pitch in enumerate(NOTES_HZ):
        since = t - 0.4 - 0.9 * index
        note = np.where(since > 0, np.exp(-np.abs(since) / 0.7), 0) * np.minimum(1, abs(since) / 0.01)
        tone = np.sin(2 * np.pi * pitch * t) + 0.25 * np.sin(4 * np.pi * pitch * t)
        side = 0.5 + 0.25 * np.cos(1.7 * index)
        stereo += np.array([[side], [1 - side]]) * (0.16 * note * tone)
    fade = np.minimum(1, np.minimum(t, SECONDS - t) / 0.25)
    return (stereo * fade).astype(np.float32)


def _surf(t: NDArray[np.float64], rng: np.random.Generator, phase: float) -> NDArray[np.float64]:
    """Noise with the spectrum of surf (falling above 400 Hz) that swells every four seconds."""
    spectrum = np.fft.rfft(rng.normal(0, 1, t.size))
    pitch = np.fft.rfftfreq(t.size, 1 / SAMPLE_RATE)
    spectrum *= (pitch / (pitch + 60)) / (1 + (pitch / 400) ** 1.2)
    noise = np.fft.irfft(spectrum, t.size)
    swell = 0.35 + 0.65 * np.sin(np.pi * t / 4 + phase) ** 2
    return noise / noise.std() * swell * 0.045


if __name__ == "__main__":
    main()
