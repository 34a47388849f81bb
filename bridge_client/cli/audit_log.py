"""The server's record as exact bytes: a range of it, and where in it a moment lies.

`asking.py` shows records to people; here their texts and hashes stay as the server sent them, for
a chain that somebody else recomputes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from bridge_core.protocol import limits
from bridge_core.protocol.chain import GENESIS, Record
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import GetRange
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage, LogRow

if TYPE_CHECKING:
    from bridge_client.connector import Connector

__all__ = ["CLOCK_SLACK_MS", "LogReader", "record_of_row"]

# Records are in the order of commits; a step of the server's clock may disturb it by seconds.
CLOCK_SLACK_MS: Final = 60_000
_TRIES: Final = 20
_RATE_S: Final = 0.1


def record_of_row(row: LogRow) -> Record:
    """Return a row's record.

    Raises:
        RemoteProtocolError: it is none.
    """
    try:
        return msgspec.json.decode(row.record.encode("utf-8"), type=Record)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise RemoteProtocolError("LOG_RECORD", f"n={row.n}") from error


class LogReader:
    """Reads one server's record; remembers the pages it has read."""

    def __init__(self, bridge: Connector) -> None:
        self._bridge = bridge
        self._rows: dict[int, LogRow] = {}
        self._prev: dict[int, str] = {1: GENESIS.hex()}
        self.size = self._page(1, 1).size

    def _page(self, first: int, count: int) -> LogPage:
        body = GetRange(since=0, first=first, count=min(count, limits.PAGE_ROWS_MAX))
        page = self._asked(body)
        self._prev[first] = page.prev
        for row in page.rows:
            self._rows[row.n] = row
            self._prev[row.n + 1] = row.hash
        return page

    def _asked(self, body: GetRange) -> LogPage:
        for _ in range(_TRIES):
            try:
                return self._bridge.ask(Op.GET_LOG, body, LogPage)
            except BridgeError as error:
                if error.code != ReasonCode.RATE:
                    raise
                time.sleep(_RATE_S)  # a long record read fast: others ask under this key too
        return self._bridge.ask(Op.GET_LOG, body, LogPage)

    def rows(self, first: int, last: int) -> list[LogRow]:
        """Return the rows from `first` to `last`, both included; fewer where the record ends."""
        n = first = max(1, first)
        while n <= last:
            if n in self._rows:
                n += 1
            elif not self._page(n, last - n + 1).rows:
                break
        return [self._rows[n] for n in range(first, last + 1) if n in self._rows]

    def prev(self, first: int) -> str:
        """Return the hash before a row, as the server says it."""
        if first not in self._prev:
            self._page(first, 1)
        return self._prev[first]

    def first_since(self, ms: int) -> int:
        """Return the number of the first record from a time (UTC ms) on; size + 1 if none is."""
        low, high = 1, self.size + 1
        while low < high:
            middle = (low + high) // 2
            found = self.rows(middle, middle)
            if not found or record_of_row(found[0]).ts >= ms:
                high = middle
            else:
                low = middle + 1
        return low

    def find(self, since_ms: int, wanted: Callable[[Record], bool], most: int) -> list[int]:
        """Return the numbers of the wanted records among the `most` from a time (UTC ms) on."""
        first = self.first_since(since_ms - CLOCK_SLACK_MS)
        last = min(self.size, first + most - 1)
        return [row.n for row in self.rows(first, last) if wanted(record_of_row(row))]
