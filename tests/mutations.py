"""Random damage to files, for every reader of untrusted files.

`damaged` returns a randomly damaged copy of valid bytes. `survives` passes it to a
reader and accepts only success or the errors that the reader documents. A reader is any
function of a path. `tests/hub/test_mutations.py` runs a few hundred copies per reader;
`python -m benchmarks.fuzz` runs 10,000.
"""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS = 5.0
_WALL_PER_CPU_SECOND = 8
_LENGTHS = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


@dataclass(frozen=True)
class Reader:
    """A reader of untrusted files.

    Attributes:
        name: The name in reports.
        read: Function of a path.
        errors: The errors that the reader documents.
        samples: Valid files. Damaged copies have the same suffix.
    """

    name: str
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    samples: tuple[Path, ...]


def damaged(good: bytes, rng: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """A copy of `good` with one to four pieces of damage."""
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_DAMAGES)(data, rng, others)
    return bytes(data)


def run(
    reader: Reader, rounds: int, seed: int, folder: Path
) -> Iterator[tuple[int, str]]:
    """Yields (round, report) for each damaged copy that the reader does not survive."""
    rng = random.Random(seed)
    goods = [(sample.suffix, sample.read_bytes()) for sample in reader.samples]
    for number in range(rounds):
        suffix, good = rng.choice(goods)
        path = folder / f"damaged{suffix}"
        path.write_bytes(damaged(good, rng, tuple(other for _, other in goods)))
        if report := survives(reader, path):
            kept = path.with_name(f"{reader.name}_{seed}_{number}{suffix}")
            path.rename(kept)
            yield number, f"{kept}: {report}"


def survives(reader: Reader, path: Path, seconds: float = SECONDS) -> str:
    """Reads a file; a report of what went wrong, or an empty string."""
    begin = time.thread_time()  # CPU time does not depend on the load.
    try:
        with _deadline(_WALL_PER_CPU_SECOND * seconds):
            reader.read(path)
    except reader.errors as error:
        if not str(error).strip():
            return f"{type(error).__name__} without a message"
    except _Late:
        return f"still at work after {_WALL_PER_CPU_SECOND * seconds} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "".join(traceback.format_exception(error)[-3:])
    took = time.thread_time() - begin
    return f"took {took:.1f} s" if took > seconds else ""


class _deadline:
    """Interrupts code that takes too long, in the main thread on POSIX systems."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._old = signal.signal(signal.SIGALRM, self._stop)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._old)

    @staticmethod
    def _stop(*_: object) -> None:
        raise _Late


class _Late(BaseException):
    """Not an `Exception`, so that readers do not catch it."""


Damage = Callable[[bytearray, random.Random, tuple[bytes, ...]], None]


def _place(data: bytearray, rng: random.Random) -> int:
    """A random position, more often near the ends, where files have their tables."""
    last = max(len(data) - 1, 0)
    near = min(last, 512)
    return rng.choice(
        (rng.randint(0, last), rng.randint(0, near), last - rng.randint(0, near))
    )


def _flip_bits(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    for _ in range(rng.choice((1, 1, 8))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_bytes(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    begin = _place(data, rng)
    data[begin : begin + rng.choice((1, 4, 64))] = rng.randbytes(rng.choice((1, 4, 64)))


def _set_length(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    """Writes an extreme number where a length or an offset may be."""
    size = rng.choice((2, 4, 8))
    number = rng.choice(_LENGTHS) % 2 ** (8 * size)
    begin = _place(data, rng)
    data[begin : begin + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _cut(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    begin = _place(data, rng)
    del data[begin : begin + rng.choice((1, 8, 512))]


def _repeat(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    begin = _place(data, rng)
    piece = data[begin : begin + rng.choice((1, 8, 512))]
    data[begin:begin] = piece * rng.choice((1, 2, 100))


def _splice(data: bytearray, rng: random.Random, others: tuple[bytes, ...]) -> None:
    """Replaces a piece of the file with a piece of another file."""
    if others and (other := rng.choice(others)):
        begin = _place(data, rng)
        size = rng.choice((4, 64, 4096))
        there = rng.randrange(len(other))
        data[begin : begin + size] = other[there : there + size]


def _other_digits(data: bytearray, rng: random.Random, _: tuple[bytes, ...]) -> None:
    """Replaces digits of a text, such as a JSON header."""
    places = [i for i in range(min(len(data), 4096)) if 48 <= data[i] <= 57]
    for place in rng.sample(places, min(len(places), rng.choice((1, 3)))):
        data[place : place + 1] = rng.choice((b"0", b"9", b"-1", b"99999999", b"1e9"))


_DAMAGES: tuple[Damage, ...] = (
    _flip_bits, _set_bytes, _set_length, _cut, _remove, _repeat, _splice,
    _other_digits,
)  # fmt: skip
