"""One legal body for each operation, as protocol.md 5 shows them, and legal decimals."""

from __future__ import annotations

from typing import Any, Final

from bridge_core.protocol import messages as m
from bridge_core.protocol.operations import Op

__all__ = ["BODIES", "DECIMALS"]

_RID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_NOW = 1_767_225_600_000
_HELLO = m.Hello(client="atlas", version="0.1.0", sent=_NOW)
_ALL = m.Query(symbol="", since=0, until=0, first=0, count=0)
_ONE = m.Query(symbol="EURUSD", since=0, until=0, first=0, count=0)
_OPEN = m.Open(
    client_order_id="atlas-17", client="atlas", symbol="EURUSD", type="BUY", volume="0.10",
    price="1.08512", sl="1.08000", tp="0", deviation=20, expiration=0, stops_fail="CLOSE",
    strategy=1, comment="Strategy_v1",
)  # fmt: skip

BODIES: Final[dict[Op, m.Request]] = {
    Op.HELLO: _HELLO,
    Op.PING: _HELLO,
    Op.HEALTH: _HELLO,
    Op.GET_ACCOUNT: _ALL,
    Op.GET_POSITIONS: m.Query(symbol="EURUSD", since=0, until=0, first=0, count=100),
    Op.GET_ORDERS: _ALL,
    Op.GET_QUOTE: _ONE,
    Op.GET_SYMBOL: _ONE,
    Op.GET_HISTORY: m.Query(symbol="", since=_NOW - 86_400_000, until=_NOW, first=0, count=500),
    Op.GET_LIMITS: _ALL,
    Op.SYNC_ALL: _ALL,
    Op.GET_STATUS: m.GetStatus(rid=_RID, client_order_id=""),
    Op.GET_JOURNAL: m.GetRange(since=_NOW, first=0, count=100),
    Op.GET_LOG: m.GetRange(since=0, first=1, count=500),
    Op.CHECK: _OPEN,
    Op.OPEN: _OPEN,
    Op.CLOSE: m.Close(
        client_order_id="atlas-18", client="atlas", ticket=4711, symbol="EURUSD", volume="0.05",
        deviation=20,
    ),
    Op.MODIFY: m.Modify(
        client_order_id="atlas-19", client="atlas", ticket=4711, price="0", sl="1.08300",
        tp="1.09500", old_sl="1.08000", old_tp="0", expiration=0,
    ),
    Op.CANCEL: m.Cancel(client_order_id="atlas-20", client="atlas", ticket=4712),
    Op.FLATTEN: m.Flatten(
        client_order_id="atlas-21", client="atlas", scope="ALL", symbol="", reason="end of day"
    ),
    Op.FENCE: m.Fence(rid=_RID, inc="00112233445566ff", iat=_NOW, symbol="EURUSD"),
    Op.HALT: m.Stop(reason="news"),
    Op.REDUCE_ONLY: m.Stop(reason="going home"),
    Op.HEARTBEAT: m.Heartbeat(sequence=1),
    Op.RESUME: m.Resume(cause="OPERATOR", reason="checked"),
    Op.SETTLE: m.Settle(rid=_RID, status="DENIED", ticket=0, reason="broker statement of today"),
}  # fmt: skip

assert set(BODIES) == set(Op)

# In a request a decimal has no sign; in a reply a non-zero one may have a minus.
DECIMALS: Final[list[dict[str, Any]]] = [
    {"text": text, "request": request, "reply": True}
    for text, request in (
        ("0", True),
        ("0.00", True),
        ("0.10", True),
        ("1.08512", True),
        ("123456789.12345678", True),
        ("-0.70", False),
        ("-51", False),
        ("123456789012345.12345678", False),
    )
]
