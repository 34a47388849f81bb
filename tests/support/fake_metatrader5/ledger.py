"""The broker's append-only ledger: every request as received, every answer, order and deal.

One dict a line, of plain values only; `at` says what it is:

    start    what the account is: login, server, margin_mode
    begin    n, request (the 17 fields), book: the position or order it names, as it was then
    check    an order_check that said no: as begin, and its retcode. Nothing was asked to be done
    end      n, retcode, answer (the fields of an OrderSendResult), and what the test had planned
    order    row: an order that ended (the fields of a TradeOrder)
    deal     row: a deal (the fields of a TradeDeal)
    hand     what a person did in the terminal

Every line has `wall_ms` (UTC) and `zone_ms`, the broker's clock less UTC at that moment.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.fake_metatrader5.broker_clock import BrokerClock

__all__ = ["Ledger", "read_lines"]

Line = dict[str, Any]


class Ledger:
    """In memory, and in a file if one is named: it then outlives the broker's process."""

    def __init__(self, clock: BrokerClock, path: Path | None = None) -> None:
        self._clock = clock
        self._path = path
        self._lines: list[Line] = []

    def write(self, at: str, **what: Any) -> None:
        """Append a line."""
        wall_ms = self._clock.utc_ms()
        line = {"at": at, "wall_ms": wall_ms, "zone_ms": self._clock.offset_ms(wall_ms), **what}
        self._lines.append(line)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def lines(self) -> list[Line]:
        """Return every line so far."""
        return list(self._lines)


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a ledger file; one that was cut off is left out."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
