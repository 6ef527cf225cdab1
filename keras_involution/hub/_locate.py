"""A name, a folder or a handle to the preset behind it."""

from __future__ import annotations

from pathlib import Path

from keras_involution._arguments import received
from keras_involution.hub._format import CONFIG_FILE
from keras_involution.hub._source import PresetError, Source, local_source
from keras_involution.models.rednet_presets import PRESETS


def locate(
    preset: str | Path,
    load_weights: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> Source:
    """The source of a preset.

    Raises:
        ValueError: If there is none of that name.
    """
    name = str(preset)
    if Path(preset).is_dir():
        return _folder(Path(preset), name)
    names = ", ".join(sorted(PRESETS)) or "none yet"
    raise PresetError(
        "There is no such preset: neither a folder of that name nor a built-in preset. "
        f"Built-in presets: {names}. {received(preset=name)}"
    )


def _folder(folder: Path, preset: str) -> Source:
    if not (folder / CONFIG_FILE).is_file():
        raise PresetError(
            f"The folder is no preset: it has no {CONFIG_FILE}. "
            + received(preset=preset)
        )
    return local_source(folder, preset)
