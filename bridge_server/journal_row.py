"""One journal row, and what a transition writes besides the state (protocol.md 7)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from bridge_core.protocol.replies import OrderView
from bridge_server.core.orders import FINAL_STATES, OrderState

__all__ = ["COLUMNS", "Change", "OrderRow", "encode_value", "row_of"]


class OrderRow(Struct, kw_only=True):
    """One row. `view` is the order as peers see it; reply_* is the stored reply once final."""

    rid: str
    client_order_id: str | None
    kid: str
    client: str
    op: str
    symbol: str
    state: OrderState
    life: str = ""
    parent: str = ""
    req_hash: str = ""
    token: bytes = b""
    body: bytes = b""
    inc: str = ""
    magic: int = 0
    deadline_ms: int = 0
    accepted_ms: int = 0
    dispatched_ms: int = 0
    ended_ms: int = 0
    ticket: int = 0
    evidence: str = ""
    view: OrderView
    reply_token: bytes = b""
    reply_body: bytes = b""

    @property
    def final(self) -> bool:
        """Return whether no evidence can change it any more."""
        return self.state in FINAL_STATES


class Change(Struct, kw_only=True):
    """What a transition writes besides the state."""

    state: OrderState
    view: OrderView
    at_ms: int
    evidence: str = ""
    life: str = ""
    data: dict[str, str] = {}


COLUMNS: Final = (
    "rid", "client_order_id", "kid", "client", "op", "symbol", "state", "life", "parent",
    "req_hash", "token", "body", "inc", "magic", "deadline_ms", "accepted_ms", "dispatched_ms",
    "ended_ms", "ticket", "evidence", "view", "reply_token", "reply_body",
)  # fmt: skip

_decode_view: Final = msgspec.json.Decoder(OrderView).decode
encode_value: Final = msgspec.json.Encoder().encode


def row_of(values: tuple[object, ...]) -> OrderRow:
    """Return the row behind the values of COLUMNS."""
    fields = dict(zip(COLUMNS, values, strict=True))
    view = fields["view"]
    assert isinstance(view, bytes)
    fields["view"] = _decode_view(view)
    fields["state"] = OrderState(str(fields["state"]))
    return OrderRow(**fields)  # type: ignore[arg-type]
