"""Distillation: a network learns from labels and from a teacher network."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.models.data_parallel import DataParallelSteps


def build_distiller(
    student: keras.Model,
    teacher: keras.Model,
    *,
    temperature: float = 2.0,
    label_weight: float = 0.5,
) -> keras.distillation.Distiller:
    """Builds a model that trains `student` with a teacher; compile and fit it.

    The loss is `label_weight` times the compiled loss on the labels plus
    `1 - label_weight` times `temperature ** 2 * KL(softmax(teacher / temperature),
    softmax(student / temperature))`.

    Args:
        student: `keras.Model` that returns logits.
        teacher: `keras.Model` that returns logits for the same classes from the same
            inputs (see `teacher_of_classes`); it is frozen.
        temperature: Float that both logits are divided by.
        label_weight: Float from 0 to 1, weight of the labels in the loss.

    Returns:
        `keras.distillation.Distiller`; its `student` is the trained model.

    Raises:
        ValueError: If teacher and student differ in shapes, or a number is out of its
            range.

    Example:

    >>> import keras, numpy as np
    >>> from keras_involution.training import build_distiller
    >>> teacher, student = (keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    ...     for _ in range(2))
    >>> model = build_distiller(student, teacher)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("sgd", loss)
    >>> history = model.fit(np.ones((2, 4)), np.array([0, 2]), verbose=0)
    """
    _arguments.positive_number(temperature, "temperature")
    _arguments.rate(label_weight, "label_weight")
    # Pass an instance: with a name, Keras 3.15 does not apply softmax to the logits.
    loss = keras.distillation.LogitsDistillation(
        float(temperature), keras.losses.KLDivergence()
    )
    return _Distiller(teacher, student, loss, student_loss_weight=float(label_weight))


@keras.saving.register_keras_serializable(package="keras_involution")
class _Distiller(DataParallelSteps, keras.distillation.Distiller):
    """The distiller of Keras with data-parallel steps."""


def teacher_of_classes(
    teacher: keras.Model,
    student: keras.Model,
    *,
    prepare: keras.layers.Layer | None = None,
    classes: Sequence[int] | None = None,
    probabilities: bool = False,
) -> keras.Model:
    """Wraps a teacher so that it has the inputs and the classes of the student.

    Args:
        teacher: `keras.Model` with one image input.
        student: `keras.Model` with one image input; the new model has the same input.
        prepare: Layer that converts inputs of the student to inputs of the teacher.
        classes: Sequence of integers, the class number of the teacher for each class of
            the student; `None` if they have the same classes.
        probabilities: Boolean, whether the teacher returns probabilities.

    Returns:
        `keras.Model` that returns float32 logits.

    Raises:
        ValueError: If the teacher does not have one of the classes.

    Example:

    >>> import keras
    >>> from keras_involution.training import teacher_of_classes
    >>> def network(num_classes):
    ...     layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    ...     return keras.Sequential([keras.Input((8, 8, 3)), *layers])
    >>> teacher = teacher_of_classes(network(1000), network(2), classes=[3, 7])
    >>> teacher.output_shape
    (None, 2)
    """
    [given] = student.inputs
    images = keras.Input(given.shape[1:], dtype=given.dtype)
    x = teacher(prepare(images) if prepare else images)
    count = x.shape[-1]
    if classes is not None and not all(0 <= number < count for number in classes):
        raise ValueError(
            f"Every class must be a number below {count}, the classes of the teacher. "
            + received(classes=list(classes))
        )
    return keras.Model(images, _Logits(classes, probabilities)(x), name="teacher")


@keras.saving.register_keras_serializable(package="keras_involution")
class _Logits(keras.layers.Layer):
    """Selects classes and converts probabilities to logits."""

    def __init__(
        self, classes: Sequence[int] | None, probabilities: bool, **kwargs: object
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.classes = None if classes is None else [int(number) for number in classes]
        self.probabilities = probabilities

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.log(ops.maximum(inputs, 1e-7)) if self.probabilities else inputs
        return x if self.classes is None else ops.take(x, self.classes, axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        count = input_shape[-1] if self.classes is None else len(self.classes)
        return (*input_shape[:-1], count)

    def get_config(self) -> dict[str, object]:
        own = {"classes": self.classes, "probabilities": self.probabilities}
        return {**super().get_config(), **own}
