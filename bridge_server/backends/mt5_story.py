"""What has been told of an account, and what a further look at it adds. Pure.

Deals tell what happened to a position, and they are believed when they add up: the volume last
told and what the new deals add is the volume shown. What does not add up yet waits for the next
look: a deal may be visible before its position, or after it. What never does (a broker mends its
books by hand) is told from the position alone after LATE_MS, and a deal of it that comes afterwards
is told no more. So every event is told once, and the events fold to the positions shown.

Positions are followed by their identifier, which stays when the broker changes the ticket.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct, structs

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.replies import text_of
from bridge_server.backends.mt5_tale import (
    Chapter,
    Done,
    Told,
    order_event,
    position_event,
    signed,
)
from bridge_server.core.ports import EndedOrder, Pending, Position

__all__ = ["LATE_MS", "Gone", "Held", "Look", "Resting", "Story"]

LATE_MS: Final = 60_000
# Nothing promises that a position and the deal that changed it bear the very same time.
_APART_MS: Final = 1_000
ZERO: Final = Decimal(0)
_LAST: Final = (2**63, 0)
_FIRST: Final = (-1, 0)
_AFTER: Final = 2**62  # an order's end comes after the deals of the same moment
_MARKET: Final = frozenset({"BUY", "SELL", "CLOSE_BY", ""})
_ENDS: Final = {"CANCELLED": "order_cancelled", "BROKER_EXPIRED": "order_expired"}


class Held(Struct, frozen=True, kw_only=True):
    """A position as shown; `update_ms` is when it last changed, on the broker's clock."""

    position: Position
    update_ms: int


class Resting(Struct, frozen=True, kw_only=True):
    """A pending order as shown, the volume it was placed with (lots), its expiration as shown."""

    order: Pending
    placed: Decimal
    expires_s: int = 0

    def differs(self, was: Resting) -> bool:
        """Return whether the order was changed (a zone that became known changes nothing)."""
        return _terms(self) != _terms(was)


def _terms(one: Resting) -> tuple[object, ...]:
    order = one.order
    return (order.type, order.price, order.volume, order.sl, order.tp, one.expires_s)


class Gone(Struct, frozen=True, kw_only=True):
    """An ended order, what it was when it still rested, and when it ended on the broker's clock."""

    ended: EndedOrder
    order: Pending
    at_ms: int


class Look(Struct, frozen=True, kw_only=True):
    """What the terminal shows now. `held` by identifier; `deals` and `gone` are of a window.

    `broker_ms` is the latest time on the broker's clock that is known, `now_ms` the same in UTC (0
    while the zone is unknown), `mono_ms` monotonic.
    """

    mono_ms: int
    broker_ms: int
    now_ms: int
    held: Mapping[int, Held]
    resting: Mapping[int, Resting]
    deals: Sequence[Done]
    gone: Sequence[Gone]


class _Known(Struct, frozen=True):
    """A position as told; the deals up to `included_ms` (broker's) are in it."""

    position: Position | None = None
    included_ms: int = 0


_NOBODY: Final = _Known()


class Story:
    """Begins at the first look, which tells nothing."""

    def __init__(self) -> None:
        self._begun_ms: int | None = None
        self._top_ms = 0
        self._known: dict[int, _Known] = {}
        self._owed: dict[int, Decimal] = {}  # lots told before their deals were visible, signed
        self._since: dict[int, int] = {}
        self._orders: dict[int, Resting] = {}
        self._filled: dict[int, Decimal] = {}
        self._deals: dict[int, int] = {}  # told, or never to be told -> the broker's ms
        self._ended: dict[int, int] = {}

    @property
    def waits(self) -> bool:
        """Return whether something does not add up yet."""
        return bool(self._since)

    def missing(self, orders: Collection[int]) -> list[int]:
        """Return the orders that were told of and are not among those that rest now."""
        return [ticket for ticket in self._orders if ticket not in orders]

    def wait_anew(self) -> None:
        """Let what does not add up have its time again: the terminal was away."""
        self._since.clear()

    def forget_before(self, broker_ms: int) -> None:
        """Forget the numbers of what ended before: no later look goes back so far."""
        self._deals = {one: at for one, at in self._deals.items() if at >= broker_ms}
        self._ended = {one: at for one, at in self._ended.items() if at >= broker_ms}
        alive = self._orders.keys() | self._ended.keys()
        self._filled = {one: lots for one, lots in self._filled.items() if one in alive}
        self._owed = {one: lots for one, lots in self._owed.items() if lots}

    def tell(self, look: Look) -> list[EventBody]:
        """Return what a look adds, in order."""
        self._top_ms = max(self._top_ms, look.broker_ms)
        if self._begun_ms is None:
            self._begin(look)
            return []
        told = self._placed(look) + self._positions(look) + self._changed(look) + self._left(look)
        return [one.event for one in sorted(told, key=lambda one: one.at)]

    def _begin(self, look: Look) -> None:
        self._begun_ms = look.broker_ms
        self._known = {
            identifier: _Known(one.position, one.update_ms) for identifier, one in look.held.items()
        }
        self._orders = dict(look.resting)
        self._filled = {
            ticket: one.placed - one.order.volume for ticket, one in look.resting.items()
        }
        ahead = _ahead(look)
        self._deals = {
            one.deal.deal: self._mark(one.at[0]) for one in look.deals if one.deal.deal not in ahead
        }
        self._ended = {one.ended.ticket: self._mark(one.at_ms) for one in look.gone}

    def _mark(self, broker_ms: int) -> int:
        return max(broker_ms, self._top_ms)

    def _before(self, broker_ms: int) -> bool:
        # What happened before the first look, and became visible after it, is no news.
        return broker_ms < (self._begun_ms or 0) - LATE_MS

    # --- positions -----------------------------------------------------------------------------

    def _positions(self, look: Look) -> list[Told]:
        fresh: dict[int, list[Done]] = {}
        for identifier, deals in _by_position(look.deals).items():
            inside = _inside(self._known.get(identifier, _NOBODY), deals)
            fresh[identifier] = [
                one for n, one in enumerate(deals)
                if one.deal.deal not in self._deals and not self._swallowed(one, inside=n < inside)
            ]  # fmt: skip
        told: list[Told] = []
        placed = self._sizes(look)
        for identifier in dict.fromkeys([*self._known, *look.held, *filter(fresh.get, fresh)]):
            told += self._one(identifier, fresh.get(identifier, []), look, placed)
        return told

    def _swallowed(self, done: Done, *, inside: bool) -> bool:
        owed = self._owed.get(done.identifier, ZERO)
        paid = owed * done.signed > 0 and abs(done.signed) <= abs(owed)
        if paid:
            self._owed[done.identifier] = owed - done.signed
        if not paid and not inside and not self._before(done.at[0]):
            return False
        self._deals[done.deal.deal] = self._mark(done.at[0])
        return True

    def _one(
        self, identifier: int, fresh: list[Done], look: Look, placed: Mapping[int, Decimal]
    ) -> list[Told]:
        known = self._known.get(identifier, _NOBODY)
        held = look.held.get(identifier)
        now = held.position if held is not None else None
        count = _adding_up(signed(known.position), signed(now), fresh)
        if count:
            self._since.pop(identifier, None)
        if count is None or count < len(fresh):
            since = self._since.setdefault(identifier, look.mono_ms)
            if look.mono_ms - since >= LATE_MS:
                return self._force(identifier, fresh, look)
        else:
            self._since.pop(identifier, None)
        if count is None:
            return []
        chapter = Chapter(identifier, known.position, now)
        end = chapter.tell(fresh[:count], self._partial(fresh[:count], placed))
        self._settle(identifier, now, known.included_ms)
        return chapter.told + _altered(end, now, look.now_ms)

    def _settle(self, identifier: int, now: Position | None, included_ms: int) -> None:
        if now is None:
            self._known.pop(identifier, None)
        else:
            self._known[identifier] = _Known(now, included_ms)

    def _force(self, identifier: int, fresh: list[Done], look: Look) -> list[Told]:
        """Tell a position as it is shown: its deals do not add up, and will not."""
        known, held = self._known.get(identifier, _NOBODY), look.held.get(identifier)
        now = held.position if held is not None else None
        self._since.pop(identifier, None)
        for done in fresh:
            self._deals[done.deal.deal] = self._mark(done.at[0])
        missing = signed(now) - signed(known.position) - sum((one.signed for one in fresh), ZERO)
        self._owed[identifier] = self._owed.pop(identifier, ZERO) + missing
        self._settle(identifier, now, held.update_ms if held is not None else 0)
        return _bare(known.position, now, look.now_ms)

    def _partial(self, deals: list[Done], placed: Mapping[int, Decimal]) -> frozenset[int]:
        found = set()
        for done in deals:
            order = done.deal.order
            self._deals[done.deal.deal] = self._mark(done.at[0])
            if order not in placed:
                continue
            self._filled[order] = self._filled.get(order, ZERO) + done.deal.volume
            if self._filled[order] < placed[order]:
                found.add(done.deal.deal)
        return frozenset(found)

    def _sizes(self, look: Look) -> dict[int, Decimal]:
        sizes = {one.ended.ticket: one.ended.volume for one in look.gone}
        resting = {**self._orders, **look.resting}
        return sizes | {ticket: one.placed for ticket, one in resting.items()}

    # --- pending orders --------------------------------------------------------------------------

    def _placed(self, look: Look) -> list[Told]:
        """Orders that are new, and those that came and went since the last look.

        Of one that came and was filled its deals tell, and name it.
        """
        new = {t: one for t, one in look.resting.items() if t not in self._ended}
        for one in look.gone:
            ticket = one.ended.ticket
            if ticket in self._ended or ticket in self._orders:
                continue
            unseen = one.ended.type in _MARKET or one.ended.life not in _ENDS
            if unseen or self._before(one.at_ms):
                self._ended[ticket] = self._mark(one.at_ms)
            else:
                new.setdefault(ticket, Resting(order=one.order, placed=one.ended.volume))
        told = []
        for ticket, found in new.items():
            if ticket not in self._orders:
                self._orders[ticket] = found
                event = order_event("order_placed", found.order, found.order.placed_ms)
                told.append(Told(at=_FIRST, event=event))
        return told

    def _changed(self, look: Look) -> list[Told]:
        told = []
        for ticket, one in look.resting.items():
            was = self._orders.get(ticket)
            if was is not None and one.differs(was):
                event = order_event("order_placed", one.order, look.now_ms)
                told.append(Told(at=_LAST, event=structs.replace(event, message="modified")))
            if was is not None:
                self._orders[ticket] = one
        return told

    def _left(self, look: Look) -> list[Told]:
        """Orders that rest no more. Why not, only the history says: until it does, nothing is."""
        ends = {one.ended.ticket: one for one in look.gone}
        told = []
        for ticket in [one for one in self._orders if one not in look.resting and one in ends]:
            was, end = self._orders.pop(ticket), ends[ticket]
            self._ended[ticket] = self._mark(end.at_ms)
            name = _ENDS.get(end.ended.life)
            if name is None:  # filled: its deals tell
                continue
            event = order_event(name, was.order, end.ended.time_ms)
            code = ReasonCode.BROKER_REJECTED.value if end.ended.state == "REJECTED" else ""
            told.append(Told(at=(end.at_ms, _AFTER), event=structs.replace(event, code=code)))
        return told


def _ahead(look: Look) -> frozenset[int]:
    """Return the deals of a first look that the positions it shows do not contain yet."""
    found: list[Done] = []
    for identifier, deals in _by_position(look.deals).items():
        held = look.held.get(identifier)
        if held is not None:
            found += deals[_inside(_Known(held.position, held.update_ms), deals) :]
        elif sum(one.signed for one in deals):
            found += [one for one in deals if one.at[0] >= look.broker_ms - LATE_MS]
    return frozenset(one.deal.deal for one in found)


def _by_position(deals: Sequence[Done]) -> dict[int, list[Done]]:
    """Return the deals of each position, by its identifier, from the oldest."""
    found: dict[int, list[Done]] = {}
    for done in sorted(deals, key=lambda one: one.at):
        found.setdefault(done.identifier, []).append(done)
    return found


def _inside(known: _Known, deals: Sequence[Done]) -> int:
    """Return how many deals, from the oldest, are in a position as it was shown.

    Those up to its time are. From the deal that opened it on they make its volume, so that one
    dated a moment later may be in it, too.
    """
    count = sum(one.at[0] <= known.included_ms for one in deals)
    moment = sum(one.at[0] <= known.included_ms + _APART_MS for one in deals)
    opened, volume = deals[0].deal.order == deals[0].identifier, ZERO
    for n, done in enumerate(deals[:moment], start=1):
        volume += done.signed
        if opened and n >= count and volume == signed(known.position):
            return n
    return count


def _adding_up(was: Decimal, now: Decimal, deals: list[Done]) -> int | None:
    """Return how many deals, from the oldest, lead from one volume to the other; the most that do.

    A deal that enters where the volumes say that it leaves has another before it that is not
    visible yet: what comes to the right sum with it does so by chance.
    """
    found, volume = (0 if was == now else None), was
    for n, done in enumerate(deals, start=1):
        after = volume + done.signed
        said = done.deal.entry.removesuffix("_BY")
        if said not in (_entry(volume, done.signed, after), ""):
            break
        volume = after
        if volume == now:
            found = n
    return found


def _entry(before: Decimal, lots: Decimal, after: Decimal) -> str:
    if before * lots >= 0:
        return "IN"
    return "OUT" if before * after >= 0 else "INOUT"


def _altered(was: Position | None, now: Position | None, now_ms: int) -> list[Told]:
    """Tell of other stops, or of another ticket for the same position."""
    if was is None or now is None:
        return []
    renamed = f"ticket was {was.ticket}" if was.ticket != now.ticket else ""
    if (was.sl, was.tp) == (now.sl, now.tp) and not renamed:
        return []
    event = position_event("position_modified", now, now_ms)
    return [Told(at=_LAST, event=structs.replace(event, message=renamed))]


def _bare(was: Position | None, now: Position | None, now_ms: int) -> list[Told]:
    """Tell the difference of two pictures, without a deal: how it came is not known."""
    if was is not None and now is not None and signed(was) * signed(now) > 0:
        if now.volume == was.volume:
            return _altered(was, now, now_ms)
        if now.volume > was.volume:
            event = position_event("position_modified", now, now_ms)
            return [Told(at=_LAST, event=structs.replace(event, message="increased"))]
    events = []
    if was is not None:
        rest = now if now is not None and now.type == was.type else None
        left = rest.volume if rest is not None else ZERO
        event = position_event("position_closed", was, now_ms)
        events.append(
            structs.replace(
                event,
                volume=text_of((was.volume - left).normalize()),
                remaining_volume=text_of(left),
                remaining_ticket=rest.ticket if rest is not None else 0,
            )
        )
    if now is not None and (was is None or was.type != now.type):
        events.append(position_event("position_opened", now, now_ms))
        was = now
    return [Told(at=_LAST, event=one) for one in events] + _altered(was, now, now_ms)
