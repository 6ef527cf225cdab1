"""Parses `devices`: a kind of device, a number of devices, or their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_involution import _arguments
from keras_involution._arguments import received

KINDS = ("tpu", "gpu", "cpu")


@dataclass(frozen=True)
class Request:
    """The requested devices of every process; `None` means all that are found."""

    kind: str | None = None
    count: int | None = None
    places: tuple[int, ...] | None = None

    @classmethod
    def of(cls, devices: Any) -> Request:
        """Parses `"auto"`, a kind, a number, or names such as `"gpu:0,gpu:1"`.

        Raises:
            ValueError: If `devices` has another value.
        """
        if isinstance(devices, str):
            devices = devices.strip().lower()
            if devices.isdecimal():
                devices = int(devices)
        if isinstance(devices, int) and not isinstance(devices, bool):
            return cls(count=_arguments.positive_integer(devices, "devices"))
        if devices in (None, "auto"):
            return cls()
        if devices in KINDS:
            return cls(kind=devices)
        names = devices.split(",") if isinstance(devices, str) else devices
        return cls._of_names(names, devices)

    @classmethod
    def _of_names(cls, names: Sequence[Any], devices: Any) -> Request:
        try:
            pairs = [str(name).strip().lower().split(":") for name in names]
            (kind,) = {kind for kind, _ in pairs}
            places = tuple(int(place) for _, place in pairs)
        except (TypeError, ValueError):
            kind, places = "", ()
        distinct = len(set(places)) == len(places) > 0
        if kind not in KINDS or not distinct or min(places) < 0:
            raise ValueError(
                '`devices` must be "auto", "tpu", "gpu", "cpu", a number, or different '
                'names of one kind, such as "gpu:0,gpu:1". ' + received(devices=devices)
            )
        return cls(kind, len(places), places)

    def choose(self, found: Mapping[str, Sequence[Any]]) -> tuple[str, list[Any]]:
        """Chooses devices of one kind from those of this process, by kind.

        Raises:
            ValueError: If there are too few devices.
        """
        kind = self.kind or next((k for k in KINDS if found.get(k)), "cpu")
        present = list(found.get(kind, ()))
        places = self.places or tuple(range(self.count or len(present)))
        if not present or max(places) >= len(present):
            raise ValueError(
                f"This process does not have these devices; it has {_named(found)}. "
                "To experiment on a CPU, call `simulate_devices`. "
                + received(devices=self._text())
            )
        return kind, [present[place] for place in places]

    def _text(self) -> Any:
        if self.places is not None:
            return ",".join(f"{self.kind}:{place}" for place in self.places)
        return self.kind or self.count or "auto"


def _named(found: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(counted(len(found[k]), k) for k in KINDS if found.get(k))


def counted(number: int, kind: str) -> str:
    return f"{number} {kind.upper()}{'s' if number > 1 else ''}"
