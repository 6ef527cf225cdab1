"""Writes `small.pdparams` with Paddle itself: the format as Paddle writes it.

The network is the first convolution, its batch normalization and the head, with the
names that PaddleClas gives them. Paddle stays out of the environment of this package:

    python -m venv paddle && paddle/bin/pip install paddlepaddle
    paddle/bin/python tests/golden/paddle_checkpoint.py tests/golden/small.pdparams

It takes seconds. Paddle 3.3.1 wrote the file that is here.
"""

from __future__ import annotations

import sys

import numpy as np
import paddle


def layer(*parts: tuple[str, paddle.nn.Layer]) -> paddle.nn.Layer:
    made = paddle.nn.Layer()
    for name, part in parts:
        made.add_sublayer(name, part)
    return made


def main(path: str) -> None:
    paddle.set_device("cpu")
    conv = paddle.nn.Conv2D(3, 4, 3, bias_attr=False)
    stem = layer(("0", layer(("conv", conv), ("bn", paddle.nn.BatchNorm2D(4)))))
    network = layer(("stem", stem), ("fc", paddle.nn.Linear(4, 5)))
    for number, (name, value) in enumerate(network.state_dict().items()):
        values = np.arange(value.size, dtype="float32") + 100 * number + 1
        value.set_value(values.reshape(value.shape))
        print(name, value.shape)
    paddle.save(network.state_dict(), path)


if __name__ == "__main__":
    main(sys.argv[1])
