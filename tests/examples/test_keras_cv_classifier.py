"""The example for keras-cv, one epoch of it."""

from __future__ import annotations

import pytest

from tests.marks import one_backend


@one_backend
# keras-cv's classifier converts torch tensors in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
def test_it_learns_and_says_how_much(capsys):
    pytest.importorskip("keras_cv", reason="keras-cv is an extra")
    from examples import keras_cv_classifier

    accuracy = keras_cv_classifier.main(epochs=3)
    assert accuracy > 0.2, "twice what guessing reaches"
    assert f"200 held-out photos: {accuracy:.2f}" in capsys.readouterr().out
