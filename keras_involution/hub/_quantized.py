"""Dtype policies in a preset: names of float policies, and quantized layers.

A `DTypePolicyMap` of Keras maps regular expressions to policies of any class. Here it
has one key, the name of a dense layer, and its policy is built from validated values.
"""

from __future__ import annotations

import re
from typing import Any

from keras import dtype_policies
from keras.dtype_policies import DTypePolicyMap

from keras_involution.hub._documents import short

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_LAYER = "predictions"
_INT4 = re.compile(r"int4/(-1|[1-9][0-9]{0,5})")
_MAX_HISTORY = 2**16


def changed_policy(policy: Any, dtype: Any, new_head: bool) -> Any:
    """The policy of a head for another dtype, or for a new head."""
    if not isinstance(policy, DTypePolicyMap):
        return policy if dtype is None else None
    if new_head:
        return policy.default_policy if dtype is None else None
    if dtype is None:
        return policy
    name = dtype_policies.get(dtype).name
    quantized = policy[_LAYER]
    config = quantized.get_config() | {"source_name": name}
    return DTypePolicyMap(name, {_LAYER: type(quantized)(**config)})


def changed_backbone_policy(policy: Any, dtype: Any) -> Any:
    """The policy of a saved backbone for another dtype."""
    if getattr(policy, "quantization_mode", None) is None:
        return dtype
    name = dtype_policies.get(dtype).name
    return dtype_policies.QuantizedDTypePolicy(policy.quantization_mode, name)


def bytes_at_least(policy: Any) -> int:
    """The minimum size of a parameter in a file, in bytes."""
    return 2 if getattr(policy, "quantization_mode", None) is None else 1


def checked_name(value: Any) -> str:
    """Validates the name of a float policy."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        value = (value.get("config") or {}).get("name")
    if not isinstance(value, str) or value.removeprefix("mixed_") not in _FLOATS:
        raise ValueError(f"must be one of {_FLOATS}, optionally after 'mixed_'")
    return value


def checked_backbone_policy(value: Any) -> Any:
    """Validates the name of a float policy, or the policy of int8 1x1 convolutions."""
    if isinstance(value, dict) and value.get("class_name") == "QuantizedDTypePolicy":
        policy = _quantized_policy(value)
        if policy.quantization_mode != "int8":
            raise ValueError("must have the mode 'int8'")
        return policy
    return checked_name(value)


def checked_policy(value: Any, layer: str = _LAYER) -> Any:
    """Validates the name of a float policy, or the map of a quantized dense layer."""
    if not isinstance(value, dict) or value.get("class_name") != "DTypePolicyMap":
        return checked_name(value)
    config = _config(value)
    policies = config.get("policy_map")
    if not isinstance(policies, dict) or list(policies) != [layer]:
        raise ValueError(f"must be a map with the single key {layer!r}")
    default = checked_name(config.get("default_policy"))
    return DTypePolicyMap(default, {layer: _quantized_policy(policies[layer])})


def _quantized_policy(value: Any) -> Any:
    config = _config(value)
    mode, source = config.get("mode"), checked_name(config.get("source_name"))
    if mode == "int8":
        return dtype_policies.QuantizedDTypePolicy(mode, source)
    if mode == "float8":
        length = config.get("amax_history_length", 1024)
        if type(length) is not int or not 1 <= length <= _MAX_HISTORY:
            raise ValueError(f"must have a history of 1 to {_MAX_HISTORY} values")
        return dtype_policies.QuantizedFloat8DTypePolicy(mode, source, length)
    if isinstance(mode, str) and _INT4.fullmatch(mode):
        return dtype_policies.get(f"{mode}_from_{source}")
    raise ValueError("must have the mode 'int8', 'float8', or 'int4/' and a block size")


def _config(value: Any) -> dict[str, Any]:
    config = value.get("config") if isinstance(value, dict) else None
    if not isinstance(config, dict):
        raise ValueError(f"must have a config, not {short(config)}")
    return config
