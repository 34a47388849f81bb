"""Journal row + broker records -> evidence -> outcome (protocol.md 7).

Evidence, strongest first: the tag on an order, deal or position; a unique shape (flagged weak);
absence, which the caller may conclude only from scans that say they are complete, `settle` apart.
What is only half shown (an order that filled, and not yet its deals) concludes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec import Struct, structs

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request
from bridge_core.protocol.tag import Tag
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import (
    Deal,
    EndedOrder,
    Executed,
    Facts,
    NotBegun,
    Outcome,
    Pending,
    Position,
    Rejected,
    Scan,
)

__all__ = ["Absence", "Finding", "Suspect", "absent", "doubles", "find", "ghosts"]

ZERO: Final = Decimal(0)
_HASH_MASK: Final = (1 << 40) - 1
_WIRE_STEP: Final = Decimal("0.00000001")
_MARKET: Final = ("BUY", "SELL")
_Tagged = Position | Pending | Deal | EndedOrder


class Suspect(Struct, frozen=True, kw_only=True):
    """An order whose outcome is unknown, as it was signed. `magic` is what the broker was given.

    A body of None is a fenced rid that this journal never held: only its tag is known. `order` is
    the number that the broker's own answer gave it, 0 if there was none.
    """

    rid: str
    tag: Tag
    magic: int
    body: Request | None = None
    order: int = 0


class Finding(Struct, frozen=True, kw_only=True):
    """What the records prove."""

    outcome: Outcome
    evidence: Evidence


class Absence(Struct, frozen=True, kw_only=True):
    """Nothing proves it; `counts` only if the scan was complete and nothing of it is on its way."""

    counts: bool


def find(suspect: Suspect, scan: Scan) -> Finding | Absence:
    """Return what one scan proves about one order."""
    found = _find(suspect, scan)
    if isinstance(found, Absence) or not isinstance(found.outcome, Executed):
        return found
    facts = structs.replace(found.outcome.facts, zone_ms=scan.zone_ms)
    return structs.replace(found, outcome=structs.replace(found.outcome, facts=facts))


def _find(suspect: Suspect, scan: Scan) -> Finding | Absence:
    match suspect.body:
        case Modify():
            return _find_modify(suspect.body, scan)
        case Cancel():
            return _find_cancel(suspect.body, scan)
        case Close() | Open() | None:
            return _find_tag(suspect, scan)
        case _:
            return Absence(counts=scan.complete)


def _carries(item: _Tagged, suspect: Suspect) -> bool:
    # Magic first: the broker does not rewrite it. Of a fenced rid the strategy is not known, only
    # the hash. The comment may be cut at the broker's limit.
    if suspect.order:
        number = item.order if isinstance(item, Deal) else item.ticket
        if number == suspect.order:
            return True
    if suspect.magic:
        by_magic = item.magic == suspect.magic
    else:
        by_magic = item.magic & _HASH_MASK == suspect.tag.mt5_hash
    return by_magic or item.comment.startswith(suspect.tag.comment)


def _find_tag(suspect: Suspect, scan: Scan) -> Finding | Absence:
    found: Finding | Absence | None = None
    if not isinstance(suspect.body, Close):
        found = _find_entry(suspect, scan)
    if found is None and not isinstance(suspect.body, Open):
        found = _find_exit(suspect, scan)
    found = found or _find_end(suspect, scan)
    if found is not None:
        return found
    at_broker = any(_carries(one, suspect) for one in scan.orders)  # still on its way
    shown = at_broker or (scan.orders_kept and any(_made(one, suspect) for one in scan.deals))
    return Absence(counts=scan.complete and not shown and not _vanished(suspect.body, scan))


def _made(deal: Deal, suspect: Suspect) -> bool:
    # A stop's deal bears the tag of its position's order and was not made by it.
    return (deal.entry == "IN" or deal.reason == "OURS") and _carries(deal, suspect)


def _vanished(body: Request | None, scan: Scan) -> bool:
    # A position that is gone has left a deal; while none is shown, ours may be the one.
    if not isinstance(body, Close) or not scan.orders_kept:
        return False
    # A broker may give a position another ticket, by a deal that turns it or without one. The deal
    # that made it what was to be closed names its first ticket, and what left it came later.
    deals = list(scan.deals)
    made = next((n for n, one in enumerate(deals) if _makes(one, body.ticket)), None)
    names, later = {body.ticket}, deals
    if made is not None:
        names, later = {body.ticket, deals[made].ticket}, deals[made + 1 :]
    left = any(one.entry != "IN" and one.ticket in names for one in later)
    return not left and not any(one.ticket in names for one in scan.positions)


def _makes(deal: Deal, ticket: int) -> bool:
    return deal.order == ticket and deal.entry in ("IN", "INOUT")


_NOT_YET: Final = Absence(counts=False)


def _find_entry(suspect: Suspect, scan: Scan) -> Finding | Absence | None:
    for pending in scan.orders:  # first: what is filled in part may still rest
        if _carries(pending, suspect):
            if pending.type in _MARKET:
                return _NOT_YET  # being executed
            return _tagged(Status.WORKING, _facts_of_pending(pending))
    deals = _entries(suspect, scan)
    if deals:
        if not _whole(suspect, scan, deals):
            return _NOT_YET
        part = _done(deals) < _wanted_of(suspect.body)
        return _tagged(Status.PARTIAL if part else Status.FILLED, _opened(deals, scan))
    for position in scan.positions:
        if _carries(position, suspect):
            wanted = _wanted_of(suspect.body)
            if scan.netting or (scan.orders_kept and position.volume < wanted):
                return _NOT_YET  # its size is not that of the order: only the deals tell
            return _tagged(Status.FILLED, _facts_of_position(position))
    return None


def _entries(suspect: Suspect, scan: Scan) -> list[Deal]:
    return [
        one for one in scan.deals if (one.entry == "IN" or scan.netting) and _made(one, suspect)
    ]


def _wanted_of(body: Request | None) -> Decimal:
    return Decimal(body.volume) if isinstance(body, Open | Close) else ZERO


def _find_exit(suspect: Suspect, scan: Scan) -> Finding | Absence | None:
    # Where an account nets, a CLOSE of what is gone opens: it was executed all the same.
    deals = [
        one
        for one in scan.deals
        if (one.entry == "OUT" or (scan.netting and _made(one, suspect))) and _carries(one, suspect)
    ]
    if not deals:
        return None
    if not _whole(suspect, scan, deals):
        return _NOT_YET
    facts = _closed(deals, scan)
    part = False
    if isinstance(suspect.body, Close):
        wanted = _wanted_of(suspect.body)
        part = facts.volume < wanted if wanted else facts.remaining_volume > 0
        if part and not wanted and _lags(suspect, scan, facts):
            return _NOT_YET
    return _tagged(Status.PARTIAL if part else Status.FILLED, facts)


def _lags(suspect: Suspect, scan: Scan, facts: Facts) -> bool:
    # May what is shown be the position from before the close of all of it? An order that did all
    # that it was sent for leaves something only where that had grown: its deals make what is left.
    asked = sum((one.volume for one in _ends(suspect, scan)), ZERO)
    if not scan.orders_kept or facts.volume < asked:
        return False
    made = sum((_signed(one) for one in scan.deals if one.ticket == facts.ticket), ZERO)
    return made not in [_signed(one) for one in scan.positions if one.ticket == facts.ticket]


def _signed(item: Deal | Position) -> Decimal:
    return item.volume if item.type == "BUY" else -item.volume


def _whole(suspect: Suspect, scan: Scan, deals: list[Deal]) -> bool:
    # All that was asked for is the whole of it. Anything else, and "all of the position", is so
    # only if the order's own record says the same number.
    wanted = _wanted_of(suspect.body)
    if not scan.orders_kept or (wanted and _done(deals) >= wanted):
        return True
    ends = _ends(suspect, scan)
    return bool(ends) and sum((one.filled for one in ends), ZERO) == _done(deals)


def _ends(suspect: Suspect, scan: Scan) -> list[EndedOrder]:
    return [one for one in scan.ended if not one.reason and _carries(one, suspect)]


def _find_end(suspect: Suspect, scan: Scan) -> Finding | Absence | None:
    """Judge an order of which nothing is shown but its end."""
    for one in _ends(suspect, scan):
        facts = Facts(symbol=one.symbol, ticket=one.ticket, order=one.ticket)
        if one.type not in _MARKET and one.state != "REJECTED":
            if isinstance(suspect.body, Close):
                continue
            return _tagged(Status.WORKING, facts)  # it rested, whatever became of it
        if one.filled or one.life == "FILLED" or not scan.complete:
            return _NOT_YET
        refused = Rejected(code=ReasonCode.BROKER_REJECTED, facts=facts)
        return Finding(outcome=refused, evidence=Evidence.TAG)
    return None


def doubles(suspect: Suspect, scan: Scan) -> tuple[int, ...]:
    """Return the numbers of the broker's orders that bear one order's tag, if it is several.

    One order makes one order at the broker; more than one proves nothing but trouble.
    """
    numbers = {one.ticket for one in scan.orders if _carries(one, suspect)}
    numbers |= {one.ticket for one in _ends(suspect, scan)}
    numbers |= {one.order for one in scan.deals if _made(one, suspect)}
    numbers.discard(0)
    return tuple(sorted(numbers)) if len(numbers) > 1 else ()


def _tagged(status: Status, facts: Facts) -> Finding:
    return Finding(outcome=Executed(status=status, facts=facts), evidence=Evidence.TAG)


def _done(deals: list[Deal]) -> Decimal:
    return sum((one.volume for one in deals), ZERO)


def _average(deals: list[Deal]) -> Decimal:
    # Rounded to what a decimal on the wire can hold: an average need not be a finite fraction.
    total = sum((one.volume * one.price for one in deals), ZERO)
    return (total / _done(deals)).quantize(_WIRE_STEP)


def _opened(deals: list[Deal], scan: Scan) -> Facts:
    last = deals[-1]
    held = next((one for one in scan.positions if one.ticket == last.ticket), None)
    return Facts(
        symbol=last.symbol,
        type=last.type,
        ticket=last.ticket,
        deal=last.deal,
        order=last.order,
        volume=_done(deals),
        price=_average(deals) if len(deals) > 1 else last.price,
        sl=held.sl if held is not None else ZERO,
        tp=held.tp if held is not None else ZERO,
        profit=sum((one.profit for one in deals), ZERO),
        swap=sum((one.swap for one in deals), ZERO),
        commission=sum((one.commission for one in deals), ZERO),
        market_ms=last.time_ms,
        comment=last.comment,
    )


def _closed(deals: list[Deal], scan: Scan) -> Facts:
    last = deals[-1]
    left = next((one for one in scan.positions if one.ticket == last.ticket), None)
    return Facts(
        symbol=last.symbol,
        type=last.type,
        ticket=last.ticket,
        deal=last.deal,
        order=last.order,
        volume=_done(deals),
        close_price=_average(deals) if len(deals) > 1 else last.price,
        profit=sum((one.profit for one in deals), ZERO),
        swap=sum((one.swap for one in deals), ZERO),
        commission=sum((one.commission for one in deals), ZERO),
        remaining_volume=left.volume if left is not None else ZERO,
        remaining_ticket=left.ticket if left is not None else 0,
        market_ms=last.time_ms,
        comment=last.comment,
    )


def _facts_of_position(one: Position) -> Facts:
    return Facts(
        symbol=one.symbol,
        type=one.type,
        ticket=one.ticket,
        volume=one.volume,
        price=one.open_price,
        sl=one.sl,
        tp=one.tp,
        market_ms=one.opened_ms,
        comment=one.comment,
    )


def _facts_of_pending(one: Pending) -> Facts:
    return Facts(
        symbol=one.symbol,
        type=one.type,
        ticket=one.ticket,
        order=one.ticket,
        volume=one.volume,
        price=one.price,
        sl=one.sl,
        tp=one.tp,
        market_ms=one.placed_ms,
        comment=one.comment,
    )


def _find_modify(body: Modify, scan: Scan) -> Finding | Absence:
    # A MODIFY leaves no tag at any broker: the levels themselves are the (weak) evidence. Equal
    # old and new levels prove nothing and harm nothing, so they count as done.
    open_now: list[Position | Pending] = [*scan.positions, *scan.orders]
    held = next((one for one in open_now if one.ticket == body.ticket), None)
    lived_on = False
    if held is None or (isinstance(held, Position) and Decimal(body.price)):
        # A price is a pending order's. Of one that rests no more its end shows what it last was;
        # if it filled, its stops went on in a position, where they may have been changed.
        end = next((one for one in scan.ended if one.ticket == body.ticket), None)
        held = end.last if end is not None else None
        lived_on = end is not None and not Decimal(body.price) and _filled(end)
    if held is None:
        # What it would have changed is gone, and with it every trace: only a person can end this.
        return Absence(counts=False)
    if (held.sl, held.tp) == (Decimal(body.sl), Decimal(body.tp)) and _priced(body, held):
        facts = _facts_of_position(held) if isinstance(held, Position) else _facts_of_pending(held)
        outcome = Executed(status=Status.DONE, facts=facts)
        return Finding(outcome=outcome, evidence=Evidence.SHAPE)
    # Levels that are neither the old ones nor those it wanted were set after it, or instead of it.
    untouched = (held.sl, held.tp) == (Decimal(body.old_sl), Decimal(body.old_tp))
    # The price it wanted, and an expiration that cannot be read, prove neither.
    vague = isinstance(held, Pending) and held.price == Decimal(body.price) and not scan.zone_known
    return Absence(counts=scan.complete and untouched and not lived_on and not vague)


def _filled(end: EndedOrder) -> bool:
    return bool(end.filled) or end.life == "FILLED"


def _priced(body: Modify, held: Position | Pending) -> bool:
    """Return whether price and expiration are as a MODIFY wanted them, if it set any."""
    if not Decimal(body.price):
        return True
    return isinstance(held, Pending) and (
        (held.price, held.expiration_ms // 1000)
        == (Decimal(body.price), body.expiration // 1000)  # a broker keeps whole seconds
    )


def _find_cancel(body: Cancel, scan: Scan) -> Finding | Absence:
    if any(one.ticket == body.ticket for one in scan.orders):
        return Absence(counts=scan.complete)
    ended = next((one for one in scan.ended if one.ticket == body.ticket), None)
    if ended is None:  # gone, and its end not on record yet: it may be our doing
        return Absence(counts=scan.complete and not scan.orders_kept)
    if ended.life != "CANCELLED" or ended.state == "REJECTED":
        return Absence(counts=scan.complete)
    facts = Facts(symbol=ended.symbol, ticket=ended.ticket, order=ended.ticket)
    return Finding(outcome=Executed(status=Status.DONE, facts=facts), evidence=Evidence.SHAPE)


def absent() -> Finding:
    """Return the finding of a concluded absence: DENIED(ABSENT)."""
    return Finding(outcome=NotBegun(refusal=Refusal(ReasonCode.ABSENT)), evidence=Evidence.ABSENT)


def ghosts(
    absent_magics: frozenset[int], seen: Iterable[Position | Pending | Deal]
) -> tuple[int, ...]:
    """Return tickets whose magic belongs to an order that was concluded absent: GHOST_FILL."""
    return tuple(one.ticket for one in seen if one.magic in absent_magics)
