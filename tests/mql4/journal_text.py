"""The Advisor's journal as text, written by the rules of Journal.mqh and not by its code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

__all__ = ["ACCOUNT", "HASH", "NAME", "START_MS", "chained", "fault", "intent", "opened", "result",
           "rid"]  # fmt: skip

NAME: Final = "journal.txt"
ACCOUNT: Final = "demo"
START_MS: Final = 1_767_225_600_000
HASH: Final = "ab" * 32
_FIRST: Final = "0" * 16
_LINK: Final = 16


def rid(n: int) -> str:
    """Return the n-th request id (from 1)."""
    return f"{n:032x}"


def opened(instance: str = "0011223344556677", ms: int = START_MS) -> tuple[str, ...]:
    """Return the call that opens the journal."""
    return ("j_open", NAME, ACCOUNT, instance, str(ms))


def intent(n: int, body: str = '{"reason":"a b"}', op: str = "OPEN") -> tuple[str, ...]:
    """Return the call that writes the n-th id's intent."""
    return ("j_intent", rid(n), "t1-ab12", op, HASH, "0", "1767230000000", f"RISK_PASS:5:{n}", body,
            str(START_MS + n))  # fmt: skip


def result(n: int, status: str = "FILLED", word: str = "") -> tuple[str, ...]:
    """Return the call that writes the n-th id's result."""
    return ("j_result", rid(n), "t1-ab12", "OPEN", HASH, status,
            word or f'{{"rid":"{rid(n)}","ticket":{n}}}', str(START_MS + n))  # fmt: skip


def _link(previous: str, text: bytes) -> str:
    return hashlib.sha256(previous.encode("ascii") + text).hexdigest()[:_LINK]


def chained(texts: Sequence[str]) -> bytes:
    """Return the file that holds these lines."""
    previous, lines = _FIRST, []
    for text in texts:
        previous = _link(previous, text.encode("ascii"))
        lines.append(f"{text} {previous}\n")
    return "".join(lines).encode("ascii")


def fault(raw: bytes) -> str:
    """Return what is wrong with a file: "", or a sentence."""
    previous = _FIRST
    if not raw.endswith(b"\n"):
        return "torn"
    for n, line in enumerate(raw[:-1].split(b"\n"), start=1):
        text, link = line[: -_LINK - 1], line[-_LINK:].decode("ascii", "replace")
        if line[-_LINK - 1 : -_LINK] != b" " or link != _link(previous, text):
            return f"line {n} does not hold"
        previous = link
    return ""
