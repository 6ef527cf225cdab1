"""Run as a program: a client in a separate process, which a test may kill.

python -m tests.hub.client pull HANDLE OUTPUTS.npy
python -m tests.hub.client push FOLDER REPOSITORY
python -m tests.hub.client keras_hub HANDLE OUTPUTS.npy
"""

from __future__ import annotations

import resource
import signal
import sys

import numpy as np

from tests.hub.networks import outputs, raw_images


def pull(handle: str, results: str) -> None:
    from keras_involution import RedNetImageClassifier

    np.save(results, outputs(RedNetImageClassifier.from_preset(handle)))


def push(folder: str, repository: str) -> None:
    from keras_involution.hub import push_folder

    print(push_folder(folder, repository))


def keras_hub(handle: str, results: str) -> None:
    import keras
    import keras_hub

    import keras_involution

    task = keras_hub.models.ImageClassifier.from_preset(handle)
    assert type(task.backbone) is keras_involution.RedNetBackbone
    converter = task.preprocessor.image_converter
    prepared = keras.ops.convert_to_numpy(converter(raw_images()))
    np.save(results, keras.Model.predict(task, prepared, verbose=0))


def pull_on_a_full_disk(handle: str, results: str) -> None:
    """Like `pull`, but files cannot grow beyond 20 kB, as on a full disk."""
    import keras_involution  # noqa: F401  (its own caches are written before)

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    pull(handle, results)


if __name__ == "__main__":
    {f.__name__: f for f in (pull, push, keras_hub, pull_on_a_full_disk)}[sys.argv[1]](
        *sys.argv[2:]
    )
