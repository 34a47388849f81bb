"""A symbol's terms: grids, and which orders it takes how."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bridge_server.backends.mt5_books import RecordError
from bridge_server.backends.mt5_symbols import FOK, IOC, RETURN, symbol_of
from tests.support.mt5_hand import symbol_row

D = Decimal
TYPES = ("BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT", "BUY_STOP", "SELL_STOP")


@pytest.mark.parametrize(
    ("execution", "flags", "wanted"),
    [
        *((mode, flags, (FOK, IOC, RETURN)) for mode in (0, 1) for flags in (0, 1, 2, 3)),
        (2, 0, ()), (2, 1, (FOK,)), (2, 2, (IOC,)), (2, 3, (FOK, IOC)), (2, 7, (FOK, IOC)),
        (3, 0, (RETURN,)), (3, 1, (FOK, RETURN)), (3, 2, (IOC, RETURN)),
        (3, 3, (FOK, IOC, RETURN)), (4, 3, ()), (-1, 3, ()),
    ],
)  # fmt: skip
def test_fillings_follow_execution_and_flags(
    execution: int, flags: int, wanted: tuple[int, ...]
) -> None:
    found = symbol_of(symbol_row(trade_exemode=execution, filling_mode=flags))
    assert found.fillings() == wanted
    words = {FOK: "FOK", IOC: "IOC", RETURN: "RETURN"}
    assert found.spec.filling == " ".join(words[one] for one in wanted)


@pytest.mark.parametrize(
    ("mode", "word", "buys", "sells", "closes"),
    [
        (0, "DISABLED", False, False, False), (1, "LONGONLY", True, False, True),
        (2, "SHORTONLY", False, True, True), (3, "CLOSEONLY", False, False, True),
        (4, "FULL", True, True, True), (5, "", False, False, False), (-1, "", False, False, False),
    ],
)  # fmt: skip
def test_the_trade_mode_says_who_may_enter_and_who_only_leave(
    mode: int, word: str, buys: bool, sells: bool, closes: bool
) -> None:
    found = symbol_of(symbol_row(trade_mode=mode))
    assert found.spec.trade_mode == word
    for kind in TYPES:
        assert found.takes(kind) is (buys if kind.startswith("BUY") else sells)
    assert found.takes("BUY", closing=True) is closes
    assert found.takes("SELL", closing=True) is closes


@pytest.mark.parametrize(
    ("flags", "taken"),
    [
        (1, {"BUY", "SELL"}), (2, {"BUY_LIMIT", "SELL_LIMIT"}), (4, {"BUY_STOP", "SELL_STOP"}),
        (0, set()), (8, set()), (127, set(TYPES)),
    ],
)  # fmt: skip
def test_the_order_mode_says_which_types_are_taken(flags: int, taken: set[str]) -> None:
    found = symbol_of(symbol_row(order_mode=flags))
    assert {kind for kind in TYPES if found.takes(kind)} == taken


@pytest.mark.parametrize(
    ("flags", "kinds"), [(1, {0}), (15, {0, 1, 2, 3}), (4, {2}), (0, set()), (5, {0, 2})]
)
def test_the_expiration_mode_says_how_long_an_order_may_rest(flags: int, kinds: set[int]) -> None:
    assert symbol_of(symbol_row(expiration_mode=flags)).times() == kinds


def test_grids_are_exact_and_levels_in_points() -> None:
    found = symbol_of(
        symbol_row(
            "US500.x", digits=2, point=0.01, trade_tick_size=0.25, volume_step=0.1,
            volume_min=0.1, volume_max=20.0, trade_contract_size=50.0, trade_stops_level=30,
            trade_freeze_level=5,
        )
    ).spec  # fmt: skip
    assert (found.symbol, found.digits, found.point, found.tick_size) == (
        "US500.x", 2, D("0.01"), D("0.25"),
    )  # fmt: skip
    assert (found.volume_min, found.volume_max, found.volume_step) == (D("0.1"), D(20), D("0.1"))
    assert (found.contract_size, found.stops_level, found.freeze_level) == (D(50), 30, 5)
    assert (found.execution, found.currency_base) == ("MARKET", "EUR")


@pytest.mark.parametrize(
    ("loss", "profit", "value"),
    [
        (0.93, 0.92, D("0.93")), (0.92, 0.93, D("0.93")), (0.0, 1.0, D(1)), (-1.0, -1.0, D(0)),
        (float("nan"), 0.5, D("0.5")), (float("inf"), None, D(0)), (None, None, D(0)),
    ],
)  # fmt: skip
def test_the_value_of_a_tick_is_the_larger_and_nonsense_is_not_told(
    loss: float | None, profit: float | None, value: Decimal
) -> None:
    row = symbol_row(trade_tick_value_loss=loss, trade_tick_value_profit=profit)
    assert symbol_of(row).spec.tick_value == value


def test_a_tick_size_that_is_not_told_is_a_point() -> None:
    assert symbol_of(symbol_row(trade_tick_size=0.0)).tick_size == D("0.00001")


@pytest.mark.parametrize(
    "over",
    [
        {"point": 0.0}, {"volume_step": 0.0}, {"volume_min": 0.0}, {"volume_max": 0.0},
        {"digits": 9, "point": 1e-9}, {"digits": -1}, {"point": float("nan")}, {"name": "X" * 32},
    ],
)  # fmt: skip
def test_terms_that_cannot_be_traded_on_are_refused(over: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        symbol_of(symbol_row(**over))
