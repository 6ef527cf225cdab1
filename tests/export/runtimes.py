"""Runs each format in its own runtime, without code of the package."""

from __future__ import annotations

import warnings

import numpy as np


def onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})


def saved_model(path, x):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]
    [name] = serve.structured_input_signature[1]
    answers = serve(**{name: tf.constant(x)})
    return [answers[key].numpy() for key in sorted(answers)]


def litert(path, x):
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter")
        interpreter = tf.lite.Interpreter(path)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    details = interpreter.get_output_details()
    return [interpreter.get_tensor(detail["index"]) for detail in details]


def torch(path, x):
    import torch as library

    answer = library.export.load(path).module()(library.from_numpy(x))
    answers = answer if isinstance(answer, tuple | list) else [answer]
    return [a.detach().numpy() for a in answers]


def stablehlo(path, x):
    import jax

    with open(path, "rb") as file:
        program = jax.export.deserialize(bytearray(file.read()))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(program.call(x))]


def openvino(path, x):
    import openvino as library

    # The default is bfloat16 on CPUs that support it.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    program = library.Core().compile_model(path, "CPU", settings)
    return list(program(x).values())


RUNTIMES = {
    "openvino": (openvino, ".xml"),
    "onnx": (onnx, ".onnx"),
    "saved_model": (saved_model, ""),
    "litert": (litert, ".tflite"),
    "torch": (torch, ".pt2"),
    "stablehlo": (stablehlo, ".stablehlo"),
}
