"""The paper broker's order desk: what it refuses, and what it does with what it takes. Pure.

Rules, stricter where MetaTrader's brokers differ: a pending price must be away from the market
(equal is refused); stops are measured from the closing side of a market order (bid for a BUY) and
from a pending order's own price; margin is wanted when an order fills, not when it is placed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.paper_book import Entry, Exit, Turn, side_of
from bridge_server.backends.paper_money import decimal_text
from bridge_server.core.ports import (
    Deal,
    Executed,
    Facts,
    MarginEstimate,
    Pending,
    Position,
    Reason,
    Rejected,
)

__all__ = [
    "ORDERS_MAX", "RETCODES", "Label", "cancel", "close", "estimate", "modify", "open_order",
    "preflight",
]  # fmt: skip

ORDERS_MAX: Final = 200  # positions and pending orders together; a common account's bound

_C = ReasonCode
# MetaTrader 5's words, so that a strategy meets the same numbers here and there.
_DONE: Final = 10009
_PLACED: Final = 10008
RETCODES: Final = {
    _C.REQUOTE: 10004,
    _C.BROKER_REJECTED: 10013,
    _C.INVALID_VOLUME: 10014,
    _C.INVALID_PRICE: 10015,
    _C.INVALID_STOPS: 10016,
    _C.TRADE_DISABLED: 10017,
    _C.MARKET_CLOSED: 10018,
    _C.NO_MONEY: 10019,
    _C.PRICE_OFF: 10021,
    _C.TOO_MANY_ORDERS: 10033,
    _C.INVALID_TICKET: 10036,
}
_BAD_EXPIRATION: Final = 10022


class Label(NamedTuple):
    """What the broker shows of a submission, and how the fill names its source."""

    magic: int
    comment: str
    said: str


class _Refused(NamedTuple):
    code: ReasonCode
    retcode: int = 0


def _no(turn: Turn, label: Label, refused: _Refused, symbol: str = "") -> Rejected:
    retcode = refused.retcode or RETCODES[refused.code]
    facts = Facts(symbol=symbol, retcode=retcode, market_ms=turn.book.market_ms, comment=label.said)
    return Rejected(code=refused.code, facts=facts)


# --- before anything begins ----------------------------------------------------------------


def preflight(turn: Turn, body: Open | Close | Modify | Cancel) -> Refusal | None:
    """Return what proves that this order must not begin: CHANGED, PRICE_MOVED or another symbol.

    A ticket that is not there goes on to the broker, who refuses it.
    """
    match body:
        case Open():
            return _moved(turn, body)
        case Close():
            position = turn.book.positions.get(body.ticket)
            if position is not None and position.symbol != body.symbol:
                return Refusal(_C.TICKET_UNKNOWN, limit=body.symbol, value=position.symbol)
        case Modify():
            held = turn.book.positions.get(body.ticket) or turn.book.orders.get(body.ticket)
            if held is not None:
                return _changed(body, held)
        case Cancel():
            pass
    return None


def _moved(turn: Turn, body: Open) -> Refusal | None:
    reference, price = Decimal(body.price), turn.book.quotes.get(body.symbol)
    if body.type not in ("BUY", "SELL") or not reference or price is None:
        return None
    spec = turn.spec(body.symbol)
    fill = price.ask if body.type == "BUY" else price.bid
    points = abs(fill - reference) / spec.point
    if points <= body.deviation:
        return None
    return Refusal(
        _C.PRICE_MOVED, limit=str(body.deviation), value=decimal_text(points.normalize() + 0)
    )


def _changed(body: Modify, held: Position | Pending) -> Refusal | None:
    if (held.sl, held.tp) == (Decimal(body.old_sl), Decimal(body.old_tp)):
        return None
    return Refusal(
        _C.CHANGED,
        limit=f"sl={body.old_sl} tp={body.old_tp}",
        value=f"sl={decimal_text(held.sl)} tp={decimal_text(held.tp)}",
    )


# --- OPEN ----------------------------------------------------------------------------------


def open_order(turn: Turn, body: Open, label: Label) -> Executed | Rejected:
    """Fill a market order at the quote, or place a pending order."""
    price = Decimal(body.price)
    refused = _refuse_open(turn, body)
    if refused is not None:
        return _no(turn, label, refused, body.symbol)
    ticket = turn.new_ticket()
    if body.type in ("BUY", "SELL"):
        entry = Entry(
            symbol=body.symbol,
            side=body.type,
            volume=Decimal(body.volume),
            sl=Decimal(body.sl),
            tp=Decimal(body.tp),
            magic=label.magic,
            comment=label.comment,
        )
        deal = turn.enter(entry, _market(turn, body), ticket)
        return Executed(status=Status.FILLED, facts=_opened(turn, deal, label))
    order = Pending(
        ticket=ticket,
        symbol=body.symbol,
        type=body.type,
        volume=Decimal(body.volume),
        price=price,
        sl=Decimal(body.sl),
        tp=Decimal(body.tp),
        expiration_ms=body.expiration,
        magic=label.magic,
        comment=label.comment,
        placed_ms=turn.book.market_ms,
    )
    turn.place(order)
    return Executed(status=Status.WORKING, facts=_order_facts(turn, order, label, _PLACED))


def estimate(turn: Turn, body: Open) -> MarginEstimate | Refusal:
    """Return what an OPEN would take, or the refusal it would get."""
    refusal = preflight(turn, body) if body.symbol in turn.money.specs else None
    if refusal is not None:
        return refusal
    refused = _refuse_open(turn, body)
    if refused is not None:
        return Refusal(refused.code)
    pending = body.type not in ("BUY", "SELL")
    price = Decimal(body.price) if pending else _market(turn, body)
    margin = turn.money.margin(body.symbol, Decimal(body.volume), price, turn.book.quotes)
    return MarginEstimate(
        margin=margin, free_margin=turn.account().free_margin - margin, price=price
    )


def _market(turn: Turn, body: Open) -> Decimal:
    price = turn.book.quotes[body.symbol]
    return price.ask if body.type == "BUY" else price.bid


def _refuse_open(turn: Turn, body: Open) -> _Refused | None:
    book = turn.book
    if body.symbol not in turn.money.specs:
        return _Refused(_C.BROKER_REJECTED)
    if not _volume_ok(turn, body.symbol, Decimal(body.volume)):
        return _Refused(_C.INVALID_VOLUME)
    if body.symbol not in book.quotes or not turn.money.convertible(body.symbol, book.quotes):
        return _Refused(_C.MARKET_CLOSED)
    stops = (Decimal(body.sl), Decimal(body.tp))
    pending = body.type not in ("BUY", "SELL")
    if pending:
        price = Decimal(body.price)
        refused = _refuse_pending(turn, (body.symbol, body.type, price, body.expiration))
        anchor = price
    else:
        refused = _Refused(_C.BROKER_REJECTED, _BAD_EXPIRATION) if body.expiration else None
        quote = book.quotes[body.symbol]
        anchor = quote.bid if body.type == "BUY" else quote.ask
    if refused is not None:
        return refused
    if not _stops_ok(turn, body.symbol, (side_of(body.type), anchor), stops):
        return _Refused(_C.INVALID_STOPS)
    if len(book.positions) + len(book.orders) >= ORDERS_MAX:
        return _Refused(_C.TOO_MANY_ORDERS)
    if not pending:
        margin = turn.money.margin(
            body.symbol, Decimal(body.volume), _market(turn, body), book.quotes
        )
        if margin > turn.account().free_margin:
            return _Refused(_C.NO_MONEY)
    return None


def _volume_ok(turn: Turn, symbol: str, volume: Decimal) -> bool:
    spec = turn.spec(symbol)
    return spec.volume_min <= volume <= spec.volume_max and not volume % spec.volume_step


def _refuse_pending(turn: Turn, wanted: tuple[str, str, Decimal, int]) -> _Refused | None:
    symbol, kind, price, expiration = wanted
    spec, quote = turn.spec(symbol), turn.book.quotes[symbol]
    distance = {
        "BUY_LIMIT": quote.ask - price,
        "BUY_STOP": price - quote.ask,
        "SELL_LIMIT": price - quote.bid,
        "SELL_STOP": quote.bid - price,
    }[kind]
    if not price or price % spec.point or distance <= 0:
        return _Refused(_C.INVALID_PRICE)
    if distance < spec.stops_level * spec.point:
        return _Refused(_C.INVALID_PRICE)
    if expiration and expiration <= turn.book.market_ms:
        return _Refused(_C.BROKER_REJECTED, _BAD_EXPIRATION)
    return None


def _stops_ok(
    turn: Turn, symbol: str, anchor: tuple[str, Decimal], stops: tuple[Decimal, Decimal]
) -> bool:
    spec, (side, price), (sl, tp) = turn.spec(symbol), anchor, stops
    sign = 1 if side == "BUY" else -1
    for stop, distance in ((sl, (price - sl) * sign), (tp, (tp - price) * sign)):
        if not stop:
            continue
        if stop % spec.point or distance <= 0 or distance < spec.stops_level * spec.point:
            return False
    return True


# --- CLOSE, MODIFY, CANCEL -----------------------------------------------------------------


def close(turn: Turn, body: Close, label: Label) -> Executed | Rejected:
    """Close a position, or part of it; the rest keeps its ticket.

    The deviation is not looked at: a CLOSE has no reference price, and fills at the quote.
    """
    position = turn.book.positions.get(body.ticket)
    if position is None:
        return _no(turn, label, _Refused(_C.INVALID_TICKET), body.symbol)
    volume = Decimal(body.volume) or position.volume
    rest = position.volume - volume
    if rest < 0 or not _volume_ok(turn, position.symbol, volume):
        return _no(turn, label, _Refused(_C.INVALID_VOLUME), position.symbol)
    if rest and not _volume_ok(turn, position.symbol, rest):
        return _no(turn, label, _Refused(_C.INVALID_VOLUME), position.symbol)
    why = Exit(Reason.OURS, label.magic, label.comment)
    deal = turn.leave(body.ticket, volume, turn.closing_price(position), why)
    facts = Facts(
        symbol=position.symbol,
        type=position.type,
        ticket=body.ticket,
        deal=deal.deal,
        order=deal.order,
        volume=volume,
        price=deal.price,
        close_price=deal.price,
        sl=position.sl,
        tp=position.tp,
        profit=deal.profit,
        remaining_volume=rest,
        remaining_ticket=body.ticket if rest else 0,
        retcode=_DONE,
        market_ms=turn.book.market_ms,
        comment=label.said,
    )
    return Executed(status=Status.FILLED, facts=facts)


def modify(turn: Turn, body: Modify, label: Label) -> Executed | Rejected:
    """Set the stops of a position, or price, stops and expiration of a pending order."""
    if body.ticket in turn.book.positions:
        return _modify_position(turn, body, label)
    if body.ticket in turn.book.orders:
        return _modify_order(turn, body, label)
    return _no(turn, label, _Refused(_C.INVALID_TICKET))


def _modify_position(turn: Turn, body: Modify, label: Label) -> Executed | Rejected:
    position = turn.book.positions[body.ticket]
    if Decimal(body.price):
        return _no(turn, label, _Refused(_C.INVALID_PRICE), position.symbol)
    anchor = (position.type, turn.closing_price(position))
    sl, tp = Decimal(body.sl), Decimal(body.tp)
    if not _stops_ok(turn, position.symbol, anchor, (sl, tp)):
        return _no(turn, label, _Refused(_C.INVALID_STOPS), position.symbol)
    changed = turn.change_stops(body.ticket, sl, tp)
    facts = Facts(
        symbol=changed.symbol,
        type=changed.type,
        ticket=body.ticket,
        volume=changed.volume,
        price=changed.open_price,
        sl=sl,
        tp=tp,
        retcode=_DONE,
        market_ms=turn.book.market_ms,
        comment=label.said,
    )
    return Executed(status=Status.DONE, facts=facts)


def _modify_order(turn: Turn, body: Modify, label: Label) -> Executed | Rejected:
    order = turn.book.orders[body.ticket]
    price = Decimal(body.price)
    if price:
        wanted = (order.symbol, order.type, price, body.expiration)
        refused = _refuse_pending(turn, wanted)
        if refused is not None:
            return _no(turn, label, refused, order.symbol)
        order = structs.replace(order, price=price, expiration_ms=body.expiration)
    sl, tp = Decimal(body.sl), Decimal(body.tp)
    if not _stops_ok(turn, order.symbol, (side_of(order.type), order.price), (sl, tp)):
        return _no(turn, label, _Refused(_C.INVALID_STOPS), order.symbol)
    order = structs.replace(order, sl=sl, tp=tp)
    turn.change_order(order)
    return Executed(status=Status.DONE, facts=_order_facts(turn, order, label, _DONE))


def cancel(turn: Turn, body: Cancel, label: Label) -> Executed | Rejected:
    """Remove a pending order."""
    order = turn.book.orders.get(body.ticket)
    if order is None:
        return _no(turn, label, _Refused(_C.INVALID_TICKET))
    turn.end_order(body.ticket, "CANCELLED")
    return Executed(status=Status.DONE, facts=_order_facts(turn, order, label, _DONE))


# --- facts ---------------------------------------------------------------------------------


def _opened(turn: Turn, deal: Deal, label: Label) -> Facts:
    position = turn.book.positions[deal.ticket]
    return Facts(
        symbol=position.symbol,
        type=position.type,
        ticket=position.ticket,
        deal=deal.deal,
        order=deal.order,
        volume=position.volume,
        price=position.open_price,
        sl=position.sl,
        tp=position.tp,
        retcode=_DONE,
        market_ms=turn.book.market_ms,
        comment=label.said,
    )


def _order_facts(turn: Turn, order: Pending, label: Label, retcode: int) -> Facts:
    return Facts(
        symbol=order.symbol,
        type=order.type,
        ticket=order.ticket,
        order=order.ticket,
        volume=order.volume,
        price=order.price,
        sl=order.sl,
        tp=order.tp,
        retcode=retcode,
        market_ms=turn.book.market_ms,
        comment=label.said,
    )
