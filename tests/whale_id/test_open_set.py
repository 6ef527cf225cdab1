"""The label of new animals."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.whale_id import Ranking, insert_new, open_truths
from tests.marks import one_backend

pytestmark = one_backend


def test_the_place_of_the_new_label():
    ranking = Ranking([list("ABC")] * 3, [[0.9, 0.5, 0.1]] * 3, [[3, 4, 5]] * 3)
    new = insert_new(ranking, np.array([0.95, 0.5, 0.0]), "new")
    assert [" ".join(row) for row in new.labels] == [
        "new A B C",
        "A B new C",
        "A B C new",
    ]
    assert new.images.tolist() == [[-1, 3, 4, 5], [3, 4, -1, 5], [3, 4, 5, -1]]
    assert (np.diff(new.scores) <= 0).all()
    with pytest.raises(ValueError, match=r"Received: threshold=\(2,\), queries=3"):
        insert_new(ranking, np.zeros(2))


def test_truths():
    assert open_truths(["A", "B", "unknown"], ["A"], "new") == ["A", "new", "new"]
