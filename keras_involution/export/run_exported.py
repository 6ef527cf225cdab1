"""Runs an exported program in the runtime of its format."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.export._formats import format_of
from keras_involution.export._writers import import_openvino


def run_exported(path: str | Path, inputs: np.ndarray) -> np.ndarray:
    """Runs a file or folder written by `export_model` in the runtime of its format.

    ONNX runs in onnxruntime, OpenVINO in openvino, a SavedModel in TensorFlow, LiteRT
    in ai-edge-litert or TensorFlow, `.pt2` in PyTorch and `.stablehlo` in JAX.

    Args:
        path: Path of the file or folder.
        inputs: Array of prepared inputs with the shape and dtype of the exported
            signature, such as (B, H, W, 3) float32.

    Returns:
        Array of outputs, such as (B, num_classes). If the program has several outputs,
        only the first is returned.

    Raises:
        ValueError: If the path does not exist, or its suffix is unknown.
        ImportError: If the runtime is missing.

    Example:

    ```python
    import numpy as np
    from keras_involution.export import run_exported

    scores = run_exported("model.onnx", np.zeros((1, 96, 96, 3), "float32"))
    ```
    """
    path = Path(path)
    name = format_of(path, None)
    if not path.exists():
        raise ValueError(f"There is no exported program. {received(path=str(path))}")
    libraries, run = _RUNTIMES[name]
    if not any(map(importlib.util.find_spec, libraries)):
        raise ImportError(
            f"This format runs in {' or '.join(libraries)}, which is not installed. "
            + received(path=str(path))
        )
    return np.asarray(run(str(path), inputs))


def _run_onnx(path: str, inputs: np.ndarray) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


def _run_openvino(path: str, inputs: np.ndarray) -> Any:
    # By default, OpenVINO computes in bfloat16 on CPUs that support it.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    program = import_openvino().Core().compile_model(path, "CPU", settings)
    return program(inputs)[0]


def _run_saved_model(path: str, inputs: np.ndarray) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)  # The reference keeps the variables alive.
    return tf.nest.flatten(loaded.serve(tf.constant(inputs)))[0]


def _run_litert(path: str, inputs: np.ndarray) -> Any:
    interpreter = _interpreter(path)
    [given] = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _interpreter(path: str) -> Any:
    if importlib.util.find_spec("ai_edge_litert") is not None:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(path)
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        return tf.lite.Interpreter(path)


def _run_torch(path: str, inputs: np.ndarray) -> Any:
    import torch

    program = torch.export.load(path).module()
    with torch.no_grad():
        outputs = program(torch.from_numpy(inputs))
    first = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return first.float().cpu().numpy()


def _run_stablehlo(path: str, inputs: np.ndarray) -> Any:
    import jax

    program = jax.export.deserialize(bytearray(Path(path).read_bytes()))
    return jax.tree.leaves(program.call(inputs))[0]


_RUNTIMES: dict[str, tuple[tuple[str, ...], Callable[[str, np.ndarray], Any]]] = {
    "onnx": (("onnxruntime",), _run_onnx),
    "openvino": (("openvino",), _run_openvino),
    "saved_model": (("tensorflow",), _run_saved_model),
    "litert": (("ai_edge_litert", "tensorflow"), _run_litert),
    "torch": (("torch",), _run_torch),
    "stablehlo": (("jax",), _run_stablehlo),
}
