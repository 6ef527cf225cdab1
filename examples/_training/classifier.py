"""A classifier in a folder of its own: begun, and continued after anything."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from examples._training import folder as names
from examples._training import splits
from examples._training.cache import Decoded, decode
from examples._training.choices import Choices
from examples._training.datasets import open_collection
from examples._training.datasets.collection import Collection
from examples._training.logs import check_trackers
from examples._training.network import build_network, head_dtype, network_of_preset
from examples._training.pictures import copies
from examples._training.run import TrainingRun
from examples._training.settings import Settings
from keras_involution import RedNetImageClassifier
from keras_involution._arguments import received
from keras_involution.training import Recipe

OPERATORS = {"rednet": "involution", "resnet": "convolution"}
DEFAULT_DEPTH, DEFAULT_SIZE = 26, 64


@dataclass(frozen=True)
class Data:
    """The pictures of a run and their parts."""

    decoded: Decoded
    parts: list[str]

    def skipped(self, part: str) -> int:
        """How many pictures of a part could not be decoded."""
        own = (name for name, its in zip(self.decoded.names, self.parts) if its == part)
        return sum(name in self.decoded.skipped for name in own)

    def rows(self, part: str) -> np.ndarray:
        """The rows of a part, less those that could not be decoded."""
        skipped = self.decoded.skipped
        return np.array(
            [
                row
                for row, (name, own) in enumerate(zip(self.decoded.names, self.parts))
                if own == part and name not in skipped
            ],
            int,
        )

    def copied(self) -> list[str]:
        """Names of training pictures that show one to validate or test on."""
        rows = self.rows("train")
        held_out = np.concatenate([self.rows("val"), self.rows("test")])
        found = copies(self.decoded.pictures.images, rows, held_out)
        return [self.decoded.names[row] for row in rows[found]]

    def check(self, class_names: list[str]) -> None:
        """Raises `ValueError` if a class cannot be learned, or nothing validates."""
        labels = self.decoded.pictures.labels
        missing = set(range(len(class_names))) - set(
            labels[self.rows("train")].tolist()
        )
        if missing:
            without = [class_names[label] for label in sorted(missing)]
            raise ValueError(
                "Every class must have a picture to train on; leave out those that "
                f"have none. {received(classes=without)}"
            )
        if not len(self.rows("val")):
            raise ValueError(
                "The split must have pictures to validate on. " + received(val=0)
            )


def begin(
    folder: Path,
    choices: Choices,
    force: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> Data:
    """Fills the folder of a run with all that `continued` needs.

    Args:
        folder: Path.
        choices: `Choices`.
        force: Boolean, whether a run in the folder is replaced.
        warn: Function that is handed a sentence about what is odd with the data.

    Returns:
        `Data`.

    Raises:
        ValueError: If the choices do not fit each other, the data or the folder.
    """
    if choices.probe and choices.preset is None:
        raise ValueError(
            "A probe is of the features of a preset: name one. " + received(probe=True)
        )
    if choices.preset is not None and choices.model != "rednet":
        raise ValueError(
            "What a preset is a network of cannot be chosen beside it. "
            + received(model=choices.model, preset=choices.preset)
        )
    check_trackers(choices.track)
    collection = open_collection(Path(choices.data), choices.leave_out)
    if collection.empty:
        warn(collection.emptiness)
    if choices.split is None:
        parts = splits.split_by_shares(collection, seed=choices.seed)
    else:
        parts = splits.read_split(
            Path(choices.split), collection.names, collection.empty
        )
    choices.check(parts.count("train"))
    names.check_apart(folder, choices.split, choices.preset, choices.data)
    keras.utils.set_random_seed(choices.seed)
    model = _new_network(choices, collection.class_names)
    names.prepare_folder(folder, force)
    model.save_to_preset(folder / names.START)
    splits.write_split(folder / names.SPLIT, collection.names, parts)
    data = data_of(folder, choices, model, lambda: collection)
    data.check(collection.class_names)
    # The recipe as it is now: its name may mean another one when the run goes on.
    recorded = {
        "choices": asdict(choices),
        "recipe": asdict(choices.training_recipe()),
        "versions": names.versions(),
        "split": names.digest(folder / names.SPLIT),
    }
    names.write_json(folder / names.SETTINGS, recorded)
    return data


def continued(folder: Path) -> TrainingRun:
    """The run of a folder, at its last checkpoint.

    Raises:
        ValueError: If there is no run, or it was begun on another backend.
    """
    settings = names.read_settings(folder)
    begun_on = settings["versions"]["backend"]
    if begun_on != keras.config.backend():
        raise ValueError(
            f"The run was begun on {begun_on} and goes on there only: set "
            f"KERAS_BACKEND={begun_on}. {received(backend=keras.config.backend())}"
        )
    choices = Choices(**settings["choices"])
    keras.utils.set_random_seed(choices.seed)
    model = RedNetImageClassifier.from_preset(
        folder / names.START,
        dtype=choices.dtype_policy,
        head_dtype=head_dtype(choices.dtype_policy),
    )
    model.backbone.trainable = not choices.probe
    data, recipe = data_of(folder, choices, model), Recipe(**settings["recipe"])
    return TrainingRun(
        Settings(
            output=folder,
            pictures=data.decoded.pictures,
            rows=data.rows("train"),
            held_out_rows=data.rows("val"),
            keep=_keeper(folder),
            recipe=recipe,
            image_size=model.preprocessor.image_size[0],
            epochs=choices.epochs or recipe.epochs,
            batch_size=choices.batch_size,
            minutes=choices.minutes,
            evaluations_an_epoch=choices.evaluations_an_epoch,
            held_out_step=1,
            seed=choices.seed,
        ),
        model,
    )


def side_of(collection: Collection, image_size: int) -> int:
    """A little more than the views have, for crops; no more than the pictures have."""
    side = math.ceil(image_size * 8 / 7)
    return min(side, collection.tile or side)


def _new_network(choices: Choices, class_names: list[str]) -> RedNetImageClassifier:
    rate = choices.training_recipe().drop_path_rate
    if choices.preset is not None:
        model = network_of_preset(choices.preset, class_names, choices.image_size, rate)
        depth = model.backbone.depth
        if choices.depth not in (None, str(depth)):
            raise ValueError(
                f"The preset has the depth {depth or 'of no published network'}, so "
                "no other one can be chosen. "
                + received(depth=choices.depth, preset=choices.preset)
            )
        return model
    return build_network(
        int(choices.depth or DEFAULT_DEPTH),
        choices.image_size or DEFAULT_SIZE,
        class_names,
        spatial_operator=OPERATORS[choices.model],
        drop_path_rate=rate,
    )


def data_of(
    folder: Path,
    choices: Choices,
    model: RedNetImageClassifier,
    find: Callable[[], Collection] | None = None,
) -> Data:
    """The cache, decoded anew from where the data were if it is not there."""
    converter = model.preprocessor
    decoded = decode(
        find or (lambda: open_collection(Path(choices.data), choices.leave_out)),
        folder / names.CACHE,
        functools.partial(side_of, image_size=converter.image_size[0]),
        crop=converter.crop_to_aspect_ratio,
        on_error=choices.on_error,
    )
    return Data(decoded, splits.read_split(folder / names.SPLIT, decoded.names))


def _keeper(folder: Path) -> Callable[[RedNetImageClassifier, bool], None]:
    """Writes float32 presets, whatever the training computes in."""
    plain = RedNetImageClassifier.from_preset(folder / names.START, load_weights=False)

    def keep(model: RedNetImageClassifier, best: bool) -> None:
        plain.set_weights(model.get_weights())
        for name in (names.BEST, names.LAST) if best else (names.LAST,):
            plain.save_to_preset(folder / name)

    return keep
