"""Arguments of commands: how one is written down, and the types that read its text.

Each reader refuses with one sentence that names the fix; numbers stay text until the connector
reads them, so that 0.10 is never a float.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple, get_args

from bridge_core.protocol import limits
from bridge_core.protocol.messages import DECIMAL_PATTERN, OrderType

__all__ = [
    "Arg", "arg", "broker_server", "comment_text", "count", "day_of", "decimal_text", "key_id",
    "login", "moment_ms", "nearest", "order_id", "order_type", "points", "port", "reason_text",
    "seconds", "symbol_name", "symbol_problem", "ticket",
]  # fmt: skip


class Arg(NamedTuple):
    """What `add_argument` is given."""

    flags: tuple[str, ...]
    options: dict[str, Any]


def arg(*flags: str, **options: Any) -> Arg:  # noqa: ANN401  (argparse's own options)
    """Return one argument of a command."""
    return Arg(flags, options)


_SYMBOL: Final = re.compile(r"\A[!#-9;-\[\]-~]([ !#-9;-\[\]-~]{0,29}[!#-9;-\[\]-~])?\Z")
_DECIMAL: Final = re.compile(DECIMAL_PATTERN)
_REASON: Final = re.compile(r"\A[ !#-\[\]-~]{1,128}\Z")
_COMMENT: Final = re.compile(r"\A[ !#-\[\]-~]{0,64}\Z")
_KEY_ID: Final = re.compile(r"\A[a-z0-9-]{2,16}\Z")
# Plain characters that need no escape in TOML, in the EA's inputs or in a log line.
_BROKER_SERVER: Final = re.compile(r"\A[!#-\[\]-~]([ !#-\[\]-~]{0,61}[!#-\[\]-~])?\Z")
_ORDER_ID: Final = re.compile(r"\A[A-Za-z0-9._-]{1,36}\Z")


def _bad(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(text)


def nearest(word: str, names: Iterable[str]) -> str:
    """Return ", did you mean X" for a misspelt name, or ""."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.55)
    return f", did you mean {by_lower[close[0]]}" if close else ""


def decimal_text(text: str) -> str:
    """Return a decimal as it will be signed."""
    if _DECIMAL.match(text) is None:
        hint = f"write {text.replace(',', '.')}" if "," in text else "write it like 0.01"
        raise _bad(f"{text!r} is not a plain positive number: {hint}")
    return text


def symbol_problem(text: str) -> str:
    """Return why a text cannot be a symbol's name, "" if it can (protocol.md 9)."""
    if _SYMBOL.match(text) is not None:
        return ""
    return (
        f"{text!r} is no symbol: write it as the terminal does, at most 31 plain characters "
        "without a colon, e.g. EURUSD"
    )


def symbol_name(text: str) -> str:
    """Return a symbol's name as it will be signed and shown."""
    problem = symbol_problem(text)
    if problem:
        raise _bad(problem)
    return text


def _whole(text: str, name: str, low: int, high: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not low <= number <= high:
        raise _bad(f"{text!r} is not {name}: a whole number from {low} to {high}")
    return number


def ticket(text: str) -> int:
    """Return a broker's ticket."""
    return _whole(text, "a ticket", 1, limits.TICKET_MAX)


def points(text: str) -> int:
    """Return a deviation in points."""
    return _whole(text, "a deviation in points", 0, limits.DEVIATION_POINTS_MAX)


def login(text: str) -> int:
    """Return a broker's account number; MetaTrader 5 has some beyond 32 bits."""
    return _whole(text, "an account number", 1, limits.TICKET_MAX)


def broker_server(text: str) -> str:
    """Return a broker's server name as the terminal shows it."""
    if _BROKER_SERVER.match(text) is None:
        raise _bad(
            f"{text!r} is no broker's server: copy it from the terminal's login window, "
            "e.g. Broker-Demo"
        )
    return text


def count(text: str) -> int:
    """Return how many."""
    return _whole(text, "a count", 1, 1_000_000)


def port(text: str) -> int:
    """Return a request port; the two above it must exist too."""
    return _whole(text, "a port", 1_024, 65_533)


def seconds(text: str) -> float:
    """Return seconds."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 86_400:
        raise _bad(f"{text!r} is not a number of seconds: write it like 2.5")
    return number


def moment_ms(text: str) -> int:
    """Return UTC milliseconds of an ISO time; one without a zone is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(f"{text!r} is not a time: write UTC like 2030-01-31T16:00") from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


def day_of(text: str) -> date:
    """Return a day."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _bad(f"{text!r} is not a day: write it like 2030-01-31") from error


def reason_text(text: str) -> str:
    """Return a reason as it will be signed."""
    if _REASON.match(text) is None:
        raise _bad(
            "the reason must be 1 to 128 plain ASCII characters without double quotes and "
            "backslashes: write it shorter or plainer"
        )
    return text


def comment_text(text: str) -> str:
    """Return a comment as it will be signed."""
    if _COMMENT.match(text) is None:
        raise _bad(
            "a comment has at most 64 plain ASCII characters without double quotes and "
            "backslashes: write it shorter or plainer"
        )
    return text


def order_id(text: str) -> str:
    """Return a client_order_id, which a rid is too."""
    if _ORDER_ID.match(text) is None:
        raise _bad(f"{text!r} is no order id: use 1 to 36 letters, digits, dots, _ and -")
    return text


def key_id(text: str) -> str:
    """Return a key id."""
    if _KEY_ID.match(text) is None:
        raise _bad(f"{text!r} is no key id: `ztb keys list` shows them, e.g. t1-ab12")
    return text


def order_type(text: str) -> str:
    """Return an order type as on the wire."""
    names: tuple[str, ...] = get_args(OrderType)
    word = text.upper().replace("-", "_")
    if word not in names:
        hint = nearest(word, names)
        raise _bad(f"{text!r} is not an order type{hint}: use one of {' '.join(names).lower()}")
    return word
