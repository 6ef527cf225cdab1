"""Training step for one of several PyTorch processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from keras import tree
from torch.overrides import TorchFunctionMode

from keras_involution._arguments import received
from keras_involution.layers._torch_processes import add_over_processes, world_size


def train_step(model: Any, data: Any) -> dict[str, Any]:
    """Runs Keras's training step with gradients and metrics of all processes."""
    with _joined():
        x, y, sample_weight = _unpacked(data)
        _begin_equal(model)
        model.zero_grad()
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
        before = _metric_values(model)
        _loss_metric(model).update_state(loss, sample_weight=_rows(x))
        logs_of = model.compute_metrics
        logs_of(x, y, y_pred, sample_weight=sample_weight)
        model.optimizer.scale_loss(loss).backward()
        weights = model.trainable_weights
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            _exchange(model, gradients, before)
            model.optimizer.apply(gradients, weights)
        logs: dict[str, Any] = model.get_metrics_result()
        return logs


def _exchange(model: Any, gradients: list[Any], before: list[torch.Tensor]) -> None:
    """Averages the gradients and sums the metric updates over all processes."""
    present = [gradient for gradient in gradients if gradient is not None]
    after = _metric_values(model)
    added = [new - old for new, old in zip(after, before, strict=True)]
    add_over_processes([*present, *added])
    for gradient in present:
        gradient /= world_size()
    variables = [v for metric in model.metrics for v in metric.variables]
    for variable, old, new in zip(variables, before, added, strict=True):
        variable.assign(old + new)


def _begin_equal(model: Any) -> None:
    """Broadcasts the weights of the first process, once for each optimizer."""
    optimizer = model.optimizer
    if model._equal_for is optimizer:
        return
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    with torch.no_grad():
        for variable in [*model.variables, *optimizer.variables]:
            dist.broadcast(variable.value, 0)
    object.__setattr__(model, "_equal_for", optimizer)


def _metric_values(model: Any) -> list[torch.Tensor]:
    variables = [v for metric in model.metrics for v in metric.variables]
    return [variable.value.detach().clone() for variable in variables]


def _loss_metric(model: Any) -> Any:
    """Returns the metric with the mean loss."""
    return next(metric for metric in model.metrics if metric.name == "loss")


def _unpacked(data: Any) -> tuple[Any, Any, Any]:
    parts = data if isinstance(data, list | tuple) else (data,)
    filled = [*parts, None, None]
    return filled[0], filled[1], filled[2]


def _rows(x: Any) -> int:
    return next(array for array in tree.flatten(x) if array is not None).shape[0]


class OnlyJoinedSteps(TorchFunctionMode):
    """Raises an error if a model is trained without averaging its gradients.

    A `TorchFunctionMode` intercepts all PyTorch functions called in a block. Training
    steps of `DataParallelSteps` leave the block while they run.
    """

    active: ClassVar[list[OnlyJoinedSteps]] = []

    def __enter__(self) -> Any:
        self.active.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self.active.pop()
        super().__exit__(*error)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        if function is torch.Tensor.backward:
            raise ValueError(
                "Every process would train a separate model: on PyTorch, a plain "
                "`keras.Model` does not average gradients over processes. Use "
                "`keras_involution.models.DataParallelModel(inputs, outputs)`. "
                + received(world_size=world_size())
            )
        return function(*args, **(kwargs or {}))


class _joined:
    """Context of a step that may train: it leaves `OnlyJoinedSteps`, if active."""

    def __enter__(self) -> None:
        self.left = OnlyJoinedSteps.active[-1] if OnlyJoinedSteps.active else None
        if self.left is not None:
            self.left.__exit__(None, None, None)

    def __exit__(self, *error: Any) -> None:
        if self.left is not None:
            self.left.__enter__()
