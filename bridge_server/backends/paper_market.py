"""The paper broker's market: a step of prices walks over the books. Pure: no clock, no I/O.

A step is one row of one symbol. Its first price is a jump: whatever it reaches fills at that
price, however far beyond its level (a gap fills at the gap price, for better or worse). Between
the prices of one bar the market glides: each level on the way fills exactly there, nearest first,
so a bar that holds both stops is decided by its path. Spread is constant within a row.

An order that has just become a position takes part at once. Pending orders whose expiration the
row's time has reached end before its first price. Margin level below 50 % closes the position
with the worst floating profit (lowest ticket first among equals), again and again; it is looked
at on each fill and at each price of the path, not between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.events import EventBody
from bridge_server.backends.paper_book import Entry, Exit, Turn, side_of
from bridge_server.backends.paper_money import Price
from bridge_server.core.ports import Pending, Position, Reason

__all__ = ["STOP_OUT_PERCENT", "Step", "apply_step", "tick_event"]

STOP_OUT_PERCENT: Final = Decimal(50)
_NONE: Final = Decimal(0)


class Step(NamedTuple):
    """One row: market time (UTC ms), its bid prices in order, and the spread (in price)."""

    symbol: str
    time_ms: int
    bids: tuple[Decimal, ...]
    spread: Decimal


class _Level(NamedTuple):
    """A bid at which something fires, coming from below (rising) or from above."""

    bid: Decimal
    rank: int
    ticket: int
    rising: bool
    reason: Reason | None


class _Trigger(NamedTuple):
    """Something that fires when the bid comes to `at`; sorted by distance, rank, ticket."""

    distance: Decimal
    rank: int
    ticket: int
    at: Decimal
    reason: Reason | None  # None: a pending order fills


def apply_step(turn: Turn, step: Step) -> None:
    """Let one row happen: expirations, then each price with what it reaches.

    Raises:
        ValueError: market time would go back (a feed's mistake).
    """
    book = turn.book
    if step.time_ms < book.market_ms:
        raise ValueError(f"market time goes back: {step.time_ms} after {book.market_ms}")
    book.market_ms = step.time_ms
    for order in sorted(book.orders.values(), key=lambda each: each.ticket):
        if order.expiration_ms and order.expiration_ms <= step.time_ms:
            turn.end_order(order.ticket, "BROKER_EXPIRED")
    for index, bid in enumerate(step.bids):
        if index == 0:
            _set_quote(turn, step, bid)
        _glide(turn, step, bid)
        _set_quote(turn, step, bid)
        _stop_out(turn)
        turn.events.append(tick_event(turn, step.symbol))
    turn.tell_account()


def tick_event(turn: Turn, symbol: str) -> EventBody:
    """Return the symbol's current quote as a tick."""
    price = turn.book.quotes[symbol]
    return EventBody(
        type="tick",
        symbol=symbol,
        bid=turn.price_text(symbol, price.bid),
        ask=turn.price_text(symbol, price.ask),
        time=price.time_ms,
    )


def _set_quote(turn: Turn, step: Step, bid: Decimal) -> None:
    turn.book.quotes[step.symbol] = Price(bid, bid + step.spread, step.time_ms)


def _glide(turn: Turn, step: Step, target: Decimal) -> None:
    """Fire what lies between the current bid and the target; with both equal, what is reached."""
    while True:
        current = turn.book.quotes[step.symbol].bid
        first = min(_triggers(turn, step, current, target), default=None)
        if first is None:
            return
        _set_quote(turn, step, first.at)
        _fire(turn, step.symbol, first)
        _stop_out(turn)


def _triggers(turn: Turn, step: Step, current: Decimal, target: Decimal) -> Iterator[_Trigger]:
    top, bottom = max(current, target), min(current, target)
    for level in _levels(turn, step):
        if level.bid > top if level.rising else level.bid < bottom:
            continue
        # A level behind us already holds: it fires here and now.
        at = max(level.bid, current) if level.rising else min(level.bid, current)
        yield _Trigger(abs(at - current), level.rank, level.ticket, at, level.reason)


def _levels(turn: Turn, step: Step) -> Iterator[_Level]:
    """Yield each level of the symbol as the bid it stands for."""
    for position in turn.book.positions.values():
        if position.symbol != step.symbol:
            continue
        buy = position.type == "BUY"
        shift = _NONE if buy else step.spread  # a SELL closes at the ask
        if position.sl:
            yield _Level(position.sl - shift, 0, position.ticket, not buy, Reason.SL)
        if position.tp:
            yield _Level(position.tp - shift, 1, position.ticket, buy, Reason.TP)
    for order in turn.book.orders.values():
        if order.symbol != step.symbol:
            continue
        shift = step.spread if side_of(order.type) == "BUY" else _NONE
        rising = order.type in ("BUY_STOP", "SELL_LIMIT")
        yield _Level(order.price - shift, 2, order.ticket, rising, None)


def _fire(turn: Turn, symbol: str, trigger: _Trigger) -> None:
    price = turn.book.quotes[symbol]
    if trigger.reason is None:
        _fill_pending(turn, turn.book.orders[trigger.ticket], price)
        return
    position = turn.book.positions[trigger.ticket]
    _close(turn, position, trigger.reason)


def _close(turn: Turn, position: Position, reason: Reason) -> None:
    why = Exit(reason, position.magic, position.comment)
    turn.leave(position.ticket, position.volume, turn.closing_price(position), why)


def _fill_pending(turn: Turn, order: Pending, price: Price) -> None:
    side = side_of(order.type)
    fill = price.ask if side == "BUY" else price.bid
    margin = turn.money.margin(order.symbol, order.volume, fill, turn.book.quotes)
    if margin > turn.account().free_margin:
        turn.end_order(order.ticket, "CANCELLED", ReasonCode.NO_MONEY.value)
        return
    turn.end_order(order.ticket, "FILLED")
    entry = Entry(
        symbol=order.symbol,
        side=side,
        volume=order.volume,
        sl=order.sl,
        tp=order.tp,
        magic=order.magic,
        comment=order.comment,
    )
    turn.enter(entry, fill, order.ticket)


def _stop_out(turn: Turn) -> None:
    while turn.book.positions:
        account = turn.account()
        if account.equity * 100 >= account.margin * STOP_OUT_PERCENT:
            return
        worst = min(
            turn.book.positions.values(), key=lambda each: (turn.floating(each), each.ticket)
        )
        _close(turn, worst, Reason.STOP_OUT)
