"""Writes the folders of the built-in presets from the table of the family.

It makes `presets/<name>/` with config, preprocessor, metadata and card, no weights; a
test fails while table and folders differ. It takes about a minute on 2 cores. Expect
one line a preset.

    KERAS_BACKEND=torch python -m benchmarks.write_presets
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import keras_involution
from keras_involution import RedNetBackbone, RedNetImageConverter
from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.hub.save import documents
from keras_involution.models.rednet_presets import PRESETS, PUBLISHED_BY

NOTE = """**Architecture and preprocessing only: no weights.** The checkpoints of the
paper's authors cannot be downloaded any more, and nobody has published a copy that this
project may refer to. With a checkpoint file at hand, `keras-involution convert` makes a
preset with weights of it."""


def files_of(name: str) -> dict[str, str]:
    """File name -> text of a built-in preset."""
    metadata = PRESETS[name]["metadata"]
    depth, layout = metadata["depth"], {"data_format": "channels_last"}
    # Keras numbers the names that it makes up; these stay the same.
    model = getattr(keras_involution, f"RedNet{depth}")(
        backbone=RedNetBackbone.from_depth(depth, name="red_net_backbone", **layout),
        preprocessor=RedNetImageConverter((224, 224), name="image_converter", **layout),
        name=name,
    )
    files = {
        file: json.dumps(data, indent=4) + "\n"
        for file, data in documents(model).items()
    }
    return files | {"README.md": card(model, name, metadata)}


def card(model: Any, name: str, metadata: dict[str, Any]) -> str:
    metrics = [
        Metric(
            name=f"Top-{k} accuracy (%)",
            value=metadata["accuracy"][f"top_{k}"],
            dataset="ImageNet-1k, validation",
            source=PUBLISHED_BY,
        )
        for k in (1, 5)
    ]
    usage = (
        "```python\nimport keras_involution\n\n"
        f"model = keras_involution.{type(model).__name__}.from_preset(\n"
        f'    "{name}", load_weights=False\n)\n```'
    )
    facts = CardFacts(
        usage=usage,
        description=f"{metadata['description']}\n\n{NOTE}",
        training_data="ImageNet-1k, by the authors of the paper.",
        data_licence="https://www.image-net.org/download.php",
        metrics=metrics,
        intended_use="Classifying photographs of objects; a start for other data.",
        limits=(
            "The accuracies are the authors', of their weights, with the short side at "
            "256 and the middle 224 x 224; this project has not measured them."
        ),
    )
    return model_card(model, f"keras-involution/{name}", facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("presets"))
    options = parser.parse_args()
    for name in PRESETS:
        (options.folder / name).mkdir(parents=True, exist_ok=True)
        for file, text in files_of(name).items():
            (options.folder / name / file).write_text(text, "utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
