"""An order in flight, what bars it at its turn, and how its outcome enters the state table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Modify, Open, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_server.context import Context
from bridge_server.core.gate import stops_only
from bridge_server.core.orders import Evidence, OrderEvent
from bridge_server.core.ports import Executed, Lost, NotBegun, Outcome, Rejected, Submission
from bridge_server.core.trading_state import Act, Cause, Causes, TradingState, refused_by_state
from bridge_server.journal import OrderRow
from bridge_server.rows import ttl_of
from bridge_server.telling import Waiter

__all__ = [
    "Flight", "Hooks", "Tally", "barred", "event_of", "evidence_of", "facts_of", "submission_of",
    "take_next",
]  # fmt: skip

_EVENTS: Final = {
    Status.FILLED: OrderEvent.FILL,
    Status.PARTIAL: OrderEvent.PART,
    Status.WORKING: OrderEvent.PLACE,
    Status.DONE: OrderEvent.COMPLETE,
}


class Flight(Struct, kw_only=True):
    """An order that is not final; `called_ms` is when its broker call began (monotonic, or 0).

    `held` is an outcome that the journal had no room for.
    """

    row: OrderRow
    body: Request | None
    frames: Frames
    deadline: Deadline
    waiters: list[Waiter] = []
    called_ms: int = 0
    held: tuple[Outcome, Evidence] | None = None
    absent_since_ms: int = 0

    @property
    def entry_symbol(self) -> str:
        """Return the symbol whose exposure this may still raise, "" if it opens nothing."""
        return self.body.symbol if isinstance(self.body, Open) else ""


def barred(
    flight: Flight,
    causes: Causes,
    modified: Mapping[int, int],
    shrinks: Callable[[Flight], bool],
) -> Refusal | None:
    """Return what a queued entry meets at its turn: a lower state since then, or a newer MODIFY.

    `modified` is the iat (UTC ms) of the last MODIFY applied to a ticket; `shrinks` says whether
    an entry only makes a netting position smaller.
    """
    body, symbol = flight.body, flight.row.symbol
    act, helps = Act.ENTER, False
    if isinstance(body, Modify):
        iat = flight.row.deadline_ms - ttl_of(flight.row)
        if iat <= modified.get(body.ticket, 0):
            return Refusal(ReasonCode.SUPERSEDED, value=str(iat))
        act = Act.STOPS if stops_only(body) else Act.PRICE
        helps = bool(Decimal(body.sl)) or not Decimal(body.old_sl)
    elif not isinstance(body, Open):
        return None
    elif causes.state(symbol) is TradingState.REDUCE_ONLY:
        helps = shrinks(flight)
    code = refused_by_state(causes.state(symbol), act, helps=helps)
    if code is ReasonCode.REDUCE_ONLY and causes.state() is TradingState.ACTIVE:
        return Refusal(ReasonCode.UNKNOWN_ORDER_OPEN, limit=Cause.UNKNOWN, value=symbol)
    return Refusal(code) if code is not None else None


class Tally:
    """What the account's risk takes in of the orders' lives; by default nothing.

    The first three stand inside the transaction of the row; one of `committed` and `undone`
    follows each.
    """

    def accepting(self, flight: Flight) -> None:
        """An order has passed every check and is being journaled."""

    def ending(self, flight: Flight, view: OrderView) -> None:
        """An order's outcome is being journaled."""

    def filling(self, row: OrderRow) -> None:
        """A pending order was filled, which is being journaled."""

    def committed(self) -> None:
        """What was taken in is durable."""

    def undone(self) -> None:
        """What was taken in has not happened."""

    def ended(self, flight: Flight) -> None:
        """An order is final, and its waiters know."""


class Hooks:
    """What others do at the turns of an order's life; by default nothing.

    `on_final`: it has ended, or is UNKNOWN. `on_bare`: it has ended. `waits`: whether it stays in
    the queue for now. `before_intent`: why it may not begin now. `weigh`: what an executor's
    outcome comes to. `shrinks`: whether an entry only makes a netting position smaller.
    """

    def __init__(self) -> None:
        self.on_final: Callable[[Flight], None] = lambda _flight: None
        self.on_bare: Callable[[OrderRow], None] = lambda _row: None
        self.waits: Callable[[Flight], bool] = lambda _flight: False
        self.before_intent: Callable[[Flight], Refusal | None] = lambda _flight: None
        self.weigh: Callable[[Flight, Outcome], Outcome] = lambda _flight, outcome: outcome
        self.shrinks: Callable[[Flight], bool] = lambda _flight: False


def take_next(
    queues: Iterable[deque[str]],
    flights: Mapping[str, Flight],
    waits: Callable[[Flight], bool],
) -> str:
    """Take the first request id that does not wait out of the first queue with one, "" if none."""
    for queue in queues:
        for rid in queue:
            flight = flights.get(rid)
            if flight is None or not waits(flight):
                queue.remove(rid)
                return rid
    return ""


def submission_of(c: Context, flight: Flight, body: Request) -> Submission:
    """Return what the backend is given of an order: its own bytes, and the tag for the broker."""
    row = flight.row
    tag = make_tag(c.settings.account, row.rid)
    comment = body.comment if isinstance(body, Open) else ""
    return Submission(
        rid=row.rid,
        op=Op(row.op),
        body=body,
        frames=flight.frames,
        tag=tag,
        magic=row.magic,
        comment=tag.broker_comment(comment, c.backend.comment_chars),
        deadline=flight.deadline,
    )


def evidence_of(outcome: Outcome, *, attests: bool) -> Evidence:
    """Return how the outcome of a call is known: by the executor's record where it attests."""
    if not attests:
        return Evidence.BROKER
    if not isinstance(outcome, Lost) and outcome.record:
        return Evidence.EA
    return Evidence.SERVER if isinstance(outcome, NotBegun) else Evidence.BROKER


def event_of(outcome: Outcome) -> OrderEvent:
    """Return what an outcome is to the state table."""
    match outcome:
        case Executed():
            return _EVENTS[outcome.status]
        case Rejected():
            return OrderEvent.REJECT
        case NotBegun():
            return OrderEvent.REFUSE
        case Lost():
            return OrderEvent.LOSE


def facts_of(view: OrderView) -> dict[str, str]:
    """Return what the record keeps of an outcome."""
    facts = {
        "ticket": str(view.ticket) if view.ticket else "",
        "deal": str(view.deal) if view.deal else "",
        "volume": view.volume if view.volume != "0" else "",
        "price": view.price if view.price != "0" else "",
        "close_price": view.close_price if view.close_price != "0" else "",
        "by": view.by,
    }
    return {name: value for name, value in facts.items() if value}
