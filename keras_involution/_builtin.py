"""The built-in presets, read from `presets/<name>/metadata.json`.

These files are the only source of the numbers about a preset. The `presets` of the
classes, the command `keras-involution presets`, the model cards and the tables of the
documentation are generated from them.
"""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

from keras_involution._arguments import received

_PACKAGE = Path(__file__).parent
PLACES = (_PACKAGE / "_presets", _PACKAGE.parent / "presets")
"""Location of the preset folders in an installed package and in a checkout."""

# Keys that describe the files of a preset and not the model.
_OF_THE_FILES = ("keras_version", "parameter_count", "tasks", "class_names")
_BESIDE = ("handle", "published", "evaluation")


def _read() -> dict[str, dict[str, Any]]:
    place = next((place for place in PLACES if place.is_dir()), PLACES[0])
    entries = {}
    for path in place.glob("*/metadata.json"):
        facts = json.loads(path.read_text("utf-8"))
        metadata = {
            key: value
            for key, value in facts.items()
            if key not in (*_OF_THE_FILES, *_BESIDE)
        }
        beside = {key: facts[key] for key in _BESIDE}
        entries[path.parent.name] = {"metadata": metadata, **beside}
    order = sorted(entries, key=lambda name: (name.split("_")[2:], name_depth(name)))
    return {name: entries[name] for name in order}


def name_depth(name: str) -> int:
    """The depth in the name of a preset: 50 for "rednet_50_imagenet"."""
    return int(name.split("_")[1])


PRESETS = _read()
"""Dictionary of name -> dictionary with these keys:

- `metadata`: description, sizes and accuracy of the model;
- `handle`: repository on the Hub that holds the weights, or `None`;
- `published`: checkpoint published by a third party: `url`, `file_bytes` (minimum and
  maximum), `source`, `license`, `second_url`, `sha256`, `accuracy`; or `None`;
- `evaluation`: how the accuracy was measured: `image_size`, `crop_fraction`,
  `interpolation`, `antialias`.
"""


def folder_of(name: str) -> Path | None:
    """The folder of a built-in preset, or `None` if it is not installed."""
    for place in PLACES:
        if (place / name / "config.json").is_file():
            return place / name
    return None


def has_weights(folder: Path) -> bool:
    """Whether a preset folder holds weights, in one file or in shards."""
    names = ("model.weights.h5", "model.weights.json")
    return any((folder / name).is_file() for name in names)


def preset_facts(name: str) -> dict[str, str]:
    """The columns of preset tables: sizes, accuracy, weights and download size."""
    metadata = PRESETS[name]["metadata"]
    weights, size = _weights(name)
    return {
        "input": str(metadata["image_size"]),
        "parameters": f"{metadata['parameters'] / 1e6:.1f} M",
        "MACs": f"{metadata['macs'] / 1e9:.2f} G",
        "top-1": f"{metadata['accuracy']['top_1']} %",
        "weights": weights,
        "download": f"{size / 1e6:.0f} MB" if size else "none",
    }


def _weights(name: str) -> tuple[str, int]:
    """The origin of the weights of a preset, and the size of the download in bytes."""
    folder, entry = folder_of(name), PRESETS[name]
    if folder is not None and has_weights(folder):
        return "in the package", 0
    size = entry["published"]["file_bytes"][0] if entry["published"] else 0
    if entry["handle"]:
        return str(entry["handle"]), size
    if entry["published"]:
        return entry["published"]["source"].rpartition("/")[2], size
    return "none", 0


def list_presets(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """The names of the built-in presets.

    Args:
        pattern: String, a name in which `*` stands for any characters.
        pretrained: Boolean, whether to list only presets whose weights come with the
            package or can be downloaded.

    Returns:
        List of strings, each a name for `from_preset`.

    Raises:
        ValueError: If `pattern` is not a string.

    Example:

    >>> from keras_involution import list_presets
    >>> list_presets("rednet_26*")
    ['rednet_26_imagenet', 'rednet_26_tiny_imagenet']
    """
    if not isinstance(pattern, str):
        raise ValueError(f"`pattern` must be a string. {received(pattern=pattern)}")
    names = [name for name in PRESETS if fnmatch.fnmatchcase(name, pattern)]
    return [name for name in names if _is_pretrained(name) or not pretrained]


def _is_pretrained(name: str) -> bool:
    folder, entry = folder_of(name), PRESETS[name]
    shipped = folder is not None and has_weights(folder)
    return shipped or bool(entry["handle"] or entry["published"])
