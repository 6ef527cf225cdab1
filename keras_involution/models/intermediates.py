"""Feature maps of the stages, with the interface of PyTorch Image Models (timm)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._typing import Tensor


class Intermediates:
    """Mixin for a backbone with `pyramid_outputs`; list it before `keras.Model`."""

    data_format: str
    input: keras.KerasTensor
    output: keras.KerasTensor

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """The feature map of each stage, by level."""
        raise NotImplementedError

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """The channels, the reduction and the layer name of each stage.

        The keys are those of PyTorch Image Models: "num_chs", "reduction", "module".
        """
        axis = 1 if self.data_format == "channels_first" else -1
        return [
            {
                "num_chs": tensor.shape[axis],
                "reduction": 2 ** int(level[1:]),
                "module": tensor._keras_history.operation.name,
            }
            for level, tensor in self.pyramid_outputs.items()
        ]

    def forward_intermediates(
        self,
        inputs: Tensor,
        indices: int | Sequence[int] | None = None,
        intermediates_only: bool = False,
        training: bool = False,
    ) -> Any:
        """Returns the output and the feature maps of the stages from one forward pass.

        Args:
            inputs: Floating-point tensor, as for a call of the model.
            indices: Sequence of stage numbers, counted from 0, or from the end as -1;
                an integer for this number of last stages; `None` for all stages.
            intermediates_only: Boolean, whether to return only the list of maps.
            training: Boolean, as for a call of the model.

        Returns:
            Tuple of the output tensor and the list of maps, or only the list.

        Raises:
            ValueError: If there is no such stage.
        """
        maps = list(self.pyramid_outputs.values())
        chosen = [maps[i] for i in _places(indices, len(maps))]
        model = keras.Model(self.input, [self.output, *chosen])
        final, *found = model(inputs, training=training)
        return found if intermediates_only else (final, found)


def _places(indices: Any, count: int) -> list[int]:
    if indices is None:
        return list(range(count))
    if type(indices) is int and 0 < indices <= count:
        return list(range(count - indices, count))
    places: list[Any] = list(indices) if isinstance(indices, list | tuple) else [None]
    if not all(type(i) is int and -count <= i < count for i in places):
        raise ValueError(
            f"`indices` must be stages from 0 to {count - 1}, or a number of last "
            "stages. " + received(indices=indices)
        )
    return places
