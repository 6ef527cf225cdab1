"""A user's model with an involution layer, exported by Keras and by the frameworks.

The exported files run in their own runtime, in a process without this package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution.export._writers import import_openvino
from keras_involution.layers import Involution2D
from tests.export.networks import drawn, inputs

BACKEND = keras.config.backend()
RUN = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import runtimes
x = np.load("x.npy")
for format in sys.argv[2:]:
    run, suffix = runtimes.RUNTIMES[format]
    # OpenVINO names variables of TensorFlow after the answer.
    np.save(format + ".npy", run(format + suffix, x)[0])
assert "keras_involution" not in sys.modules
"""


def others_model(**options) -> keras.Model:
    """A plain Keras model with a layer that sets its implementation."""
    image = keras.Input((9, 12, 4), name="maps")
    x = Involution2D((1, 3), 2, 2, data_format="channels_last", **options)(image)
    return drawn(keras.Model(image, keras.layers.Dense(3)(x)))


def by_keras(format: str, **options):
    def write(model, path, x):
        model.export(path, format=format, verbose=False, **options)

    return write


def by_keras_openvino(model, path, x):
    import_openvino()  # without its telemetry, which forks
    by_keras("openvino")(model, path, x)


def by_torch_onnx(model, path, x):
    import torch

    torch.onnx.export(model.eval(), (torch.from_numpy(x),), path, dynamo=False)


def by_torch_export(model, path, x):
    import torch

    torch.export.save(torch.export.export(model.eval(), (torch.from_numpy(x),)), path)


def by_jax_export(model, path, x):
    import jax

    program = jax.export.export(jax.jit(lambda x: model(x, training=False)))(x)
    Path(path).write_bytes(program.serialize())


WRITERS = {
    "tensorflow": {
        "onnx": by_keras("onnx"),
        "saved_model": by_keras("tf_saved_model"),
        "litert": by_keras("litert"),
        "openvino": by_keras_openvino,
    },
    "torch": {
        "onnx": by_torch_onnx,
        "torch": by_torch_export,
        "openvino": by_keras_openvino,
    },
    "jax": {
        "saved_model": by_keras(
            "tf_saved_model", jax2tf_kwargs={"with_gradient": False}
        ),
        "stablehlo": by_jax_export,
        "onnx": by_keras("onnx"),  # by jax2onnx
    },
}[BACKEND]


@pytest.mark.filterwarnings("ignore")  # exporters warn of their own code
def test_it_runs_elsewhere(tmp_path, monkeypatch):
    from tests.export.runtimes import RUNTIMES

    monkeypatch.chdir(tmp_path)
    named = {} if BACKEND == "jax" else {"implementation": "native"}
    model = others_model(**named)
    x = inputs(2, 9, 12, "channels_last", 4)
    expected = keras.ops.convert_to_numpy(model(x))
    np.save("x.npy", x)
    for format, write in WRITERS.items():
        write(model, format + RUNTIMES[format][1], x)
    elsewhere = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", RUN, folder, *WRITERS]
    subprocess.run(command, check=True, env=elsewhere, timeout=300)
    for format in WRITERS:
        np.testing.assert_allclose(np.load(format + ".npy"), expected, atol=1e-5)
