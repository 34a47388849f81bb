"""What is known of the package MetaTrader5, wheel 5.0.6231, read from `facts.json` beside this.

Constants, names and records are compared with the newest wheel by `make mt5-wheel`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

__all__ = ["FACTS", "Facts", "utf16_units"]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`facts.json`. A record is a list of (field, type); types are C's: uint32, int64, float..."""

    package: str
    version: str
    author: str
    init_py_sha256: str
    constants: dict[str, int]
    functions: dict[str, str]  # name -> no_args | positional | keywords
    helpers: list[str]  # written in Python in the package: Buy, Sell, Close
    records: dict[str, list[tuple[str, str]]]
    limits: dict[str, int]
    errors: dict[int, str]
    arrays: dict[str, list[tuple[str, str]]]


FACTS: Final = msgspec.json.decode((Path(__file__).parent / "facts.json").read_bytes(), type=Facts)


def utf16_units(text: str) -> int:
    """Return how long a text is for the package: a character beyond the BMP counts twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
