"""Writes ledger.jsonl: one line before each act and one after it.

The format is in `bridge_core/host/ledger.py`, where both sides can read and judge it. Each line
is one unbuffered append, so it survives the death of the process; it is evidence, not state: after
a crash the store alone says what happened.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from bridge_core.host.ledger import LedgerLine, encode_line
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.paper_money import decimal_text
from bridge_server.core.ports import Executed, Outcome, Rejected, Submission

__all__ = ["Ledger", "broker_fields"]

_TAIL_BYTES: Final = 65_536  # the longest line is far below it


def _same_digits(text: str) -> str:
    # Through Decimal on purpose: the line shows what the broker computed with.
    return decimal_text(Decimal(text))


def broker_fields(body: Open | Close | Modify | Cancel) -> dict[str, str | int]:
    """Return the fields of an order as the broker takes them."""
    match body:
        case Open():
            return {
                "symbol": body.symbol,
                "type": body.type,
                "volume": _same_digits(body.volume),
                "price": _same_digits(body.price),
                "sl": _same_digits(body.sl),
                "tp": _same_digits(body.tp),
                "deviation": body.deviation,
                "expiration": body.expiration,
            }
        case Close():
            return {
                "ticket": body.ticket,
                "symbol": body.symbol,
                "volume": _same_digits(body.volume),
                "deviation": body.deviation,
            }
        case Modify():
            return {
                "ticket": body.ticket,
                "price": _same_digits(body.price),
                "sl": _same_digits(body.sl),
                "tp": _same_digits(body.tp),
                "old_sl": _same_digits(body.old_sl),
                "old_tp": _same_digits(body.old_tp),
                "expiration": body.expiration,
            }
        case Cancel():
            return {"ticket": body.ticket}


class Ledger:
    """Appends to one ledger file; the numbers go on where the file ends."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o600)
        tail = self._tail()
        self._n = _last_number(tail)
        if tail and not tail.endswith(b"\n"):
            os.write(self._fd, b"\n")  # a crash cut the last line off

    def _tail(self) -> bytes:
        size = os.lseek(self._fd, 0, os.SEEK_END)
        os.lseek(self._fd, max(0, size - _TAIL_BYTES), os.SEEK_SET)
        parts: list[bytes] = []
        while part := os.read(self._fd, _TAIL_BYTES):
            parts.append(part)
        return b"".join(parts)

    def start(self, wall_ms: int, market_ms: int, said: dict[str, str | int]) -> None:
        """Append the line that marks a start of the broker."""
        self._append(
            LedgerLine(phase="start", n=self._n, wall_ms=wall_ms, market_ms=market_ms, result=said)
        )

    def begin(self, submission: Submission, wall_ms: int, market_ms: int) -> LedgerLine:
        """Append the line before an act, and return it for `end`."""
        body = submission.body
        assert isinstance(body, Open | Close | Modify | Cancel)
        self._n += 1
        line = LedgerLine(
            phase="begin",
            n=self._n,
            wall_ms=wall_ms,
            market_ms=market_ms,
            op=submission.op.value,
            magic=submission.magic,
            comment=submission.comment,
            deadline_wall_ms=submission.deadline.wall_ms,
            fields=broker_fields(body),
        )
        self._append(line)
        return line

    def end(self, begun: LedgerLine, wall_ms: int, outcome: Outcome) -> None:
        """Append the line after an act."""
        self._append(
            msgspec.structs.replace(
                begun, phase="end", wall_ms=wall_ms, fields={}, result=_result(outcome)
            )
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _append(self, line: LedgerLine) -> None:
        raw = encode_line(line)
        while raw:  # a full disk raises; a short write goes on where it stopped
            raw = raw[os.write(self._fd, raw) :]


def _last_number(tail: bytes) -> int:
    for text in reversed(tail.split(b"\n")):
        try:
            return msgspec.json.decode(text, type=LedgerLine).n
        except msgspec.MsgspecError:
            continue
    return 0


def _result(outcome: Outcome) -> dict[str, str | int]:
    if not isinstance(outcome, Executed | Rejected):
        return {"outcome": "LOST"}
    facts = outcome.facts
    said: dict[str, str | int] = {
        "outcome": "EXECUTED" if isinstance(outcome, Executed) else "REJECTED",
        "status": outcome.status.value if isinstance(outcome, Executed) else "REJECTED",
        "code": outcome.code.value,
        "retcode": facts.retcode,
        "ticket": facts.ticket,
        "deal": facts.deal,
        "order": facts.order,
        "volume": decimal_text(facts.volume),
        "price": decimal_text(facts.price),
        "profit": decimal_text(facts.profit),
    }
    return said
