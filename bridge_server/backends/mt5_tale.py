"""What the deals of one position mean, told in order, and the events of pending orders. Pure.

Volumes here are signed: a BUY adds, a SELL takes away, so one sum follows a position through
additions, partial closes, a close against another position and a turn in one deal (netting).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec import Struct, structs

from bridge_core.protocol.events import EventBody
from bridge_core.protocol.replies import text_of
from bridge_server.core.ports import Deal, Pending, Position

__all__ = ["Chapter", "Done", "Told", "order_event", "position_event", "signed"]

ZERO: Final = Decimal(0)
_PLACES: Final = Decimal("0.00000001")


class Done(Struct, frozen=True, kw_only=True):
    """A deal of the position `identifier`; `at` orders deals: the broker's ms, then its number."""

    deal: Deal
    identifier: int
    at: tuple[int, int]

    @property
    def signed(self) -> Decimal:
        """Return what it adds to its position, in lots; negative for a SELL."""
        return self.deal.volume if self.deal.type == "BUY" else -self.deal.volume


class Told(Struct, frozen=True, kw_only=True):
    """An event and its place among those of one look."""

    at: tuple[int, int]
    event: EventBody


def signed(position: Position | None) -> Decimal:
    """Return a position's volume in lots, negative for a SELL, 0 without one."""
    if position is None:
        return ZERO
    return position.volume if position.type == "BUY" else -position.volume


def position_event(name: str, one: Position, time_ms: int) -> EventBody:
    """Return an event about a position as it stands."""
    price = text_of(one.open_price)
    return EventBody(
        type=name,
        symbol=one.symbol,
        time=time_ms,
        ticket=one.ticket,
        side=one.type,
        volume=text_of(one.volume),
        price=price,
        open_price=price,
        sl=text_of(one.sl),
        tp=text_of(one.tp),
        magic=one.magic,
        comment=one.comment,
    )


def order_event(name: str, one: Pending, time_ms: int) -> EventBody:
    """Return an event about a pending order."""
    return EventBody(
        type=name,
        symbol=one.symbol,
        time=time_ms,
        ticket=one.ticket,
        order=one.ticket,
        side=one.type,
        volume=text_of(one.volume),
        price=text_of(one.price),
        sl=text_of(one.sl),
        tp=text_of(one.tp),
        expiration=one.expiration_ms,
        magic=one.magic,
        comment=one.comment,
    )


class Chapter:
    """One position through some deals: from what was told to what is shown (None: not there)."""

    def __init__(self, identifier: int, was: Position | None, now: Position | None) -> None:
        self._identifier = identifier
        self._is = was
        self._now = now
        self.told: list[Told] = []

    def tell(self, deals: Iterable[Done], partial: frozenset[int]) -> Position | None:
        """Tell the deals; return the position as they leave it.

        `partial`: deals after which their order still had something to fill.
        """
        for done in deals:
            self._tell_one(done, "PARTIAL" if done.deal.deal in partial else "")
        return self._is

    def _tell_one(self, done: Done, status: str) -> None:
        held = self._is
        before = signed(held)
        after = before + done.signed
        if held is None:
            self._open(done, after, status)
        elif before * done.signed > 0:
            self._grow(held, done, after, status)
        elif before * after >= 0:
            self._shrink(held, done, abs(done.signed), status)
        else:  # one deal closes all of it and opens the other side
            self._shrink(held, done, held.volume, status)
            self._open(done, after, status)

    def _say(self, done: Done, event: EventBody) -> None:
        more = structs.replace(event, deal=done.deal.deal, order=done.deal.order)
        self.told.append(Told(at=done.at, event=more))

    def _open(self, done: Done, after: Decimal, status: str) -> None:
        deal, now = done.deal, self._now
        same = now is not None and signed(now) * after > 0
        turned = bool(self.told) or self._is is not None
        # The ticket is that of the order that opened it, unless the terminal shows another.
        ticket = deal.order if turned and deal.entry == "INOUT" else self._identifier
        self._is = Position(
            ticket=now.ticket if now is not None and same else ticket,
            symbol=deal.symbol,
            type="BUY" if after > 0 else "SELL",
            volume=abs(after),
            open_price=deal.price,
            current_price=deal.price,
            sl=now.sl if now is not None and same else ZERO,
            tp=now.tp if now is not None and same else ZERO,
            magic=deal.magic,
            comment=deal.comment,
            opened_ms=deal.time_ms,
        )
        event = position_event("position_opened", self._is, deal.time_ms)
        self._say(done, structs.replace(event, status=status))

    def _grow(self, held: Position, done: Done, after: Decimal, status: str) -> None:
        deal = done.deal
        worth = held.open_price * held.volume + deal.price * deal.volume
        self._is = structs.replace(
            held, volume=abs(after), open_price=(worth / abs(after)).quantize(_PLACES).normalize()
        )
        event = position_event("position_modified", self._is, deal.time_ms)
        self._say(
            done,
            structs.replace(event, price=text_of(deal.price), status=status, message="increased"),
        )

    def _shrink(self, held: Position, done: Done, volume: Decimal, status: str) -> None:
        deal, rest = done.deal, (held.volume - volume).normalize()
        net = deal.profit + deal.swap + deal.commission
        event = position_event("position_closed", held, deal.time_ms)
        self._say(
            done,
            structs.replace(
                event,
                volume=text_of(volume),
                remaining_volume=text_of(rest or ZERO),
                remaining_ticket=held.ticket if rest else 0,
                close_price=text_of(deal.price),
                profit=text_of(deal.profit),
                swap=text_of(deal.swap),
                commission=text_of(deal.commission),
                net_profit=text_of(net),
                reason=deal.reason,
                status=status,
            ),
        )
        self._is = structs.replace(held, volume=rest) if rest else None
