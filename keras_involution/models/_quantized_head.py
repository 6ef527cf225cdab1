"""Dtype policies of a classifier head that Keras has quantized.

Keras quantizes a layer in place and records the mode in its dtype policy. A model that
creates its layers from its own arguments must save this policy in its config.
Otherwise, the saved weights do not fit the layers of the loaded model. The config
stores a `keras.dtype_policies.DTypePolicyMap` from layer names to policies.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.dtype_policies import DTypePolicyMap

from keras_involution._arguments import received


def policy_of(head_dtype: Any, name: str) -> Any:
    """Returns the dtype policy of one layer of the head.

    A layer must not get the map itself: Keras 3.15 would not save its scales.
    """
    policy = keras.dtype_policies.get(head_dtype)
    return policy[name] if isinstance(policy, DTypePolicyMap) else policy


def policies_of_head(head_dtype: Any, dense: keras.layers.Layer) -> Any:
    """Returns the policy of the head; a map if its dense layer is quantized."""
    policy = keras.dtype_policies.get(head_dtype)
    default = getattr(policy, "default_policy", policy)
    if dense.quantization_mode is None:
        return default
    _check_configuration(dense)
    return DTypePolicyMap(default.name, {dense.name: dense.dtype_policy})


def _check_configuration(dense: Any) -> None:
    """Raises `ValueError` if the quantizers are not the defaults of the mode."""
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
            "Only models with the default quantizers of 'int8', 'int4' and 'float8' "
            f"can be saved. {received(mode=mode, config=config)}"
        )
