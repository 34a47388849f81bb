"""An order of the bridge -> the one request that goes to MetaTrader 5, or why none goes.

Everything it depends on is read now, in a trip or two; nothing is sent from here.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends import mt5_preflight as preflight
from bridge_server.backends.mt5_books import Row, number, pending_of, position_of, quote_of
from bridge_server.backends.mt5_link import CallOf
from bridge_server.backends.mt5_reader import Reader, row_of, rows_of
from bridge_server.backends.mt5_requests import (
    Label,
    TradeRequest,
    Venue,
    close_request,
    modify_request,
    open_request,
    remove_request,
    stops_request,
)
from bridge_server.backends.mt5_symbols import Mt5Symbol, symbol_of
from bridge_server.core.ports import Pending, Position, Quote

__all__ = ["Desk", "Order", "Ready"]

_C = ReasonCode
Order = Open | Close | Modify | Cancel


class Ready(Struct, frozen=True, kw_only=True):
    """A request that may go out; `identifiers` are the positions that it may change.

    `price` is what it is to meet, 0 where it meets none.
    """

    request: TradeRequest
    symbol: str
    identifiers: tuple[int, ...] = ()
    price: Decimal = Decimal(0)


class Desk:
    """Prepares; owned by the backend's thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def prepare(self, body: Order, label: Label) -> Ready | Refusal:
        """Return the request of an order, or the refusal that proves that none is sent.

        Raises:
            NotReadError: the terminal did not answer.
            RecordError: what it shows cannot be believed.
        """
        refusal = preflight.standing(self._reader.link.beat())
        if refusal is not None:
            return refusal
        match body:
            case Open():
                return self._open(body, label)
            case Close():
                return self._close(body, label)
            case Modify():
                return self._modify(body, label)
            case Cancel():
                return self._cancel(body, label)

    # --- by operation ------------------------------------------------------------------------

    def _open(self, body: Open, label: Label) -> Ready | Refusal:
        venue = self._venue(body.symbol)
        if isinstance(venue, Refusal):
            return venue
        symbol, quote = venue.symbol, venue.quote
        netting = self._reader.netting
        seen = preflight.with_seen(self._reader.snapshot(), symbol, quote, None)
        refusal = (
            preflight.not_taken(body.type, symbol, netting=netting)
            or preflight.moved(body, quote, symbol.spec.point)
            or preflight.off_grid(body, seen)
        )
        if refusal is not None:
            return refusal
        request = open_request(body, label, venue)
        if isinstance(request, Refusal):
            return request
        held = self._identifiers(body.symbol) if netting else ()
        market = quote.ask if body.type == "BUY" else quote.bid
        return Ready(
            request=request,
            symbol=body.symbol,
            identifiers=held,
            price=market if body.type in ("BUY", "SELL") else Decimal(body.price),
        )

    def _close(self, body: Close, label: Label) -> Ready | Refusal:
        row = self._position(body.ticket)
        if row is None:
            return Refusal(_C.TICKET_UNKNOWN, value=str(body.ticket))
        held = position_of(row, self._reader.zone_ms)
        venue = self._venue(held.symbol)
        if isinstance(venue, Refusal):
            return venue
        seen = preflight.with_seen(self._reader.snapshot(), venue.symbol, venue.quote, held)
        refusal = preflight.off_grid(body, seen)
        if refusal is not None:
            return refusal
        request = close_request(body, held, label, venue)
        if isinstance(request, Refusal):
            return request
        return Ready(request=request, symbol=held.symbol, identifiers=(number(row, "identifier"),))

    def _modify(self, body: Modify, label: Label) -> Ready | Refusal:
        row, order = self._position(body.ticket), self._order(body.ticket)
        zone = self._reader.zone_ms
        held: Position | Pending
        if row is not None:
            held = position_of(row, zone)
        elif order is not None:
            held = pending_of(order, zone)
        else:
            return Refusal(_C.TICKET_UNKNOWN, value=str(body.ticket))
        venue = self._venue(held.symbol)
        if isinstance(venue, Refusal):
            return venue
        seen = preflight.with_seen(self._reader.snapshot(), venue.symbol, venue.quote, held)
        refusal = (
            preflight.changed(body, held)
            or preflight.frozen(held, venue.quote, venue.symbol)
            or preflight.off_grid(body, seen)
        )
        if refusal is not None:
            return refusal
        if isinstance(held, Position):
            request = stops_request(body, held, label)
        else:
            assert order is not None
            request = modify_request(body, order, label, venue)
        if isinstance(request, Refusal):
            return request
        return Ready(request=request, symbol=held.symbol)

    def _cancel(self, body: Cancel, label: Label) -> Ready | Refusal:
        row = self._order(body.ticket)
        if row is None:
            return Refusal(_C.TICKET_UNKNOWN, value=str(body.ticket))
        request = remove_request(body, row, label)
        if isinstance(request, Refusal):
            return request
        return Ready(request=request, symbol=pending_of(row, None).symbol)

    # --- reading -------------------------------------------------------------------------------

    def _venue(self, name: str) -> Venue | Refusal:
        reader = self._reader
        symbol = reader.symbol(name)
        served = symbol is not None or name in reader.missing
        if not served:  # a FLATTEN may close what this server does not trade
            symbol = self._foreign(name)
        if symbol is None:
            return Refusal(_C.SYMBOL_UNKNOWN, value=reader.missing.get(name, name))
        quote = reader.quote(name) if served else self._foreign_quote(name)
        if quote is None:
            return Refusal(_C.NO_QUOTE, value=name)
        return Venue(symbol, quote, self._reader.sending_zone_ms)

    def _foreign(self, name: str) -> Mt5Symbol | None:
        answer = self._reader.link.call("symbol_info", name)
        return symbol_of(row_of(answer)) if answer.ok and answer.value else None

    def _foreign_quote(self, name: str) -> Quote | None:
        # Not by the reader, which would show it among the prices of this server.
        answer = self._reader.link.call("symbol_info_tick", name)
        if not answer.ok:
            return None
        return quote_of(name, row_of(answer), self._reader.zone_ms, 0)

    def _position(self, ticket: int) -> Row | None:
        return self._one(CallOf("positions_get", (), {"ticket": ticket}))

    def _order(self, ticket: int) -> Row | None:
        return self._one(CallOf("orders_get", (), {"ticket": ticket}))

    def _one(self, call: CallOf) -> Row | None:
        answers, _ = self._reader.ask(call)
        return next(iter(rows_of(answers[0])), None)

    def _identifiers(self, symbol: str) -> tuple[int, ...]:
        answers, _ = self._reader.ask(CallOf("positions_get", (), {"symbol": symbol}))
        return tuple(number(row, "identifier") for row in rows_of(answers[0]))
