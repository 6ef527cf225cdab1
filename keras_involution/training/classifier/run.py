"""Starts and resumes the training of a classifier in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution.data import ImageCollection, open_collection, write_split
from keras_involution.distribution import Distribution
from keras_involution.models import RedNetImageClassifier
from keras_involution.training.batches import ImageBatches, whole_batches
from keras_involution.training.classifier import folder as names
from keras_involution.training.classifier.data import (
    ClassifierData,
    chosen_split,
    data_of,
)
from keras_involution.training.classifier.metrics import (
    classification_metrics,
    scores_of,
)
from keras_involution.training.classifier.network import (
    OPERATORS,
    build_classifier,
    classifier_of_preset,
    converter_of,
    head_dtype,
)
from keras_involution.training.classifier.settings import ClassifierSettings
from keras_involution.training.logs import check_logs, open_logs
from keras_involution.training.progress import Budget, check_backend
from keras_involution.training.recipe import Recipe
from keras_involution.training.trainer import Trainer

DEFAULT_DEPTH, DEFAULT_SIZE = 26, 64
STATISTICS_IMAGES = 5_000
"""Number of training images for the final batch normalization statistics."""


def begin_classifier(
    folder: str | Path,
    settings: ClassifierSettings,
    force: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> ClassifierData:
    """Prepares a training run: writes settings, split, images and initial weights.

    Args:
        folder: Path of the folder of the run.
        settings: `ClassifierSettings`.
        force: Boolean, whether to replace an existing run.
        warn: Function that is called with each warning about the data.

    Returns:
        `ClassifierData`.

    Raises:
        ValueError: If the settings are inconsistent or do not fit the data, or the
            folder holds other files, or a run and `force` is false.
    """
    folder = Path(folder)
    recipe = settings.training_recipe()
    check_logs(settings.log)
    keras.DTypePolicy(settings.dtype_policy)
    collection = open_collection(settings.data, settings.leave_out)
    if collection.empty:
        warn(f"Left out, because they hold no image: {', '.join(collection.empty)}.")
    splits = chosen_split(settings, collection)
    images = splits.count("train")
    if images < settings.batch_size:
        raise ValueError(
            "The training images must fill at least one batch. "
            + received(images=images, batch_size=settings.batch_size)
        )
    # Check the arguments of schedule and optimizer before the images are decoded.
    recipe.build_schedule(settings.batch_size, images // settings.batch_size)
    recipe.build_optimizer(recipe.rate(settings.batch_size))
    names.check_apart(folder, settings.split, settings.from_preset, settings.data)
    keras.utils.set_random_seed(settings.seed)
    model = _new_network(settings, recipe, collection.class_names)
    names.prepare_folder(folder, force)
    model.save_to_preset(folder / names.START)
    write_split(folder / names.SPLIT, collection.names, splits)
    data = _begun_data(folder, settings, model, collection)
    # Save the recipe too, because a later version may change the recipe of this name.
    recorded = {
        "settings": settings.to_dict(),
        "recipe": asdict(recipe),
        "versions": names.versions(),
        "split": names.digest(folder / names.SPLIT),
    }
    names.write_json(folder / names.SETTINGS, recorded)
    return data


def _begun_data(
    folder: Path,
    settings: ClassifierSettings,
    model: RedNetImageClassifier,
    collection: ImageCollection,
) -> ClassifierData:
    data = data_of(folder, settings, converter_of(model), lambda: collection)
    data.check(collection.class_names)
    return data


def resume_classifier(
    folder: str | Path, distribution: Distribution | None = None
) -> Trainer:
    """Returns the `Trainer` of a run at its last checkpoint; call `run` to continue.

    Args:
        folder: Path of a folder written by `begin_classifier`.
        distribution: `Distribution`, for several devices; its block must be open.

    Returns:
        `Trainer`.

    Raises:
        ValueError: If the folder holds no run, or the run was started on another
            backend.
    """
    folder = Path(folder)
    found = names.read_run(folder)
    check_backend(found["versions"]["backend"])
    settings = ClassifierSettings(**found["settings"])
    recipe = Recipe(**found["recipe"])
    keras.utils.set_random_seed(settings.seed)
    model = RedNetImageClassifier.from_preset(
        folder / names.START,
        dtype=settings.dtype_policy,
        head_dtype=head_dtype(settings.dtype_policy),
    )
    model.backbone.trainable = not settings.probe
    data = data_of(folder, settings, converter_of(model))
    return _Run(folder, settings, recipe, model, data, distribution).trainer()


class _Run:
    """Builds the `Trainer` of a classifier and its callbacks."""

    def __init__(
        self,
        folder: Path,
        settings: ClassifierSettings,
        recipe: Recipe,
        model: RedNetImageClassifier,
        data: ClassifierData,
        distribution: Distribution | None,
    ) -> None:
        self.folder, self.settings, self.recipe = folder, settings, recipe
        self.model, self.data, self.distribution = model, data, distribution
        self.converter = converter_of(model)
        self.side = (self.converter.image_size or (0, 0))[0]
        self.rows, self.held_out = data.rows("train"), data.rows("val")
        self.plain = RedNetImageClassifier.from_preset(
            folder / names.START, load_weights=False
        )

    def trainer(self) -> Trainer:
        settings, recipe = self.settings, self.recipe
        batches = self._batches()
        budget = Budget(recipe.epochs, batches.steps_per_epoch, settings.minutes)
        size = settings.batch_size
        optimizer = recipe.build_optimizer(recipe.rate(size), budget.steps)
        self.model.compile(optimizer, recipe.build_loss())
        trainer = Trainer(
            self.model,
            batches,
            budget,
            self.folder,
            learning_rate=recipe.build_schedule(
                size, budget.steps_per_epoch, budget.epochs
            ),
            evaluate=self._evaluate,
            evaluate_every=max(
                1, budget.steps_per_epoch // settings.evaluations_per_epoch
            ),
            monitor="top_1",
            patience=settings.early_stop,
            save=self._save,
            statistics=self._statistics,
            distribution=self.distribution,
        )
        if self._is_main:
            trainer.logs = open_logs(
                self.folder, trainer.progress.step, settings.to_dict(), settings.log
            )
        return trainer

    @property
    def _is_main(self) -> bool:
        return self.distribution is None or self.distribution.is_main_process

    def _batches(self) -> ImageBatches:
        settings, recipe = self.settings, self.recipe
        return ImageBatches(
            self.data.decoded.data,
            self.rows,
            batch_size=settings.batch_size,
            num_classes=len(self.model.class_names or ()),
            converter=self.converter,
            image_size=lambda fraction: recipe.image_size(fraction, self.side),
            augmentation=settings.training_augmentation(),
            seed=settings.seed,
            num_threads=settings.num_threads,
            num_workers=settings.num_workers,
            hosts=self.distribution.hosts if self.distribution else None,
        )

    def _evaluate(self, is_over: bool) -> dict[str, float]:
        images, labels = self.data.decoded.data
        size = self.settings.batch_size
        scores = scores_of(self.model, images, self.held_out, self.side, size)
        return classification_metrics(scores, labels[self.held_out])

    def _save(self, is_best: bool, is_over: bool) -> None:
        """Writes float32 presets, also after training in another dtype."""
        if not self._is_main:
            return
        self.plain.set_weights(self.model.get_weights())
        for name in (names.BEST, names.LAST) if is_best else (names.LAST,):
            self.plain.save_to_preset(self.folder / name)

    def _statistics(self) -> Iterator[np.ndarray]:
        """Yields batches of whole training images, prepared without augmentation."""
        size = self.settings.batch_size
        random = np.random.default_rng((self.settings.seed, 2))
        rows = random.permutation(self.rows)
        rows = rows[: max(size, min(len(rows), STATISTICS_IMAGES) // size * size)]
        images = self.data.decoded.data.images
        return whole_batches(images, rows, self.side, size, self.converter)


def _new_network(
    settings: ClassifierSettings, recipe: Recipe, class_names: list[str]
) -> RedNetImageClassifier:
    rate, preset = recipe.drop_path_rate, settings.from_preset
    if preset is None:
        return build_classifier(
            int(settings.depth or DEFAULT_DEPTH),
            settings.image_size or DEFAULT_SIZE,
            class_names,
            spatial_operator=OPERATORS[settings.model],
            drop_path_rate=rate,
        )
    model = classifier_of_preset(preset, class_names, settings.image_size, rate)
    depth = model.backbone.depth
    if settings.depth not in (None, str(depth)):
        raise ValueError(
            "The preset determines the depth "
            f"({depth or 'not that of a published network'}), so it cannot be chosen. "
            + received(depth=settings.depth, from_preset=preset)
        )
    return model
