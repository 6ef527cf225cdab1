"""Builds networks by name and measures each in its own process.

    python -m benchmarks._measure.networks '{"network": "RedNet-50", ...}'

prints one line of JSON. With separate processes, the memory of one network and its
compiler does not affect the measurements of the next.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks._measure import devices

# Baselines from Keras and from PyTorch without Keras.
OPPONENTS = ("keras ResNet50", "torch ResNet50")
NETWORKS = ("RedNet-26", "ResNet-26", "RedNet-50", "ResNet-50", *OPPONENTS)
# Optional: layers are not joined into steps.
SEPARATE = ("RedNet-26, layer by layer", "RedNet-50, layer by layer")
# Optional: kernels are kept for the gradients instead of generated again.
KEPT = ("RedNet-26, kernels kept", "RedNet-50, kernels kept")
# Optional: result of `fuse_for_inference`, for inference only.
FUSED = ("RedNet-26, fused", "RedNet-50, fused")
CLASSES = 1000


def in_its_own_process(settings: dict[str, Any]) -> dict[str, Any]:
    """Runs `measure` in a new process."""
    command = [sys.executable, "-m", __name__, json.dumps(settings)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip().splitlines()[-1])
    return json.loads(answer.stdout.splitlines()[-1])


def build(name: str, side: int, data_format: str) -> Any:
    """Builds RedNet-N, its baseline ResNet-N, or the ResNet50 of Keras."""
    import keras

    import keras_involution

    keras.config.set_image_data_format(data_format)
    shape = (side, side, 3) if data_format == "channels_last" else (3, side, side)
    if name == "keras ResNet50":
        return keras.applications.ResNet50(
            weights=None, input_shape=shape, classifier_activation=None
        )
    if name in SEPARATE:
        _do_not_join()
    if name in KEPT:
        _keep_kernels()
    family, depth = name.partition(",")[0].split("-")
    model = getattr(keras_involution, f"RedNet{depth}")(
        num_classes=CLASSES,
        image_shape=shape,
        data_format=data_format,
        spatial_operator="involution" if family == "RedNet" else "convolution",
    )
    return model.fuse_for_inference() if name in FUSED else model


def _do_not_join() -> None:
    """Makes all networks of this process run layer by layer."""
    import keras

    from keras_involution.layers import _base
    from keras_involution.models._joined_steps import JoinedSteps

    def reduce_and_norm(layer: Any, x: Any) -> Any:
        return keras.ops.relu(layer.reduce_norm(layer.reduce(x), training=False))

    _base.BaseInvolution._reduce_and_norm = reduce_and_norm
    JoinedSteps._takes_steps = lambda network, inputs, training: False


def _keep_kernels() -> None:
    """Makes all layers of this process store their kernels."""
    from keras_involution.layers import _base

    _base.BaseInvolution._is_fused = lambda layer, inputs: False


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Measures time and memory of a step of inference or training."""
    device = devices.open_device(settings["device"])
    import keras

    from keras_involution._measure import timing

    if settings["dtype"] != "float32":
        keras.config.set_dtype_policy(f"mixed_{settings['dtype']}")
    step, parameters = _step_and_parameters(device, settings)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    step()
    repeats = settings["repeats"]
    times = [timing.sample_ms(step, _nothing) for _ in range(repeats)]
    return {
        "ms": statistics.median(times),
        "fastest ms": min(times),
        "first call, s": first,
        "MiB of a step": _peak(device, step),
        "MiB of the process": timing.most_ever_mib(),
        "parameters": parameters,
    }


def _step_and_parameters(
    device: devices.Device, settings: dict[str, Any]
) -> tuple[Callable[[], Any], int]:
    name = settings["network"]
    if name == "torch ResNet50":
        from benchmarks._measure import torch_resnet

        if settings["dtype"] != "float32":
            raise ValueError(f"{name} is measured in float32 only.")
        network = torch_resnet.resnet50(CLASSES)
        settings = {**settings, "device": device.kind}
        step = torch_resnet.step_of(network, settings)
        return step, torch_resnet.parameters(network)
    model = build(name, settings["side"], settings["data_format"])
    return _step(model, device, settings), model.count_params()


def _step(
    model: Any, device: devices.Device, settings: dict[str, Any]
) -> Callable[[], Any]:
    """Returns a function that calls `predict_on_batch` or `train_on_batch`."""
    import keras
    import numpy as np

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss, jit_compile=settings["jit"])
    shape = (settings["batch"], *model.input_shape[1:])
    images = device.normal(shape, "float32")
    if settings["work"] == "inference":
        return lambda: model.predict_on_batch(images)
    labels = np.random.default_rng(1).integers(0, CLASSES, settings["batch"])
    return lambda: model.train_on_batch(images, labels)


def _peak(device: devices.Device, step: Callable[[], Any]) -> float | None:
    gc.collect()
    return device.peak_mib(step)


def _nothing(result: Any) -> None:
    """Does not wait, because both kinds of steps return values on the host."""


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
