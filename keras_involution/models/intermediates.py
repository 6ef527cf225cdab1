"""The maps of the stages under the names that PyTorch Image Models uses for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._typing import Tensor


class Intermediates:
    """Mixed into a backbone with `pyramid_outputs`, in front of `keras.Model`."""

    data_format: str
    input: keras.KerasTensor
    output: keras.KerasTensor

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """The map of every stage by its level."""
        raise NotImplementedError

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """For each stage its channels, its reduction of the sides and its layer.

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
        """The output and the maps of the stages, from one pass.

        Args:
            inputs: Floating-point tensor, as for a call of the model.
            indices: Integers, which stages, counted from 0 or from the end as -1; an
                integer for the last so many; `None` for all.
            intermediates_only: Boolean, whether only the list is returned.
            training: Boolean, as for a call of the model.

        Returns:
            Tensor and list of tensors, or the list.

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
            f"`indices` must be stages of {count}, or how many of the last. "
            + received(indices=indices)
        )
    return places
