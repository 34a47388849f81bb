"""RiskMonitor: what may be signed. The list's order is the order of precedence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge_client.numbers import fits_wire
from bridge_client.risk import CHECKS, Grid, Intent, RiskFacts, RiskMonitor, SymbolLimits
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.operations import Op

GRID = Grid(
    point=Decimal("0.00001"), volume_min=Decimal("0.01"), volume_max=Decimal(50),
    volume_step=Decimal("0.01"),
)  # fmt: skip
FACTS = RiskFacts(
    allowed_symbols=frozenset({"EURUSD", "NOLIMIT"}),
    limits={"EURUSD": SymbolLimits(max_volume=Decimal("0.5"), max_positions=2)},
    max_deviation=100,
    grid=GRID,
    positions=0,
)
GOOD = Intent(
    op=Op.OPEN, symbol="EURUSD", type="BUY", volume=Decimal("0.10"), sl=Decimal("1.0"),
    tp=Decimal("1.2"), deviation=20,
)  # fmt: skip


def judged(intent: Intent = GOOD, facts: RiskFacts = FACTS, **change: Any) -> str:
    refusal = RiskMonitor().judge(replace(intent, **change), facts)
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
        ({"price": Decimal("0.9")}, "STOPS_SIDE"),
        ({"symbol": "XAUUSD", "volume": Decimal(99), "deviation": 999}, "SYMBOL_NOT_ALLOWED"),
        ({"volume": Decimal(99), "deviation": 999}, "MAX_VOLUME"),
    ],
)
def test_each_refusal_and_the_first_listed_wins(change: dict[str, Any], code: str) -> None:
    assert judged(**change) == code


def test_the_last_free_place_may_be_taken_and_no_more() -> None:
    assert judged(facts=replace(FACTS, positions=1)) == ""
    assert judged(facts=replace(FACTS, positions=2)) == "MAX_POSITIONS"
    assert judged(facts=replace(FACTS, positions=None)) == ""


def test_an_off_grid_value_is_refused_with_its_two_neighbours() -> None:
    refusal = RiskMonitor().judge(replace(GOOD, volume=Decimal("0.123")), FACTS)
    assert refusal is not None
    assert (refusal.nearest, refusal.value) == (("0.12", "0.13"), "0.123")


def test_closing_needs_no_allowed_symbol_and_no_limit() -> None:
    assert judged(Intent(op=Op.CLOSE, symbol="XAUUSD")) == ""
    assert judged(Intent(op=Op.CLOSE, symbol="XAUUSD", volume=Decimal("0.03"))) == ""
    assert judged(Intent(op=Op.CLOSE, symbol="XAUUSD", volume=Decimal("0.035"))) == "VOLUME_GRID"


DECIMALS = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False)


@given(DECIMALS, DECIMALS, DECIMALS, DECIMALS, st.booleans())
def test_what_passes_can_always_be_written_on_the_wire_within_its_limits(
    volume: Decimal, price: Decimal, sl: Decimal, tp: Decimal, known: bool
) -> None:
    intent = replace(GOOD, volume=volume, price=price, sl=sl, tp=tp)
    facts = FACTS if known else replace(FACTS, grid=None)
    if RiskMonitor().judge(intent, facts) is None:
        assert all(fits_wire(value) for value in (volume, price, sl, tp))
        assert 0 < volume <= Decimal("0.5")


def test_a_new_check_is_a_function_and_its_place_in_the_list() -> None:
    from bridge_core.protocol.codes import Refusal

    monitor = RiskMonitor((lambda _i, _f: Refusal(ReasonCode.HALTED), *CHECKS))
    refusal = monitor.judge(GOOD, FACTS)
    assert refusal is not None
    assert refusal.code is ReasonCode.HALTED
