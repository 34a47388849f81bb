"""The one table of operations: op -> prefix, key purpose, lane, replay class, body (protocol.md 5).

Nothing else decides what an operation is. A test walks this table against the handlers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from bridge_core.protocol import messages as m

__all__ = [
    "EA_OPS", "OPERATIONS", "Lane", "Op", "OpSpec", "Purpose", "ReplayClass", "Scope", "granted",
]  # fmt: skip


class Op(StrEnum):
    """What may be asked."""

    HELLO = "HELLO"
    PING = "PING"
    HEALTH = "HEALTH"
    GET_ACCOUNT = "GET_ACCOUNT"
    GET_POSITIONS = "GET_POSITIONS"
    GET_ORDERS = "GET_ORDERS"
    GET_QUOTE = "GET_QUOTE"
    GET_SYMBOL = "GET_SYMBOL"
    GET_HISTORY = "GET_HISTORY"
    GET_LIMITS = "GET_LIMITS"
    SYNC_ALL = "SYNC_ALL"
    GET_STATUS = "GET_STATUS"
    GET_JOURNAL = "GET_JOURNAL"
    GET_LOG = "GET_LOG"
    CHECK = "CHECK"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"
    FLATTEN = "FLATTEN"
    FENCE = "FENCE"
    HALT = "HALT"
    REDUCE_ONLY = "REDUCE_ONLY"
    HEARTBEAT = "HEARTBEAT"
    RESUME = "RESUME"
    SETTLE = "SETTLE"


class Purpose(StrEnum):
    """A key's purpose label: `>srv` signs towards the server, `<srv` comes from it."""

    QUERY_SRV = "query>srv"
    ORDER_SRV = "order>srv"
    ORDER_EA = "order>ea"
    ADMIN_SRV = "admin>srv"
    ADMIN_EA = "admin>ea"
    REPLY_SRV = "reply<srv"
    REPLY_EA = "reply<ea"
    EVENT_SRV = "event<srv"
    EVENT_EA = "event<ea"


class Lane(StrEnum):
    """Which admission checks apply, and which rate bucket is charged."""

    STOP = "stop"
    SETTLE = "settle"
    REDUCE = "reduce"
    ENTRY = "entry"


class ReplayClass(StrEnum):
    """What a second copy of a request gets."""

    JOURNAL = "journal"
    MEMORY = "memory"
    IDEMPOTENT = "idempotent"


class Scope(StrEnum):
    """What a key set may do. The token never names it; server and EA know it by kid."""

    QUERY = "query"
    REDUCE = "reduce"
    TRADE = "trade"
    OPERATOR = "operator"


class OpSpec(NamedTuple):
    """One row: how an operation is signed, admitted, remembered and read."""

    prefix: str
    purpose: Purpose
    purpose_ea: Purpose | None
    lane: Lane
    replay: ReplayClass
    body: type[m.Request]


def _auth(lane: Lane, replay: ReplayClass, body: type[m.Request]) -> OpSpec:
    return OpSpec("AUTH_PASS", Purpose.QUERY_SRV, None, lane, replay, body)


def _risk(lane: Lane, body: type[m.Request]) -> OpSpec:
    return OpSpec("RISK_PASS", Purpose.ORDER_SRV, Purpose.ORDER_EA, lane, ReplayClass.JOURNAL, body)


def _lower(lane: Lane, replay: ReplayClass, body: type[m.Request]) -> OpSpec:
    return OpSpec("AUTH_PASS", Purpose.ORDER_SRV, Purpose.ORDER_EA, lane, replay, body)


_MEM = ReplayClass.MEMORY
OPERATIONS: Final[dict[Op, OpSpec]] = {
    Op.HELLO: _auth(Lane.SETTLE, _MEM, m.Hello),
    Op.PING: _auth(Lane.SETTLE, _MEM, m.Hello),
    Op.HEALTH: _auth(Lane.SETTLE, _MEM, m.Hello),
    Op.GET_ACCOUNT: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_POSITIONS: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_ORDERS: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_QUOTE: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_SYMBOL: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_HISTORY: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_LIMITS: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.SYNC_ALL: _auth(Lane.SETTLE, _MEM, m.Query),
    Op.GET_STATUS: _auth(Lane.SETTLE, _MEM, m.GetStatus),
    Op.GET_JOURNAL: _auth(Lane.SETTLE, _MEM, m.GetRange),
    Op.GET_LOG: _auth(Lane.SETTLE, _MEM, m.GetRange),
    Op.CHECK: _auth(Lane.ENTRY, _MEM, m.Open),
    Op.OPEN: _risk(Lane.ENTRY, m.Open),
    Op.CLOSE: _risk(Lane.REDUCE, m.Close),
    Op.MODIFY: _risk(Lane.ENTRY, m.Modify),
    Op.CANCEL: _risk(Lane.REDUCE, m.Cancel),
    Op.FLATTEN: _risk(Lane.REDUCE, m.Flatten),
    Op.FENCE: _lower(Lane.SETTLE, ReplayClass.IDEMPOTENT, m.Fence),
    Op.HALT: _lower(Lane.STOP, ReplayClass.IDEMPOTENT, m.Stop),
    Op.REDUCE_ONLY: _lower(Lane.STOP, ReplayClass.IDEMPOTENT, m.Stop),
    Op.HEARTBEAT: _lower(Lane.SETTLE, _MEM, m.Heartbeat),
    Op.RESUME: OpSpec(
        "AUTH_PASS", Purpose.ADMIN_SRV, Purpose.ADMIN_EA, Lane.SETTLE, ReplayClass.JOURNAL, m.Resume
    ),
    Op.SETTLE: OpSpec(
        "AUTH_PASS", Purpose.ADMIN_SRV, None, Lane.SETTLE, ReplayClass.JOURNAL, m.Settle
    ),
}

assert set(OPERATIONS) == set(Op)

EA_OPS: Final = frozenset(op for op, spec in OPERATIONS.items() if spec.purpose_ea is not None)

_QUERIES = frozenset(op for op, spec in OPERATIONS.items() if spec.purpose is Purpose.QUERY_SRV)
_STOPS = frozenset({Op.HALT, Op.REDUCE_ONLY})
_REDUCERS = frozenset({Op.CLOSE, Op.CANCEL, Op.FLATTEN, Op.FENCE})
_ADMIN = frozenset({Op.RESUME, Op.SETTLE})

# A reduce key may not ask CHECK for an entry it could never send, yet CHECK moves nothing: it is
# a query. HEARTBEAT keeps the dead-man's switch of a strategy that opens orders: trade only.
_GRANTS: Final[dict[Scope, frozenset[Op]]] = {
    Scope.QUERY: _QUERIES,
    Scope.REDUCE: _QUERIES | _STOPS | _REDUCERS,
    Scope.TRADE: frozenset(Op) - _ADMIN,
    Scope.OPERATOR: _QUERIES | _STOPS | _ADMIN,
}


def granted(scope: Scope) -> frozenset[Op]:
    """Return the operations a key set of this scope may ask for (protocol.md 4.3)."""
    return _GRANTS[scope]
