"""Metrics of a server for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest


class Metrics:
    """Counts of one server; servers in the same process have separate counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        given: dict[str, Any] = {"namespace": "whale_id", "registry": self.registry}
        self.requests = Counter("requests", "Requests to /match.", ["code"], **given)
        self.seconds = Histogram(
            "request_seconds", "Duration of a request to /match in seconds.", **given
        )
        self.photos = Counter("photos", "Photos received.", **given)
        self.batches = Counter("batches", "Batches of the network.", **given)
        self.batched = Counter("batched_photos", "Photos in those batches.", **given)
        self.connections = Gauge("connections", "Open connections.", **given)
        self.dropped = Counter(
            "dropped_connections",
            "Connections that exceeded a limit.",
            ["limit"],
            **given,
        )

    def batch(self, size: int) -> None:
        """Counts a batch of the network."""
        self.batches.inc()
        self.batched.inc(size)

    def text(self) -> str:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry).decode()
