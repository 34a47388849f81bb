"""From a call's arguments to a draft: exact numbers, the broker's symbol, the body to be signed.

Pure. Junk (NaN, a bool, an unknown type) raises; a number that is merely off its grid is left for
the risk checks, which name its neighbours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypedDict

from msgspec import Struct

from bridge_client.numbers import Number, exact, fits_wire, wire_text
from bridge_client.result import OrderResult, OrderType
from bridge_client.views import PendingOrder, Position
from bridge_core.protocol import messages as m
from bridge_core.protocol.errors import LocalProtocolError
from bridge_core.protocol.limits import COMMENT_CHARS_MAX
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, dec, decode_reply
from bridge_core.protocol.signing import Frames
from bridge_core.risk.order import Flying, Proposal

__all__ = [
    "Change", "Draft", "Entry", "FlattenScope", "OrderOptions", "Ref", "Ticketed", "draft_cancel",
    "draft_close", "draft_flatten", "draft_modify", "draft_open", "flying_row", "milliseconds",
    "order_type",
]  # fmt: skip

ZERO: Final = Decimal(0)
_COMMENT: Final = re.compile(r"\A[ !#-\[\]-~]*\Z")
FlattenScope = Literal["PENDINGS", "POSITIONS", "ALL"]
# A ticket, an order's client_order_id or rid, or anything that carries them.
Ref = int | str | Position | PendingOrder | OrderResult


class OrderOptions(TypedDict, total=False):
    """The keywords of the order calls; see Connector.send_order."""

    price: Number | None
    sl: Number | None
    tp: Number | None
    deviation: int | None
    expiration: datetime | None
    strategy: int | str | None
    comment: str
    client_order_id: str | None
    wait: float


class Draft(Struct, frozen=True, kw_only=True):
    """An order to be signed.

    `body` makes it for an id; `fields` is what the caller asked for, in one canonical text;
    `entry` marks what may add exposure (OPEN, and MODIFY of a price).
    """

    op: Op
    body: Callable[[str], m.Request]
    fields: str
    view: OrderView
    client_order_id: str | None = None
    ticket: int = 0
    entry: bool = False
    proposal: Proposal | None = None

    @property
    def flying(self) -> Flying | None:
        """Return what it adds at its worst, None of what is no entry."""
        return None if self.op is not Op.OPEN else flying_of(self.proposal)

    @property
    def digest(self) -> str:
        """Return what two calls with one client_order_id must have in common."""
        return hashlib.sha256(f"{self.op}\x00{self.fields}".encode()).hexdigest()


class Entry(Struct, frozen=True, kw_only=True):
    """The arguments of send_order and check_order: defaults resolved, the broker's symbol.

    Numbers are as the caller gave them.
    """

    client: str
    symbol: str
    type: str
    volume: Number
    price: Number | None = None
    sl: Number | None = None
    tp: Number | None = None
    deviation: int = 0
    expiration: datetime | None = None
    strategy: int = 0
    comment: str = ""
    client_order_id: str | None = None
    op: Op = Op.OPEN


class Ticketed(Struct, frozen=True, kw_only=True):
    """Which ticket, as last seen: what CLOSE, MODIFY and CANCEL have in common."""

    client: str
    ticket: int
    symbol: str
    client_order_id: str | None = None


class Change(Struct, frozen=True, kw_only=True):
    """What MODIFY wants; None keeps. The old_* are the texts last seen."""

    sl: Number | None = None
    tp: Number | None = None
    old_sl: str = "0"
    old_tp: str = "0"
    price: Number | None = None
    expiration: datetime | None = None
    old_price: str = "0"
    old_expiration: int = 0
    pending: bool = False


def order_type(value: str) -> OrderType:
    """Return the order type.

    Raises:
        LocalProtocolError: there is no such type.
    """
    try:
        return OrderType(str(value).upper())
    except ValueError:
        known = " ".join(OrderType)
        raise LocalProtocolError("TYPE", f"value={value!r} known={known!r}") from None


def milliseconds(value: datetime | None, name: str) -> int:
    """Return UTC milliseconds; None is 0.

    Raises:
        LocalProtocolError: a datetime without a time zone means nothing certain.
    """
    if value is None:
        return 0
    if getattr(value, "tzinfo", None) is None:
        raise LocalProtocolError("TIME", f"field={name} why='give an aware datetime'")
    return round(value.timestamp() * 1000)


def _number(value: Number | None, name: str) -> Decimal:
    return ZERO if value is None else exact(value, name)


def _canonical(*values: object) -> str:
    texts = (
        format(v.normalize() if v else ZERO, "f") if isinstance(v, Decimal) else str(v)
        for v in values
    )
    return "\x1f".join(texts)


def _shown(value: Decimal) -> str:
    return wire_text(value, "value") if fits_wire(value) else "0"


def _check_comment(comment: str) -> None:
    if len(comment) > COMMENT_CHARS_MAX:
        why = f"characters={len(comment)} why='at most {COMMENT_CHARS_MAX}: shorten the comment'"
        raise LocalProtocolError("COMMENT", why)
    if _COMMENT.match(comment) is None:
        why = "only printable ASCII, no quotation mark and no backslash, in a comment"
        raise LocalProtocolError("COMMENT", f"value={comment!a} why='{why}'")


def draft_open(entry: Entry) -> Draft:
    """Return the draft of OPEN (or CHECK).

    Raises:
        LocalProtocolError: a value is not a number, the type or time is none, or the comment
            does not fit.
    """
    kind = order_type(entry.type)
    volume = exact(entry.volume, "volume")
    price, sl = _number(entry.price, "price"), _number(entry.sl, "sl")
    tp, expiration = _number(entry.tp, "tp"), milliseconds(entry.expiration, "expiration")
    if kind.pending and not price:
        raise LocalProtocolError("PRICE", f"type={kind} why='a pending order needs a price'")
    _check_comment(entry.comment)

    def body(client_order_id: str) -> m.Open:
        return m.Open(
            client_order_id=client_order_id,
            client=entry.client,
            symbol=entry.symbol,
            type=kind.value,
            volume=wire_text(volume, "volume"),
            price=wire_text(price, "price"),
            sl=wire_text(sl, "sl"),
            tp=wire_text(tp, "tp"),
            deviation=entry.deviation,
            expiration=expiration,
            # A position without the stop that was asked for is not what was asked for.
            stops_fail="CLOSE",
            strategy=entry.strategy,
            comment=entry.comment,
        )

    proposal = Proposal(
        kind="OPEN", symbol=entry.symbol, type=kind.value, volume=volume, price=price, sl=sl,
        tp=tp, deviation=entry.deviation, expiration=expiration, strategy=entry.strategy,
    )  # fmt: skip
    return Draft(
        op=entry.op,
        body=body,
        fields=_canonical(
            entry.symbol, kind, volume, price, sl, tp, entry.deviation, expiration,
            entry.strategy, entry.comment,
        ),
        view=_wanted(entry, proposal),
        client_order_id=entry.client_order_id,
        entry=True,
        proposal=proposal,
    )  # fmt: skip


def flying_of(order: Proposal | None) -> Flying | None:
    """Return what an entry adds at its worst."""
    if order is None or order.kind != "OPEN":
        return None
    return Flying(
        symbol=order.symbol, type=order.type, volume=order.volume, price=order.price,
        sl=order.sl, deviation=order.deviation, strategy=order.strategy,
    )  # fmt: skip


def flying_row(frames: Frames, view: OrderView) -> Flying | None:
    """Return what a journaled entry adds at its worst: as signed, or as the server showed it."""
    if view.op != Op.OPEN:
        return None
    if not frames.body:
        return Flying(
            symbol=view.symbol, type=view.type, volume=dec(view.requested_volume),
            price=dec(view.requested_price), strategy=view.strategy,
        )  # fmt: skip
    body = decode_reply(m.Open, frames.body)
    return Flying(
        symbol=body.symbol, type=body.type, volume=dec(body.volume), price=dec(body.price),
        sl=dec(body.sl), deviation=body.deviation, strategy=body.strategy,
    )  # fmt: skip


def _wanted(entry: Entry, intent: Proposal) -> OrderView:
    return OrderView(
        rid="",
        op=entry.op,
        symbol=entry.symbol,
        type=intent.type,
        requested_volume=_shown(intent.volume),
        requested_price=_shown(intent.price),
        strategy=entry.strategy,
        comment=entry.comment,
    )


def _about(op: Op, on: Ticketed, volume: Decimal = ZERO) -> OrderView:
    return OrderView(
        rid="", op=op, symbol=on.symbol, ticket=on.ticket, requested_volume=_shown(volume)
    )


def draft_close(on: Ticketed, volume: Number | None, deviation: int) -> Draft:
    """Return the draft of CLOSE; volume None closes all of it."""
    lots = _number(volume, "volume")
    if volume is not None and not lots:
        raise LocalProtocolError("NUMBER", "field=volume why='0 closes nothing; None closes all'")

    def body(client_order_id: str) -> m.Close:
        return m.Close(
            client_order_id=client_order_id,
            client=on.client,
            ticket=on.ticket,
            symbol=on.symbol,
            volume=wire_text(lots, "volume"),
            deviation=deviation,
        )

    return Draft(
        op=Op.CLOSE,
        body=body,
        fields=_canonical(on.ticket, lots, deviation),
        view=_about(Op.CLOSE, on, lots),
        client_order_id=on.client_order_id,
        ticket=on.ticket,
        proposal=Proposal(
            kind="CLOSE", symbol=on.symbol, volume=lots, deviation=deviation, ticket=on.ticket
        ),
    )


def draft_modify(on: Ticketed, change: Change) -> Draft:
    """Return the draft of MODIFY; what is None keeps its last seen value."""
    moves = change.pending and (change.price is not None or change.expiration is not None)
    sl = Decimal(change.old_sl) if change.sl is None else exact(change.sl, "sl")
    tp = Decimal(change.old_tp) if change.tp is None else exact(change.tp, "tp")
    price, expiration = ZERO, 0
    if moves:
        kept = Decimal(change.old_price)
        price = kept if change.price is None else exact(change.price, "price")
        expiration = (
            change.old_expiration
            if change.expiration is None
            else milliseconds(change.expiration, "expiration")
        )

    def body(client_order_id: str) -> m.Modify:
        return m.Modify(
            client_order_id=client_order_id,
            client=on.client,
            ticket=on.ticket,
            price=wire_text(price, "price"),
            sl=wire_text(sl, "sl"),
            tp=wire_text(tp, "tp"),
            old_sl=change.old_sl,
            old_tp=change.old_tp,
            expiration=expiration,
        )

    return Draft(
        op=Op.MODIFY,
        body=body,
        fields=_canonical(
            on.ticket, change.sl, change.tp, change.price, milliseconds(change.expiration, "")
        ),
        view=_about(Op.MODIFY, on),
        client_order_id=on.client_order_id,
        ticket=on.ticket,
        entry=moves,
        proposal=Proposal(
            kind="MODIFY",
            symbol=on.symbol,
            price=price,
            sl=sl,
            tp=tp,
            expiration=expiration,
            ticket=on.ticket,
        ),
    )


def draft_cancel(on: Ticketed) -> Draft:
    """Return the draft of CANCEL."""
    return Draft(
        op=Op.CANCEL,
        body=lambda wanted: m.Cancel(client_order_id=wanted, client=on.client, ticket=on.ticket),
        fields=_canonical(on.ticket),
        view=_about(Op.CANCEL, on),
        client_order_id=on.client_order_id,
        ticket=on.ticket,
        proposal=Proposal(kind="CANCEL", symbol=on.symbol, ticket=on.ticket),
    )


def draft_flatten(on: Ticketed, scope: FlattenScope, reason: str) -> Draft:
    """Return the draft of FLATTEN; an empty symbol means all, the ticket is not used."""
    if scope not in ("PENDINGS", "POSITIONS", "ALL"):
        raise LocalProtocolError("SCOPE", f"value={scope!r} known='PENDINGS POSITIONS ALL'")
    return Draft(
        op=Op.FLATTEN,
        body=lambda wanted: m.Flatten(
            client_order_id=wanted,
            client=on.client,
            scope=scope,
            symbol=on.symbol,
            reason=reason,
        ),
        fields=_canonical(scope, on.symbol, reason),
        view=OrderView(rid="", op=Op.FLATTEN, symbol=on.symbol),
        client_order_id=on.client_order_id,
    )
