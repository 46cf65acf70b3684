"""Training of the two networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

if TYPE_CHECKING:
    from autohair_video.training.train import Materials

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
_Loose = Annotated[int, typer.Option("--loose-layers", help="Rendered heads with loose hair.")]
_LooseShare = Annotated[float, typer.Option("--loose-share", help="Share of these among the samples.")]
_Seed = Annotated[int, typer.Option("--seed", help="Another seed draws other samples.")]
_Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]


_Manifest = Annotated[
    Path | None, typer.Option("--manifest", help="Sources of people (TOML); the shipped ones without it.")
]


@train.command("labels")
def train_labels_command(
    shared: _Shared,
    cache: _Cache = Path("runs/cache"),
    manifest: _Manifest = None,
    shard: Annotated[str, typer.Option(help="i/n: every n-th picture from the i-th on (0 to n-1).")] = "0/1",
) -> None:
    """Label the photographs and clips of the manifest; resumes where it was interrupted (extra train)."""
    from autohair_video.training.train import label_people

    written = label_people(_materials(shared, cache, manifest), shard=_shard(shard))
    print(f"{cache / 'labels'}: {written} labels written")


@train.command("credits")
def train_credits_command(
    shared: _Shared,
    out: Annotated[Path, typer.Option("--out", help="The file to be written.")],
    manifest: _Manifest = None,
) -> None:
    """Write whom the licences of the training data want named."""
    from autohair_video.training.credits import write_credits
    from autohair_video.training.manifest import SHIPPED, load_manifest

    listed = write_credits(shared / "data", load_manifest(manifest or SHIPPED), out)
    print(f"{out}: {listed} files credited")


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
    manifest: _Manifest = None,
    label: Annotated[bool, typer.Option(help="Label what the cache lacks first.")] = True,
    loose_hair: Annotated[float, typer.Option(help="Fraction of people who get rendered loose hair.")] = 0.35,
    seed: _Seed = 0,
) -> None:
    """Train DeepLab v3+ on people (needs the extra train)."""
    from autohair_video.training.loop import TrainOptions
    from autohair_video.training.synthetic.loose_hair import add_loose_hair
    from autohair_video.training.train import train_segmenter

    options = TrainOptions(
        steps,
        batch=batch,
        crop_px=crop,
        learning_rate=rate,
        encoder_share=encoder_share,
        seed=seed,
        device=device,
    )
    materials, transforms = _materials(shared, cache, manifest), [(loose_hair, add_loose_hair)]
    print(train_segmenter(out, materials, options, start=start or (), label=label, transforms=transforms))


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
    loose_layers: _Loose = 0,
    loose_share: _LooseShare = 0.4,
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
        source = MatteSource.unpack(packed, loose_share=loose_share)
    elif shared is not None:
        materials = Materials(shared, cache)
        source = matte_source(materials, layers=layers, loose_layers=loose_layers, loose_share=loose_share)
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


@train.command("held-out")
def held_out_command(
    shared: _Shared,
    out: Annotated[Path, typer.Option("--out", help="Folder of the sets; what is there already is kept.")],
    count: Annotated[int, typer.Option("--count", help="Stills in each set.")] = 40,
    seed: _Seed = 0,
    people: Annotated[
        Path | None,
        typer.Option("--people", help="Folder of rendered people, for the sets of people and of hands."),
    ] = None,
) -> None:
    """Render evaluation sets with exact alpha from heads that no training sees, for evaluate FOLDER."""
    from autohair_video.training.held_out import render_held_out

    for name, number in render_held_out(out, shared, count=count, seed=seed, people=people).items():
        print(f"{out / name}: {number} stills")


@train.command("pack")
def train_pack_command(
    shared: _Shared,
    out: Annotated[Path, typer.Option("--out", help="Folder to be made.")],
    cache: _Cache = Path("runs/cache"),
    layers: _Layers = 1000,
    loose_layers: _Loose = 0,
    photos: Annotated[int, typer.Option(help="Photos for backgrounds.")] = 400,
) -> None:
    """Make a small copy of the matting training set, for a machine that is reached by copy."""
    from autohair_video.training.train import Materials, matte_source

    source = matte_source(Materials(shared, cache), layers=layers, loose_layers=loose_layers)
    size = source.pack(out, layers=layers + loose_layers, photos=photos)
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


def _materials(shared: Path, cache: Path, manifest: Path | None) -> Materials:
    from autohair_video.training.manifest import SHIPPED
    from autohair_video.training.train import Materials

    return Materials(shared, cache, manifest or SHIPPED)


def _shard(text: str) -> tuple[int, int]:
    from autohair_video.errors import OptionError

    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise OptionError(f"--shard {text}: use i/n with i from 0 to n-1, like 0/2 and 1/2")
    return int(first), int(count)
