"""Settings of the operator's tests, made before any implementation is asked."""

import os

os.environ.setdefault("KERAS_INVOLUTION_INTERPRET", "1")
