"""`ztb report`: one day on one screen, and whether the record of it holds."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from bridge_client.cli.exits import DOWN, Exit, UsageError
from bridge_client.cli.journals import counted_refusals, day_rows, remembered
from bridge_client.cli.output import Answer, moment
from bridge_client.cli.places import place_of, querying
from bridge_client.cli.report_gather import ServerDay, ask_day, day_orders
from bridge_client.cli.report_screen import show
from bridge_client.report import OPERATORS, figures, ran_percent
from bridge_client.report_math import DAY_MS, day_bounds
from bridge_core.protocol.errors import TransportError

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.places import Place
    from bridge_client.report_rows import DayFigures, DayOrder

__all__ = ["run"]

_MARGIN_MS: Final = 60_000  # an order that was sent before midnight may be accepted after it


def run(ctx: Context) -> Answer:
    """Put the day together and show it."""
    day = _day(ctx)
    bounds = day_bounds(day)
    place = place_of(ctx.args)
    server = _server(ctx, place, bounds)
    local = day_rows(place.state, bounds[0] - _MARGIN_MS, bounds[1])
    orders = day_orders(bounds, local, server)
    found = figures(
        orders,
        server.record.rows if server is not None else (),
        server.record.around if server is not None else (None, None),
        server.points if server is not None else {},
        counted_refusals(place.state, bounds[0] // DAY_MS),
    )
    notes = _notes(bounds, orders, server)
    facts: dict[str, object] = {
        "day": day.isoformat(),
        "from": bounds[0],
        "until": bounds[1],
        "account": place.settings.account,
        "mode": place.settings.mode.value,
        "clients": sorted({row.client for row in local}),
        "state": server.health.state if server is not None else "OFFLINE",
        "server_answered": server is not None,
        "server_ran_percent": _ran(found, bounds, server),
        "notes": notes,
    }
    show(ctx.out, facts, found, server)
    for note in notes:
        ctx.out.say(f"note: {note}")
    return Answer(_exit(server), {**facts, **msgspec.to_builtins(found), **_shown(server)})


def _ran(found: DayFigures, bounds: tuple[int, int], server: ServerDay | None) -> float | None:
    if server is None:
        return None
    since = max(bounds[0], server.record.begins_ms)
    return ran_percent(found.outages, since, min(bounds[1], _now_ms()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _day(ctx: Context) -> date:
    today = datetime.now(UTC).date()
    day: date = ctx.args.day or today
    if day > today:
        raise UsageError(f"{day} has not begun in UTC: name a day up to {today}", "DAY")
    return day


def _server(ctx: Context, place: Place, bounds: tuple[int, int]) -> ServerDay | None:
    try:
        with querying(ctx, place) as bridge:
            return ask_day(bridge, bounds, remembered(place.state))
    except TransportError as error:
        ctx.out.warn(f"the server is away, so this is the connector's part only: {error}")
        return None


def _exit(server: ServerDay | None) -> int:
    if server is None or any(hop.state == "down" for hop in server.health.hops):
        return DOWN
    # A broken record is worth an exit code of its own: the figures above it may be invented.
    return Exit.OK if server.verified else Exit.REJECTED


def _shown(server: ServerDay | None) -> dict[str, object]:
    """Return what the server shows of itself, for `--json`."""
    if server is None:
        return {"hops": [], "headroom": [], "record": None}
    verdict = server.record.verdict
    hops = [
        {
            "hop": hop.hop, "state": hop.state, "why": hop.why,
            "availability_24h": hop.availability_24h, "availability": hop.availability,
        }
        for hop in server.health.hops
    ]  # fmt: skip
    record = {
        "verified": server.verified,
        "records": verdict.records,
        "first": verdict.first,
        "head": {"size": verdict.head.size, "hash": verdict.head.hash.hex()},
        "since": verdict.since.size if verdict.since is not None else None,
        "until": verdict.until.size if verdict.until is not None else None,
        "remembered": verdict.agreed,
        "first_bad": verdict.first_bad,
        "fault": verdict.fault or server.latched,
    }
    return {"hops": hops, "headroom": server.nearest(), "record": record}


def _notes(bounds: tuple[int, int], orders: list[DayOrder], server: ServerDay | None) -> list[str]:
    notes = []
    if bounds[1] > _now_ms():
        notes.append("the day is not over")
    later = sum(order.life in ("FILLED", "PARTIAL") for order in orders)
    if later:
        notes.append(f"{later} pending orders filled later, at prices that no order tells")
    if server is None:
        notes.append("from the connector's journals alone: no record, hops or orders of others")
        return notes
    record = server.record
    if record.begins_ms > bounds[0]:
        notes.append(f"the record begins at {moment(record.begins_ms)}")
    if record.cut:
        notes.append(f"only the first {len(record.rows)} records of the day were read")
    if record.verdict.records and record.verdict.since is None and record.verdict.first > 1:
        notes.append("no remembered head is near before the day: it chains from what is shown")
    if any(
        not order.sent_ms and not order.parent and order.op not in OPERATORS for order in orders
    ):
        notes.append("orders from elsewhere have no times and quotes of their connector")
    offset, error = server.health.offset_ms, server.health.uncertainty_ms
    if abs(offset) > error + 1:
        notes.append(f"both clocks: the server's is {offset:+d} ms (+/- {error}) off ours now")
    if bounds[1] < _now_ms() - DAY_MS:
        notes.append("HEALTH looks back 24 h only: of that day's hops its record alone can tell")
    notes.append("conditions leave no record: of the trading state only stops and resumes are here")
    return notes
