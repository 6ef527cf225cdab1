"""Data-parallel training steps over several processes or replicas.

On JAX, `keras.distribution` shards the batch and nothing else is needed. On PyTorch,
every process runs its own step, so the gradients must be averaged. On TensorFlow,
`train_on_batch` and `predict_on_batch` of Keras pass the whole batch to every replica,
so the batch must be split. `DataParallelSteps` overrides the methods of Keras for this.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_involution import _strict
from keras_involution._arguments import received

_BACKEND = keras.config.backend()


class DataParallelSteps:
    """Mixin for steps that use all devices; list it before `keras.Model`.

    With PyTorch, every process trains on its own rows. Gradients and metrics are
    combined over the processes, so they equal those of one process with the whole
    batch. With TensorFlow, `train_on_batch` and `predict_on_batch` split their batch
    over the replicas. With one device, and with JAX, the steps are those of Keras.
    """

    # The optimizer for which the weights of all processes were made equal.
    _equal_for: Any = None

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.fit`; with several processes, the data must be sharded.

        Raises:
            ValueError: If several PyTorch processes would each train on all rows, or
                the model was built outside the block of `distribute`.
        """
        refuse_model_from_outside(self)
        size = world_size()
        shards = getattr(x, "world_size", None)
        if _BACKEND == "torch" and size > 1 and shards != size:
            raise ValueError(
                "Every process would train on all rows. Pass the result of "
                "`Distribution.dataset` or `Distribution.stream`. "
                + received(x=type(x), world_size=size)
            )
        if shards is not None:
            # Keras would shuffle the batches differently in every process.
            kwargs["shuffle"] = False
        if hasattr(x, "for_fit"):
            x, given = x.for_fit()
            kwargs = {**given, **kwargs}
        return super().fit(x, *args, **kwargs)  # type: ignore[misc]

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.evaluate`; raises on JAX with several processes."""
        refuse_model_from_outside(self)
        _refuse_rows_of_all("evaluate")
        return super().evaluate(*args, **kwargs)  # type: ignore[misc]

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.predict`; raises on JAX with several processes."""
        refuse_model_from_outside(self)
        _refuse_rows_of_all("predict")
        return super().predict(*args, **kwargs)  # type: ignore[misc]

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        if _BACKEND == "torch" and world_size() > 1:
            from keras_involution.models._torch_steps import train_step

            return train_step(self, *args, **kwargs)
        return super().train_step(*args, **kwargs)  # type: ignore[misc]

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Like `keras.Model.train_on_batch`; splits the batch over the replicas."""
        refuse_model_from_outside(self)
        parent: Any = super()
        given = (x, y, sample_weight, class_weight)
        if not _replicas() or class_weight is not None:
            return parent.train_on_batch(*given, return_dict=return_dict)
        from keras_involution.models import _tensorflow_steps

        logs = _tensorflow_steps.train_on_batch(self, parent, x, y, sample_weight)
        values = list(logs.values())
        return logs if return_dict else values if len(values) > 1 else values[0]

    def predict_on_batch(self, x: Any) -> Any:
        """Like `keras.Model.predict_on_batch`; splits the batch over the replicas."""
        refuse_model_from_outside(self)
        parent: Any = super()
        if not _replicas():
            return parent.predict_on_batch(x)
        from keras_involution.models import _tensorflow_steps

        return _tensorflow_steps.predict_on_batch(parent, x)


@keras.saving.register_keras_serializable(package="keras_involution")
class DataParallelModel(DataParallelSteps, keras.Model):
    """`keras.Model` that trains on several devices with every backend.

    Use it instead of `keras.Model(inputs, outputs)` inside the `with` block of
    `keras_involution.distribution.distribute`. On PyTorch, gradients and metrics are
    averaged over the processes.

    Args:
        inputs: Inputs of the model, as in `keras.Model`.
        outputs: Outputs of the model.
        name: String, name of the model.
        **kwargs: `trainable`.

    Call arguments:
        inputs: Tensors.

    Input shape:
        The shape of the inputs of the model.

    Output shape:
        The shape of the outputs of the model.

    Returns:
        Tensors.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If a method would use only the data of one process.

    Example:

    >>> import keras, numpy as np
    >>> from keras_involution.models import DataParallelModel
    >>> inputs = keras.Input((4,))
    >>> model = DataParallelModel(inputs, keras.layers.Dense(2)(inputs))
    >>> model.predict_on_batch(np.ones((3, 4), "float32")).shape
    (3, 2)

    Reference:
        `torch.nn.parallel.DistributedDataParallel` averages gradients in the same way.
    """

    # The names of Keras's own constructor, by which it knows a functional model.
    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        _strict.check_constructor(self, kwargs)
        super().__init__(inputs, outputs, name=name, **kwargs)


def world_size() -> int:
    """Returns the number of PyTorch or JAX processes that train one model."""
    if _BACKEND == "torch":
        from keras_involution.layers import _torch_processes

        return _torch_processes.world_size()
    if _BACKEND == "jax":
        import jax

        return jax.process_count()
    return 1


def refuse_model_from_outside(model: Any) -> None:
    """Checks that a model was built inside the block of `distribute` on TensorFlow.

    Raises:
        ValueError: If the model was built outside the block of `distribute`.
    """
    if _BACKEND != "tensorflow":
        return
    from keras_involution.models import _tensorflow_steps

    if paths := _tensorflow_steps.made_outside(model):
        raise ValueError(
            "The model was built outside the `with distribute(...)` block, so the "
            "devices have no copies of its variables. Build or load it inside the "
            f"block. {received(model=model.name, variables=paths[:3])}"
        )


def _replicas() -> bool:
    """Whether there are several TensorFlow replicas to split a batch over."""
    if _BACKEND != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.get_strategy().num_replicas_in_sync > 1)


def _refuse_rows_of_all(method: str) -> None:
    """Raises on JAX with several processes: Keras would treat all rows as a shard."""
    if _BACKEND == "jax" and world_size() > 1:
        raise ValueError(
            f"With several processes, use `Distribution.{method}`, which shards the "
            f"rows and gathers the results. {received(world_size=world_size())}"
        )
