"""What a demo is asked for, and the draws that its seed decides."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec import Struct

__all__ = ["DemoOptions", "draw"]


class DemoOptions(Struct, frozen=True, kw_only=True):
    """`fixings` prices (the newest), at most `rate` a second; `prices` None: the ECB's."""

    prices: Path | None = None
    seed: int = 1
    fixings: int = 1500
    rate: int = 60
    keep: bool = False


def draw(seed: int, what: str, below: int) -> int:
    """Return a number from 0 to below - 1 that depends on seed and name alone."""
    digest = hashlib.sha256(f"ztb-demo/{seed}/{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below
