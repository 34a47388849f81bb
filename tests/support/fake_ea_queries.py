"""What the fake EA answers to the server's queries: rows, pages, quotes, estimates."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.replies import text_of
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_link import Ask

__all__ = ["query"]

_PAGE: Final = 100


def query(broker: Broker, beat: Callable[[], dict[str, Any]], ask: Ask) -> Any:
    """Return the body of the answer; the caller holds the broker's lock."""
    market, parts = broker.market, ask.parts
    match ask.word:
        case "HEALTH":
            return beat()
        case "ACCOUNT":
            return market.account() | {
                "connected": broker.connected, "market_ms": broker.market_ms(),
                "book": market.book,
            }  # fmt: skip
        case "POSITIONS":
            rows = [market.position_row(t) for t in market.open.values()]
            return _page(broker, "positions", rows, int(parts[1]))
        case "ORDERS":
            rows = [market.order_row(t) for t in market.pending.values()]
            return _page(broker, "orders", rows, int(parts[1]))
        case "HISTORY":
            return _history(broker, int(parts[1]), int(parts[2]), int(parts[3]))
        case "TAG":
            return _tag(broker, int(parts[1]))
        case "QUOTE" | "SYMBOL":
            return _symbol(broker, ask.word, parts[1])
        case _:
            return _check(broker, parts[2], parts[3])


def _page(broker: Broker, name: str, rows: list[Any], first: int) -> dict[str, Any]:
    page = rows[first : first + _PAGE]
    return {name: page, "total": len(rows), "book": broker.market.book}


def _history(broker: Broker, since: int, until: int, first: int) -> dict[str, Any]:
    market = broker.market
    rows = [
        market.closed_row(t)
        for t in market.closed
        if t.closed_ms >= since and (not until or t.closed_ms <= until)
    ]
    return _page(broker, "closed", rows, first) | {"complete": broker.connected}


def _tag(broker: Broker, magic: int) -> dict[str, Any]:
    market = broker.market
    return {
        "complete": broker.connected,
        "positions": [market.position_row(t) for t in market.open.values() if t.magic == magic],
        "orders": [market.order_row(t) for t in market.pending.values() if t.magic == magic],
        "closed": [market.closed_row(t) for t in market.closed if t.magic == magic],
    }


def _symbol(broker: Broker, word: str, symbol: str) -> dict[str, Any]:
    market = broker.market
    if symbol not in market.specs:
        return {"error": ReasonCode.SYMBOL_UNKNOWN.value}
    if word == "SYMBOL":
        return dict(market.specs[symbol].row())
    if symbol not in market.quotes:
        return {"error": ReasonCode.NO_QUOTE.value}
    bid, ask, ms = market.quotes[symbol]
    return {"symbol": symbol, "bid": text_of(bid), "ask": text_of(ask), "time_ms": ms}


def _check(broker: Broker, volume: str, symbol: str) -> dict[str, str]:
    market = broker.market
    if symbol not in market.quotes:
        return {"error": ReasonCode.SYMBOL_UNKNOWN.value}
    margin = market.margin(symbol, Decimal(volume))
    free = Decimal(market.account()["free_margin"]) - margin
    if free < 0:
        return {"error": ReasonCode.NO_MONEY.value}
    price = market.quotes[symbol][1]
    return {"margin": text_of(margin), "free_margin": text_of(free), "price": text_of(price)}
