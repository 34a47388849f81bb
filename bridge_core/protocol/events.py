"""Event bodies and where they are published (protocol.md 5.5 and 10).

Events never end an order and never cause a trade: they only say where to look.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bridge_core.protocol.views import Reply, StreamPoint

__all__ = ["EVENT_TYPES", "EventBody", "event_topic", "tick_stream", "tick_topic"]


class EventBody(Reply, frozen=True):
    """One fact. `type` names it (protocol.md 10); times are market time, UTC ms; money is text."""

    type: str
    symbol: str = ""
    bid: str = "0"
    ask: str = "0"
    time: int = 0
    ticket: int = 0
    deal: int = 0
    order: int = 0
    side: str = ""
    volume: str = "0"
    remaining_volume: str = "0"
    remaining_ticket: int = 0
    price: str = "0"
    open_price: str = "0"
    close_price: str = "0"
    sl: str = "0"
    tp: str = "0"
    profit: str = "0"
    swap: str = "0"
    commission: str = "0"
    net_profit: str = "0"
    reason: str = ""
    magic: int = 0
    comment: str = ""
    client_order_id: str = ""
    rid: str = ""
    origin: str = ""
    status: str = ""
    code: str = ""
    state: str = ""
    cause: str = ""
    level: str = ""
    message: str = ""
    balance: str = "0"
    equity: str = "0"
    margin: str = "0"
    free_margin: str = "0"
    expiration: int = 0
    streams: list[StreamPoint] = []
    server_time: int = 0


msgspec.json.Decoder(EventBody)  # as in replies.py: what it knows of a type is built here, once

EVENT_TYPES: Final = (
    "tick", "position_opened", "position_closed", "position_modified", "order_placed",
    "order_cancelled", "order_expired", "order_final", "account_update", "state_changed", "alert",
    "heartbeat",
)  # fmt: skip


def event_topic(acct: str) -> bytes:
    """Return the topic of everything but ticks."""
    return f"{acct}.event".encode("ascii")


def tick_topic(acct: str, symbol: str) -> bytes:
    """Return the topic of one symbol's ticks."""
    return f"{acct}.tick.{symbol}".encode("ascii")


def tick_stream(incarnation: str, symbol: str) -> str:
    """Return the stream id of one symbol's ticks in one run of the server."""
    return f"tick-{incarnation}-{symbol}"
