"""The fake EA's answers about an order: the Word of the link (protocol.md 14)."""

from __future__ import annotations

from typing import Final

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import text_of
from tests.support.fake_ea_broker import Done
from tests.support.fake_ea_faults import Word
from tests.support.fake_ea_market import Trade

__all__ = ["blank_word", "closed_word", "done_word", "trade_word"]

_BLANK: Final[Word] = {
    "rid": "", "status": "", "record": "", "mac": "-", "code": "-", "limit": "", "value": "",
    "symbol": "", "type": "", "ticket": 0, "deal": 0, "order": 0, "volume": "0", "price": "0",
    "close_price": "0", "sl": "0", "tp": "0", "profit": "0", "swap": "0", "commission": "0",
    "remaining_volume": "0", "remaining_ticket": 0, "retcode": 0, "market_ms": 0, "comment": "",
}  # fmt: skip


def blank_word(rid: str, status: str, code: str = ReasonCode.NONE) -> Word:
    """Return a word with nothing but its status; not signed yet."""
    return _BLANK | {"rid": rid, "status": str(status), "code": str(code)}


def trade_word(rid: str, status: str, trade: Trade) -> Word:
    """Return what an OPEN or MODIFY did, as the broker shows the ticket."""
    return blank_word(rid, status) | {
        "symbol": trade.symbol, "type": trade.type, "ticket": trade.ticket,
        "order": trade.ticket, "deal": trade.ticket if status != Status.WORKING else 0,
        "volume": text_of(trade.volume), "price": text_of(trade.open_price),
        "sl": text_of(trade.sl), "tp": text_of(trade.tp), "market_ms": trade.opened_ms,
        "comment": trade.comment,
    }  # fmt: skip


def closed_word(rid: str, op: str, trade: Trade, rest: Trade | None) -> Word:
    """Return what a CLOSE or CANCEL did."""
    if op == Op.CANCEL:
        return trade_word(rid, Status.DONE, trade) | {"market_ms": trade.closed_ms, "deal": 0}
    return trade_word(rid, Status.FILLED, trade) | {
        "price": text_of(trade.close_price), "close_price": text_of(trade.close_price),
        "profit": text_of(trade.profit), "market_ms": trade.closed_ms,
        "remaining_ticket": rest.ticket if rest else 0,
        "remaining_volume": text_of(rest.volume) if rest else "0",
    }  # fmt: skip


def done_word(rid: str, op: str, done: Done) -> Word:
    """Return what the broker just did."""
    if op in (Op.CLOSE, Op.CANCEL):
        return closed_word(rid, op, done.trade, None) | {
            "remaining_ticket": done.rest, "remaining_volume": text_of(done.rest_volume),
        }  # fmt: skip
    return trade_word(rid, done.status, done.trade)
