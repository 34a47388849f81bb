"""`ztb health`: each hop, the trading state, and what ends each cause that lowers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bridge_client.cli.exits import DEGRADED, DOWN, HALTED, Exit
from bridge_client.cli.journals import risk_latches
from bridge_client.cli.output import Answer, age
from bridge_client.cli.places import place_of, querying

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.views import Health

__all__ = ["exit_of", "run"]

_LIVE_STATES: Final = ("ACTIVE", "REDUCE_ONLY", "HALTED")


def exit_of(found: Health) -> int:
    """Return the exit code: halted, a hop down, anything degraded, all ok."""
    states = {hop.state for hop in found.hops}
    if found.state == "HALTED":
        return HALTED
    if "down" in states or found.state not in _LIVE_STATES:
        return DOWN
    if "degraded" in states or found.causes or found.latches or found.unknown_orders:
        return DEGRADED
    return Exit.OK


def run(ctx: Context) -> Answer:
    """Show it."""
    place = place_of(ctx.args)
    with querying(ctx, place) as bridge:
        found = bridge.health()
    out, latched = ctx.out, risk_latches(place.state) if place.state.is_dir() else {}
    offset = "" if found.why else f"{found.offset_ms:+d} ms +/- {found.uncertainty_ms} ms"
    out.fields(
        [
            ("state", found.state),
            ("account", f"{found.account} {found.mode}".strip()),
            ("server", found.server),
            ("backend", found.backend),
            ("running since", found.started),
            ("link", f"{found.link} {found.link_why}".strip() if found.link != "healthy" else ""),
            ("dead-man's switch", str(found.dead_man) if not found.why else ""),
            ("heartbeat here", place_of(ctx.args).settings.heartbeat),
            ("open orders", found.open_orders or ""),
            ("unknown orders", found.unknown_orders or ""),
            ("unfinished here", " ".join(found.unfinished)),
            ("clock offset", offset),
            ("settle clock", found.settle_clock if offset else ""),
        ]
    )
    out.table(("HOP", "STATE", "TIME", "SINCE", "24 H", "ALL", "WHY"), _hops(found))
    _causes(ctx, found)
    for client, held in latched.items():
        for cause, latch in held.items():
            out.line(f"{cause} blocks the entries of client {client}: `ztb explain {latch.code}`")
    code = exit_of(found)
    worse = DEGRADED if code == Exit.OK and latched else code
    return Answer(worse, {"health": found, "latched_here": latched})


def _since(at: datetime | None) -> str:
    if at is None:
        return ""
    return age(int((datetime.now(UTC) - at).total_seconds() * 1000))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:g} %"


def _hops(found: Health) -> list[tuple[str, ...]]:
    # The server has its own view of the way to it, with its history; ours says that it is down.
    troubled = {hop.hop: hop for hop in found.hops if hop.state != "up"}
    by_name = {hop.hop: troubled.get(hop.hop, hop) for hop in found.hops}
    return [
        (
            hop.hop,
            hop.state,
            "" if hop.ms is None else f"{hop.ms:.1f} ms",
            _since(hop.since),
            _percent(hop.availability_24h),
            _percent(hop.availability),
            hop.why,
        )
        for hop in by_name.values()
    ]


def _causes(ctx: Context, found: Health) -> None:
    for cause in found.causes:
        since = f" for {_since(cause.since)}" if cause.since else ""
        reason = f" ({cause.reason})" if cause.reason else ""
        ctx.out.line(f"{cause.cause} {cause.symbol}".rstrip() + f" means {cause.effect}{since}"
                     f"{reason}; ends when: {cause.ends or 'its reason is gone'}")  # fmt: skip
    for latch in found.latches:
        ctx.out.line(f"{latch} is latched here: `ztb explain {latch}` says what ends it")
