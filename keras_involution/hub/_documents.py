"""Reads the JSON files of a preset, with limits and only trusted classes."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64
TRUSTED_PACKAGES = ("keras", "keras_hub", "keras_involution")
_REFUSED_CLASSES = ("lambda", "__lambda__", "function", "__tensor__", "__typespec__")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object that names only classes of the trusted packages.

    Raises:
        ValueError: If the file is missing, too large, nested too deeply, not a JSON
            object, or names a class that is not allowed in a preset.
    """
    data = _parse(_read_limited(path))
    if not isinstance(data, dict):
        raise ValueError("it does not hold a JSON object")
    _check_objects(data)
    return data


def short(value: object) -> str:
    """`repr` of an untrusted value, shortened for error messages."""
    return reprlib.repr(value)


def _read_limited(path: Path) -> str:
    if not path.is_file():
        raise ValueError("the file is missing")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return data.decode("utf-8")


def _parse(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not valid JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None


def _check_objects(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                _check_class(value)
                children.extend(value.values())
            elif isinstance(value, list):
                children.extend(value)
        if not children:
            return
        level = children
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_class(data: dict[str, Any]) -> None:
    """Rejects serialized objects that are not of Keras, keras-hub or this package."""
    registered, module = data.get("registered_name"), data.get("module")
    class_name = data.get("class_name")
    packages = []
    if isinstance(registered, str) and ">" in registered:
        packages.append(registered.split(">")[0])
    if isinstance(module, str):
        packages.append(module.split(".")[0])
    foreign = any(package not in TRUSTED_PACKAGES for package in packages)
    if foreign or str(class_name).lower() in _REFUSED_CLASSES:
        raise ValueError(
            f"it names {short(class_name)} of {short(module)}, registered as "
            f"{short(registered)}; a preset may only name classes of "
            f"{', '.join(TRUSTED_PACKAGES)}, and no code"
        )
