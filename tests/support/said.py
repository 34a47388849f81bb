"""Where test support tells what a process said, for whoever listens (the canary does)."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LISTENERS", "tell"]

LISTENERS: list[Callable[[str, bytes], None]] = []


def tell(who: str, words: bytes) -> None:
    """Pass on what was read from a terminal or a pipe."""
    for listener in LISTENERS:
        listener(who, words)
