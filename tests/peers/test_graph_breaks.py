"""`torch.compile` sees an involution layer as one graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution.layers import Involution2D
from tests.marks import one_backend


@one_backend
@pytest.mark.parametrize("strides", (1, 2))
@pytest.mark.filterwarnings("ignore")  # of the compiler's own code
def test_no_graph_break_inside_a_layer(strides):
    import torch
    import torch._dynamo

    layer = Involution2D(3, groups=2, strides=strides, data_format="channels_last")
    x = torch.from_numpy(np.ones((2, 6, 6, 4), "float32"))
    layer(x)
    torch.compiler.reset()
    # Without gradients: those of variables are hooks of Keras's.
    found = torch._dynamo.explain(lambda x: layer.call(x, training=False))(x)
    assert found.graph_break_count == 0, found.break_reasons
    assert found.graph_count == 1
    keras.backend.clear_session(free_memory=False)
