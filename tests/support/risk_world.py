"""An account with seven symbols that passes every check: change what a test is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.controls import checks_of, first_refusal
from bridge_core.risk.entry import added
from bridge_core.risk.facts import Account, Identity, Pending, Position, Quote, SymbolSpec
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, Policy, SymbolLimits
from bridge_core.risk.state import RiskState

__all__ = [
    "NOW", "SPECS", "account", "cancel", "close", "code", "code_c", "identity", "judge", "modify",
    "opening", "pending", "picture", "policy", "position", "quote", "quotes", "state", "with_first",
]  # fmt: skip

# A Saturday would be no trading day: this is Friday, 2026-11-20 12:00:00 UTC.
NOW: Final = 1_795_176_000_000
D: Final = Decimal


def _spec(
    symbol: str, digits: int, contract: int, pair: tuple[str, str], **over: Any
) -> SymbolSpec:
    fields: dict[str, Any] = {
        "symbol": symbol, "digits": digits, "point": D(1).scaleb(-digits), "volume_min": D("0.01"),
        "volume_max": D(1_000), "volume_step": D("0.01"), "contract_size": D(contract),
        "currency_base": pair[0], "currency_profit": pair[1],
    }  # fmt: skip
    return SymbolSpec(**fields | over)


SPECS: Final[dict[str, SymbolSpec]] = {
    "EURUSD": _spec("EURUSD", 5, 100_000, ("EUR", "USD")),
    "GBPUSD": _spec("GBPUSD", 5, 100_000, ("GBP", "USD")),
    "USDJPY": _spec("USDJPY", 3, 100_000, ("USD", "JPY")),
    "EURGBP": _spec("EURGBP", 5, 100_000, ("EUR", "GBP")),
    "XAUUSD": _spec("XAUUSD", 2, 100, ("XAU", "USD")),
    "US500": _spec("US500", 1, 1, ("USD", "USD")),
    "GER40": _spec(
        "GER40",
        1,
        10,
        ("EUR", "EUR"),
        volume_min=D("0.1"),
        volume_step=D("0.1"),
        tick_size=D("0.5"),
        tick_value=D("5.5"),
    ),
}
_PRICES: Final = {
    "EURUSD": ("1.10000", "1.10010"),
    "GBPUSD": ("1.29000", "1.29010"),
    "USDJPY": ("150.000", "150.010"),
    "EURGBP": ("0.85000", "0.85010"),
    "XAUUSD": ("2000.00", "2000.30"),
    "US500": ("5000.0", "5000.5"),
    "GER40": ("20000.0", "20001.0"),
}


def quote(symbol: str = "EURUSD", bid: str = "", ask: str = "", **over: Any) -> Quote:
    first, last = _PRICES[symbol]
    made = Quote(
        symbol=symbol, bid=D(bid or first), ask=D(ask or last), time_ms=NOW, asked_wall_ms=NOW
    )
    return structs.replace(made, **over)


def quotes(*own: Quote) -> dict[str, Quote]:
    return {symbol: quote(symbol) for symbol in _PRICES} | {one.symbol: one for one in own}


def identity(**over: Any) -> Identity:
    fields: dict[str, Any] = {
        "login": 1, "server": "Broker-Demo", "kind": "demo", "currency": "USD",
        "margin_mode": "hedging", "leverage": 100,
    }  # fmt: skip
    return Identity(**fields | over)


def account(equity: str = "10000", **over: Any) -> Account:
    fields: dict[str, Any] = {
        "balance": D(equity), "equity": D(equity), "margin": D(0), "free_margin": D(equity),
        "profit": D(0),
    }  # fmt: skip
    return Account(**fields | over)


def position(ticket: int = 11, type: str = "BUY", **over: Any) -> Position:  # noqa: A002  the field
    fields: dict[str, Any] = {
        "ticket": ticket, "symbol": "EURUSD", "type": type, "volume": D("0.10"),
        "open_price": D("1.09500"), "current_price": D("1.10000"),
    }  # fmt: skip
    return Position(**fields | over)


def pending(ticket: int = 22, type: str = "BUY_LIMIT", **over: Any) -> Pending:  # noqa: A002  as above
    fields: dict[str, Any] = {
        "ticket": ticket, "symbol": "EURUSD", "type": type, "volume": D("0.10"),
        "price": D("1.09000"),
    }  # fmt: skip
    return Pending(**fields | over)


def state(floating: str = "0", realised: str | None = "0", **over: Any) -> RiskState:
    """A day that began with 10 000 and nothing open."""
    made = RiskState()
    made.see(account(), D(0), 20_777)
    made.see(account(), D(floating), 20_777)
    made.realised = D(realised) if realised is not None else None
    return structs.replace(made, **over)


def policy(
    account_limits: Mapping[str, Any], symbol_limits: Mapping[str, Any], **over: Any
) -> Policy:
    """`symbol_limits` are those of every symbol."""
    own: dict[str, Any] = {"max_volume": D(1_000), "max_positions": 50}
    whole: dict[str, Any] = {"max_daily_loss": "2%", "require_sl": False}
    fields: dict[str, Any] = {
        "allowed_symbols": frozenset(SPECS),
        "symbols": dict.fromkeys(SPECS, SymbolLimits(**own | dict(symbol_limits))),
        "account": AccountLimits(**whole | dict(account_limits)),
    }
    return Policy(**fields | over)


def picture(
    positions: Iterable[Position] = (),
    orders: Iterable[Pending] = (),
    *,
    limits: Mapping[str, Any] | None = None,
    risk: Mapping[str, Any] | None = None,
    **over: Any,
) -> Picture:
    """`limits` are those of every symbol, `risk` the account's."""
    fields: dict[str, Any] = {
        "policy": policy(risk or {}, limits or {}),
        "now_wall_ms": NOW,
        "market_ms": NOW,
        "identity": identity(),
        "account": account(),
        "positions": {one.ticket: one for one in positions},
        "orders": {one.ticket: one for one in orders},
        "quotes": quotes(),
        "symbols": SPECS,
        "state": state(),
    }
    return Picture(**fields | over)


def opening(type: str = "BUY", volume: str = "0.10", **over: Any) -> Proposal:  # noqa: A002  as above
    """An entry in EURUSD; prices may be texts."""
    named = {
        name: D(value) if name in ("price", "sl", "tp") else value for name, value in over.items()
    }
    fields: dict[str, Any] = {"kind": "OPEN", "symbol": "EURUSD", "type": type, "volume": D(volume)}
    return Proposal(**fields | named)


def close(held: Position, volume: str = "0", **over: Any) -> Proposal:
    fields: dict[str, Any] = {
        "kind": "CLOSE", "symbol": held.symbol, "volume": D(volume), "ticket": held.ticket,
        "position": held,
    }  # fmt: skip
    return Proposal(**fields | over)


def cancel(held: Pending, **over: Any) -> Proposal:
    fields: dict[str, Any] = {
        "kind": "CANCEL", "symbol": held.symbol, "ticket": held.ticket, "pending": held,
    }  # fmt: skip
    return Proposal(**fields | over)


def modify(held: Position | Pending, sl: str = "0", tp: str = "0", **over: Any) -> Proposal:
    """As the server reads one: type and symbol of the ticket, a price of 0 keeps a resting one."""
    price = D(over.pop("price", 0))
    fields: dict[str, Any] = {
        "kind": "MODIFY", "symbol": held.symbol, "type": held.type, "ticket": held.ticket,
        "sl": D(sl), "tp": D(tp), "price": price,
    }  # fmt: skip
    if isinstance(held, Position):
        fields["position"] = held
    else:
        fields |= {"pending": held, "price": price or held.price}
    return Proposal(**fields | over)


def judge(order: Proposal, at: Picture, side: str = "S") -> Refusal | None:
    return first_refusal(order, at, checks_of(side))


def code(order: Proposal, at: Picture) -> ReasonCode | None:
    refusal = judge(order, at)
    return refusal.code if refusal is not None else None


def code_c(order: Proposal, at: Picture) -> ReasonCode | None:
    refusal = judge(order, at, "C")
    return refusal.code if refusal is not None else None


def with_first(first: Proposal, at: Picture) -> Picture:
    """The picture in which an entry has passed a moment ago and nobody knows what became of it."""
    entry = added(first, at)
    assert isinstance(entry, Flying)
    after = structs.replace(at.state) if at.state is not None else None
    if after is not None:
        after.passed(first, at.now_wall_ms)
    return structs.replace(at, flying=(*at.flying, entry), state=after)
