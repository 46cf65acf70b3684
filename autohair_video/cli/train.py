"""Training of the two networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(help="Train the networks; goes on where a run was left.")
_Shared = Annotated[Path, typer.Option("--shared", help="Folder with data/ and init/.")]
_Cache = Annotated[Path, typer.Option("--cache", help="Folder for labels and rendered layers.")]
_Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
_Steps = Annotated[int, typer.Option("--steps", help="Length of the whole run.")]
_Start = Annotated[Path | None, typer.Option("--start", help="Weights to start from.")]
_Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]


@train.command("segmenter")
def train_segmenter_command(
    shared: _Shared,
    out: _Out,
    steps: _Steps,
    cache: _Cache = Path("runs/cache"),
    start: _Start = None,
    device: _Device = "cpu",
    crop: Annotated[int, typer.Option(help="Side of a sample in pixels.")] = 256,
    batch: Annotated[int, typer.Option(help="Samples in a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-4,
) -> None:
    """Train DeepLab v3+ on people (needs the extra train)."""
    from autohair_video.training.loop import TrainOptions
    from autohair_video.training.tasks import Materials, train_segmenter

    options = TrainOptions(steps, batch=batch, crop_px=crop, learning_rate=rate, device=device)
    print(train_segmenter(out, Materials(shared, cache), options, start=start))


@train.command("matter")
def train_matter_command(
    shared: _Shared,
    out: _Out,
    steps: _Steps,
    cache: _Cache = Path("runs/cache"),
    start: _Start = None,
    device: _Device = "cpu",
    crop: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 224,
    batch: Annotated[int, typer.Option(help="Crops in a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-4,
    layers: Annotated[int, typer.Option(help="Rendered foregrounds.")] = 2600,
) -> None:
    """Train the mobile DIM on rendered hair (needs the extra train)."""
    from autohair_video.training.loop import TrainOptions
    from autohair_video.training.tasks import Materials, train_matter

    options = TrainOptions(steps, batch=batch, crop_px=crop, learning_rate=rate, device=device)
    print(train_matter(out, Materials(shared, cache), options, layers=layers, start=start))
