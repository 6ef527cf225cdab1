"""Run as a program: loads a preset and saves what the network makes of the images.

KERAS_BACKEND=torch python -m tests.hub.other_process FOLDER OUTPUTS.npy [SAVE_TO]
"""

from __future__ import annotations

import sys

import numpy as np

from keras_involution import RedNetImageClassifier
from tests.hub.networks import outputs


def main(folder: str, results: str, save_to: str = "") -> None:
    model = RedNetImageClassifier.from_preset(folder)
    np.save(results, outputs(model))
    if save_to:
        model.save_to_preset(save_to)


if __name__ == "__main__":
    main(*sys.argv[1:])
