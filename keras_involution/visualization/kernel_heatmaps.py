"""The kernels of an involution as heat maps."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import keras
import numpy as np

from keras_involution._arguments import one_of, received
from keras_involution._typing import Tensor
from keras_involution.layers import Involution2D
from keras_involution.visualization._resize import resize_maps

_extractors: weakref.WeakKeyDictionary[
    keras.Model, dict[tuple[str, ...], keras.Model]
] = weakref.WeakKeyDictionary()


def kernel_heatmaps(
    model: keras.Model,
    images: Tensor,
    layers: str | Sequence[str] | None = None,
    aggregate: str | None = None,
    resize: bool = True,
    batch_size: int = 32,
) -> dict[str, np.ndarray]:
    """Computes the sum of the kernel at each position of an image.

    `map[b, g, p] = sum over the Kh * Kw taps t of kernels[b, p, g, t]`, as in the
    paper. Sums are signed. The model runs in inference mode and is not changed.

    Args:
        model: RedNet classifier or backbone, or another functional model with
            `Involution2D` layers.
        images: Tensor (B, H, W, C), or (B, C, H, W) channels first, of prepared images:
            `model.preprocessor(images)`.
        layers: Name or list of names of involutions. `None` selects the last involution
            of every stage of a RedNet, and every involution of other models.
        aggregate: `None` returns one map per group; `"mean"` returns the mean over the
            groups.
        resize: Boolean, whether to resize the maps bilinearly to H x W. `False` keeps
            the Ho x Wo positions of the layer.
        batch_size: Integer, images per batch.

    Returns:
        Dictionary from the name of each layer, in the order asked for, to a float32
        array of shape (B, G, H, W), or (B, H, W) with `aggregate="mean"`; the same
        shapes in either data format.

    Raises:
        ValueError: If the model has no involutions, or a name or `aggregate` is
            unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution import RedNetBackbone, visualization
    >>> backbone = RedNetBackbone(
    ...     stackwise_num_filters=(32, 64),
    ...     stackwise_num_blocks=(1, 2),
    ...     stackwise_strides=(1, 2),
    ...     image_shape=(32, 48, 3),
    ...     data_format="channels_last",
    ... )
    >>> images = np.ones((2, 32, 48, 3), "float32")
    >>> maps = visualization.kernel_heatmaps(backbone, images)
    >>> {name: heatmaps.shape for name, heatmaps in maps.items()}
    {'stack0_block0_2_involution': (2, 2, 32, 48),
     'stack1_block1_2_involution': (2, 4, 32, 48)}

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255, section 4.4
    """
    one_of(aggregate, (None, "mean"), "aggregate")
    backbone = getattr(model, "backbone", model)
    chosen = _chosen_layers(backbone, layers)
    features = _extractor(backbone, chosen).predict(
        images, batch_size=batch_size, verbose=0
    )
    features = features if isinstance(features, list) else [features]
    size = _spatial_size(images, chosen[0].data_format)
    maps = {}
    for layer, x in zip(chosen, features):
        sums = _kernel_sums(layer, x, batch_size)
        sums = sums.mean(axis=1, keepdims=True) if aggregate == "mean" else sums
        sums = resize_maps(sums, size) if resize else sums
        maps[layer.name] = sums[:, 0] if aggregate == "mean" else sums
    return maps


def _extractor(model: keras.Model, layers: list[Involution2D]) -> keras.Model:
    """Returns a cached model that computes the inputs of the layers.

    Without the cache, backends would compile a new model in every call.
    """
    kept = _extractors.setdefault(model, {})
    names = tuple(layer.name for layer in layers)
    if names not in kept:
        kept[names] = keras.Model(model.inputs, [layer.input for layer in layers])
    return kept[names]


def _chosen_layers(
    model: keras.Model, names: str | Sequence[str] | None
) -> list[Involution2D]:
    found = {i.name: i for i in model.layers if isinstance(i, Involution2D)}
    if not found:
        raise ValueError(f"`model` must have involutions. {received(model=model.name)}")
    if names is None:
        names = _last_of_stages(model, list(found))
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        one_of(name, tuple(found), "layers")
    return [found[name] for name in names]


def _last_of_stages(model: keras.Model, names: list[str]) -> list[str]:
    blocks = getattr(model, "stackwise_num_blocks", None)
    if blocks is None:
        return names
    return [f"stack{i}_block{n - 1}_2_involution" for i, n in enumerate(blocks)]


def _spatial_size(images: Tensor, data_format: str) -> tuple[int, int]:
    height, width = (
        images.shape[2:4] if data_format == "channels_first" else (images.shape[1:3])
    )
    return int(height), int(width)


def _kernel_sums(layer: Involution2D, x: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns kernel sums (B, G, Ho, Wo) in float32, for any dtype of the layer."""
    first = layer.data_format == "channels_first"
    parts = []
    for start in range(0, len(x), batch_size):
        # `__call__` would cast the inputs; `generate_kernels` does not.
        part = keras.ops.convert_to_tensor(x[start : start + batch_size])
        inputs = keras.ops.cast(part, layer.compute_dtype)
        kernels = layer.generate_kernels(inputs, training=False)
        kernels = keras.ops.cast(keras.ops.stop_gradient(kernels), "float32")
        sums = keras.ops.sum(kernels, axis=(2, 3) if first else (-2, -1))
        parts.append(keras.ops.convert_to_numpy(sums))
    sums = np.concatenate(parts)
    return sums if first else np.moveaxis(sums, -1, 1)
