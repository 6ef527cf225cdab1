"""The network that projects stored vectors to embeddings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution.layers import BatchNormalization
from keras_involution.models import _quantized_head
from keras_involution.models.data_parallel import DataParallelSteps
from keras_involution.whale_id.unit import unit

_BLOCK = 4096


@keras.saving.register_keras_serializable(package="keras_involution")
class VectorNetwork(DataParallelSteps, keras.Model):
    """Dense layer and batch normalization on vectors of another network.

    It is a head for a frozen network: it is trained on stored embeddings, and no image
    is read. It is initialized with an orthogonal projection, which approximately
    preserves angles.

    Args:
        input_size: Integer, length D of the vectors.
        embedding_size: Integer, length E of an embedding.
        hidden_size: Integer, units of a ReLU layer before the projection; `None` for a
            linear projection.
        dropout: Float, dropout rate of the input vectors.
        dense_dtype: dtype or `keras.DTypePolicy` of the dense layers; `None` uses the
            global setting of Keras.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor. Vectors may have any length; only the direction
            matters.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, D)

    Output shape:
        (B, E)

    Returns:
        Tensor, embeddings before they are normalized to length one.

    Raises:
        ValueError: If a size is not a positive integer, or `dropout` is not a valid
            rate.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.model import VectorNetwork
    >>> VectorNetwork(8, embedding_size=4).embed(np.eye(3, 8)).shape
    (3, 4)

    Reference:
        The neck of `EmbeddingNetwork`. Initialization: Saxe et al., "Exact solutions to
        the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014,
        https://arxiv.org/abs/1312.6120
    """

    def __init__(
        self,
        input_size: int,
        embedding_size: int = 512,
        hidden_size: int | None = None,
        dropout: float = 0.0,
        dense_dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        size = _arguments.positive_integer(input_size, "input_size")
        _arguments.positive_integer(embedding_size, "embedding_size")
        _arguments.drop_rate(dropout, "dropout")

        # === Functional model ===
        inputs = keras.Input((size,), name="vectors")
        x = layers.UnitNormalization(name="unit")(inputs)
        # Values near 1, so that the epsilon of the normalization is relatively small.
        x = layers.Rescaling(size**0.5, name="rescaled")(x)
        if dropout:
            # Without a seed PyTorch would use a random state that checkpoints omit.
            x = layers.Dropout(dropout, seed=1, name="dropout")(x)
        if hidden_size is not None:
            units = _arguments.positive_integer(hidden_size, "hidden_size")
            x = layers.Dense(
                units,
                activation="relu",
                dtype=_quantized_head.policy_of(dense_dtype, "hidden"),
                name="hidden",
            )(x)
        x = layers.Dense(
            embedding_size,
            use_bias=False,
            kernel_initializer="orthogonal",
            dtype=_quantized_head.policy_of(dense_dtype, "projection"),
            name="projection",
        )(x)
        outputs = BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="neck_bn"
        )(x)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.input_size = size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.dropout = dropout
        self._dense_dtype = keras.dtype_policies.get(dense_dtype)

    @property
    def dense_dtype(self) -> Any:
        """The dtype policy of the dense layers; a map once one is quantized."""
        dense = [la for la in self.layers if isinstance(la, layers.Dense)]
        return _quantized_head.policies_of(self._dense_dtype, dense)

    def embed(self, vectors: Any) -> np.ndarray:
        """Embeddings of vectors, each of length one.

        Args:
            vectors: Array (N, D).

        Returns:
            Array (N, E), float32.

        Raises:
            ValueError: If the vectors do not have length D.
        """
        x = np.asarray(vectors, "float32")
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(
                f"`vectors` must have shape (N, {self.input_size}) and come from the "
                f"same network as the training vectors. {received(vectors=x.shape)}"
            )
        starts = range(0, len(x), _BLOCK)
        parts = [unit(self.predict_on_batch(x[s : s + _BLOCK])) for s in starts]
        return np.concatenate([np.zeros((0, self.embedding_size), "float32"), *parts])

    def get_config(self) -> dict[str, Any]:
        return {
            "input_size": self.input_size,
            "embedding_size": self.embedding_size,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout,
            "dense_dtype": keras.dtype_policies.serialize(self.dense_dtype),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> VectorNetwork:
        policy = config.get("dense_dtype")
        dtype = policy and keras.saving.deserialize_keras_object(policy)
        return cls(**{**config, "dense_dtype": dtype})
