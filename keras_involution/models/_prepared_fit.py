"""`fit`, `evaluate` and `predict` for raw images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_involution import _strict
from keras_involution._arguments import received
from keras_involution._strict import strict_keywords
from keras_involution.models._prepared_data import Preparation, prepared_data


class PreparesImages:
    """Mixin for models with a `preprocessor`; list it before `keras.Model`.

    The methods preprocess images with values from 0 to 255, integers or floating-point
    numbers, batch by batch. Tensors that are already preprocessed do not change, and
    with `preprocessor=None` no tensor does. Calling the model itself never
    preprocesses.
    """

    preprocessor: Any

    # `super()` is `keras.Model`, which mypy cannot know, so its calls have a
    # `type: ignore`.
    @strict_keywords
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> keras.callbacks.History:
        """Like `keras.Model.fit`, for images or preprocessed tensors."""
        prepare = self._preparation()
        if prepare is not None:
            if validation_split and prepare.holds_images(x):
                x, y, sample_weight, validation_data = _split(
                    x, y, sample_weight, validation_split
                )
                validation_split = 0.0
            size = validation_batch_size or batch_size
            if validation_data is not None:
                validation_data = _prepared_validation(validation_data, size, prepare)
            data = prepared_data(x, y, sample_weight, batch_size, shuffle, prepare)
        else:
            data = {
                "x": x,
                "y": y,
                "sample_weight": sample_weight,
                "batch_size": batch_size,
                "shuffle": shuffle,
            }
        given = {
            **data,
            "epochs": epochs,
            "verbose": verbose,
            "callbacks": callbacks,
            "validation_split": validation_split,
            "validation_data": validation_data,
            "class_weight": class_weight,
            "initial_epoch": initial_epoch,
            "steps_per_epoch": steps_per_epoch,
            "validation_steps": validation_steps,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        # Omitted arguments use the defaults of the base class.
        given = {name: value for name, value in given.items() if value is not None}
        return super().fit(**given)  # type: ignore[misc]

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Like `keras.Model.evaluate`, for images or preprocessed tensors."""
        # `fit` validates with keywords such as `_use_cached_eval_dataset`; its data is
        # already preprocessed.
        unknown = {k: v for k, v in kwargs.items() if not k.startswith("_")}
        names = _strict.arguments_of(PreparesImages.evaluate)
        _strict.refuse_unknown(f"{type(self).__name__}.evaluate", unknown, names)
        prepare = None if kwargs else self._preparation()
        if prepare is not None:
            data = prepared_data(x, y, sample_weight, batch_size, False, prepare)
            x, y, sample_weight = data["x"], data["y"], data["sample_weight"]
            batch_size = data["batch_size"]
        return super().evaluate(  # type: ignore[misc]
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
            **kwargs,
        )

    @strict_keywords
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Like `keras.Model.predict`, for images or preprocessed tensors."""
        prepare = self._preparation()
        if prepare is not None:
            data = prepared_data(x, None, None, batch_size, False, prepare)
            x, batch_size = data["x"], data["batch_size"]
        return super().predict(  # type: ignore[misc]
            x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )

    @strict_keywords
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Like `keras.Model.train_on_batch`, for images or preprocessed tensors."""
        return super().train_on_batch(  # type: ignore[misc]
            self._prepared(x), y, sample_weight, class_weight, return_dict
        )

    @strict_keywords
    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Like `keras.Model.test_on_batch`, for images or preprocessed tensors."""
        return super().test_on_batch(  # type: ignore[misc]
            self._prepared(x), y, sample_weight, return_dict
        )

    @strict_keywords
    def predict_on_batch(self, x: Any) -> Any:
        """Like `keras.Model.predict_on_batch`, for images or preprocessed tensors."""
        return super().predict_on_batch(self._prepared(x))  # type: ignore[misc]

    def _preparation(self) -> Preparation | None:
        return None if self.preprocessor is None else Preparation(self.preprocessor)

    def _prepared(self, x: Any) -> Any:
        prepare = self._preparation()
        if prepare is None or not prepare.holds_images(x):
            return x
        return prepare(x)


def _prepared_validation(
    data: Any, batch_size: int | None, prepare: Preparation
) -> Any:
    if not isinstance(data, tuple | list):
        return prepared_data(data, None, None, None, False, prepare)["x"]
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
    found = prepared_data(x, y, sample_weight, batch_size, False, prepare)
    return data if found["x"] is x else found["x"]


def _split(x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[Any, ...]:
    """Splits off the last `fraction` of the arrays as validation data."""
    count = len(keras.tree.flatten(x)[0])
    first = int(count * (1 - fraction))
    if not 0 < first < count:
        raise ValueError(
            f"`validation_split` must leave images for training and validation; there "
            f"are {count} images. " + received(validation_split=fraction)
        )

    def part(data: Any, rows: slice) -> Any:
        return keras.tree.map_structure(lambda array: np.asarray(array)[rows], data)

    given = [None if data is None else data for data in (x, y, sample_weight)]
    start, end = (
        [None if data is None else part(data, rows) for data in given]
        for rows in (slice(first), slice(first, None))
    )
    validation = tuple(data for data in end if data is not None)
    return (*start, validation)
