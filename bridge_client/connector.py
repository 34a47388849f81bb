"""The connector: what a strategy imports. Blocking, and safe to use from several threads.

Orders return results and raise only for programming errors and configuration; a timeout is
UNKNOWN, never a failure, and the background goes on resolving it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final, Unpack

from bridge_client.admission import refused
from bridge_client.book import SeenTicket
from bridge_client.drafts import (
    Change,
    Draft,
    Entry,
    FlattenScope,
    OrderOptions,
    Ref,
    Ticketed,
    draft_cancel,
    draft_close,
    draft_flatten,
    draft_modify,
    draft_open,
)
from bridge_client.following import Following
from bridge_client.numbers import Number, exact, fits_wire
from bridge_client.opening import VISITOR
from bridge_client.queries import QUERY_S
from bridge_client.result import OrderResult, OrderType, SizeResult
from bridge_client.views import Position
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.errors import (
    BridgeError,
    LocalProtocolError,
    TransportError,
)
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.risk.order import Proposal
from bridge_core.risk.policy import Amount

__all__ = ["Connector", "Ref"]

_WAIT_S: Final = 10.0
ZERO: Final = Decimal(0)


class Connector(Following):
    """One account, seen from the strategy's side. Use it as a context manager.

    With a client name it owns that name's journal and may trade; without one it only asks and
    stops. It begins to connect when it is made and never blocks for that.
    """

    # --- orders -----------------------------------------------------------------------------------

    def send_order(
        self,
        symbol: str,
        type: str,  # noqa: A002  (the field's name everywhere)
        volume: Number,
        *,
        price: Number | None = None,
        sl: Number | None = None,
        tp: Number | None = None,
        deviation: int | None = None,
        expiration: datetime | None = None,
        strategy: int | str | None = None,
        comment: str = "",
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Open a position, or place a pending order; return within `wait` seconds.

        The same client_order_id means the same order for ever; other fields under it raise
        LocalProtocolError CONFLICT. deviation in points, None means the configured one.
        """
        entry = Entry(
            client=self.client or VISITOR, symbol=self._to_broker(symbol), type=type,
            volume=volume, price=price, sl=sl, tp=tp, deviation=self._deviation(deviation),
            expiration=expiration, strategy=self._strategy(strategy), comment=comment,
            client_order_id=client_order_id,
        )  # fmt: skip
        desk = self._orders()
        self._learn_grid(entry)
        return self._result(desk.submit(draft_open(entry), wait))

    def buy(self, symbol: str, volume: Number, **options: Unpack[OrderOptions]) -> OrderResult:
        """Buy at the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.BUY, volume, **options)

    def sell(self, symbol: str, volume: Number, **options: Unpack[OrderOptions]) -> OrderResult:
        """Sell at the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.SELL, volume, **options)

    def buy_limit(
        self, symbol: str, volume: Number, **options: Unpack[OrderOptions]
    ) -> OrderResult:
        """Place a buy below the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.BUY_LIMIT, volume, **options)

    def sell_limit(
        self, symbol: str, volume: Number, **options: Unpack[OrderOptions]
    ) -> OrderResult:
        """Place a sell above the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.SELL_LIMIT, volume, **options)

    def buy_stop(self, symbol: str, volume: Number, **options: Unpack[OrderOptions]) -> OrderResult:
        """Place a buy above the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.BUY_STOP, volume, **options)

    def sell_stop(
        self, symbol: str, volume: Number, **options: Unpack[OrderOptions]
    ) -> OrderResult:
        """Place a sell below the market; keywords as send_order."""
        return self.send_order(symbol, OrderType.SELL_STOP, volume, **options)

    def check_order(
        self,
        symbol: str,
        type: str,  # noqa: A002  (the field's name everywhere)
        volume: Number,
        *,
        price: Number | None = None,
        sl: Number | None = None,
        tp: Number | None = None,
        deviation: int | None = None,
        expiration: datetime | None = None,
        strategy: int | str | None = None,
        comment: str = "",
    ) -> OrderResult:
        """Return what send_order would get, and its margin; nothing is journaled or traded.

        Raises:
            TransportError: nobody answered.
        """
        self._check()
        entry = Entry(
            client=self.client or VISITOR, symbol=self._to_broker(symbol), type=type,
            volume=volume, price=price, sl=sl, tp=tp, deviation=self._deviation(deviation),
            expiration=expiration, strategy=self._strategy(strategy), comment=comment, op=Op.CHECK,
        )  # fmt: skip
        draft = draft_open(entry)
        self._learn_grid(entry)
        assert draft.proposal is not None
        refusal = self._judge.fresh_verdict(draft.proposal, time.monotonic() + QUERY_S)
        # Without a connection the question itself says so.
        if refusal is not None and refusal.code is not ReasonCode.NO_CONNECTION:
            return self._result(refused(refusal, draft.view))
        answer = self._link.answer(Op.CHECK, draft.body("check"), QUERY_S)
        return self._result(self._link.session.check_view(answer, draft.view))

    def size_for_risk(
        self, symbol: str, entry: Number | None, sl: Number, risk_percent: Number
    ) -> SizeResult:
        """Return the largest volume that loses at most so many percent of the equity at `sl`.

        `entry` is the price of a pending order, None a market order now with the configured
        deviation. The volume is on the grid, rounded down; what has none is DENIED, with why.

        Raises:
            LocalProtocolError: a value is no number, or the risk not above 0.
        """
        self._check()
        name, stop = self._to_broker(symbol), exact(sl, "sl")
        percent = exact(risk_percent, "risk_percent")
        if not percent:
            raise LocalProtocolError("NUMBER", "field=risk_percent why='not above 0'")
        order = Proposal(
            kind="OPEN", symbol=name, sl=stop, deviation=self._settings.deviation,
            price=ZERO if entry is None else exact(entry, "entry"),
        )  # fmt: skip
        until = time.monotonic() + QUERY_S
        kind, found = self._judge.size(order, Amount(percent, percent=True), until)
        if isinstance(found, Refusal):
            return SizeResult(
                status=Status.DENIED, code=found.code, by="connector", limit=found.limit,
                value=found.value, headroom=found.headroom, nearest=found.nearest,
                symbol=symbol, type=kind,
            )  # fmt: skip
        text = format(found, "f")
        return SizeResult(
            status=Status.OK, symbol=symbol, type=kind, volume=float(text), exact={"volume": text}
        )

    def close_position(
        self,
        ref: Ref,
        volume: Number | None = None,
        *,
        deviation: int | None = None,
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Close a position, or `volume` lots of it."""
        return self._on_ticket(
            Op.CLOSE, ref, client_order_id, wait,
            lambda on, _: draft_close(on, volume, self._deviation(deviation)),
        )  # fmt: skip

    def modify_position(
        self,
        ref: Ref,
        sl: Number | None = None,
        tp: Number | None = None,
        *,
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Set a position's stops: None keeps, 0 removes.

        DENIED CHANGED if they are no longer what this connector last saw.
        """
        return self._on_ticket(
            Op.MODIFY, ref, client_order_id, wait,
            lambda on, seen: draft_modify(
                on, Change(sl=sl, tp=tp, old_sl=seen.sl, old_tp=seen.tp)
            ),
        )  # fmt: skip

    def modify_order(
        self,
        ref: Ref,
        price: Number | None = None,
        sl: Number | None = None,
        tp: Number | None = None,
        *,
        expiration: datetime | None = None,
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Move a pending order: None keeps; 0 removes sl or tp."""
        return self._on_ticket(
            Op.MODIFY, ref, client_order_id, wait,
            lambda on, seen: draft_modify(
                on,
                Change(
                    sl=sl, tp=tp, old_sl=seen.sl, old_tp=seen.tp, price=price,
                    expiration=expiration, old_price=seen.price,
                    old_expiration=seen.expiration, pending=True,
                ),
            ),
            pending=True,
        )  # fmt: skip

    def cancel_order(
        self, ref: Ref, *, client_order_id: str | None = None, wait: float = _WAIT_S
    ) -> OrderResult:
        """Remove a pending order."""
        desk = self._orders()
        on = Ticketed(
            client=self.client, ticket=_ticket_of(ref), symbol="", client_order_id=client_order_id
        )
        return self._result(desk.submit(draft_cancel(on), wait))

    def close_all(self, symbol: str | None = None, *, wait: float = _WAIT_S) -> OrderResult:
        """Close every position, of one symbol or of all, as one signed order with children."""
        return self.flatten("close all", "POSITIONS", symbol=symbol, wait=wait)

    def flatten(
        self,
        reason: str,
        scope: FlattenScope = "ALL",
        *,
        symbol: str | None = None,
        client_order_id: str | None = None,
        wait: float = _WAIT_S,
    ) -> OrderResult:
        """Cancel pending orders and close positions, as one signed order with children."""
        desk = self._orders()
        on = Ticketed(
            client=self.client,
            ticket=0,
            symbol=self._to_broker(symbol) if symbol else "",
            client_order_id=client_order_id,
        )
        return self._result(desk.submit(draft_flatten(on, scope, reason), wait))

    def replace(
        self, ref: Ref, symbol: str, type: str, volume: Number,  # noqa: A002
        **options: Unpack[OrderOptions],
    ) -> OrderResult:  # fmt: skip
        """Fence an order and, only if it is proven dead, send another in its place.

        Anything but a proven death is returned as the old order's result; nothing is sent then.
        """
        old = self.fence(ref)
        if old.status is not Status.DENIED or not old.attested:
            return old
        return self.send_order(symbol, type, volume, **options)

    # --- helpers --------------------------------------------------------------------------------

    def _deviation(self, deviation: int | None) -> int:
        return self._settings.deviation if deviation is None else deviation

    def _strategy(self, strategy: int | str | None) -> int:
        named = self._settings.strategies
        if isinstance(strategy, str):
            if strategy not in named:
                raise LocalProtocolError("STRATEGY", f"name={strategy!r} known={sorted(named)}")
            return named[strategy]
        return named.get(self.client, 0) if strategy is None else strategy

    def _learn_grid(self, entry: Entry) -> None:
        # Only a value that cannot travel at all needs the grid here, to name its neighbours;
        # anything else is judged by the server, which names them too.
        given = {
            name: value for name in ("volume", "price", "sl", "tp")
            if (value := getattr(entry, name)) is not None
        }  # fmt: skip
        odd = [name for name, value in given.items() if not fits_wire(exact(value, name))]
        if not odd or entry.symbol in self._book.symbols:
            return
        try:
            self.get_symbol(self._to_user(entry.symbol))
        except BridgeError:
            return

    def _on_ticket(
        self,
        op: Op,
        ref: Ref,
        client_order_id: str | None,
        wait: float,
        make: Callable[[Ticketed, SeenTicket], Draft],
        *,
        pending: bool = False,
    ) -> OrderResult:
        desk, ticket = self._orders(), _ticket_of(ref)
        view = OrderView(rid="", op=op, ticket=ticket, client_order_id=client_order_id or "")
        try:
            seen = self._seen(ref, ticket, pending=pending, op=op)
        except TransportError as error:
            refusal = Refusal(ReasonCode.NO_CONNECTION, value=error.detail)
            return self._result(desk.refuse(refusal, view))
        if seen is None:
            refusal = Refusal(ReasonCode.TICKET_UNKNOWN, value=str(ticket))
            return self._result(desk.refuse(refusal, view))
        on = Ticketed(
            client=self.client, ticket=ticket, symbol=seen.symbol, client_order_id=client_order_id
        )
        return self._result(desk.submit(make(on, seen), wait))

    def _seen(self, ref: Ref, ticket: int, *, pending: bool, op: Op) -> SeenTicket | None:
        if op is Op.CLOSE and isinstance(ref, Position | OrderResult) and ref.symbol:
            return SeenTicket(self._to_broker(ref.symbol), "0", "0")
        seen = self._book.ticket(ticket)
        if seen is not None and seen.pending == pending:
            return seen
        if pending:
            self.get_pending_orders()
        else:
            self.get_positions()
        return self._book.ticket(ticket)


def _ticket_of(ref: Ref) -> int:
    ticket = ref if isinstance(ref, int) else getattr(ref, "ticket", 0)
    if isinstance(ticket, bool) or not isinstance(ticket, int) or ticket <= 0:
        raise LocalProtocolError("REF", "why='name a ticket: a number, a position or a result'")
    return ticket
