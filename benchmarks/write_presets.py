"""Writes the folders of the built-in presets from their `metadata.json`.

This file has entries written by hand, and counts and measurements that are updated
here. Config, preprocessor and model card are generated. `--weights` copies the weights
of a preset that this project trained; otherwise, existing weights do not change. The
tables of presets in README.md and docs/presets.md are written too. A test fails if a
folder or a table is out of date. It takes about a minute on 2 cores. Expect one line
per preset and one per table.

    KERAS_BACKEND=torch python -m benchmarks.write_presets \
        --weights rednet_26_tiny_imagenet pretrained/preset
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks._cards import published, tables, trained
from keras_involution._builtin import PRESETS
from keras_involution.hub.save import documents
from keras_involution.models import model_cost

METADATA_FILE = "metadata.json"
FOLDER = Path(__file__).parents[1] / "presets"


def files_of(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """Returns the text of each file of a built-in preset, by file name."""
    facts = json.loads((folder / name / METADATA_FILE).read_text("utf-8"))
    kind = trained if facts["published"] is None else published
    model = kind.build_model(name, facts)
    facts |= counted(model, facts["image_size"]) | kind.measured(name, facts)
    contents = documents(model)
    # Entries from the model, such as class names, replace those in the file.
    own = {k: v for k, v in contents[METADATA_FILE].items() if v is not None}
    contents[METADATA_FILE] = facts | own
    files = {file: json.dumps(data, indent=4) + "\n" for file, data in contents.items()}
    return files | {"README.md": kind.card(model, name, facts)}


def counted(model: Any, side: int) -> dict[str, int]:
    cost = model_cost(model, (side, side, 3))
    return {"parameters": cost.parameters, "macs": cost.macs}


def take_weights(name: str, source: Path, folder: Path) -> None:
    """Copies the weights of a trained preset, and the names of its classes."""
    for old in (folder / name).glob("*.weights.*"):
        old.unlink()
    for file in source.glob("*.weights.*"):
        shutil.copyfile(file, folder / name / file.name)
    path = folder / name / METADATA_FILE
    facts = json.loads(path.read_text("utf-8"))
    new = json.loads((source / METADATA_FILE).read_text("utf-8"))
    text = json.dumps(facts | {"class_names": new["class_names"]}, indent=4)
    path.write_text(text + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--weights", nargs=2, metavar=("PRESET", "FOLDER"))
    options = parser.parse_args()
    if options.weights:
        take_weights(options.weights[0], Path(options.weights[1]), options.folder)
    for name in PRESETS:
        files = files_of(name, options.folder)
        for file, text in files.items():
            (options.folder / name / file).write_text(text, "utf-8")
        # The tables below are written from these facts.
        PRESETS[name]["metadata"] = json.loads(files[METADATA_FILE])
        print(name, flush=True)
    for page in tables.TABLES:
        (tables.ROOT / page).write_text(tables.page_with_table(page), "utf-8")
        print(page)


if __name__ == "__main__":
    main()
