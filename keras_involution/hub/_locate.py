"""Finds a preset by its name, folder or handle."""

from __future__ import annotations

import contextlib
from pathlib import Path

from keras_involution._arguments import received
from keras_involution._builtin import PRESETS
from keras_involution.hub._builtin import builtin_source
from keras_involution.hub._format import CONFIG_FILE
from keras_involution.hub._source import PresetError, Source, local_source
from keras_involution.hub.published_preset import Convert


def locate(
    preset: str | Path,
    load_weights: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    mirror: str | None = None,
    convert: Convert | None = None,
) -> Source:
    """Finds the source of a preset.

    `convert` converts the published checkpoint if a built-in preset has no weights.

    Raises:
        ValueError: If the preset does not exist.
    """
    name = str(preset)
    if "://" in name:
        return _remote(name, revision, token, cache_dir)
    if Path(preset).is_dir():
        return _folder(Path(preset), name)
    if name in PRESETS:
        source = builtin_source(name, load_weights, convert, mirror, cache_dir)
        if isinstance(source, Source):
            return source
        return _remote(source, revision, token, cache_dir)
    names = ", ".join(PRESETS)
    raise PresetError(
        "There is no such preset: no folder and no built-in preset has this name. "
        f"Built-in presets: {names}. {received(preset=name)}"
    )


def _remote(
    preset: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | Path | None,
) -> Source:
    from keras_involution.hub.client import Client
    from keras_involution.hub.pull import hub_source

    scheme, _, repo_id = preset.partition("://")
    if scheme.lower() != "hf":
        raise PresetError(
            f"Presets are loaded from folders and from the Hugging Face Hub, not from "
            f"{scheme}://. Download the preset with another tool and pass its folder. "
            + received(preset=preset)
        )
    return hub_source(
        preset, Client(checked_repo_id(repo_id), token, cache_dir), revision
    )


def checked_repo_id(repo_id: str) -> str:
    """Returns `repo_id` if it has the form `user/name`.

    Raises:
        ValueError: If it does not have this form.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    with contextlib.suppress(HFValidationError):
        validate_repo_id(repo_id)
        if repo_id.count("/") == 1:
            return repo_id
    raise PresetError(
        "A repository on the Hub must be `hf://user/name`; pass a branch, tag or "
        f"commit as `revision`. {received(preset=f'hf://{repo_id}')}"
    )


def _folder(folder: Path, preset: str) -> Source:
    if not (folder / CONFIG_FILE).is_file():
        raise PresetError(
            f"The folder is not a preset: it has no {CONFIG_FILE}. "
            + received(preset=preset)
        )
    return local_source(folder, preset)
