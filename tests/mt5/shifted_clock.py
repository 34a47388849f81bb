"""The clock of a PC that is set by hand while server and worker run on it.

`ZTB_TEST_CLOCK` names a file that holds how many ms this PC's clock is ahead of the true one. Both
processes read it at every look at the wall clock; the monotonic clock goes on as ever.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from tests.support import fake_metatrader5

__all__ = ["NAME", "load", "set_clock", "shift"]

NAME: Final = "ZTB_TEST_CLOCK"
_true_ns: Final = time.time_ns


def set_clock(file: Path, ahead_ms: int) -> None:
    """Set the PC's clock, at once."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(ahead_ms), "ascii")
    fresh.replace(file)


def shift() -> None:
    """Let this process live by that clock, if one is named."""
    name = os.environ.get(NAME)
    if name is None:
        return
    file = Path(name)

    def shifted_ns() -> int:
        return _true_ns() + int(file.read_text("ascii")) * 1_000_000

    vars(time).update(time_ns=shifted_ns, time=lambda: shifted_ns() / 1e9)


def load() -> object:
    """Return the stand-in's module, in a worker that lives by that clock."""
    shift()
    return fake_metatrader5.load()
