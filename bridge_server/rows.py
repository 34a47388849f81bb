"""Request -> journal row."""

from __future__ import annotations

import msgspec

from bridge_core.protocol.messages import Open, Request, Resume
from bridge_core.protocol.signing import Frames, order_hash, request_hash
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_request
from bridge_server.context import Context
from bridge_server.core.attested import Wanted
from bridge_server.core.gate import Admitted
from bridge_server.core.orders import OrderState
from bridge_server.journal import OrderRow
from bridge_server.views import view_of_body

__all__ = ["kind_of", "magic_of", "new_row", "ttl_of", "wanted_of"]


def magic_of(c: Context, rid: str, body: Request | None) -> int:
    """Return what the broker is to show: the tag of the rid, under the order's strategy.

    An EA gives MetaTrader 4 the 31 bits that fit there, which hold no strategy (protocol.md 5.7).
    """
    tag = make_tag(c.settings.account, rid)
    if c.executor is not None:
        return tag.mt4_magic
    return tag.mt5_magic(body.strategy if isinstance(body, Open) else 0)


def kind_of(body: Request | None) -> tuple[str, dict[str, str]]:
    """Return the kind and the facts of a row's first record (protocol.md 11)."""
    if isinstance(body, Resume):
        return "RESUME", {"cause": body.cause, "reason": body.reason}
    return "ORDER", {}


def wanted_of(c: Context, row: OrderRow) -> Wanted:
    """Return what the executor's word about a row must fit: a child's, its FLATTEN's frames."""
    source = c.journal.get(row.parent) or row if row.parent else row
    token = parse_request(source.token) if source.token else None
    digest = order_hash(Frames(source.token, source.body), token) if token is not None else ""
    return Wanted(acct=c.settings.account, rid=row.rid, kid=row.kid, op=row.op, order_hash=digest)


def new_row(c: Context, request: Admitted, body: Request | None, state: OrderState) -> OrderRow:
    """Return the row of an admitted request; a body of None could not be read."""
    token, now_ms = request.token, c.clock.wall_ms()
    view = view_of_body(token.rid, request.op, token.kid, body, now_ms)
    magic = magic_of(c, token.rid, body)
    return OrderRow(
        rid=token.rid,
        client_order_id=view.client_order_id or None,
        kid=token.kid,
        client=view.client,
        op=request.op,
        symbol=view.symbol or _symbol_of(c, view.ticket),
        state=state,
        req_hash=request_hash(request.frames),
        token=request.frames.token,
        body=request.frames.body,
        inc=token.inc,
        magic=magic,
        deadline_ms=token.deadline_ms,
        accepted_ms=now_ms,
        ticket=view.ticket,
        view=msgspec.structs.replace(view, magic=magic),
    )


def _symbol_of(c: Context, ticket: int) -> str:
    shot = c.snapshot
    held = shot and (shot.positions.get(ticket) or shot.orders.get(ticket))
    return held.symbol if held else ""


def ttl_of(row: OrderRow) -> int:
    """Return the ttl (ms) that a row's token was signed with, 0 without a token."""
    return int(row.token.split(b":")[7]) if row.token else 0
