"""The RedNet feature extractor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._keras_private import layer_of
from keras_involution._typing import Shape
from keras_involution.layers._int8 import float_policy, policy_with_pointwise
from keras_involution.models import _lora
from keras_involution.models._joined_steps import JoinedSteps
from keras_involution.models._preset_methods import PresetMethods
from keras_involution.models.data_parallel import DataParallelSteps
from keras_involution.models.fused_inference import copy_weights
from keras_involution.models.input_channels import adapted_kernel, channels_of
from keras_involution.models.intermediates import Intermediates
from keras_involution.models.rednet_blocks import (
    SPATIAL_OPERATORS,
    BlockSettings,
    apply_bottleneck,
    apply_stem,
)
from keras_involution.models.rednet_presets import STACKWISE_NUM_BLOCKS


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetBackbone(
    JoinedSteps, Intermediates, PresetMethods, DataParallelSteps, keras.Model
):
    """RedNet without its head: a bottleneck network whose 3x3 convolutions are
    involutions.

    Args:
        stackwise_num_filters: List of 4 integers, channels of the spatial operator in
            each stage; the output of a stage has four times as many.
        stackwise_num_blocks: List of 4 integers, number of bottlenecks in each stage.
        stackwise_strides: List of 4 integers, strides of the first block of each stage.
        stem_kernel_size: Odd integer, window of the involution in the stem: 3 in the
            published classifiers, 7 in the published detectors.
        kernel_size: Odd integer, window of the involutions in the stages.
        group_channels: Integer, channels that share a kernel.
        reduction_ratio: Integer, reduction of the channels in the branch that generates
            the kernels.
        spatial_operator: `"involution"`, or `"convolution"` for the ResNet baseline
            with 3x3 convolutions.
        drop_path_rate: Float in [0, 1), stochastic depth rate of the last bottleneck;
            the rate increases linearly from 0 at the first bottleneck.
        image_shape: Tuple of 3, the shape of an image; `None` for any size.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses the global
            setting of Keras.
        dtype: dtype or `keras.DTypePolicy` of all layers.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `RedNetImageConverter`.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, ceil(H / 32), ceil(W / 32), 4 * stackwise_num_filters[-1]). The feature maps
        of all stages are in `pyramid_outputs`, "P2" (stride 4) to "P5" (stride 32).

    Returns:
        Tensor, the feature map of the last stage.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If lists differ in length, `group_channels` does not divide the
            filters, `drop_path_rate` is not in [0, 1), or `spatial_operator` or
            `data_format` is unknown.

    Example:

    >>> from keras_involution import RedNetBackbone
    >>> backbone = RedNetBackbone.from_depth(
    ...     26, image_shape=(64, 96, 3), data_format="channels_last"
    ... )
    >>> backbone.output_shape
    (None, 2, 3, 2048)
    >>> [tuple(map.shape[1:3]) for map in backbone.pyramid_outputs.values()]
    [(16, 24), (8, 12), (4, 6), (2, 3)]

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    def __init__(
        self,
        stackwise_num_filters: Sequence[int] = (64, 128, 256, 512),
        stackwise_num_blocks: Sequence[int] = (3, 4, 6, 3),
        stackwise_strides: Sequence[int] = (1, 2, 2, 2),
        stem_kernel_size: int = 3,
        kernel_size: int = 7,
        group_channels: int = 16,
        reduction_ratio: int = 4,
        spatial_operator: str = "involution",
        drop_path_rate: float = 0.0,
        image_shape: Shape | None = None,
        data_format: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        data_format = _arguments.standard_data_format(data_format)
        if image_shape is None:
            first = data_format == "channels_first"
            image_shape = (3, None, None) if first else (None, None, 3)
        channels_of(image_shape, data_format)
        group_channels = _arguments.positive_integer(group_channels, "group_channels")
        stages = _check_stages(
            stackwise_num_filters, stackwise_num_blocks, stackwise_strides
        )
        _arguments.one_of(spatial_operator, SPATIAL_OPERATORS, "spatial_operator")
        _arguments.odd_window(stem_kernel_size, 2, "stem_kernel_size")
        drop_path_rate = _arguments.drop_rate(drop_path_rate, "drop_path_rate")
        stem_filters = stages[0][0]
        if spatial_operator == "involution":
            for filters in (stem_filters // 2, *(stage[0] for stage in stages)):
                _arguments.divisible(
                    filters, group_channels, "filters", "group_channels"
                )
        settings = BlockSettings(
            spatial_operator=spatial_operator,
            kernel_size=kernel_size,
            group_channels=group_channels,
            reduction_ratio=reduction_ratio,
            data_format=data_format,
            pointwise_dtype=dtype,
        )

        # === Functional model ===
        inputs = keras.Input(image_shape, name="images")
        x = apply_stem(inputs, stem_filters, stem_kernel_size, settings)
        pyramid_outputs = {}
        drop_rates = _drop_rates(drop_path_rate, stages)
        for index, (filters, blocks, strides) in enumerate(stages):
            for block in range(blocks):
                x = apply_bottleneck(
                    x,
                    filters,
                    strides=strides if block == 0 else 1,
                    project=block == 0,
                    name=f"stack{index}_block{block}",
                    settings=settings,
                    drop_rate=next(drop_rates),
                )
            pyramid_outputs[f"P{index + 2}"] = x
        super().__init__(inputs=inputs, outputs=x, **kwargs)
        # A functional model reports float32, even if its layers have another dtype.
        self.dtype_policy = float_policy(dtype)

        # === Config ===
        self.stackwise_num_filters = [stage[0] for stage in stages]
        self.stackwise_num_blocks = [stage[1] for stage in stages]
        self.stackwise_strides = [stage[2] for stage in stages]
        self.stem_kernel_size = stem_kernel_size
        self.kernel_size = kernel_size
        self.group_channels = group_channels
        self.reduction_ratio = reduction_ratio
        self.spatial_operator = spatial_operator
        self.drop_path_rate = drop_path_rate
        self.image_shape = tuple(image_shape)
        self.data_format = data_format
        self._pyramid_outputs = pyramid_outputs

    @classmethod
    def from_depth(cls, depth: int, **kwargs: Any) -> RedNetBackbone:
        """Creates a backbone of a published depth.

        Args:
            depth: Integer, 26, 38, 50, 101 or 152.
            **kwargs: Arguments of the class except `stackwise_num_blocks`.

        Returns:
            A new backbone with random weights.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If no network of this depth was published.
        """
        depths = tuple(STACKWISE_NUM_BLOCKS)
        _arguments.one_of(depth, depths, "depth")
        names = set(_strict.constructor_arguments(cls)) - {"stackwise_num_blocks"}
        _strict.refuse_unknown(f"{cls.__name__}.from_depth", kwargs, names)
        return cls(stackwise_num_blocks=STACKWISE_NUM_BLOCKS[depth], **kwargs)

    @property
    def depth(self) -> int | None:
        """The published depth with the same numbers of blocks, or `None`."""
        return self.depth_of(self.stackwise_num_blocks)

    @staticmethod
    def depth_of(stackwise_num_blocks: Sequence[int]) -> int | None:
        """Returns the published depth with these numbers of blocks, or `None`."""
        for depth, blocks in STACKWISE_NUM_BLOCKS.items():
            if blocks == tuple(stackwise_num_blocks):
                return depth
        return None

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """The feature map of each stage, from "P2" (stride 4) to "P5" (stride 32)."""
        # A copy as a plain dictionary: JAX does not know the tracked one of Keras.
        return dict(self._pyramid_outputs)

    @property
    def pyramid_level_inputs(self) -> dict[str, str]:
        """The name of the layer of each of `pyramid_outputs`, as in keras-cv."""
        return {
            level: layer_of(tensor).name
            for level, tensor in self.pyramid_outputs.items()
        }

    def freeze_stages(self, count: int) -> None:
        """Freezes the stem and the first stages for fine-tuning.

        Their weights do not change, and their batch normalization uses its saved
        statistics. Compile the model afterwards.

        Args:
            count: Integer, number of stages; 0 freezes only the stem.

        Raises:
            ValueError: If `count` is larger than the number of stages.
        """
        stages = len(self.stackwise_num_blocks)
        if type(count) is not int or not 0 <= count <= stages:
            raise ValueError(
                f"`count` must be an integer from 0 to {stages}. "
                + received(count=count)
            )
        frozen = ("stem_", *(f"stack{stage}_" for stage in range(count)))
        for layer in self.layers:
            if layer.name.startswith(frozen):
                layer.trainable = False

    def default_lora_layer_names(self) -> list[str]:
        """Returns the names of the layers that `enable_lora` adapts by default.

        These are all 1x1 convolutions, including those in involutions.
        """
        return _lora.pointwise_names(self)

    def enable_lora(
        self, rank: int, target_layer_names: Sequence[str] | None = None
    ) -> None:
        """Freezes the backbone and adds trainable low-rank matrices (LoRA).

        Batch normalization uses its saved statistics. Compile the model afterwards.

        Args:
            rank: Integer, rank of the matrices.
            target_layer_names: Sequence of strings, names of layers to adapt; `None`
                is `default_lora_layer_names()`.

        Raises:
            ValueError: If no layer with one of the names can be adapted.
        """
        names = target_layer_names
        if names is None:
            names = self.default_lora_layer_names()
        # keras-hub saves and loads LoRA matrices with attributes of these names.
        self._lora_enabled_layers = _lora.enable_lora(self, rank, names)
        self._lora_rank = rank

    def with_image_shape(self, image_shape: Shape) -> Self:
        """Returns the same network, with the same weights, for another image shape.

        If the number of channels differs, the first convolution is adapted so that gray
        images give the same outputs. With one channel, its kernels are summed. With
        more channels, they are repeated cyclically, and the rest of the sum is divided
        equally. LoRA matrices are merged into the kernels.

        Args:
            image_shape: Tuple of 3 with known channels.

        Returns:
            A new backbone.

        Raises:
            ValueError: If `image_shape` does not have three dimensions and a known
                number of channels.
        """
        channels_of(image_shape, self.data_format)
        config = {**self.get_config(), "image_shape": tuple(image_shape)}
        other = type(self).from_config(config)
        for source, target in zip(self.layers, other.layers):
            if source.name == "stem_1_conv":
                kernel = keras.ops.convert_to_numpy(source.kernel)
                target.set_weights([adapted_kernel(kernel, target.kernel.shape[2])])
            else:
                copy_weights(source, target)
        return other

    def get_config(self) -> dict[str, Any]:
        return {
            "stackwise_num_filters": self.stackwise_num_filters,
            "stackwise_num_blocks": self.stackwise_num_blocks,
            "stackwise_strides": self.stackwise_strides,
            "stem_kernel_size": self.stem_kernel_size,
            "kernel_size": self.kernel_size,
            "group_channels": self.group_channels,
            "reduction_ratio": self.reduction_ratio,
            "spatial_operator": self.spatial_operator,
            "drop_path_rate": self.drop_path_rate,
            "image_shape": self.image_shape,
            "data_format": self.data_format,
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(
                policy_with_pointwise(self, self.dtype_policy)
            ),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        config["dtype"] = keras.dtype_policies.get(config.get("dtype"))
        config["image_shape"] = tuple(config["image_shape"])
        return cls(**config)


def _drop_rates(last: float, stages: list[tuple[int, int, int]]) -> Iterator[float]:
    """Yields the drop rate of each bottleneck, from 0 to `last` in equal steps."""
    count = sum(blocks for _, blocks, _ in stages)
    return (last * block / max(1, count - 1) for block in range(count))


def _check_stages(
    filters: Sequence[int], blocks: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int, int]]:
    lists = received(
        stackwise_num_filters=filters,
        stackwise_num_blocks=blocks,
        stackwise_strides=strides,
    )
    if not len(filters) == len(blocks) == len(strides) > 0:
        raise ValueError(f"The lists of stages must have the same length. {lists}")
    check = _arguments.positive_integer
    return [
        (
            check(f, "stackwise_num_filters"),
            check(b, "stackwise_num_blocks"),
            check(s, "stackwise_strides"),
        )
        for f, b, s in zip(filters, blocks, strides)
    ]
