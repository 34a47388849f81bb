"""Commands that move money: order, close, close-all, modify, cancel; and check, which does not.

An order's line is `str(result)`; its exit code says what may be done next.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bridge_client.cli.arguments import nearest
from bridge_client.cli.confirm import confirm
from bridge_client.cli.exits import Exit, UsageError, exit_of_outcome
from bridge_client.cli.output import Answer
from bridge_client.cli.places import place_of, querying, trading
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.limits import STRATEGY_MAX

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.output import Console
    from bridge_client.cli.parser import Parsed
    from bridge_client.cli.places import Place
    from bridge_client.connector import Connector
    from bridge_client.result import OrderResult

__all__ = [
    "cancel", "check", "close", "close_all", "modify", "order", "say_code", "show_result",
    "show_sweep",     "when",
]  # fmt: skip


def when(ms: int | None) -> datetime | None:
    """Return an aware UTC time of UTC milliseconds."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def show_result(out: Console, result: OrderResult) -> Answer:
    """Print one order's line and return its answer."""
    out.line(str(result))
    code = exit_of_outcome(result.status, result.code, result.by)
    if result.code == ReasonCode.NOT_SEEN:
        say_code(out, result.code)
    elif code == Exit.UNKNOWN:
        name = result.client_order_id or result.rid
        out.say(f"not known yet; before anything else: ztb wait {name}")
    elif code != Exit.OK:
        say_code(out, result.code)
    return Answer(code, {"result": result})


def show_sweep(out: Console, result: OrderResult) -> Answer:
    """Print what one order with many effects did to each ticket."""
    answer = show_result(out, result)
    if result.status is Status.PARTIAL:  # something is still open
        answer = Answer(Exit.REJECTED, answer.data)
    if result.children:
        out.table(
            ("TICKET", "OP", "STATUS", "CODE"),
            [(child.ticket, child.op, child.status, child.code) for child in result.children],
        )
    elif answer.exit == Exit.OK:
        out.say("there was nothing to close or cancel")
    return answer


def say_code(out: Console, code: str) -> None:
    """Say in words what a reason code means and what to do about it."""
    info = CODES.get(ReasonCode(code)) if code in set(ReasonCode) else None
    if info is not None and code != ReasonCode.NONE:
        out.say(f"{info.meaning}; {info.fix}")


def _strategy(args: Parsed, place: Place) -> int | str | None:
    name: str | None = args.strategy
    if name is None or name in place.settings.strategies:
        return name
    if name.isascii() and name.isdigit() and int(name) <= STRATEGY_MAX:
        return int(name)
    hint = nearest(name, place.settings.strategies)
    raise UsageError(
        f"there is no strategy {name!r}{hint}: add it to [strategies] in {place.path}, or give its "
        f"number (0 to {STRATEGY_MAX})"
    )


def _prices(args: Parsed) -> str:
    parts = [
        f"{name} {getattr(args, name)}"
        for name in ("price", "sl", "tp", "deviation")
        if getattr(args, name, None) is not None
    ]
    return " ".join(["", *parts])


def _described(args: Parsed) -> str:
    at = "" if args.price is not None else " at market"
    kind = args.type.lower().replace("_", " ")
    return f"{kind} {args.volume} lots {args.symbol}{at}{_prices(args)}"


def _price_fits(args: Parsed) -> None:
    pending = "_" in args.type
    if pending and args.price is None:
        raise UsageError(f"{args.type.lower()} needs --price: where the order shall rest")
    if not pending and args.expiration is not None:
        raise UsageError(
            f"{args.type.lower()} runs at once: leave --expiration out, or use a pending type"
        )


def order(ctx: Context) -> Answer:
    """Open a position or place a pending order."""
    args = ctx.args
    _price_fits(args)
    place = place_of(args)
    strategy = _strategy(args, place)
    confirm(ctx, place, _described(args))
    with trading(place) as bridge:
        result = bridge.send_order(
            args.symbol,
            args.type,
            args.volume,
            price=args.price,
            sl=args.sl,
            tp=args.tp,
            deviation=args.deviation,
            expiration=when(args.expiration),
            strategy=strategy,
            comment=args.comment,
            client_order_id=args.id,
            wait=args.wait,
        )
    return show_result(ctx.out, result)


def check(ctx: Context) -> Answer:
    """Ask what an order would get; nothing is journaled or sent to the broker."""
    args = ctx.args
    _price_fits(args)
    place = place_of(args)
    strategy = _strategy(args, place)
    with querying(ctx, place) as bridge:
        result = bridge.check_order(
            args.symbol,
            args.type,
            args.volume,
            price=args.price,
            sl=args.sl,
            tp=args.tp,
            deviation=args.deviation,
            expiration=when(args.expiration),
            strategy=strategy,
            comment=args.comment,
        )
    answer = show_result(ctx.out, result)
    if answer.exit == Exit.OK and result.margin:
        ctx.out.line(f"margin {result.exact.get('margin', result.margin)}")
    return answer


def close(ctx: Context) -> Answer:
    """Close a position, or part of it."""
    place = place_of(ctx.args)
    amount = f"{ctx.args.volume} lots of" if ctx.args.volume else "all of"
    confirm(ctx, place, f"close {amount} position {ctx.args.ticket}")
    with trading(place) as bridge:
        result = bridge.close_position(ctx.args.ticket, volume=ctx.args.volume)
    return show_result(ctx.out, result)


def close_all(ctx: Context) -> Answer:
    """Close every position, as one signed order."""
    place = place_of(ctx.args)
    symbol = ctx.args.symbol
    confirm(ctx, place, f"close all positions{f' of {symbol}' if symbol else ''}", alias=True)
    with trading(place) as bridge:
        result = bridge.close_all(symbol)
    return show_sweep(ctx.out, result)


def modify(ctx: Context) -> Answer:
    """Change sl and tp of a position, or price, expiration, sl and tp of a pending order."""
    args = ctx.args
    if args.sl is args.tp is args.price is args.expiration is None:
        raise UsageError("name what to change: --sl, --tp, or for a pending order --price")
    place = place_of(args)
    confirm(ctx, place, f"modify {args.ticket}:{_prices(args)}")
    with trading(place) as bridge:
        result = _modify(bridge, args)
    return show_result(ctx.out, result)


def _modify(bridge: Connector, args: Parsed) -> OrderResult:
    resting = any(pending.ticket == args.ticket for pending in bridge.get_pending_orders())
    if resting:
        return bridge.modify_order(
            args.ticket, price=args.price, sl=args.sl, tp=args.tp, expiration=when(args.expiration)
        )
    if args.price is not None or args.expiration is not None:
        raise UsageError(
            f"no pending order has ticket {args.ticket}, and a position has no price or expiration "
            "to change: look at `ztb pending`"
        )
    return bridge.modify_position(args.ticket, sl=args.sl, tp=args.tp)


def cancel(ctx: Context) -> Answer:
    """Remove a pending order."""
    place = place_of(ctx.args)
    confirm(ctx, place, f"cancel pending order {ctx.args.ticket}")
    with trading(place) as bridge:
        result = bridge.cancel_order(ctx.args.ticket)
    return show_result(ctx.out, result)
