"""RiskMonitor: what may be signed. The list's order is the order of precedence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge_client.numbers import fits_wire
from bridge_client.risk import CHECKS, RiskMonitor
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.controls import checks_of
from bridge_core.risk.facts import Account, Identity, Position, Quote, SymbolSpec
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import AccountLimits, Policy, SymbolLimits
from bridge_core.risk.state import RiskState

NOW = 1_800_000_000_000
SPEC = SymbolSpec(
    symbol="EURUSD", digits=5, point=Decimal("0.00001"), volume_min=Decimal("0.01"),
    volume_max=Decimal(50), volume_step=Decimal("0.01"), contract_size=Decimal(100_000),
    currency_base="EUR", currency_profit="USD",
)  # fmt: skip
POLICY = Policy(
    allowed_symbols=frozenset({"EURUSD", "NOLIMIT"}),
    symbols={"EURUSD": SymbolLimits(max_volume=Decimal("0.5"), max_positions=2, max_deviation=100)},
    account=AccountLimits(max_daily_loss="2%", require_sl=False),
)
STATE = RiskState(
    day=NOW // 86_400_000, day_equity=Decimal(10_000), realised=Decimal(0), equity=Decimal(10_000),
    peak_equity=Decimal(10_000),
)  # fmt: skip
PICTURE = Picture(
    policy=POLICY, now_wall_ms=NOW, market_ms=NOW,
    identity=Identity(
        login=1, server="s", kind="paper", currency="USD", margin_mode="hedging", leverage=100
    ),
    account=Account(
        balance=Decimal(10_000), equity=Decimal(10_000), margin=Decimal(0),
        free_margin=Decimal(10_000), profit=Decimal(0),
    ),
    positions={}, orders={},
    quotes={
        "EURUSD": Quote(
            symbol="EURUSD", bid=Decimal("1.10000"), ask=Decimal("1.10010"), time_ms=NOW,
            asked_wall_ms=NOW,
        )
    },
    symbols={"EURUSD": SPEC, "NOLIMIT": replace(SPEC, symbol="NOLIMIT")}, state=STATE,
)  # fmt: skip
GOOD = Proposal(
    kind="OPEN", symbol="EURUSD", type="BUY", volume=Decimal("0.10"), sl=Decimal("1.0"),
    tp=Decimal("1.2"), deviation=20,
)  # fmt: skip


def judged(order: Proposal = GOOD, picture: Picture = PICTURE, **change: Any) -> str:
    refusal = RiskMonitor().judge(replace(order, **change), picture)
    return "" if refusal is None else str(refusal.code)


def test_a_plain_order_passes() -> None:
    assert judged() == ""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "XAUUSD"}, "SYMBOL_NOT_ALLOWED"),
        ({"symbol": "NOLIMIT"}, "NO_LIMIT"),
        ({"volume": Decimal(0)}, "VOLUME_GRID"),
        ({"volume": Decimal("0.015")}, "VOLUME_GRID"),
        ({"volume": Decimal("0.001")}, "VOLUME_GRID"),
        ({"volume": Decimal("0.51")}, "MAX_VOLUME"),
        ({"deviation": 101}, "MAX_DEVIATION"),
        ({"sl": Decimal("1.000001")}, "PRICE_GRID"),
        ({"sl": Decimal("1.3")}, "STOPS_SIDE"),
        ({"type": "SELL"}, "STOPS_SIDE"),
        ({"symbol": "XAUUSD", "volume": Decimal(40), "deviation": 999}, "SYMBOL_NOT_ALLOWED"),
        ({"volume": Decimal(40), "deviation": 999}, "MAX_VOLUME"),
    ],
)
def test_each_refusal_and_the_first_listed_wins(change: dict[str, Any], code: str) -> None:
    assert judged(**change) == code


def test_the_last_free_place_may_be_taken_and_no_more() -> None:
    flying = Flying(symbol="EURUSD", type="BUY", volume=Decimal("0.10"))
    assert judged(picture=replace(PICTURE, flying=(flying,))) == ""
    assert judged(picture=replace(PICTURE, flying=(flying, flying))) == "MAX_POSITIONS"


def test_an_off_grid_value_is_refused_with_its_two_neighbours() -> None:
    refusal = RiskMonitor().judge(replace(GOOD, volume=Decimal("0.123")), PICTURE)
    assert refusal is not None
    assert (refusal.nearest, refusal.value) == (("0.12", "0.13"), "0.123")


def test_a_number_that_no_bytes_can_carry_is_refused_with_its_neighbours_too() -> None:
    refusal = RiskMonitor().judge(replace(GOOD, sl=Decimal("1.0000000012")), PICTURE)
    assert refusal is not None
    assert (refusal.code, refusal.nearest) == (ReasonCode.PRICE_GRID, ("1.00000", "1.00001"))
    huge = RiskMonitor().judge(replace(GOOD, volume=Decimal(10) ** 60), PICTURE)
    assert huge is not None
    assert (huge.code, huge.nearest) == (ReasonCode.VOLUME_GRID, ())


def test_closing_needs_no_allowed_symbol_no_limit_and_no_picture() -> None:
    blind = replace(PICTURE, account=None, state=None, quotes={}, symbols={}, identity=None)
    for picture in (PICTURE, blind):
        assert judged(Proposal(kind="CLOSE", symbol="XAUUSD", ticket=1), picture) == ""
        assert judged(Proposal(kind="CANCEL", symbol="XAUUSD", ticket=1), picture) == ""
    some = Proposal(kind="CLOSE", symbol="EURUSD", ticket=1, volume=Decimal("0.03"))
    assert judged(some) == ""
    assert judged(some, volume=Decimal("0.035")) == "VOLUME_GRID"


def test_closing_passes_when_every_limit_is_broken() -> None:
    held = Position(
        ticket=1, symbol="EURUSD", type="BUY", volume=Decimal(5), open_price=Decimal("1.1"),
        current_price=Decimal("1.1"),
    )  # fmt: skip
    lost = replace(PICTURE, state=RiskState(day=STATE.day, realised=Decimal(-9_000)))
    order = Proposal(kind="CLOSE", symbol="EURUSD", ticket=1, volume=Decimal(5), position=held)
    assert judged(picture=lost) == "DAILY_LOSS"
    assert judged(order, lost) == ""


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ({"account": None}, "NO_ACCOUNT"),
        ({"identity": None}, "NO_ACCOUNT"),
        ({"state": None}, "NO_ACCOUNT"),
        ({"quotes": {}}, "NO_QUOTE"),
        ({"symbols": {}}, "SYMBOL_UNKNOWN"),
    ],
)
def test_what_is_not_known_refuses_an_entry(missing: dict[str, Any], code: str) -> None:
    assert judged(picture=replace(PICTURE, **missing)) == code


def test_a_quote_of_two_seconds_ago_is_the_oldest_that_judges() -> None:
    quote = PICTURE.quotes["EURUSD"]

    def aged(ms: int) -> Picture:
        return replace(PICTURE, quotes={"EURUSD": replace(quote, asked_wall_ms=NOW - ms)})

    assert judged(picture=aged(2000)) == ""
    assert judged(picture=aged(2001)) == "STALE_QUOTE"


DECIMALS = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False)


@given(DECIMALS, DECIMALS, DECIMALS, DECIMALS, st.booleans())
def test_what_passes_can_always_be_written_on_the_wire_within_its_limits(
    volume: Decimal, price: Decimal, sl: Decimal, tp: Decimal, known: bool
) -> None:
    order = replace(GOOD, volume=volume, price=price, sl=sl, tp=tp)
    picture = PICTURE if known else replace(PICTURE, symbols={})
    if RiskMonitor().judge(order, picture) is None:
        assert all(fits_wire(value) for value in (volume, price, sl, tp))
        assert 0 < volume <= Decimal("0.5")


def test_the_connector_judges_by_every_shared_check_of_its_side() -> None:
    assert CHECKS[2:] == checks_of("C")


def test_a_new_check_is_a_function_and_its_place_in_the_list() -> None:
    monitor = RiskMonitor((lambda _o, _p: Refusal(ReasonCode.HALTED), *CHECKS))
    refusal = monitor.judge(GOOD, PICTURE)
    assert refusal is not None
    assert refusal.code is ReasonCode.HALTED
