"""Money by hand: what is owed in account currency, worked out on paper for each kind of symbol.

The formula is MetaTrader's own, (close - open) x contract size x lots in the profit currency:
https://www.mql5.com/en/docs/constants/environment_state/marketinfoconstants (ENUM_SYMBOL_CALC_MODE:
FOREX, CFD, CFDINDEX) and https://www.mql5.com/en/docs/trading/ordercalcprofit; contract sizes are
the usual ones: 100 000 of the base currency, 100 ounces of gold, 1 or 10 of an index.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.entry import added
from bridge_core.risk.facts import Quote
from bridge_core.risk.money import entry_value, limit_money, loss_at_stop, lot_value, pair_of, rate
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from tests.support.risk_world import (
    NOW,
    SPECS,
    account,
    identity,
    judge,
    opening,
    picture,
    quote,
    quotes,
)

D: Final = Decimal

_GER40: Final = SPECS["GER40"]


def _world(home: str, **over: Any) -> Picture:
    fields: dict[str, Any] = {
        "identity": identity(currency=home),
        "symbols": SPECS | {"GER40": over.pop("ger40", _GER40)},
    }
    return picture(**fields | over)


class Worked(NamedTuple):
    """`reckoned` is the arithmetic; value and loss are what it comes to."""

    home: str
    order: Proposal
    reckoned: str
    value: Fraction
    loss: Fraction


def _buy(symbol: str, volume: str, sl: str, **over: Any) -> Proposal:
    return opening("BUY", volume, symbol=symbol, sl=sl, **over)


_WORKED: Final = (
    Worked(
        "USD", _buy("EURUSD", "0.10", "1.09010"),
        "ask 1.10010: 0.10 x 100 000 x 1.10010 = 11 001 USD; x (1.10010 - 1.09010) = 100 USD",
        Fraction(11_001), Fraction(100),
    ),
    Worked(
        "EUR", _buy("EURUSD", "0.10", "1.09010"),
        "11 001 USD and 100 USD, bought with euros at the bid: / 1.10000",
        Fraction(110_010, 11), Fraction(1_000, 11),
    ),
    Worked(
        "USD", opening("SELL", "0.10", symbol="EURUSD", sl="1.11000", deviation=10),
        "worst fill 1.10000 - 0.00010 = 1.09990: 0.10 x 100 000 x (1.11000 - 1.09990) = 101 USD;"
        " worst value at 1.10010 + 0.00010: 11 002 USD",
        Fraction(11_002), Fraction(101),
    ),
    Worked(
        "USD", _buy("USDJPY", "0.10", "149.010"),
        "ask 150.010: 1 500 100 JPY and 10 000 x 1.000 = 10 000 JPY, bought with dollars at the"
        " bid: / 150.000",
        Fraction(1_500_100, 150), Fraction(10_000, 150),
    ),
    Worked(
        "EUR", _buy("USDJPY", "0.10", "149.010"),
        "no pair of JPY and EUR: yen with dollars / 150.000, dollars with euros / 1.10000",
        Fraction(1_500_100, 165), Fraction(10_000, 165),
    ),
    Worked(
        "USD", _buy("XAUUSD", "0.05", "1990.30"),
        "ask 2000.30: 0.05 x 100 oz = 5 oz: 10 001.50 USD; x (2000.30 - 1990.30) = 50 USD",
        Fraction(20_003, 2), Fraction(50),
    ),
    Worked(
        "EUR", _buy("XAUUSD", "0.05", "1990.30"),
        "10 001.50 USD and 50 USD, / 1.10000",
        Fraction(100_015, 11), Fraction(500, 11),
    ),
    Worked(
        "USD", _buy("EURGBP", "0.10", "0.84010"),
        "ask 0.85010: 8 501 GBP and 10 000 x 0.01 = 100 GBP, bought at the ask of GBPUSD:"
        " x 1.29010",
        Fraction(8_501) * Fraction(129_010, 100_000), Fraction(12_901, 100),
    ),
    Worked(
        "EUR", _buy("EURGBP", "0.10", "0.84010"),
        "8 501 GBP and 100 GBP, bought with euros at the bid of EURGBP itself: / 0.85000",
        Fraction(850_100, 85), Fraction(10_000, 85),
    ),
    Worked(
        "USD", _buy("US500", "2", "4950.5"),
        "ask 5000.5, contract 1: 2 x 1 x 5000.5 = 10 001 USD; 2 x (5000.5 - 4950.5) = 100 USD",
        Fraction(10_001), Fraction(100),
    ),
    Worked(
        "USD", _buy("GER40", "0.5", "19901.0"),
        "ask 20001.0, contract 10: 0.5 x 10 x 20001 = 100 005 EUR, 5 x 100 = 500 EUR, bought at"
        " the ask of EURUSD: x 1.10010. The tick value 5.5 USD a 0.5 is 11.00 a point, less than"
        " 10 x 1.10010 = 11.0010",
        Fraction(100_005) * Fraction(110_010, 100_000), Fraction(55_005, 100),
    ),
    Worked(
        "EUR", _buy("GER40", "0.5", "19901.0"),
        "profit in account currency: 100 005 EUR and 500 EUR by contract; by a tick value of 5.5"
        " a 0.5, 11 a point, it is 0.5 x 11 x 20001 = 110 005.50 and 550: the larger counts",
        Fraction(220_011, 2), Fraction(550),
    ),
    Worked(
        "USD", opening("BUY_STOP", "0.10", price="1.12000", sl="1.11000", deviation=10),
        "rests at 1.12000: 11 200 USD, 10 000 x 0.01 = 100 USD; it names no deviation",
        Fraction(11_200), Fraction(100),
    ),
    Worked(
        "USD", _buy("EURUSD", "0.10", "1.09010", price="1.10030", deviation=10),
        "a reference of 1.10030 and 10 points may be filled at 1.10040: 11 004 USD;"
        " 10 000 x 0.01030 = 103 USD",
        Fraction(11_004), Fraction(103),
    ),
    Worked(
        "USD", opening("SELL", "0.10", sl="1.11000", price="1.09980"),
        "a reference of 1.09980 may be filled there: 10 000 x 0.01020 = 102 USD; at the ask it is"
        " worth 11 001 USD",
        Fraction(11_001), Fraction(102),
    ),
)  # fmt: skip
_IDS: Final = [f"{one.order.type} {one.order.symbol} {one.home}" for one in _WORKED]


def _entry(order: Proposal, at: Picture) -> Flying:
    entry = added(order, at)
    assert entry is not None
    return entry


def _close(found: Decimal | None, exact: Fraction) -> bool:
    """Exact, or where a division has no end, above it by less than a billionth of a billionth."""
    assert found is not None
    return 0 <= Fraction(found) - exact < Fraction(1, 10**18)


@pytest.mark.parametrize("one", _WORKED, ids=_IDS)
def test_the_value_of_an_order_is_what_the_arithmetic_says(one: Worked) -> None:
    at = _world(one.home)
    assert _close(entry_value(_entry(one.order, at), at), one.value), one.reckoned


@pytest.mark.parametrize("one", _WORKED, ids=_IDS)
def test_the_loss_at_the_stop_is_what_the_arithmetic_says(one: Worked) -> None:
    at = _world(one.home)
    assert _close(loss_at_stop(_entry(one.order, at), at), one.loss), one.reckoned


@pytest.mark.parametrize("one", _WORKED, ids=_IDS)
def test_a_limit_of_that_loss_passes_and_a_cent_less_does_not(one: Worked) -> None:
    whole = -(-one.loss * 100 // 1)  # cents, rounded up
    for cents, passes in ((whole, True), (whole - 1, False)):
        limit = f"{cents // 100}.{cents % 100:02}"
        refusal = judge(
            one.order,
            _world(one.home, risk={"max_risk_per_trade": limit, "require_sl": False}),
        )
        assert (refusal is None) is passes, refusal
        assert refusal is None or refusal.code is ReasonCode.MAX_RISK


def test_a_total_of_a_million_refuses_nine_hundred_lots() -> None:
    refusal = judge(opening(volume="900"), picture(risk={"max_total_exposure": 1_000_000}))
    assert refusal == Refusal(
        ReasonCode.MAX_EXPOSURE, limit="1000000.00", value="99009000.00", headroom="1000000.00"
    )


# --- conversion ------------------------------------------------------------------------------


def test_a_tick_value_above_contract_and_conversion_is_what_counts() -> None:
    dear = structs.replace(_GER40, tick_value=D("6"))  # 12 a point
    assert lot_value("GER40", _world("USD", ger40=dear)) == 12


def test_a_tick_value_of_a_symbol_without_tick_size_is_of_a_point() -> None:
    plain = structs.replace(_GER40, tick_size=D(0), tick_value=D("2"))
    assert lot_value("GER40", _world("USD", ger40=plain)) == 20


def test_where_no_pair_converts_the_tick_value_alone_counts() -> None:
    alone = {"GER40": _GER40}
    assert lot_value("GER40", _world("USD", symbols=alone)) == 11
    silent = {"GER40": structs.replace(_GER40, tick_value=D(0))}
    assert lot_value("GER40", _world("USD", symbols=silent)) is None


def test_of_a_symbol_nobody_knows_no_value_is_known() -> None:
    assert lot_value("NOTHING", picture()) is None


def test_a_currency_is_worth_itself_and_an_unnamed_one_nothing() -> None:
    assert rate("USD", picture()) == 1
    assert rate("", picture()) is None
    assert rate("EUR", picture(identity=None)) is None
    assert rate("CHF", picture()) is None


@pytest.mark.parametrize(
    "bad",
    [quote(bid="NaN"), quote(asked_wall_ms=NOW - 2_001), quote(bid="1.2")],
    ids=["no number", "too old", "bid above ask"],
)
def test_a_quote_that_is_not_to_be_believed_converts_nothing(bad: Quote) -> None:
    assert rate("EUR", picture(quotes={"EURUSD": quote()})) == D("1.10010")
    assert rate("EUR", picture(quotes={"EURUSD": bad})) is None


def test_of_two_pairs_of_the_same_currencies_the_dearer_counts() -> None:
    twin = structs.replace(SPECS["EURUSD"], symbol="EURUSD.m")
    held = quote(bid="1.2", ask="1.3", symbol="EURUSD")
    at = picture(
        symbols=SPECS | {"EURUSD.m": twin},
        quotes=quotes() | {"EURUSD.m": structs.replace(held, symbol="EURUSD.m")},
    )
    assert rate("EUR", at) == D("1.3")


def test_a_direct_pair_goes_before_a_way_round() -> None:
    # EUR to USD by way of GBP would cost 0.85010 x 1.29010 = 1.09671...; direct it is 1.10010.
    assert rate("EUR", picture()) == D("1.10010")
    without = {symbol: spec for symbol, spec in SPECS.items() if symbol != "EURUSD"}
    assert rate("EUR", picture(symbols=without)) == D("0.85010") * D("1.29010")


@pytest.mark.parametrize(
    ("symbol", "base", "profit", "pair"),
    [("EURUSD", "EUR", "USD", ("EUR", "USD")), ("EURUSD.m", "EUR", "USD", ("EUR", "USD")),
     ("xEUR/USD", "EUR", "USD", ("EUR", "USD")), ("UK100", "GBP", "USD", None),
     ("EURUSD", "", "USD", None), ("EURUSD", "EUR", "", None), ("USDUSD", "USD", "USD", None)],
)  # fmt: skip
def test_a_pair_is_one_by_its_currencies_and_by_its_name(
    symbol: str, base: str, profit: str, pair: tuple[str, str] | None
) -> None:
    spec = structs.replace(
        SPECS["EURUSD"], symbol=symbol, currency_base=base, currency_profit=profit
    )
    assert pair_of(spec) == pair


def test_an_index_quoted_in_points_is_never_a_rate_of_exchange() -> None:
    lying = structs.replace(SPECS["US500"], currency_base="GBP")
    at = picture(symbols={"US500": lying, "EURGBP": SPECS["EURGBP"]})
    assert rate("GBP", at) is None


# --- percent ---------------------------------------------------------------------------------


def test_percent_is_of_the_equity_now_and_at_most_of_the_initial_balance() -> None:
    assert limit_money("1%", picture()) == 100
    assert limit_money("1%", picture(account=account("12000"))) == 120
    capped = {"initial_balance": D(8_000)}
    assert limit_money("1%", picture(risk=capped)) == 80
    assert limit_money("1%", picture(risk=capped, account=account("7000"))) == 70
    assert limit_money("1%", picture(account=account("-5"))) == 0
    assert limit_money(25, picture(account=None)) == 25
    assert limit_money("1%", picture(account=None)) is None
    assert limit_money("1%", picture(account=account("NaN"))) is None


# --- exactness -------------------------------------------------------------------------------

_numbers = st.decimals("0.00000001", "999999999.99999999", places=8)


@given(volume=_numbers, ask=_numbers, contract=_numbers, cross=_numbers)
def test_money_is_exact_at_any_size_the_wire_can_carry(
    volume: Decimal, ask: Decimal, contract: Decimal, cross: Decimal
) -> None:
    spec = structs.replace(SPECS["EURGBP"], contract_size=contract)
    at = picture(
        symbols=SPECS | {"EURGBP": spec},
        quotes=quotes(
            structs.replace(quote("EURGBP"), bid=ask, ask=ask),
            structs.replace(quote("GBPUSD"), bid=cross, ask=cross),
        ),
    )
    entry = Flying(symbol="EURGBP", type="BUY", volume=volume)
    found = entry_value(entry, at)
    assert found is not None
    assert Fraction(found) == Fraction(volume) * Fraction(ask) * Fraction(contract) * Fraction(
        cross
    )


def test_a_way_that_leads_nowhere_is_no_value() -> None:
    at = picture()
    assert entry_value(Flying(symbol="EURUSD", type="BUY", volume=D("NaN")), at) is None
    assert entry_value(Flying(symbol="EURUSD", type="BUY_STOP", volume=D(1)), at) is None
    assert loss_at_stop(Flying(symbol="NOTHING", type="BUY", volume=D(1), sl=D(1)), at) is None
    assert loss_at_stop(Flying(symbol="EURUSD", type="BUY", volume=D(1), sl=D(2)), at) == 0
