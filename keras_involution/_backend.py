"""Imports Keras, with an error that says how to get a backend if none is usable."""

from __future__ import annotations

import os

BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> None:
    """Imports Keras.

    Raises:
        ImportError: If the backend is not installed, or Keras does not know it.
    """
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise ImportError(_advice(error.name)) from None
    except ValueError as error:
        # Keras raises this error for an unknown KERAS_BACKEND.
        if "backend" not in str(error):
            raise
        raise ImportError(_advice(None)) from None


def _advice(missing: str | None) -> str:
    import importlib.util

    others = [name for name in BACKENDS if name != missing]
    installed = [name for name in others if importlib.util.find_spec(name)]
    ways = [f"set KERAS_BACKEND={name}, which is installed" for name in installed[:1]]
    extra = missing or "jax"
    if missing is not None or not installed:
        ways.insert(0, f'run `pip install "keras-involution[{extra}]"`')
    return (
        f"Keras has no usable backend: {', or '.join(ways)}. "
        f"Received: KERAS_BACKEND={os.environ.get('KERAS_BACKEND')!r}"
    )
