"""A session in words."""

from __future__ import annotations

from autohair_video.live.session import Figures
from autohair_video.live.settings import Settings


def status_line(figures: Figures, settings: Settings) -> str:
    """The session in one line: rate, latency, pictures dropped, and what is chosen."""
    latency = "-" if figures.latency_s is None else f"{1000 * figures.latency_s:.0f} ms"
    parts = [f"{figures.fps:.1f} fps", latency, f"dropped {figures.dropped}", settings.view]
    parts += [f"quality {figures.quality}/{figures.qualities}", f"band {settings.band:.2g}"]
    parts += [] if settings.tier == "fast" else [settings.tier]
    parts += [] if settings.smoothing else ["no smoothing"]
    parts += ["frozen"] if settings.frozen else []
    if figures.recorded_s is not None:
        parts.append(f"REC {figures.recorded_s // 60}:{figures.recorded_s % 60:02d}")
    return "  ".join(parts)
