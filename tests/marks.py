"""Marks that several folders of tests use."""

from __future__ import annotations

import keras
import pytest

one_backend = pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="does not depend on the backend; runs on torch, which builds models fastest",
)
old_content = pytest.mark.filterwarnings(
    # The client hands files to its HTTP library in a way that this one calls old.
    "ignore:Use 'content=:DeprecationWarning"
)
