"""Commands that only look, and one order's status, wait and fence. None opens a journal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bridge_client.cli.exits import Exit, UsageError, exit_of_outcome
from bridge_client.cli.journals import local_orders, unfinished
from bridge_client.cli.orders import show_result, when
from bridge_client.cli.output import Answer
from bridge_client.cli.places import place_of, querying
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge_client.cli.main import Context
    from bridge_client.facts import Fact

__all__ = [
    "account", "fence", "history", "pending", "positions", "quote", "status", "symbols",
    "unknown_order", "wait",
]  # fmt: skip


def _cell(fact: Fact, name: str) -> object:
    """Return a field as it was signed, where it was."""
    text = fact.exact.get(name)
    value: object = getattr(fact, name) if text is None else text
    return "" if value in (None, "0", 0) and name in _ZERO_IS_NONE else value


_HEADS: Final = {
    "client_order_id": "ID", "open_price": "OPEN", "current_price": "NOW", "opened_at": "OPENED",
    "placed_at": "PLACED", "volume_min": "MIN", "volume_max": "MAX", "volume_step": "STEP",
    "contract_size": "CONTRACT", "stops_level": "STOPS", "freeze_level": "FREEZE",
}  # fmt: skip
_ZERO_IS_NONE: Final = frozenset({"sl", "tp", "expiration"})


def _table(ctx: Context, names: Sequence[str], rows: Sequence[Fact]) -> None:
    head = [_HEADS.get(name, name.upper()) for name in names]
    ctx.out.table(head, [[_cell(row, name) for name in names] for row in rows])
    if not rows:
        ctx.out.say("none")


def account(ctx: Context) -> Answer:
    """Show the account's money and identity."""
    with querying(ctx) as bridge:
        found = bridge.get_account()
    names = (
        "login", "server", "kind", "mode", "currency", "margin_mode", "leverage", "balance",
        "equity", "profit", "margin", "free_margin", "margin_level", "time",
    )  # fmt: skip
    ctx.out.fields([(name, _cell(found, name)) for name in names])
    return Answer(0, {"account": found})


def positions(ctx: Context) -> Answer:
    """List open positions; `foreign` ones were not opened through the bridge."""
    with querying(ctx) as bridge:
        rows = list(bridge.get_positions())
    names = (
        "ticket", "symbol", "type", "volume", "open_price", "current_price", "sl", "tp", "profit",
        "origin", "client_order_id", "opened_at",
    )  # fmt: skip
    _table(ctx, names, rows)
    return Answer(0, {"positions": rows})


def pending(ctx: Context) -> Answer:
    """List pending orders."""
    with querying(ctx) as bridge:
        rows = list(bridge.get_pending_orders())
    names = (
        "ticket", "symbol", "type", "volume", "price", "sl", "tp", "expiration", "origin",
        "client_order_id", "placed_at",
    )  # fmt: skip
    _table(ctx, names, rows)
    return Answer(0, {"pending": rows})


def quote(ctx: Context) -> Answer:
    """Show bid and ask."""
    with querying(ctx) as bridge:
        found = bridge.get_quote(ctx.args.symbol)
    names = ("symbol", "bid", "ask", "time")
    ctx.out.fields([(name, _cell(found, name)) for name in names])
    return Answer(0, {"quote": found})


def symbols(ctx: Context) -> Answer:
    """List the symbols this account may trade, with their grids."""
    with querying(ctx) as bridge:
        rows = list(bridge.get_symbols())
    names = (
        "symbol", "allowed", "digits", "point", "volume_min", "volume_max", "volume_step",
        "contract_size", "stops_level", "freeze_level",
    )  # fmt: skip
    _table(ctx, names, rows)
    return Answer(0, {"symbols": rows})


def history(ctx: Context) -> Answer:
    """List deals."""
    args = ctx.args
    with querying(ctx) as bridge:
        rows = list(
            bridge.get_history(since=when(args.since), until=when(args.until), symbol=args.symbol)
        )
    names = (
        "deal", "ticket", "symbol", "type", "entry", "volume", "price", "profit", "swap",
        "commission", "reason", "time",
    )  # fmt: skip
    _table(ctx, names, rows)
    return Answer(0, {"deals": rows})


def status(ctx: Context) -> Answer:
    """Show what is known of one order now."""
    with querying(ctx) as bridge:
        result = bridge.order_status(ctx.args.order)
    return show_result(ctx.out, result)


def unknown_order(order: str) -> UsageError:
    """Return the refusal of an order that nobody here has heard of."""
    return UsageError(
        f"neither this machine nor the server knows an order {order!r}: `ztb audit show` lists "
        "what happened",
        "NO_ORDER",
    )


def wait(ctx: Context) -> Answer:
    """Wait until one order, or every order unfinished on this machine, is final."""
    args = ctx.args
    place = place_of(args)
    orders = [args.order] if args.order else [row.rid for row in unfinished(place.state)]
    if not orders:
        ctx.out.say("no order of this machine is unfinished")
    until = time.monotonic() + args.timeout
    with querying(ctx, place) as bridge:
        results = [bridge.wait(one, max(0.0, until - time.monotonic())) for one in orders]
    answers = [show_result(ctx.out, result) for result in results]
    if args.order:
        return answers[0]
    # UNKNOWN first: it forbids a retry.
    codes = [answer.exit for answer in answers]
    worst = Exit.UNKNOWN if Exit.UNKNOWN in codes else max(codes, default=Exit.OK)
    return Answer(worst, {"results": results})


def fence(ctx: Context) -> Answer:
    """Make sure that an order never runs; 0 means dead, 1 that it ran, 4 not known yet."""
    order = ctx.args.order
    place = place_of(ctx.args)
    with querying(ctx, place) as bridge:
        try:
            result = bridge.fence(order)
        except LocalProtocolError as error:
            # The server never saw it; what was signed here says which incarnation to fence.
            rows = local_orders(place.state, order)
            if error.code != "NOT_OURS":
                raise
            if not rows:
                raise unknown_order(order) from error
            row = rows[0]
            result = bridge.fence_signed(row.rid, row.inc, row.iat, row.view.symbol)
    ctx.out.line(str(result))
    outcome = exit_of_outcome(result.status, result.code, result.by)
    dead = result.status in (Status.DENIED, Status.REJECTED)
    if dead:
        ctx.out.say("it is dead: no late copy of it can run")
        return Answer(Exit.OK, {"result": result, "dead": True})
    ran = outcome == Exit.OK
    if ran:
        ctx.out.say("it was too late: it ran")
    return Answer(Exit.REJECTED if ran else Exit.UNKNOWN, {"result": result, "dead": False})
