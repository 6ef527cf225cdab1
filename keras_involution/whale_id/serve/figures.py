"""The figures of a server, in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict


class Figures:
    """Counts that only grow."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: defaultdict[str, float] = defaultdict(float)

    def add(self, name: str, value: float = 1) -> None:
        """Adds to a count; `name` may carry labels, as `requests_total{code="200"}`."""
        with self.lock:
            self.counts[name] += value

    def batch(self, size: int) -> None:
        self.add("batches_total")
        self.add("batched_photographs_total", size)

    def text(self) -> str:
        """All counts, a line each."""
        with self.lock:
            lines = [f"whale_id_{n} {v:g}" for n, v in sorted(self.counts.items())]
        return "\n".join(lines) + "\n"
