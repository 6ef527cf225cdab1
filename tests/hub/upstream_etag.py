"""Run as a program: shows what `hf_hub_download` does with a path as ETag.

    python -m tests.hub.upstream_etag

Prints one line per case, for `docs/upstream-etag.md`: a Hub on loopback sends
`../../../../x` as the ETag of a small and of a large file. It takes five seconds and
writes only to a temporary folder.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.hub.hub_double import HubDouble

TAG = '"../../../../x"'
FILES = {"config.json": b"of the server", "model.weights.h5": b"of the server"}


def main() -> None:
    with HubDouble() as hub, tempfile.TemporaryDirectory() as home:
        # Read when the client is imported.
        os.environ.update(
            HF_ENDPOINT=hub.endpoint, HF_HOME=home, HF_HUB_DISABLE_XET="1"
        )
        os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1")
        import huggingface_hub

        print(f"huggingface_hub {huggingface_hub.__version__}")
        hub.add("owner/tiny", FILES)
        honest = hub.answer
        hub.answer = lambda request: _with_tag(honest(request))
        for name in FILES:
            for there in (False, True):
                for forced in (False, True):
                    print(_case(name, there, forced))


def _with_tag(reply):
    headers = {**reply.headers, "ETag": TAG}
    if "X-Linked-Etag" in headers:
        headers["X-Linked-Etag"] = TAG
    return replace(reply, headers=headers)


def _case(name: str, there: bool, forced: bool) -> str:
    from huggingface_hub import hf_hub_download

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        victim, cache = place / "x", place / "a" / "cache"
        if there:
            victim.write_text("of the user")
        path = hf_hub_download(
            "owner/tiny", name, cache_dir=cache, force_download=forced
        )
        returned = Path(path).read_text()
        outside = sorted(p.name for p in place.iterdir() if p.is_file())
        return (
            f"{name}, x {'exists' if there else 'does not exist'}, "
            f"force_download={forced}: x holds {victim.read_text()!r}, the call "
            f"returns {returned!r}, outside of the cache: {', '.join(outside)}"
        )


if __name__ == "__main__":
    main()
