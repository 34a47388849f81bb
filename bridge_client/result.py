"""What an order call gives back. Never a boolean: `match result.status`.

Volumes in lots, prices in quote currency, money in account currency, times aware UTC. Numbers
are floats whose shortest text is the signed one; `.exact` has the signed texts themselves.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, NoReturn

from bridge_client.facts import Fact, Symbols, read
from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.errors import (
    OrderDeniedError,
    OrderRejectedError,
    OutcomeUnknownError,
)
from bridge_core.protocol.replies import Child, OrderView

__all__ = [
    "ChildResult", "OrderResult", "OrderType", "SizeResult", "Status", "from_view", "same_symbol",
    "status_of",
]  # fmt: skip


class OrderType(StrEnum):
    """The six order types."""

    BUY = "BUY"
    SELL = "SELL"
    BUY_LIMIT = "BUY_LIMIT"
    SELL_LIMIT = "SELL_LIMIT"
    BUY_STOP = "BUY_STOP"
    SELL_STOP = "SELL_STOP"

    @property
    def pending(self) -> bool:
        """Whether it rests at the broker until its price is reached."""
        return "_" in self.value

    @property
    def buys(self) -> bool:
        """Whether it opens a long position."""
        return self.value.startswith("BUY")


class ChildResult(Fact, frozen=True):
    """One ticket of a FLATTEN."""

    ticket: int
    rid: str
    op: str
    status: Status
    code: str = ReasonCode.NONE
    attested: bool = True


class OrderResult(Fact, frozen=True):
    """What is known of one order.

    `by` says who refused (connector, server, ea), `code` why, and `limit`, `value`, `headroom`,
    `nearest` the numbers behind it, as text. `attested` is False while an account whose EA signs
    its word has not confirmed this outcome; `evidence` says how it is known.
    """

    status: Status
    code: str = ReasonCode.NONE
    by: str = ""
    limit: str = ""
    value: str = ""
    headroom: str = ""
    nearest: tuple[str, ...] = ()
    op: str = ""
    rid: str = ""
    client_order_id: str = ""
    symbol: str = ""
    type: str = ""
    ticket: int = 0
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0
    close_price: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    net_profit: float = 0.0
    margin: float = 0.0
    requested_volume: float = 0.0
    requested_price: float = 0.0
    remaining_volume: float = 0.0
    remaining_ticket: int = 0
    retcode: int = 0
    magic: int = 0
    strategy: int = 0
    comment: str = ""
    life: str = ""
    evidence: str = ""
    attested: bool = True
    execution_time: datetime | None = None
    time: datetime | None = None
    server_ms: float | None = None
    children: tuple[ChildResult, ...] = ()

    def __bool__(self) -> NoReturn:
        """Refuse: an order has nine outcomes, not two.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "an OrderResult has no truth value: look at result.status, "
            "e.g. `if result.status == 'FILLED'`"
        )

    @property
    def final(self) -> bool:
        """Whether this outcome can no longer change; PENDING and UNKNOWN are not final."""
        return self.status in FINAL

    def raise_for_status(self) -> OrderResult:
        """Return self when it went through.

        Raises:
            OrderDeniedError: one of us refused it.
            OrderRejectedError: the broker refused it.
            OutcomeUnknownError: PENDING or UNKNOWN; `wait()` before anything else.
        """
        if self.status is Status.DENIED:
            raise OrderDeniedError(self.code, self._why())
        if self.status is Status.REJECTED:
            raise OrderRejectedError(self.code, self._why())
        if not self.final:
            raise OutcomeUnknownError(self.code, self._why())
        return self

    def _why(self) -> str:
        pairs = [("limit", self.limit), ("value", self.value), ("headroom", self.headroom)]
        if self.nearest:
            pairs.append(("nearest", ",".join(self.nearest)))
        if self.retcode:
            pairs.append(("retcode", str(self.retcode)))
        if self.client_order_id and not self.final:
            pairs.append(("client_order_id", self.client_order_id))
        return " ".join(f"{name}={text}" for name, text in pairs if text)

    def __str__(self) -> str:
        """Say it in one line."""
        head = str(self.status)
        if self.code != ReasonCode.NONE:
            head += f" {self.code}"
        if self.by:
            head += f" by {self.by}"
        why = self._why()
        if self.status in (Status.DENIED, Status.REJECTED) or not self.final:
            return f"{head}: {why}" if why else head
        return " ".join([head, *self._what()])

    def _what(self) -> list[str]:
        price = "close_price" if self.op == "CLOSE" else "price"
        parts = [self.type, self._text("volume"), self.symbol]
        if self._text(price):
            parts.append(f"at {self._text(price)}")
        if self.ticket:
            parts.append(f"ticket={self.ticket}")
        if self.op == "CLOSE" and "profit" in self.exact:
            parts.append(f"profit={self.exact['profit']}")
        if self.life:
            parts.append(f"life={self.life}")
        return [part for part in parts if part]

    def _text(self, name: str) -> str:
        text = self.exact.get(name, "")
        return "" if text in ("", "0") else text


class SizeResult(Fact, frozen=True):
    """What `size_for_risk` found: OK with the volume (lots, on the grid), or DENIED and why.

    `exact["volume"]` is the volume's text.
    """

    status: Status
    code: str = ReasonCode.NONE
    by: str = ""
    limit: str = ""
    value: str = ""
    headroom: str = ""
    nearest: tuple[str, ...] = ()
    symbol: str = ""
    type: str = ""
    volume: float = 0.0

    def __bool__(self) -> NoReturn:
        """Refuse: look at `status`.

        Raises:
            TypeError: always.
        """
        raise TypeError("a SizeResult has no truth value: look at result.status")

    def __str__(self) -> str:
        """Say it in one line."""
        if self.status is Status.OK:
            return f"OK {self.type} {self.exact['volume']} {self.symbol}"
        pairs = (("limit", self.limit), ("value", self.value), ("headroom", self.headroom))
        why = " ".join(f"{name}={text}" for name, text in pairs if text)
        return f"{self.status} {self.code} by {self.by}" + (f": {why}" if why else "")


_ORDER_RENAME: Final[dict[str, str]] = {}


def same_symbol(symbol: str) -> str:
    """Return the broker's name itself: no mapping is configured."""
    return symbol


def status_of(word: str) -> Status:
    """Return the status; a word this version does not know means UNKNOWN."""
    try:
        return Status(word)
    except ValueError:
        return Status.UNKNOWN


def _child(view: Child) -> ChildResult:
    return ChildResult(
        ticket=view.ticket,
        rid=view.rid,
        op=view.op,
        status=status_of(view.status),
        code=view.code,
        exact={"rid": view.rid},
    )


def from_view(view: OrderView, symbols: Symbols = same_symbol) -> OrderResult:
    """Return the public result of an order's view.

    Raises:
        RemoteProtocolError: a decimal field does not hold a decimal.
    """
    return read(
        OrderResult,
        view,
        symbols,
        _ORDER_RENAME,
        status=status_of(view.status),
        children=tuple(_child(child) for child in view.children),
    )
