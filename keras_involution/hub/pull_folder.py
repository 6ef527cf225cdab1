"""Downloads a preset from the Hub to a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from keras_involution.hub._folder import complete_folder
from keras_involution.hub._format import PRESET_FILES, TASK_FILE, is_preset_file
from keras_involution.hub._locate import locate
from keras_involution.hub._registry import backbone_class, classifier_class
from keras_involution.hub.load import converted, from_source


def pull_folder(
    preset: str,
    folder: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> None:
    """Downloads a preset, checks that it loads, and writes it to a folder.

    The folder contains the files from the Hub, including the model card. A failed
    download leaves no folder.

    Args:
        preset: A handle `"hf://user/name"`, or a folder to copy.
        folder: Path of the folder to write.
        revision: Branch, tag or commit of the repository; `None` is `main`.
        token: Hub token; `None` uses `HF_TOKEN` or the saved login.
        cache_dir: Folder for downloads.

    Raises:
        ValueError: If the preset is unreachable or does not load, or the folder holds
            files other than a preset.
    """
    source = locate(preset, True, revision, token, cache_dir, convert=converted)
    cls = classifier_class() if source.has(TASK_FILE) else backbone_class()
    from_source(cls, source)
    names = [name for name in source.sizes if is_preset_file(name)]
    with source.damage_reported("files"):
        files = source.files(names)
    with complete_folder(folder, PRESET_FILES.union(names)) as draft:
        for path in files:
            shutil.copyfile(path, draft / path.name)
