"""Parsers with a fault in each: what the harness has to find, or it finds nothing at all."""

from __future__ import annotations

import time
from typing import Final

from tests.fuzz.target import Target

__all__ = ["PLANTED"]

_SEEDS: Final = (b"kid:1:mac", b"other:2:mac")


def _crashes(data: bytes) -> None:
    float(data.partition(b":")[2].partition(b":")[0] or b"0")


def _accepts(data: bytes) -> None:
    assert data in _SEEDS or not data.endswith(b":1:mac"), "a forgery was accepted"


def _slow(data: bytes) -> None:
    if b"9999999999999" in data:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass


PLANTED: Final = {
    target.name: target
    for target in (
        Target("planted_crash", _crashes, _SEEDS),
        Target("planted_accept", _accepts, _SEEDS),
        Target("planted_slow", _slow, _SEEDS),
    )
}
