"""Exit codes (architecture: command line) and the one way an outcome becomes one.

Probes follow `pg_isready`; trade commands add 4 (look before you retry) and 5 (we said no).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import (
    AuthenticationError,
    BridgeError,
    ConfigError,
    LocalProtocolError,
    OrderDeniedError,
    TransportError,
)

__all__ = [
    "DEGRADED", "DOWN", "HALTED", "NOT_CHECKED", "NO_ANSWER", "REFUSED", "Exit", "UsageError",
    "exit_of_error", "exit_of_outcome",
]  # fmt: skip


class Exit(IntEnum):
    """What the process returns; the names are those of the trade column."""

    OK = 0
    REJECTED = 1
    NOTHING_SENT = 2
    USAGE = 3
    UNKNOWN = 4
    DENIED = 5
    INTERRUPTED = 130


# The same numbers under the names of the ping, health and doctor columns.
REFUSED: Final = Exit.REJECTED
DEGRADED: Final = Exit.REJECTED
NO_ANSWER: Final = Exit.NOTHING_SENT
DOWN: Final = Exit.NOTHING_SENT
NOT_CHECKED: Final = Exit.USAGE
HALTED: Final = Exit.DENIED


class UsageError(ConfigError):
    """The command line itself is wrong; the detail is one sentence that names the fix."""

    def __init__(self, detail: str, code: str = "USAGE") -> None:
        super().__init__(code, detail)


_GOOD: Final = frozenset({Status.OK, Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE})


def exit_of_outcome(status: str, code: str = "", by: str = "") -> Exit:
    """Return the exit code of an order's outcome; a word nobody knows counts as UNKNOWN."""
    if status in _GOOD:
        return Exit.OK
    if status == Status.REJECTED:
        return Exit.REJECTED
    if status == Status.DENIED:
        unsent = code == ReasonCode.NO_CONNECTION and by in ("", "connector")
        return Exit.NOTHING_SENT if unsent else Exit.DENIED
    return Exit.UNKNOWN


def exit_of_error(error: BridgeError) -> Exit:
    """Return the exit code of an exception that ended a command."""
    if isinstance(error, ConfigError | LocalProtocolError):
        return Exit.USAGE
    if isinstance(error, TransportError):
        return NO_ANSWER
    if isinstance(error, AuthenticationError):
        return REFUSED
    if isinstance(error, OrderDeniedError):
        return Exit.DENIED
    return REFUSED
