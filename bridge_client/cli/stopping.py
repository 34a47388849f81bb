"""Stopping and going on: halt, reduce-only, flatten; resume and settle with the operator's key.

Lowering the state never asks. Raising it, and closing everything, does.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args, get_type_hints

from msgspec import structs

from bridge_client.cli.arguments import nearest
from bridge_client.cli.confirm import confirm
from bridge_client.cli.emergency import stop_accounts
from bridge_client.cli.exits import Exit, UsageError, exit_of_outcome
from bridge_client.cli.journals import local_orders, risk_latches
from bridge_client.cli.orders import say_code, show_sweep
from bridge_client.cli.output import Answer
from bridge_client.cli.places import Place, place_of, querying, trading
from bridge_client.connector import Connector
from bridge_client.risk_keeper import LOCAL_CAUSES
from bridge_client.settings import load_settings
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import Settle

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.views import StateResult

__all__ = ["flatten", "halt", "operator_place", "reduce_only", "resume", "settle", "show_state"]

_OPEN: Final = "the order is open in its journal: stop it, then settle"
_HOLDS: Final = "holds its own latch of this cause: stop it, then resume"
_RID: Final = re.compile(r"\A[0-9a-f]{32}\Z")
_CAUSE: Final = re.compile(r"\A[A-Z][A-Z0-9_]{0,31}\Z")


def show_state(ctx: Context, result: StateResult) -> Answer:
    """Print the trading state that the server reports and what still lowers it."""
    out = ctx.out
    code = exit_of_outcome(result.status, result.code, result.by)
    if code == Exit.OK:
        state = f": trading state {out.word(result.state)}" if result.state else ""
        out.line(f"{result.status}{state}")
    else:
        why = "" if result.code in ("", "-") else f" {result.code}"
        out.line(f"{result.status}{why}{f' by {result.by}' if result.by else ''}")
    if code == Exit.UNKNOWN:
        out.say("no answer came: it may have arrived, so look at `ztb health` and repeat it")
    elif code != Exit.OK:
        say_code(out, result.code)
    for cause in result.causes:
        ends = f"; ends when: {cause.ends}" if cause.ends else ""
        out.say(f"  {cause.cause} {cause.effect} {cause.symbol}".rstrip() + ends)
    return Answer(code, {"result": result})


def halt(ctx: Context) -> Answer:
    """Pull the kill switch. It never asks: stopping must be easy."""
    if ctx.args.all or ctx.args.accounts or ctx.args.flatten:
        return stop_accounts(ctx)
    with querying(ctx) as bridge:
        result = bridge.halt(ctx.args.reason)
    return show_state(ctx, result)


def reduce_only(ctx: Context) -> Answer:
    """Let only closing and reducing orders pass. It never asks."""
    with querying(ctx) as bridge:
        result = bridge.reduce_only(ctx.args.reason)
    return show_state(ctx, result)


def flatten(ctx: Context) -> Answer:
    """Cancel pending orders and close positions, as one signed order."""
    args = ctx.args
    place = place_of(args)
    what = {
        "all": "cancel every pending order and close every position",
        "positions": "close every position",
        "pendings": "cancel every pending order",
    }[args.scope]
    confirm(ctx, place, what, alias=True)
    with trading(place) as bridge:
        result = bridge.flatten(args.reason, args.scope.upper())
    return show_sweep(ctx.out, result)


def operator_place(folder: str) -> Place:
    """Return the operator's configuration.

    Raises:
        UsageError: the folder is not an operator's.
    """
    path = Path(folder) / "connector.toml"
    if not path.is_file():
        raise UsageError(
            f"{folder} holds no connector.toml: --operator names the folder `operator` that "
            "`ztb init` made",
            "NO_OPERATOR",
        )
    return Place(path, load_settings(path))


def resume(ctx: Context) -> Answer:
    """End one latch, with a reason that stays in the record."""
    args = ctx.args
    cause = args.cause.upper().replace("-", "_")
    if _CAUSE.match(cause) is None:
        raise UsageError(f"{args.cause!r} is no cause: use the word that `ztb health` shows")
    place = operator_place(args.operator)
    holders = _clients_latched(ctx, cause)
    confirm(ctx, place, f"end {cause}, so that orders may pass again", alias=True)
    with ExitStack() as stack:
        bridge = stack.enter_context(querying(ctx, place))
        owners = _take_names(ctx, stack, holders, must=_HOLDS) if holders else []
        result = bridge.resume(cause, args.reason)
        if result.status == Status.DONE and not result.state:
            now = bridge.health()
            result = structs.replace(result, state=now.state, causes=now.causes)
        # The server's signed word: it is ended there, or was never set there.
        said = result.status == Status.DONE or result.code == ReasonCode.NOT_LATCHED
        ended = [owner.client for owner in owners if said and owner.end_latch(cause)]
    if not ended:
        return show_state(ctx, result)
    for name in ended:
        ctx.out.line(f"{cause} ended in the journal of client {name}")
    if result.status == Status.DONE:
        return show_state(ctx, result)
    return Answer(Exit.OK, {"result": result, "ended": ended})


def _clients_latched(ctx: Context, cause: str) -> list[tuple[Place, str]]:
    """Return the clients of this machine whose own limit has latched a cause."""
    place = _place_here(ctx) if cause in LOCAL_CAUSES else None
    if place is None or not place.state.is_dir():
        return []
    return [(place, name) for name, held in risk_latches(place.state).items() if cause in held]


def settle(ctx: Context) -> Answer:
    """Give an operator's word on an UNKNOWN order; the record says HUMAN for ever."""
    args = ctx.args
    if _RID.match(args.rid) is None:
        raise UsageError(f"{args.rid!r} is no rid: `ztb status ID` shows it (32 hex digits)")
    allowed: tuple[str, ...] = get_args(get_type_hints(Settle)["status"])
    status = args.status.upper()
    if status not in allowed:
        raise UsageError(
            f"{args.status!r} is no outcome{nearest(status, allowed)}: use one of "
            f"{' '.join(allowed)}"
        )
    place = operator_place(args.operator)
    clients = _clients_with(ctx, args.rid)
    ticket = f", ticket {args.ticket}" if args.ticket else ""
    confirm(ctx, place, f"swear that order {args.rid} ended {status}{ticket}", alias=True)
    with ExitStack() as stack:
        bridge = stack.enter_context(querying(ctx, place))
        # Before the word is given: on accounts with an EA it ends nothing until written here too.
        must = _OPEN if bridge.attests else ""
        owners = _take_names(ctx, stack, clients, must=must)
        result = bridge.settle(args.rid, status, args.ticket, args.reason)
        if result.status == Status.DONE:
            for owner in owners:
                if owner.settle_human(args.rid, status, args.ticket, args.reason):
                    ctx.out.say(f"written into the journal of client {owner.client}")
    return show_state(ctx, result)


def _clients_with(ctx: Context, rid: str) -> list[tuple[Place, str]]:
    """Return the clients of this machine in whose journal the order is open."""
    place = _place_here(ctx)
    rows = local_orders(place.state, rid) if place is not None and place.state.is_dir() else []
    return [(place, row.client) for row in rows if place is not None and not row.over]


def _place_here(ctx: Context) -> Place | None:
    try:
        return place_of(ctx.args)
    except UsageError as error:
        if error.code != "NO_CONFIG" or getattr(ctx.args, "config", None):
            raise
        ctx.out.say("no connector.toml here: name it with --config if its strategy runs here")
        return None


def _take_names(
    ctx: Context, stack: ExitStack, clients: list[tuple[Place, str]], *, must: str
) -> list[Connector]:
    owners = []
    for place, name in clients:
        try:
            owner = Connector.from_config(place.path, client=name, heartbeat=False)
            owners.append(stack.enter_context(owner))
        except ConfigError as error:
            if error.code != "CLIENT_IN_USE":
                raise
            if must:
                raise UsageError(
                    f"client {name} is running and {must}",
                    "CLIENT_IN_USE",
                ) from error
            ctx.out.say(f"client {name} is running: it learns the outcome from the server")
    return owners
