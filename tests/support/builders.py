"""What the server's judgement looks at, with every field filled in: change what a test is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from bridge_core.protocol.keys import KeySet, Mode, derive_set, purposes, request_purpose
from bridge_core.protocol.messages import Cancel, Close, Modify, Open, Request, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Scope
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames, RequestKeys, sign_request
from bridge_core.protocol.tag import Tag, make_tag
from bridge_core.protocol.token import RequestToken
from bridge_core.risk.order import Flying
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, Policy, SymbolLimits
from bridge_core.risk.rates import Rates, TokenBuckets
from bridge_core.risk.state import RiskState, day_of
from bridge_server.backends.mt5_symbols import Mt5Symbol
from bridge_server.core.gate import Admitted, Conditions, Drop, authenticate
from bridge_server.core.orders import OrderState
from bridge_server.core.ports import (
    Account,
    Deal,
    EndedOrder,
    Identity,
    Pending,
    Position,
    Quote,
    Scan,
    Snapshot,
    SymbolSpec,
)
from bridge_server.core.proposal import everything
from bridge_server.core.trading_state import Causes
from bridge_server.journal import OrderRow
from tests.vectors.examples import BODIES

__all__ = [
    "ACCT", "CURVE", "INC", "KID", "MONO", "NOW", "RID", "TAG", "admit", "cancel_order",
    "account_limits", "close_order", "conditions", "deal", "ended", "flying", "key_set",
    "limits_of", "modify_order", "mt5_symbol", "open_order", "pending", "picture", "position",
    "quote", "row", "scan", "sign", "snapshot", "spec", "state_of", "token",
]  # fmt: skip

NOW: Final = 1_795_219_200_000
MONO: Final = 1_000_000
ACCT: Final = "demo"
KID: Final = "atlas-1"
RID: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
INC: Final = "00112233445566ff"
CURVE: Final = "a" * 40
TAG: Final[Tag] = make_tag(ACCT, RID)

_D = Decimal


# --- what the terminal shows ---------------------------------------------------------------


def spec(symbol: str = "EURUSD", **over: Any) -> SymbolSpec:
    """Five digits, volumes 0.01 to 100 by 0.01 lots, no stops level."""
    fields: dict[str, Any] = {
        "symbol": symbol, "digits": 5, "point": _D("0.00001"), "volume_min": _D("0.01"),
        "volume_max": _D(100), "volume_step": _D("0.01"), "contract_size": _D(100_000),
        "currency_base": symbol[:3], "currency_profit": symbol[3:6],
    }  # fmt: skip
    return SymbolSpec(**fields | over)


def mt5_symbol(**over: Any) -> Mt5Symbol:
    """A symbol as MetaTrader 5 shows it: market execution, IOC only, everything let in."""
    fields: dict[str, Any] = {
        "spec": spec(trade_mode="FULL"), "execution": 2, "filling_mode": 2, "trade_mode": 4,
        "order_mode": 127, "expiration_mode": 15, "tick_size": _D("0.00001"),
    }  # fmt: skip
    return Mt5Symbol(**fields | over)


def quote(bid: str = "1.10000", ask: str = "1.10010", symbol: str = "EURUSD") -> Quote:
    return Quote(symbol=symbol, bid=_D(bid), ask=_D(ask), time_ms=NOW, asked_wall_ms=NOW)


def position(ticket: int = 11, type: str = "BUY", **over: Any) -> Position:  # noqa: A002  the field
    fields: dict[str, Any] = {
        "ticket": ticket, "symbol": "EURUSD", "type": type, "volume": _D("0.10"),
        "open_price": _D("1.09500"), "current_price": _D("1.10000"),
    }  # fmt: skip
    return Position(**fields | over)


def pending(ticket: int = 22, type: str = "BUY_LIMIT", **over: Any) -> Pending:  # noqa: A002  as above
    fields: dict[str, Any] = {
        "ticket": ticket, "symbol": "EURUSD", "type": type, "volume": _D("0.10"),
        "price": _D("1.09000"),
    }  # fmt: skip
    return Pending(**fields | over)


def deal(number: int = 1, entry: str = "IN", **over: Any) -> Deal:
    fields: dict[str, Any] = {
        "deal": number, "ticket": 11, "order": 11, "symbol": "EURUSD", "type": "BUY",
        "entry": entry, "volume": _D("0.10"), "price": _D("1.10010"), "time_ms": NOW,
    }  # fmt: skip
    return Deal(**fields | over)


def ended(ticket: int = 22, life: str = "CANCELLED", **over: Any) -> EndedOrder:
    fields: dict[str, Any] = {"ticket": ticket, "symbol": "EURUSD", "life": life, "time_ms": NOW}
    return EndedOrder(**fields | over)


def scan(*, complete: bool = True, **over: Any) -> Scan:
    fields: dict[str, Any] = {"since_wall_ms": NOW - 60_000, "taken_wall_ms": NOW}
    return Scan(complete=complete, **fields | over)


def snapshot(
    positions: Iterable[Position] = (),
    orders: Iterable[Pending] = (),
    *,
    margin_mode: str = "hedging",
    **over: Any,
) -> Snapshot:
    """A connected terminal that knows EURUSD."""
    fields: dict[str, Any] = {
        "taken_wall_ms": NOW,
        "market_ms": NOW,
        "connected": True,
        "identity": Identity(
            login=1, server="ztb-paper", kind="paper", currency="USD", margin_mode=margin_mode,
            leverage=100,
        ),
        "account": Account(
            balance=_D(10_000), equity=_D(10_000), margin=_D(0), free_margin=_D(10_000),
            profit=_D(0),
        ),
        "positions": {one.ticket: one for one in positions},
        "orders": {one.ticket: one for one in orders},
        "quotes": {"EURUSD": quote()},
        "symbols": {"EURUSD": spec()},
    }  # fmt: skip
    return Snapshot(**fields | over)


# --- what the server is configured with ----------------------------------------------------


def limits_of(**over: Any) -> SymbolLimits:
    fields: dict[str, Any] = {"max_volume": _D("0.50"), "max_positions": 3}
    return SymbolLimits(**fields | over)


def account_limits(**over: Any) -> AccountLimits:
    """The required ones, which let everything here pass."""
    fields: dict[str, Any] = {"max_daily_loss": "2%", "require_sl": False}
    return AccountLimits(**fields | over)


def state_of(**over: Any) -> RiskState:
    """A day on which nothing has happened."""
    fields: dict[str, Any] = {
        "day": day_of(NOW, 0), "day_equity": _D(10_000), "equity": _D(10_000),
        "peak_equity": _D(10_000), "realised": _D(0),
    }  # fmt: skip
    return RiskState(**fields | over)


def flying(symbol: str = "EURUSD", type: str = "BUY", **over: Any) -> Flying:  # noqa: A002  as above
    return Flying(symbol=symbol, type=type, **{"volume": _D("0.01"), **over})


def picture(shot: Snapshot | None = None, **over: Any) -> Picture:
    """What the checks see of a snapshot; `allowed`, `limits` and `risk` are the policy's."""
    shot = shot if shot is not None else snapshot()
    policy = Policy(
        allowed_symbols=over.pop("allowed", frozenset({"EURUSD"})),
        symbols=over.pop("limits", {"EURUSD": limits_of()}),
        account=over.pop("risk", account_limits()),
    )
    fields: dict[str, Any] = {
        "policy": policy, "now_wall_ms": NOW, "market_ms": shot.market_ms,
        "identity": shot.identity, "account": shot.account, "positions": shot.positions,
        "orders": shot.orders, "quotes": shot.quotes, "symbols": shot.symbols,
        "state": state_of(),
    }  # fmt: skip
    return Picture(**fields | over)


def conditions(shot: Snapshot | None = None, **over: Any) -> Conditions:
    """A healthy server in which nothing has happened yet."""
    shot = shot if shot is not None else snapshot()
    fields: dict[str, Any] = {
        "now_ms": NOW, "mono_ms": MONO, "incarnation": INC, "ttl_ms_max": 5_000,
        "clock_healthy": True, "causes": Causes(), "snapshot": shot, "picture": picture(shot),
        "ours": everything,
        "buckets": TokenBuckets(Rates()), "stopping": False, "queue_full": False,
        "id_taken": lambda _: False,
    }  # fmt: skip
    return Conditions(**fields | over)


# --- what is asked -------------------------------------------------------------------------


def open_order(type: str = "BUY", volume: str = "0.10", **over: Any) -> Open:  # noqa: A002  as above
    fields: dict[str, Any] = {
        "client_order_id": "o-1", "client": "atlas", "symbol": "EURUSD", "type": type,
        "volume": volume, "price": "0", "sl": "0", "tp": "0", "deviation": 20, "expiration": 0,
        "stops_fail": "KEEP", "strategy": 0, "comment": "",
    }  # fmt: skip
    return Open(**fields | over)


def close_order(ticket: int = 11, volume: str = "0", **over: Any) -> Close:
    fields: dict[str, Any] = {
        "client_order_id": "c-1", "client": "atlas", "ticket": ticket, "symbol": "EURUSD",
        "volume": volume, "deviation": 20,
    }  # fmt: skip
    return Close(**fields | over)


def modify_order(ticket: int = 11, **over: Any) -> Modify:
    fields: dict[str, Any] = {
        "client_order_id": "m-1", "client": "atlas", "ticket": ticket, "price": "0", "sl": "0",
        "tp": "0", "old_sl": "0", "old_tp": "0", "expiration": 0,
    }  # fmt: skip
    return Modify(**fields | over)


def cancel_order(ticket: int = 22) -> Cancel:
    return Cancel(client_order_id="x-1", client="atlas", ticket=ticket)


# --- signed requests -----------------------------------------------------------------------


def key_set(
    scope: Scope = Scope.TRADE, *, kid: str = KID, ea: bool = False, root: int = 1, **over: Any
) -> KeySet:
    """A set whose keys are derived from 32 equal bytes."""
    base = KeySet(kid=kid, acct=ACCT, mode=Mode.PAPER, scope=scope, curve_public=CURVE, keys={})
    made = derive_set(bytes([root]) * 32, base, purposes(scope, ea=ea))
    return structs.replace(made, **over)


def token(op: Op, /, **over: Any) -> RequestToken:
    made = RequestToken(
        prefix=OPERATIONS[op].prefix, kid=KID, acct=ACCT, op=op.value, rid=RID, iat=NOW, ttl=5_000,
        inc=INC,
    )  # fmt: skip
    return made._replace(**over)


def sign(
    op: Op, body: Request | bytes, keys: KeySet, /, *, ea: bool = False, **over: Any
) -> Frames:
    """Sign a body, legal or not, as the owner of the keys would; `over` changes the token first."""
    raw = body if isinstance(body, bytes) else encode_body(body)
    srv, executor = request_purpose(op, keys.scope)
    given = RequestKeys(keys.keys[srv], srv)
    if ea and executor is not None:
        given = RequestKeys(keys.keys[srv], srv, keys.keys[executor], executor)
    return sign_request(token(op, **over), raw, given)


_SCOPES: Final[Mapping[Op, Scope]] = {Op.RESUME: Scope.OPERATOR, Op.SETTLE: Scope.OPERATOR}


def admit(
    op: Op, body: Request | bytes | None = None, keys: KeySet | None = None, /, **over: Any
) -> Admitted:
    """Return an authentic request, made by signing and verifying it."""
    keys = keys if keys is not None else key_set(_SCOPES.get(op, Scope.TRADE))
    frames = sign(op, body if body is not None else BODIES[op], keys, **over)
    admitted = authenticate(frames, CURVE.encode("ascii"), {keys.kid: keys}, ACCT, NOW)
    assert not isinstance(admitted, Drop), admitted
    return admitted


# --- journal rows --------------------------------------------------------------------------


def row(rid: str = RID, state: OrderState = OrderState.ACCEPTED, **over: Any) -> OrderRow:
    fields: dict[str, Any] = {
        "client_order_id": f"id-{rid}", "kid": KID, "client": "atlas", "op": "OPEN",
        "symbol": "EURUSD", "req_hash": "e" * 64, "token": b"token", "body": b"body", "inc": INC,
        "magic": TAG.mt5_hash, "deadline_ms": NOW + 5_000, "accepted_ms": NOW,
        "view": OrderView(rid=rid, op="OPEN", status="PENDING"),
    }  # fmt: skip
    return OrderRow(rid=rid, state=state, **fields | over)
