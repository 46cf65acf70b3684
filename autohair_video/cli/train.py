"""Training of the two networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

train = typer.Typer(help="Train the networks; resumes where a run was stopped.")
_Shared = Annotated[Path, typer.Option("--shared", help="Folder with data/ and init/.")]
_SharedOrPacked = Annotated[Path | None, typer.Option("--shared", help="Folder with data/ and init/.")]
_Cache = Annotated[Path, typer.Option("--cache", help="Folder for labels and rendered layers.")]
_Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
_Steps = Annotated[int, typer.Option("--steps", help="Length of the whole run.")]
_Start = Annotated[
    list[Path] | None,
    typer.Option("--start", help="Weights to start from; given several times, the mean of them."),
]
_Layers = Annotated[int, typer.Option("--layers", help="Rendered foregrounds.")]
_Seed = Annotated[int, typer.Option("--seed", help="Another seed draws other samples.")]
_Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]


@train.command("segmenter")
def train_segmenter_command(
    shared: _Shared,
    out: _Out,
    steps: _Steps,
    cache: _Cache = Path("runs/cache"),
    start: _Start = None,
    device: _Device = "cpu",
    crop: Annotated[int, typer.Option(help="Side of the smallest samples in pixels.")] = 256,
    batch: Annotated[int, typer.Option(help="Samples of that size in a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 6e-4,
    encoder_share: Annotated[float, typer.Option(help="The encoder's fraction of that rate.")] = 0.1,
    seed: _Seed = 0,
) -> None:
    """Train DeepLab v3+ on people (needs the extra train)."""
    from autohair_video.training.loop import TrainOptions
    from autohair_video.training.train import Materials, train_segmenter

    options = TrainOptions(
        steps,
        batch=batch,
        crop_px=crop,
        learning_rate=rate,
        encoder_share=encoder_share,
        seed=seed,
        device=device,
    )
    print(train_segmenter(out, Materials(shared, cache), options, start=start or ()))


@train.command("matter", hidden=True)  # its name in version 0.1
@train.command("matting")
def train_matting_command(
    out: _Out,
    steps: _Steps,
    shared: _SharedOrPacked = None,
    packed: Annotated[Path | None, typer.Option("--packed", help="Folder made by train pack.")] = None,
    cache: _Cache = Path("runs/cache"),
    start: _Start = None,
    device: _Device = "cpu",
    network: Annotated[str, typer.Option(help="mobile-dim, or dim-vgg16 as published.")] = "mobile-dim",
    crop: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 224,
    batch: Annotated[int, typer.Option(help="Crops in a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-4,
    layers: _Layers = 2600,
    seed: _Seed = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare crops.")] = 0,
) -> None:
    """Train a matting network on rendered hair (needs the extra train)."""
    from autohair_video.errors import OptionError
    from autohair_video.training.loop import TrainOptions
    from autohair_video.training.matting_dataset import MatteSource
    from autohair_video.training.train import Materials, MattingNetName, matte_source, train_matting_net

    if network not in get_args(MattingNetName):
        raise OptionError(f"unknown network {network!r}: use {' or '.join(get_args(MattingNetName))}")
    options = TrainOptions(
        steps, batch=batch, crop_px=crop, learning_rate=rate, seed=seed, device=device, workers=workers
    )
    imagenet = None
    if packed is not None:
        source = MatteSource.unpack(packed)
    elif shared is not None:
        materials = Materials(shared, cache)
        source = matte_source(materials, layers=layers)
        imagenet = materials.initial("mobilenet_v2_imagenet.safetensors")
    else:
        raise OptionError("name the training data: --shared FOLDER, or --packed FOLDER made by train pack")
    name = cast(MattingNetName, network)
    print(train_matting_net(out, source, options, network=name, start=start or (), imagenet=imagenet))


@train.command("mean")
def train_mean_command(
    weights: Annotated[list[Path], typer.Argument(help="Weights of runs; one named twice counts twice.")],
    out: Annotated[Path, typer.Option("--out", help="The file to be written.")],
) -> None:
    """Write the mean of the weights of several runs, which often is better than each."""
    from autohair_video.training.train import write_mean

    write_mean(weights, out)
    print(out)


@train.command("pack")
def train_pack_command(
    shared: _Shared,
    out: Annotated[Path, typer.Option("--out", help="Folder to be made.")],
    cache: _Cache = Path("runs/cache"),
    layers: _Layers = 1000,
    photos: Annotated[int, typer.Option(help="Photos for backgrounds.")] = 400,
) -> None:
    """Make a small copy of the matting training set, for a machine that is reached by copy."""
    from autohair_video.training.train import Materials, matte_source

    size = matte_source(Materials(shared, cache), layers=layers).pack(out, layers=layers, photos=photos)
    print(f"{out}: {size / 1e6:.1f} MB")


@train.command("render-people")
def train_render_people_command(
    shared: _Shared,
    out: Annotated[Path, typer.Option("--out", help="Folder of the images; existing ones are kept.")],
    stills: Annotated[int, typer.Option(min=0, help="Number of stills.")] = 2000,
    clips: Annotated[int, typer.Option(min=0, help="Number of clips of eight frames.")] = 150,
    seed: _Seed = 0,
    split: Annotated[str, typer.Option(help="train, or held-out.")] = "train",
) -> None:
    """Render people with exact alpha (needs the extra train); resumes where a run was left."""
    from autohair_video.errors import OptionError
    from autohair_video.training.synthetic.people.render import RenderJob, Split, render_people

    if split not in get_args(Split):
        raise OptionError(f"unknown split {split!r}: use {' or '.join(get_args(Split))}")
    count = render_people(shared, RenderJob(out, stills, clips, seed, cast(Split, split)))
    print(f"{out}: {count} rendered")
