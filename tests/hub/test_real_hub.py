"""The one test of the real Hub; it needs HF_TOKEN with write access.

It makes a private repository, pushes, pulls and deletes it. About a minute.

    HF_TOKEN=... KERAS_BACKEND=torch python -m pytest tests/hub/test_real_hub.py
"""

from __future__ import annotations

import os
import uuid

import pytest

from keras_involution import RedNetImageClassifier
from keras_involution.hub import PresetError
from tests.hub.networks import assert_same_weights


@pytest.mark.real_hub
@pytest.mark.skipif(
    not os.environ.get("HF_TOKEN"),
    reason="HF_TOKEN is not set; the double stands for the real Hub",
)
def test_there_and_back_on_the_real_hub(classifier, tmp_path):
    from huggingface_hub import HfApi

    api = HfApi()
    repository = f"{api.whoami()['name']}/keras-involution-test-{uuid.uuid4().hex[:8]}"
    try:
        classifier.push_to_hub(repository, private=True, license="apache-2.0")
        pulled = RedNetImageClassifier.from_preset(
            f"hf://{repository}", cache_dir=tmp_path
        )
        assert_same_weights(pulled, classifier)
        with pytest.raises(PresetError, match="no such repository"):
            RedNetImageClassifier.from_preset(f"hf://{repository}", token=False)
    finally:
        api.delete_repo(repository, missing_ok=True)
