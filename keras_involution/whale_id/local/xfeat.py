"""XFeat as a Keras model: a small network that finds and describes keypoints."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_involution._arguments import positive_integer, received

WEIGHTS = Path(__file__).with_name("xfeat_cvpr24.npz")
STRIDE = 32
"""Sides of images are multiples of this."""

CELL = 8
"""Pixels on a side of one position of the outputs."""


@keras.saving.register_keras_serializable(package="keras_involution")
class GrayInstanceNormalization(layers.Layer):
    """Mean over the colors, then mean 0 and variance 1 over each image.

    Args:
        epsilon: Float, added to the variance.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of images.

    Input shape:
        (B, H, W, C)

    Output shape:
        (B, H, W, 1)

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local.xfeat import GrayInstanceNormalization
    >>> GrayInstanceNormalization()(np.ones((1, 32, 32, 3))).shape[-1]
    1
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs: Any) -> Any:
        gray = ops.mean(inputs, axis=-1, keepdims=True)
        mean, variance = ops.moments(gray, axes=(1, 2), keepdims=True)
        return (gray - mean) / ops.sqrt(variance + self.epsilon)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_involution")
class BilinearUpSampling(layers.Layer):
    """Bilinear upsampling with half-pixel centers.

    TensorFlow cannot trace `keras.layers.UpSampling2D` for unknown sizes.

    Args:
        size: Integer, the factor.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of feature maps.

    Input shape:
        (B, H, W, C)

    Output shape:
        (B, H * size, W * size, C)

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local.xfeat import BilinearUpSampling
    >>> tuple(BilinearUpSampling(2)(np.ones((1, 4, 6, 3), "float32")).shape)
    (1, 8, 12, 3)
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive_integer(size, "size")

    def call(self, inputs: Any) -> Any:
        rows = self._enlarged_rows(inputs)
        turned = self._enlarged_rows(ops.swapaxes(rows, 1, 2))
        return ops.swapaxes(turned, 1, 2)

    def _enlarged_rows(self, x: Any) -> Any:
        before = ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
        after = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        phases = []
        for i in range(self.size):
            offset = (i + 0.5) / self.size - 0.5
            neighbor = before if offset < 0 else after
            phases.append((1 - abs(offset)) * x + abs(offset) * neighbor)
        batch, height, width, channels = ops.shape(x)
        shape = (batch, height * self.size, width, channels)
        return ops.reshape(ops.stack(phases, axis=2), shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *sides, channels = input_shape
        larger = (None if side is None else side * self.size for side in sides)
        return (batch, *larger, channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable(package="keras_involution")
class XFeat(keras.Model):
    """The XFeat network, which describes every 8x8 cell of an image.

    Args:
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor of images of any value range.

    Input shape:
        (B, H, W, C), with H and W multiples of 32.

    Output shape:
        Dictionary of `"features"` (B, H / 8, W / 8, 64), descriptors before they are
        normalized to length one; `"keypoints"` (B, H / 8, W / 8, 65), logits of the
        64 pixels of a cell and of "none of them"; `"reliability"`
        (B, H / 8, W / 8, 1), from 0 to 1.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import XFeat
    >>> outputs = XFeat()(np.zeros((1, 64, 96, 3), "float32"))
    >>> tuple(outputs["features"].shape)
    (1, 8, 12, 64)

    Reference:
        Potje et al., "XFeat: Accelerated Features for Lightweight Image Matching",
        CVPR 2024, https://arxiv.org/abs/2404.19174
    """

    def __init__(self, **kwargs: Any) -> None:
        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images", dtype="float32")
        gray = GrayInstanceNormalization(name="normalization", dtype="float32")(inputs)

        x = gray
        for i, (filters, strides) in enumerate([(4, 1), (8, 2), (8, 1), (24, 2)]):
            x = _basic(x, filters, 3, strides, f"block1.{i}")
        skip = layers.AveragePooling2D(4, data_format="channels_last")(gray)
        x = layers.Add()([x, _plain(skip, 24, 1, "skip1.1")])
        x = _block(x, "block2", [(24, 3, 1), (24, 3, 1)])
        third = _block(x, "block3", [(64, 3, 2), (64, 3, 1), (64, 1, 1)])
        fourth = _block(third, "block4", [(64, 3, 2), (64, 3, 1), (64, 3, 1)])
        fifth = _block(
            fourth, "block5", [(128, 3, 2), (128, 3, 1), (128, 3, 1), (64, 1, 1)]
        )
        x = layers.Add()(
            [third, BilinearUpSampling(2)(fourth), BilinearUpSampling(4)(fifth)]
        )
        x = _block(x, "block_fusion", [(64, 3, 1), (64, 3, 1)])
        features = _plain(x, 64, 1, "block_fusion.2")

        x = _block(features, "heatmap_head", [(64, 1, 1), (64, 1, 1)])
        reliability = layers.Activation("sigmoid", name="reliability")(
            _plain(x, 1, 1, "heatmap_head.2")
        )

        # The original folds 8x8 pixels into channels before a 1x1 convolution. A
        # convolution of 8x8 pixels with stride 8 computes the same.
        x = _basic(gray, 64, CELL, CELL, "keypoint_head.0", padding=0)
        for i in (1, 2):
            x = _basic(x, 64, 1, 1, f"keypoint_head.{i}")
        keypoints = _plain(x, 65, 1, "keypoint_head.3")

        outputs = {
            "features": features,
            "keypoints": keypoints,
            "reliability": reliability,
        }
        super().__init__(inputs, outputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> XFeat:
        return cls(**config)

    def load_published_weights(self, path: str | Path = WEIGHTS) -> None:
        """Loads weights with the names and shapes of the published PyTorch weights.

        Args:
            path: Path of an `.npz` file; the default file is included in the package.

        Raises:
            ValueError: If a weight is missing or has another shape.
        """
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name].astype("float32") for name in file.files}
        for layer in self.layers:
            if layer.weights:
                layer.set_weights(_weights_of(layer, arrays))


@functools.cache
def pretrained_xfeat() -> XFeat:
    """The network with the included weights; built once per process."""
    network = XFeat(name="xfeat", trainable=False)
    network.load_published_weights()
    return network


def _weights_of(layer: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    name = layer.name.replace("_at_", ".")
    is_norm = isinstance(layer, layers.BatchNormalization)
    parts = ("running_mean", "running_var") if is_norm else ("weight", "bias")
    found = [arrays[key] for p in parts if (key := f"{name}.{p}") in arrays]
    values = [_kernel(v, layer) if v.ndim == 4 else v for v in found]
    expected = [tuple(weight.shape) for weight in layer.weights]
    if [value.shape for value in values] != expected:
        shapes = received(name=name, shapes=[v.shape for v in values])
        raise ValueError(f"Weights of {name} must have shapes {expected}. {shapes}")
    return values


def _kernel(value: np.ndarray, layer: Any) -> np.ndarray:
    """From (O, I, Kh, Kw) to (Kh, Kw, I, O); folded pixels become a window."""
    kernel = value.transpose(2, 3, 1, 0)
    return kernel.reshape(layer.kernel.shape)


def _block(x: Any, name: str, sizes: list[tuple[int, int, int]]) -> Any:
    for i, (filters, kernel_size, strides) in enumerate(sizes):
        x = _basic(x, filters, kernel_size, strides, f"{name}.{i}")
    return x


def _basic(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    padding: int | None = None,
) -> Any:
    """Convolution, batch normalization without parameters, ReLU."""
    padding = (kernel_size - 1) // 2 if padding is None else padding
    if padding:
        # "same" would pad stride 2 on one side only.
        x = layers.ZeroPadding2D(padding, data_format="channels_last")(x)
    x = _plain(x, filters, kernel_size, f"{name}.layer.0", strides, use_bias=False)
    x = layers.BatchNormalization(
        axis=-1, epsilon=1e-5, center=False, scale=False, name=_named(f"{name}.layer.1")
    )(x)
    return layers.ReLU()(x)


def _plain(
    x: Any,
    filters: int,
    kernel_size: int,
    name: str,
    strides: int = 1,
    use_bias: bool = True,
) -> Any:
    return layers.Conv2D(
        filters,
        kernel_size,
        strides,
        use_bias=use_bias,
        data_format="channels_last",
        name=_named(name),
    )(x)


def _named(name: str) -> str:
    """Replaces dots: Keras treats a dot in a name as a level."""
    return name.replace(".", "_at_")
