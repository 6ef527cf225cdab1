"""Converts published checkpoints to presets in the cache."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from keras_involution._arguments import received
from keras_involution._files import DiskFullError, disk_full, is_disk_full
from keras_involution.hub._cache import Cache
from keras_involution.hub._format import CONFIG_FILE, METADATA_FILE
from keras_involution.hub._source import PresetError, Source, local_source
from keras_involution.hub.checkpoints import CheckpointError
from keras_involution.hub.published import (
    Fetched,
    PublishedWeights,
    fetch_published,
    record_first_use,
)

Convert = Callable[[str, Path, Path], None]


def published_source(
    name: str,
    published: PublishedWeights,
    convert: Convert,
    mirror: str | None = None,
    cache_dir: str | Path | None = None,
) -> Source:
    """Converts a published checkpoint to a preset, or finds it in the cache.

    Args:
        name: String, the built-in name.
        published: `PublishedWeights`.
        convert: Function of the name, the path of the checkpoint and a folder. It
            writes the preset to the folder.
        mirror: String, address of a folder with the same files. `None` uses
            `KERAS_INVOLUTION_MIRROR` if it is set, else the address of the publisher.
        cache_dir: Folder of the cache.

    Returns:
        `Source` of the preset.

    Raises:
        PresetError: If the checkpoint cannot be fetched or is not the expected file.
    """
    cache = Cache.of(cache_dir)
    folder = cache.preset(name)
    if not (folder / CONFIG_FILE).is_file():
        with cache.locked(name):
            if not (folder / CONFIG_FILE).is_file():
                _convert(name, published, convert, mirror, cache)
    return local_source(folder, name)


def _convert(
    name: str,
    published: PublishedWeights,
    convert: Convert,
    mirror: str | None,
    cache: Cache,
) -> None:
    fetched = fetch_published(name, published, cache, mirror)
    folder = cache.preset(name)
    draft = folder.with_name(f".{name}.draft")
    try:
        with cache.writable():
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(draft, ignore_errors=True)  # Left by a killed process.
            convert(name, fetched.path, draft)
            _write_origin(draft / METADATA_FILE, published, fetched)
            os.rename(draft, folder)
    except CheckpointError as error:
        if not fetched.downloaded:
            raise
        fetched.path.unlink(missing_ok=True)
        reason = str(error).rpartition("Received:")[0].strip()
        raise CheckpointError(
            f"{reason} It came from {fetched.url} and has been removed; try again or "
            f"set a `mirror`. {received(preset=name)}"
        ) from error
    except OSError as error:
        if not (isinstance(error, DiskFullError) or is_disk_full(error)):
            raise
        needed = fetched.path.stat().st_size
        raise PresetError(str(disk_full(folder, needed))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    record_first_use(cache, name, fetched)
    if fetched.downloaded:  # Files that the user put there are kept.
        fetched.path.unlink(missing_ok=True)


def _write_origin(
    metadata: Path, published: PublishedWeights, fetched: Fetched
) -> None:
    """Writes the origin of the weights to a preset."""
    notes = json.loads(metadata.read_text("utf-8"))
    notes["weights_origin"] = {
        "url": fetched.url,
        "published_at": published.url,
        "sha256": fetched.sha256,
        "bytes": fetched.path.stat().st_size,
        "source": published.source,
        "license": published.license,
    }
    metadata.write_text(json.dumps(notes, indent=4) + "\n", "utf-8")
