"""Random trading against a ledger of its own: nothing that passes ever breaks a limit.

The ledger knows nothing of the code under test: fractions, every subset of what may still be
carried out, conversions written out for each symbol of a dollar account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain, combinations
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_core.risk.facts import Pending, Position, Quote
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from tests.support.risk_world import (
    NOW,
    SPECS,
    account,
    cancel,
    close,
    identity,
    judge,
    opening,
    picture,
    quote,
)

D: Final = Decimal
_SYMBOLS: Final = ("EURUSD", "GBPUSD", "USDJPY", "EURGBP", "XAUUSD")
_LEGS: Final = {
    "EURUSD": ("EUR", "USD"), "GBPUSD": ("GBP", "USD"), "USDJPY": ("USD", "JPY"),
    "EURGBP": ("EUR", "GBP"), "XAUUSD": ("XAU", "USD"),
}  # fmt: skip
_LIMITS: Final[dict[str, Any]] = {
    "max_volume": D(1), "max_positions": 3, "max_net_volume": D("0.6"),
    "max_gross_volume": D("0.9"),
}  # fmt: skip
_RISK: Final[dict[str, Any]] = {
    "max_open_orders": 6, "max_total_exposure": 90_000, "max_currency_exposure": 80_000,
    "max_order_value": 60_000, "max_risk_per_trade": 500, "require_sl": False,
}  # fmt: skip


class Row(NamedTuple):
    """What is there, or may come: +1 or -1, lots, value in dollars, whether it is certain."""

    symbol: str
    side: int
    lots: Fraction
    value: Fraction
    sure: bool


class Ledger:
    """An account that trades; it judges nothing."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.prices = {one: (quote(one).bid, quote(one).ask) for one in _SYMBOLS}
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Pending] = {}
        self.flying: list[Flying] = []
        self.ticket = 100

    def picture(self) -> Picture:
        quotes = {
            one: Quote(symbol=one, bid=bid, ask=ask, time_ms=NOW, asked_wall_ms=NOW)
            for one, (bid, ask) in self.prices.items()
        }
        return picture(
            limits=_LIMITS, risk=_RISK, identity=identity(margin_mode=self.mode),
            positions=self.positions.values(), orders=self.orders.values(), quotes=quotes,
            flying=tuple(self.flying), account=account("100000"),
        )  # fmt: skip

    # --- what happens at the broker ---------------------------------------------------------

    def fill(self, entry: Flying | Pending, price: Decimal) -> None:
        side = "BUY" if entry.type.startswith("BUY") else "SELL"
        self.ticket += 1
        held = [one for one in self.positions.values() if one.symbol == entry.symbol]
        if self.mode == "hedging" or not held:
            self._hold(self.ticket, entry.symbol, side, entry.volume, price)
            return
        (old,) = held
        signed = entry.volume if side == "BUY" else -entry.volume
        signed += old.volume if old.type == "BUY" else -old.volume
        del self.positions[old.ticket]
        if signed:
            self._hold(old.ticket, old.symbol, "BUY" if signed > 0 else "SELL", abs(signed), price)

    def _hold(self, ticket: int, symbol: str, side: str, volume: Decimal, price: Decimal) -> None:
        now = self.prices[symbol][0 if side == "BUY" else 1]
        self.positions[ticket] = Position(
            ticket=ticket, symbol=symbol, type=side, volume=volume, open_price=price,
            current_price=now,
        )  # fmt: skip

    def move(self, symbol: str, percent: int) -> None:
        point = SPECS[symbol].point
        self.prices[symbol] = tuple(  # type: ignore[assignment]
            (price * (100 + percent) / 100).quantize(point) for price in self.prices[symbol]
        )
        held = [one for one in self.positions.values() if one.symbol == symbol]
        for one in held:
            self._hold(one.ticket, symbol, one.type, one.volume, one.open_price)

    # --- what it is worth -------------------------------------------------------------------

    def dollars(self, symbol: str) -> Fraction:
        """What one lot is worth for each 1.0 of its price."""
        contract = Fraction(SPECS[symbol].contract_size)
        if symbol == "USDJPY":
            return contract / Fraction(self.prices[symbol][0])
        return contract * (Fraction(self.prices["GBPUSD"][1]) if symbol == "EURGBP" else 1)

    def row(self, one: Position | Pending | Flying) -> Row:
        if isinstance(one, Position):
            price = Fraction(one.current_price)
        elif one.type in ("BUY", "SELL") and isinstance(one, Flying):
            away = one.deviation * Fraction(SPECS[one.symbol].point)
            price = max(Fraction(self.prices[one.symbol][1]), Fraction(one.price)) + away
        else:
            price = Fraction(one.price)
        side, lots = 1 if one.type.startswith("BUY") else -1, Fraction(one.volume)
        value = lots * price * self.dollars(one.symbol)
        return Row(one.symbol, side, lots, value, isinstance(one, Position))

    def rows(self) -> list[Row]:
        held: list[Position | Pending | Flying] = [*self.positions.values()]
        return [self.row(one) for one in (*held, *self.orders.values(), *self.flying)]

    def worst(self, measure: Callable[[list[Row]], Fraction]) -> Fraction:
        """The largest of a measure over every way that what is open may end."""
        rows = self.rows()
        sure, open_ = [r for r in rows if r.sure], [r for r in rows if not r.sure]
        ways: Iterable[tuple[Row, ...]] = chain.from_iterable(
            combinations(open_, n) for n in range(len(open_) + 1)
        )
        return max(measure([*sure, *way]) for way in ways)

    def measures(self) -> dict[str, Fraction]:
        found = {
            "exposure": self.worst(lambda rows: self._gross(rows, lambda r: r.value)),
            "places": Fraction(len(self.rows())),
        }
        for symbol in _SYMBOLS:
            found[f"net {symbol}"] = self.worst(partial(_net, symbol))
            found[f"gross {symbol}"] = self.worst(partial(self._gross_of, symbol))
            found[f"places {symbol}"] = Fraction(sum(r.symbol == symbol for r in self.rows()))
        for name in ("EUR", "GBP", "USD", "JPY", "XAU"):
            found[f"currency {name}"] = self.worst(partial(_leg, name))
        return found

    def _gross_of(self, symbol: str, rows: list[Row]) -> Fraction:
        return self._gross([r for r in rows if r.symbol == symbol], lambda r: r.lots)

    def _gross(self, rows: list[Row], size: Callable[[Row], Fraction]) -> Fraction:
        if self.mode == "hedging":
            return sum((size(r) for r in rows), Fraction(0))
        sums: dict[str, Fraction] = {}
        for r in rows:
            sums[r.symbol] = sums.get(r.symbol, Fraction(0)) + r.side * size(r)
        return sum((abs(one) for one in sums.values()), Fraction(0))


def _net(symbol: str, rows: list[Row]) -> Fraction:
    return abs(sum((r.side * r.lots for r in rows if r.symbol == symbol), Fraction(0)))


def _leg(name: str, rows: list[Row]) -> Fraction:
    total = Fraction(0)
    for r in rows:
        base, profit = _LEGS[r.symbol]
        total += r.side * r.value * ((name == base) - (name == profit))
    return abs(total)


def _most(name: str) -> Fraction:
    kind = name.partition(" ")[0]
    most = {
        "exposure": _RISK["max_total_exposure"], "net": _LIMITS["max_net_volume"],
        "gross": _LIMITS["max_gross_volume"], "currency": _RISK["max_currency_exposure"],
        "places": _LIMITS["max_positions"] if " " in name else _RISK["max_open_orders"],
    }  # fmt: skip
    return Fraction(most[kind])


# --- what is played --------------------------------------------------------------------------

_opens = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(_SYMBOLS),
        "type": st.sampled_from(["BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP"]),
        "volume": st.integers(1, 60),
        "deviation": st.integers(0, 100),
        "away": st.integers(1, 300),
        "stop": st.integers(0, 2_000),
    }
)
_acts = st.one_of(
    st.tuples(st.just("open"), _opens),
    st.tuples(st.just("open"), _opens),
    st.tuples(st.sampled_from(["fill", "lose", "trigger", "close", "cancel"]), st.integers(0, 9)),
    st.tuples(st.just("move"), st.tuples(st.sampled_from(_SYMBOLS), st.integers(-5, 5))),
)


def _order(ledger: Ledger, wish: dict[str, Any]) -> Proposal:
    symbol, kind = wish["symbol"], wish["type"]
    point = SPECS[symbol].point
    bid, ask = ledger.prices[symbol]
    price = D(0)
    if kind not in ("BUY", "SELL"):
        below = kind == "BUY_LIMIT"
        price = (bid - wish["away"] * point) if below else (ask + wish["away"] * point)
    begin = price or (bid if kind == "BUY" else ask)
    gap = wish["stop"] * point
    sl = D(0) if not gap else (begin - gap if kind.startswith("BUY") else begin + gap)
    volume = format(D(wish["volume"]) / 100, "f")
    return opening(
        kind, volume, symbol=symbol, price=str(price), sl=str(sl), deviation=wish["deviation"]
    )


def _shrinks(ledger: Ledger, order: Proposal) -> bool:
    rows = [r for r in ledger.rows() if r.symbol == order.symbol]
    side = 1 if order.type == "BUY" else -1
    held = sum((r.side * r.lots for r in rows if r.sure), Fraction(0))
    same = sum((r.lots for r in rows if not r.sure and r.side == side), Fraction(0))
    room = -side * held - same
    return ledger.mode == "netting" and not order.is_pending and Fraction(order.volume) <= room


def _open(ledger: Ledger, wish: dict[str, Any]) -> None:
    order = _order(ledger, wish)
    before = ledger.measures()
    refusal = judge(order, ledger.picture())
    more = judge(
        opening(
            order.type, format(order.volume + D("0.01"), "f"), symbol=order.symbol,
            price=str(order.price), sl=str(order.sl), deviation=order.deviation,
        ),
        ledger.picture(),
    )  # fmt: skip
    if refusal is not None:
        assert more is not None or _shrinks(ledger, order), (refusal, "a larger order passed")
        return
    entry = Flying(
        symbol=order.symbol, type=order.type, volume=order.volume, price=order.price,
        sl=order.sl, deviation=order.deviation,
    )  # fmt: skip
    ledger.flying.append(entry)
    if _shrinks(ledger, order):
        return
    _check_one(ledger, order, entry)
    for name, value in ledger.measures().items():
        # What prices and closings have broken, no entry makes worse.
        assert value <= max(_most(name), before[name]), (name, order)


def _check_one(ledger: Ledger, order: Proposal, entry: Flying) -> None:
    value = ledger.row(entry).value
    assert value <= _RISK["max_order_value"]
    if order.sl:
        bid, ask = (Fraction(one) for one in ledger.prices[order.symbol])
        away = order.deviation * Fraction(SPECS[order.symbol].point)
        buys = order.type.startswith("BUY")
        begin = Fraction(order.price) if order.is_pending else (ask + away if buys else bid - away)
        lost = abs(begin - Fraction(order.sl)) * Fraction(order.volume)
        assert lost * ledger.dollars(order.symbol) <= _RISK["max_risk_per_trade"]


def _act(ledger: Ledger, what: str, which: Any) -> None:
    if what == "move":
        ledger.move(*which)
        return
    flying, orders, held = ledger.flying, list(ledger.orders.values()), ledger.positions
    if what == "fill" and flying:
        entry = flying.pop(which % len(flying))
        if entry.type in ("BUY", "SELL"):
            ledger.fill(entry, ledger.prices[entry.symbol][1])
            return
        ledger.ticket += 1
        ledger.orders[ledger.ticket] = Pending(
            ticket=ledger.ticket, symbol=entry.symbol, type=entry.type, volume=entry.volume,
            price=entry.price,
        )  # fmt: skip
    elif what == "lose" and flying:
        flying.pop(which % len(flying))
    elif what in ("trigger", "cancel") and orders:
        one = orders[which % len(orders)]
        assert judge(cancel(one), ledger.picture()) is None
        del ledger.orders[one.ticket]
        if what == "trigger":
            ledger.fill(one, one.price)
    elif what == "close" and held:
        ticket = sorted(held)[which % len(held)]
        assert judge(close(held[ticket]), ledger.picture()) is None
        del held[ticket]


@pytest.mark.parametrize("mode", ["hedging", "netting"])
@settings(max_examples=settings().max_examples // 2)
@given(acts=st.lists(_acts, min_size=3, max_size=12))
def test_no_accepted_sequence_ever_breaks_a_limit(mode: str, acts: list[Any]) -> None:
    ledger = Ledger(mode)
    for what, which in acts:
        if what == "open":
            _open(ledger, which)
        else:
            _act(ledger, what, which)
