"""Where a run of training stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Where a run stands; written with every checkpoint.

    Attributes:
        step: Steps taken.
        losses: Losses of the steps of the epoch under way.
        seconds: Wall time of all parts of the run.
        best: Best value on the validation photographs.
        best_epoch: Its epoch.
        stopped: Why the run ended, or nothing.
        stream: Place in the stream of photographs.
        history: Figures of every epoch.
        processes: Processes that shared the stream.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    stopped: str = ""
    stream: Any = None
    history: list[dict[str, float]] = field(default_factory=list)
    processes: int = 1
