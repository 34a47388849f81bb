"""What a fuzz target is, and the bounds that each input is held to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["CORPUS", "NANOSECONDS_MAX", "Target", "corpus_of", "held"]

CORPUS: Final = Path(__file__).with_name("corpus")
NANOSECONDS_MAX: Final = 10_000_000
_TRIES: Final = 3


class Target(NamedTuple):
    """One parser under attack: `check` raises on anything but its documented refusals.

    A target that opens files is slow: it gets one run where others get `slowness`, and so many
    times their time for it. Nobody on the wire can send it anything.
    """

    name: str
    check: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    slowness: int = 1


def held(target: Target, data: bytes) -> None:
    """Run one input within its bounds: no crash, no accept, nothing over 10 ms (`slowness` times).

    The time is this thread's own on the processor, and the least of three runs: a busy machine is
    nobody's fault.

    Raises:
        AssertionError: it took too long, or `check` found something wrong.
    """
    least = 0
    for _ in range(_TRIES):
        begun = time.thread_time_ns()
        target.check(data)
        took = time.thread_time_ns() - begun
        least = min(least or took, took)
        if took <= NANOSECONDS_MAX * target.slowness:
            return
    raise AssertionError(f"{target.name}: {least / 1e6:.1f} ms for {len(data)} bytes")


def corpus_of(name: str) -> list[bytes]:
    """Return the kept inputs of a target: one a line, in hex."""
    file = CORPUS / f"{name}.txt"
    if not file.exists():
        return []
    lines = file.read_text(encoding="ascii").splitlines()
    return [bytes.fromhex(line) for line in lines if not line.startswith("#")]
