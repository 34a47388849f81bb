"""Journal row + broker records -> evidence -> outcome (protocol.md 7).

Evidence, strongest first: the tag on an order, deal or position; a unique shape (flagged weak);
absence, which the caller may conclude only from scans that say they are complete, `settle` apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec import Struct

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
    Scan,
)

__all__ = ["Absence", "Finding", "Suspect", "absent", "find", "ghosts"]

ZERO: Final = Decimal(0)
_HASH_MASK: Final = (1 << 40) - 1
_WIRE_STEP: Final = Decimal("0.00000001")
_Tagged = Position | Pending | Deal | EndedOrder


class Suspect(Struct, frozen=True, kw_only=True):
    """An order whose outcome is unknown, as it was signed. `magic` is what the broker was given.

    A body of None is a fenced rid that this journal never held: only its tag is known.
    """

    rid: str
    tag: Tag
    magic: int
    body: Request | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """What the records prove."""

    outcome: Outcome
    evidence: Evidence


class Absence(Struct, frozen=True, kw_only=True):
    """Nothing proves it; `counts` only if the scan was complete and nothing of it is on its way."""

    counts: bool


def find(suspect: Suspect, scan: Scan) -> Finding | Absence:
    """Return what one scan proves about one order."""
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
    if suspect.magic:
        by_magic = item.magic == suspect.magic
    else:
        by_magic = item.magic & _HASH_MASK == suspect.tag.mt5_hash
    return by_magic or item.comment.startswith(suspect.tag.comment)


def _find_tag(suspect: Suspect, scan: Scan) -> Finding | Absence:
    found: Finding | None = None
    if not isinstance(suspect.body, Close):
        found = _find_entry(suspect, scan)
    if found is None and not isinstance(suspect.body, Open):
        found = _find_exit(suspect, scan)
    if found is not None:
        return found
    at_broker = any(_carries(one, suspect) for one in scan.orders)  # a CLOSE still on its way
    return Absence(counts=scan.complete and not at_broker)


def _find_entry(suspect: Suspect, scan: Scan) -> Finding | None:
    for pending in scan.orders:  # first: what is filled in part may still rest
        if _carries(pending, suspect):
            return _tagged(Status.WORKING, _facts_of_pending(pending))
    deals = [one for one in scan.deals if one.entry == "IN" and _carries(one, suspect)]
    if deals:
        return _tagged(_filled(suspect.body, deals), _opened(deals, scan))
    for position in scan.positions:
        if _carries(position, suspect):
            return _tagged(Status.FILLED, _facts_of_position(position))
    for ended in scan.ended:
        if _carries(ended, suspect):
            facts = Facts(symbol=ended.symbol, ticket=ended.ticket, order=ended.ticket)
            return _tagged(Status.WORKING, facts)
    return None


def _find_exit(suspect: Suspect, scan: Scan) -> Finding | None:
    deals = [one for one in scan.deals if one.entry == "OUT" and _carries(one, suspect)]
    if not deals:
        return None
    facts = _closed(deals, scan)
    part = False
    if isinstance(suspect.body, Close):
        wanted = Decimal(suspect.body.volume)
        part = facts.volume < wanted if wanted else facts.remaining_volume > 0
    return _tagged(Status.PARTIAL if part else Status.FILLED, facts)


def _tagged(status: Status, facts: Facts) -> Finding:
    return Finding(outcome=Executed(status=status, facts=facts), evidence=Evidence.TAG)


def _filled(body: Request | None, deals: list[Deal]) -> Status:
    done = sum((one.volume for one in deals), ZERO)
    if isinstance(body, Open) and done < Decimal(body.volume):
        return Status.PARTIAL
    return Status.FILLED


def _average(deals: list[Deal]) -> Decimal:
    # Rounded to what a decimal on the wire can hold: an average need not be a finite fraction.
    volume = sum((one.volume for one in deals), ZERO)
    return (sum((one.volume * one.price for one in deals), ZERO) / volume).quantize(_WIRE_STEP)


def _opened(deals: list[Deal], scan: Scan) -> Facts:
    last = deals[-1]
    held = next((one for one in scan.positions if one.ticket == last.ticket), None)
    return Facts(
        symbol=last.symbol,
        type=last.type,
        ticket=last.ticket,
        deal=last.deal,
        order=last.order,
        volume=sum((one.volume for one in deals), ZERO),
        price=_average(deals) if len(deals) > 1 else last.price,
        sl=held.sl if held is not None else ZERO,
        tp=held.tp if held is not None else ZERO,
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
        volume=sum((one.volume for one in deals), ZERO),
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
    if held is None:
        # What it would have changed is gone, and with it every trace: only a person can end this.
        return Absence(counts=False)
    wanted = (Decimal(body.sl), Decimal(body.tp))
    price_set = not Decimal(body.price) or (
        isinstance(held, Pending)
        and (held.price, held.expiration_ms) == (Decimal(body.price), body.expiration)
    )
    if (held.sl, held.tp) == wanted and price_set:
        facts = _facts_of_position(held) if isinstance(held, Position) else _facts_of_pending(held)
        outcome = Executed(status=Status.DONE, facts=facts)
        return Finding(outcome=outcome, evidence=Evidence.SHAPE)
    # Levels that are neither the old ones nor those it wanted were set after it, or instead of it.
    untouched = (held.sl, held.tp) == (Decimal(body.old_sl), Decimal(body.old_tp))
    return Absence(counts=scan.complete and untouched)


def _find_cancel(body: Cancel, scan: Scan) -> Finding | Absence:
    if any(one.ticket == body.ticket for one in scan.orders):
        return Absence(counts=scan.complete)
    for ended in scan.ended:
        if ended.ticket == body.ticket and ended.life == "CANCELLED":
            facts = Facts(symbol=ended.symbol, ticket=ended.ticket, order=ended.ticket)
            return Finding(
                outcome=Executed(status=Status.DONE, facts=facts), evidence=Evidence.SHAPE
            )
    return Absence(counts=scan.complete)


def absent() -> Finding:
    """Return the finding of a concluded absence: DENIED(ABSENT)."""
    return Finding(outcome=NotBegun(refusal=Refusal(ReasonCode.ABSENT)), evidence=Evidence.ABSENT)


def ghosts(absent_magics: frozenset[int], seen: Iterable[Position | Pending]) -> tuple[int, ...]:
    """Return tickets whose magic belongs to an order that was concluded absent: GHOST_FILL."""
    return tuple(one.ticket for one in seen if one.magic in absent_magics)
