"""After a yes: what the broker's own records show of one order, read back until they tell.

"Done" says that a request was taken. A fill is a deal, a pending order is one that is shown, and
both may become visible a moment later. What is not shown in time is unknown, and no less.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import Cancel, Modify, Open, Request
from bridge_server.backends.mt5_books import (
    RecordError,
    Row,
    deal_of,
    ended_of,
    number,
    pending_of,
    position_of,
    sort_key,
)
from bridge_server.backends.mt5_link import CallOf
from bridge_server.backends.mt5_past import Window
from bridge_server.backends.mt5_reader import NotReadError, Reader, rows_of
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import Executed, Facts, Outcome, Pending, Position, Scan
from bridge_server.core.reconcile import Absence, Finding, Suspect, find

__all__ = ["CONFIRM_MS", "Proof", "Sought"]

CONFIRM_MS: Final = 2_000
_PAUSE_MS: Final = 20
_PAUSE_MS_MAX: Final = 200


class Sought(Struct, frozen=True, kw_only=True):
    """An order that the broker took, and where its records lie.

    `identifiers` are the positions it may have changed, none: not known; `symbol` is what it
    trades.
    """

    suspect: Suspect
    symbol: str
    identifiers: tuple[int, ...] = ()


class _Seen(Struct, frozen=True, kw_only=True):
    found: Finding
    scan: Scan


class Proof:
    """Reads back; owned by the backend's thread. `confirm_ms` bounds the pauses of one order."""

    def __init__(self, reader: Reader, clock: Clock, confirm_ms: int = CONFIRM_MS) -> None:
        self._reader = reader
        self._clock = clock
        self._confirm_ms = confirm_ms

    def confirm(self, sought: Sought) -> Outcome | None:
        """Return what the records prove, None if they do not in time.

        A position that a fill must have left is waited for: the limits count what is shown. A fill
        whose stops are not shown in time either has the code STOPS_NOT_SET.
        """
        waited, pause = 0, min(_PAUSE_MS, self._confirm_ms)
        seen: _Seen | None = None
        while True:
            seen = self._look(sought) or seen
            if seen is not None and not _unfinished(sought.suspect.body, seen):
                return seen.found.outcome
            if waited >= self._confirm_ms:
                break
            time.sleep(pause / 1000)
            waited += pause
            pause = min(2 * pause, _PAUSE_MS_MAX)
        seen = seen or self._look(sought, wide=True)
        return _with_code(sought.suspect.body, seen) if seen is not None else None

    def look(self, sought: Sought) -> Outcome | None:
        """Return what one reading proves."""
        seen = self._look(sought)
        return seen.found.outcome if seen is not None else None

    def _look(self, sought: Sought, *, wide: bool = False) -> _Seen | None:
        try:
            scan = self._read(sought, wide=wide)
        except (NotReadError, RecordError):
            return None
        found = find(sought.suspect, scan)
        if isinstance(found, Absence) and isinstance(sought.suspect.body, Modify):
            found = _gone_since(sought.suspect.body, scan) or found
        return _Seen(found=found, scan=scan) if isinstance(found, Finding) else None

    def _read(self, sought: Sought, *, wide: bool) -> Scan:
        body, wall = sought.suspect.body, self._clock.wall_ms()
        order = body.ticket if isinstance(body, Modify | Cancel) else sought.suspect.order
        window = Window.around(wall, wall, self._reader.zone_ms)
        one = {"ticket": order} if order else {}
        # An order only moves on: from active to ended, to its deals, to a position.
        calls = [CallOf("orders_get", (), dict(one))]
        calls.append(
            CallOf("history_orders_get", (), dict(one))
            if order
            else window.call("history_orders_get")
        )
        if isinstance(body, Modify | Cancel):  # these leave no deal
            pass
        elif wide or not sought.identifiers:
            calls.append(window.call("history_deals_get"))
        else:
            calls += [CallOf("history_deals_get", (), {"position": n}) for n in sought.identifiers]
        calls.append(CallOf("positions_get", (), {"symbol": sought.symbol}))
        answers, _ = self._reader.ask(*calls)
        rows = [rows_of(answer) for answer in answers]
        return self._scan(rows, wall)

    def _scan(self, rows: list[tuple[Row, ...]], wall: int) -> Scan:
        zone = self._reader.zone_ms
        orders, ended, positions = rows[0], rows[1], rows[-1]
        deals = {number(row, "ticket"): row for group in rows[2:-1] for row in group}
        tickets = {number(row, "identifier"): number(row, "ticket") for row in positions}
        shown = [deal_of(row, zone, tickets) for row in sorted(deals.values(), key=sort_key)]
        ends = [ended_of(row, zone) for row in ended]
        return Scan(
            since_wall_ms=wall,
            taken_wall_ms=wall,
            complete=True,  # of this one order: it was asked for by its own number
            netting=self._reader.netting,
            orders_kept=True,
            zone_ms=zone or 0,
            zone_known=zone is not None,
            positions=tuple(position_of(row, zone) for row in positions),
            orders=tuple(pending_of(row, zone) for row in orders),
            deals=tuple(one for one in shown if one is not None),
            ended=tuple(one for one in ends if one.life),
        )


def _gone_since(body: Modify, scan: Scan) -> Finding | None:
    # The broker said yes, and what it was done to is no more: its word stands.
    held: list[Position | Pending] = [*scan.positions, *scan.orders]
    if any(one.ticket == body.ticket for one in held):
        return None
    facts = Facts(ticket=body.ticket, zone_ms=scan.zone_ms)
    return Finding(outcome=Executed(status=Status.DONE, facts=facts), evidence=Evidence.BROKER)


def _held(seen: _Seen, ticket: int) -> Position | None:
    return next((one for one in seen.scan.positions if one.ticket == ticket), None)


def _unfinished(body: Request | None, seen: _Seen) -> bool:
    """Whether a fill is proven, and its position or the stops of it are not shown (yet)."""
    return _lacks_stops(body, seen) or _lacks_position(body, seen)


def _lacks_position(body: Request | None, seen: _Seen) -> bool:
    outcome = seen.found.outcome
    if not isinstance(body, Open) or not isinstance(outcome, Executed):
        return False
    if outcome.status not in (Status.FILLED, Status.PARTIAL) or not outcome.facts.ticket:
        return False
    ticket = outcome.facts.ticket
    left = any(one.ticket == ticket and one.entry != "IN" for one in seen.scan.deals)
    return not left and _held(seen, ticket) is None


def _lacks_stops(body: Request | None, seen: _Seen) -> bool:
    """Whether stops that travelled with a market order are not shown (yet) on its position."""
    outcome = seen.found.outcome
    if not isinstance(body, Open) or body.type not in ("BUY", "SELL"):
        return False
    if not isinstance(outcome, Executed):
        return False
    held = _held(seen, outcome.facts.ticket)
    shown = (held.sl, held.tp) if held is not None else (Decimal(0), Decimal(0))
    wanted = (Decimal(body.sl), Decimal(body.tp))
    return any(want and want != show for want, show in zip(wanted, shown, strict=True))


def _with_code(body: Request | None, seen: _Seen) -> Outcome:
    outcome = seen.found.outcome
    if not isinstance(outcome, Executed) or not _lacks_stops(body, seen):
        return outcome
    if _held(seen, outcome.facts.ticket) is None:  # closed again already: nothing to protect
        return outcome
    return structs.replace(outcome, code=ReasonCode.STOPS_NOT_SET)
