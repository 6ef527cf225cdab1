"""Run as a program: loads a preset and saves the outputs of the network.

KERAS_BACKEND=torch python -m tests.hub.other_process FOLDER OUTPUTS.npy [SAVE INT8]

The outputs of `INT8`, the preset of a quantized network, go to `OUTPUTS.npy.int8.npy`.
"""

from __future__ import annotations

import sys

import numpy as np

from keras_involution import RedNetImageClassifier
from tests.hub.networks import outputs


def main(folder: str, results: str, save_to: str = "", int8: str = "") -> None:
    model = RedNetImageClassifier.from_preset(folder)
    np.save(results, outputs(model))
    if save_to:
        model.save_to_preset(save_to)
    if int8:
        np.save(f"{results}.int8.npy", outputs(RedNetImageClassifier.from_preset(int8)))


if __name__ == "__main__":
    main(*sys.argv[1:])
