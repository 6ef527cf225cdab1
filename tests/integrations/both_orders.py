"""Run as a program: our own classes in a process with the keras-hub adapter.

python -m tests.integrations.both_orders {first|last} FOLDER

FOLDER holds `preset`; the outputs of the classifier are written to `y.npy`.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np

ADAPTER = "keras_involution.integrations.keras_hub"


def main(order: str, folder: Path) -> None:
    if order == "first":
        importlib.import_module(ADAPTER)
    import keras

    from keras_involution import RedNetBackbone, RedNetImageClassifier
    from tests.hub.networks import TINY, assert_same_weights, outputs, tiny_classifier

    early = tiny_classifier()
    early.save(folder / "early.keras")
    if order == "last":
        importlib.import_module(ADAPTER)
    adapted = importlib.import_module(ADAPTER).RedNetBackbone(**TINY)
    lineage = [cls.__name__ for cls in type(adapted).__mro__]
    assert lineage.index("Backbone") < lineage.index("Functional"), lineage

    keras.backend.clear_session(free_memory=False)  # Resets the counts in names.
    model = RedNetImageClassifier.from_preset(folder / "preset")
    assert type(model) is RedNetImageClassifier
    assert type(model.backbone) is type(early.backbone) is RedNetBackbone
    assert type(RedNetBackbone(**TINY)) is RedNetBackbone
    assert_same_weights(model, early)
    np.save(folder / "y.npy", outputs(model))

    model.save_to_preset(folder / "again")
    for name in ("config.json", "task.json"):
        texts = [(folder / place / name).read_text() for place in ("preset", "again")]
        # Names contain counts of the process that saved the preset.
        saved = [re.sub(r'_\d+"', '"', text) for text in texts]
        assert saved[0] == saved[1], name
    same = [early, keras.saving.load_model(folder / "early.keras")]
    same.append(RedNetImageClassifier.from_config(early.get_config()))
    same[-1].set_weights(early.get_weights())
    same.append(RedNetImageClassifier.from_preset(folder / "again"))
    for other in same:
        assert isinstance(other.backbone, RedNetBackbone)
        found, expected = settings(other), settings(early)
        assert found == expected, (found, expected)
        np.testing.assert_array_equal(outputs(other), outputs(model))
    clone = keras.models.clone_model(early)
    clone.set_weights(early.get_weights())
    x = np.ones((1, 32, 32, 3), "float32")
    np.testing.assert_array_equal(
        clone.predict(x, verbose=0), early.predict(x, verbose=0)
    )


def settings(classifier) -> dict:
    """Its config and those of its parts, without instance counts and modules."""
    parts = {
        "backbone": classifier.backbone.get_config(),
        "preprocessor": classifier.preprocessor.get_config(),
    }
    for part in parts.values():
        del part["name"]
    return {**classifier.get_config(), **parts, "name": ""}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
