"""broker.jsonl: the simulated broker's own record and its book, as it outlives the terminal.

Its lines are described in simulator/ledger.hpp. A line that a death cut off is no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Line", "Standing", "read_lines", "standing"]

Line = dict[str, Any]
FIRST_TICKET: Final = 1000
_ROW: Final = (
    "ticket", "account", "symbol", "type", "lots", "open_price", "close_price", "sl", "tp",
    "swap", "commission", "profit", "open_s", "close_s", "expiration_s", "magic", "comment",
)  # fmt: skip
_NO_TYPE: Final = "BUY"


@dataclass
class Standing:
    """What a broker knows that never stopped: rows, money, quotes, and what is still under way."""

    last_number: int = 0
    next_ticket: int = FIRST_TICKET
    orders: dict[int, Line] = field(default_factory=dict)
    balances: dict[int, float] = field(default_factory=dict)
    quotes: dict[str, tuple[str, str]] = field(default_factory=dict)
    late: dict[int, Line] = field(default_factory=dict)

    def commands(self) -> Iterable[tuple[str, ...]]:
        """The commands that give a new terminal this book."""
        for row in self.orders.values():
            yield ("restore", *(_word(row[name]) for name in _ROW))
        for number, line in self.late.items():
            yield ("restore_late", str(number), str(line["due_server_ms"]), *_late_words(line))


def read_lines(path: Path) -> list[Line]:
    """Return every whole line of a ledger; none if there is no file."""
    if not path.exists():
        return []
    lines: list[Line] = []
    for text in path.read_text("utf-8").split("\n"):
        if text:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
    return lines


def standing(lines: Sequence[Line]) -> Standing:
    """Fold a ledger into what holds at its end."""
    now = Standing()
    for line in lines:
        now.last_number = max(now.last_number, line["n"])
        if line["phase"] == "state":
            now.next_ticket = line["next_ticket"]
            now.balances[line["account"]] = line["balance"]
            now.orders.update((row["ticket"], row) for row in line["orders"])
            for quote in line["quotes"]:
                now.quotes[quote["symbol"]] = (_word(quote["bid"]), _word(quote["ask"]))
        elif line["phase"] == "late":
            now.late[line["n"]] = line
        elif line["phase"] == "end":
            now.late.pop(line["n"], None)
    return now


def _word(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _late_words(line: Line) -> tuple[str, ...]:
    fields = line["fields"]
    return (
        line["call"],
        str(fields.get("ticket", 0)),
        fields.get("symbol", ""),
        fields.get("type", _NO_TYPE),
        fields.get("volume", "0"),
        fields.get("price", "0"),
        str(fields.get("deviation", 0)),
        fields.get("sl", "0"),
        fields.get("tp", "0"),
        str(fields.get("expiration", 0) // 1000),
        str(line["magic"]),
        line["comment"],
    )
