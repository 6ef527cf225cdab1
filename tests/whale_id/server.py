"""The server as users run it, on a free local port."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from keras_involution.whale_id.serve import build_server


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serves an application during the block; yields its address."""
    server = build_server(app, port=0, log_level="error")
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
