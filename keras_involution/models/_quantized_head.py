"""The policies of a head that Keras has quantized, as a saved model keeps them.

Keras quantizes a layer where it stands, and its new dtype policy says how. A model that
builds its layers from arguments of its own has to hand that policy on, or it is built
with layers that the saved weights do not fit. Keras's `DTypePolicyMap` is made for it:
policies by the names of layers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.dtype_policies import DTypePolicyMap

from keras_involution._arguments import received


def policy_of(head_dtype: Any, name: str) -> Any:
    """The policy of one layer of the head.

    Not the map itself: of a layer with a map, Keras 3.15 saves no scales.
    """
    policy = keras.dtype_policies.get(head_dtype)
    return policy[name] if isinstance(policy, DTypePolicyMap) else policy


def policies_of_head(head_dtype: Any, dense: keras.layers.Layer) -> Any:
    """The policy of the head, a map where its dense layer is quantized."""
    policy = keras.dtype_policies.get(head_dtype)
    default = getattr(policy, "default_policy", policy)
    if dense.quantization_mode is None:
        return default
    _check_configuration(dense)
    return DTypePolicyMap(default.name, {dense.name: dense.dtype_policy})


def _check_configuration(dense: Any) -> None:
    """Raises where the dense layer computes otherwise than its policy says."""
    mode, config = dense.quantization_mode, dense.quantization_config
    usual: list[Any] = []
    if mode == "int8":
        usual = [keras.quantizers.Int8QuantizationConfig()]
    elif mode == "float8":
        usual = [keras.quantizers.Float8QuantizationConfig()]
    elif mode == "int4":
        sizes = {dense.dtype_policy.block_size, None}
        usual = [keras.quantizers.Int4QuantizationConfig(block_size=n) for n in sizes]
    configs = [each.get_config() for each in usual]
    if not usual or (config is not None and config.get_config() not in configs):
        raise ValueError(
            "A model is saved with the usual quantizers of 'int8', 'int4' and "
            f"'float8'. {received(mode=mode, config=config)}"
        )
