"""Dtype policies of dense layers that Keras has quantized.

Keras quantizes a layer in place and records the mode in its dtype policy. A model that
creates its layers from its own arguments must save this policy in its config.
Otherwise, the saved weights do not fit the layers of the loaded model. The config
stores a `keras.dtype_policies.DTypePolicyMap` from layer names to policies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras.dtype_policies import DTypePolicyMap

from keras_involution._arguments import received


def policy_of(dtype: Any, name: str) -> Any:
    """Returns the dtype policy of one layer.

    A layer must not get the map itself: Keras 3.15 would not save its scales.
    """
    policy = keras.dtype_policies.get(dtype)
    return policy[name] if isinstance(policy, DTypePolicyMap) else policy


def policies_of(dtype: Any, dense_layers: Iterable[keras.layers.Layer]) -> Any:
    """Returns the policy of dense layers; a map if one of them is quantized."""
    policy = keras.dtype_policies.get(dtype)
    default = getattr(policy, "default_policy", policy)
    quantized = [la for la in dense_layers if la.quantization_mode is not None]
    if not quantized:
        return default
    for dense in quantized:
        _check_configuration(dense)
    return DTypePolicyMap(default.name, {la.name: la.dtype_policy for la in quantized})


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
    known = [_contents(each) for each in usual]
    if not usual or (config is not None and _contents(config) not in known):
        raise ValueError(
            "Only models with the default quantizers of 'int8', 'int4' and 'float8' "
            f"can be saved. {received(mode=mode, config=config)}"
        )


def _contents(config: Any) -> tuple[Any, ...]:
    # Not `config.get_config()`: while Keras saves a model, it marks in there the
    # quantizers that several layers share.
    quantizers = (config.weight_quantizer, config.activation_quantizer)
    values = [each and (type(each), each.get_config()) for each in quantizers]
    return (*values, getattr(config, "block_size", None))
