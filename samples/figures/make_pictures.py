"""The pictures of the README and of the model cards: the sample clip before and after, by the tool itself.

Run from anywhere: ``python samples/figures/make_pictures.py``; writes samples/readme/.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from autohair_video import MattingPipeline, process
from autohair_video.media import ClipReader, to_rgb, write_image

HERE = Path(__file__).resolve().parents[1]
FRAME = 75
HAIR = (slice(40, 360), slice(440, 920))  # rows and columns of the frame round the head

Picture = NDArray[np.uint8]


def frame_of(clip: Path, number: int) -> Picture:
    """Frame ``number`` of a clip, (H, W, 3) RGB."""
    with ClipReader(clip, batch_size=1) as reader:
        for i, batch in enumerate(reader):
            if i == number:
                return np.asarray(to_rgb(batch)[0].permute(1, 2, 0).numpy() * 255 + 0.5, np.uint8)
    raise IndexError(f"{clip} has no frame {number}")


def save(name: str, picture: Picture) -> None:
    """Write one picture, over an older one."""
    folder = HERE / "readme"
    folder.mkdir(exist_ok=True)
    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    write_image(folder / name, tensor, overwrite=True)


def main() -> None:
    """Matte the sample on the beach and on plain green, and lay frames side by side."""
    source, matter = HERE / "portrait.mp4", MattingPipeline()
    with tempfile.TemporaryDirectory() as work:
        beach, green, matte = (Path(work) / name for name in ("beach.mp4", "green.mp4", "matte.mkv"))
        process(source, beach, background=str(HERE / "beach.jpg"), matte=matte, pipeline=matter)
        process(source, green, background="#00b140", pipeline=matter)
        before, alpha, after, plain = (frame_of(clip, FRAME) for clip in (source, matte, beach, green))
    small = [cv2.resize(p, (640, 360), interpolation=cv2.INTER_AREA) for p in (before, alpha, after)]
    save("portrait.jpg", np.hstack(small))
    save("hair.jpg", np.hstack([p[HAIR] for p in (before, alpha, plain)]))
    save_for_cards(before, matter)


def save_for_cards(frame: Picture, matter: MattingPipeline) -> None:
    """What each network sees in a frame, and what it answers."""
    rgb = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    seen = [cv2.resize(as_grey(p), frame.shape[1::-1]) for p in matter.segment(rgb)[0]]
    small = [cv2.resize(p, (480, 270), interpolation=cv2.INTER_AREA) for p in (frame, *seen)]
    save("segmenter.jpg", np.hstack(small))
    matte = matter.still(rgb)
    trimap = np.repeat(matte.trimap[0, 0].numpy()[..., None], 3, axis=-1)
    save("matter.jpg", np.hstack([p[HAIR] for p in (frame, trimap, as_grey(matte.alpha[0, 0]))]))


def as_grey(values: torch.Tensor) -> Picture:
    """(H, W) in 0..1 as (H, W, 3)."""
    return np.repeat((values.numpy() * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)


if __name__ == "__main__":
    main()
