"""Writes the folders of the built-in presets from the table of the family.

It makes `presets/<name>/` with config, preprocessor, metadata and card. The weights of
a preset that this project trained come from `--weights`; those that are there stay. A
test fails while table and folders differ. It takes about a minute on 2 cores. Expect
one line a preset.

    KERAS_BACKEND=torch python -m benchmarks.write_presets \
        --weights rednet_26_tiny_imagenet pretrained/preset
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from benchmarks._cards import published, trained
from keras_involution.hub.save import documents
from keras_involution.models.rednet_presets import PRESETS

FOLDER = Path(__file__).parents[1] / "presets"


def files_of(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """File name -> text of a built-in preset; `folder` has the class names of it."""
    metadata = PRESETS[name]["metadata"]
    if "image_size" in metadata:
        model = trained.build_model(name, metadata, folder / name)
        card = trained.card(model, name, metadata)
    else:
        model = published.build_model(name, metadata)
        card = published.card(model, name, metadata)
    files = {
        file: json.dumps(data, indent=4) + "\n"
        for file, data in documents(model).items()
    }
    return files | {"README.md": card}


def take_weights(name: str, source: Path, folder: Path) -> None:
    """Copies the weights of a trained preset, and the names of its classes."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for old in (folder / name).glob("*.weights.*"):
        old.unlink()
    for file in [*source.glob("*.weights.*"), source / "metadata.json"]:
        shutil.copyfile(file, folder / name / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--weights", nargs=2, metavar=("PRESET", "FOLDER"))
    options = parser.parse_args()
    if options.weights:
        take_weights(options.weights[0], Path(options.weights[1]), options.folder)
    for name in PRESETS:
        (options.folder / name).mkdir(parents=True, exist_ok=True)
        for file, text in files_of(name, options.folder).items():
            (options.folder / name / file).write_text(text, "utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
