"""The fake package answers as the real one: arguments, errors, records, arrays."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.mt5.remote import BUY, terminal_in
from tests.support.fake_metatrader5 import FakeTerminal, fresh, load
from tests.support.fake_metatrader5.arguments import UNINITIALISED, date_of
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.records import RECORDS, ZERO_REQUEST, record

NO_CONNECTION = (-10004, "No IPC connection")
GOOD: dict[str, Any] = ZERO_REQUEST | BUY
OLD = (-5, FACTS.errors[-5])


class Colour(IntEnum):
    RED = 1


@pytest.fixture
def mt5() -> ModuleType:
    """A module that nobody has called yet."""
    return fresh()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[FakeTerminal]:
    with terminal_in(tmp_path) as one:
        yield one


@pytest.fixture
def linked(mt5: ModuleType, terminal: FakeTerminal) -> Iterator[ModuleType]:
    assert mt5.initialize(terminal.path), mt5.last_error()
    yield mt5
    mt5.shutdown()


# --- what it is ----------------------------------------------------------------------------------


def test_it_exports_what_the_wheel_exports(mt5: ModuleType) -> None:
    assert len(FACTS.constants) == 223
    assert len(FACTS.functions) == 32
    for name, number in FACTS.constants.items():
        assert getattr(mt5, name) == number
    for name in (*FACTS.functions, *FACTS.helpers):
        assert callable(getattr(mt5, name))
    assert {name for name in FACTS.records if getattr(mt5, name) is RECORDS[name]} == set(RECORDS)
    assert (mt5.__version__, mt5.__author__) == ("5.0.6231", "MetaQuotes Ltd.")


def test_an_import_gives_one_module_in_a_process_and_its_loader_crosses_to_another() -> None:
    assert load() is load()
    assert pickle.loads(pickle.dumps(load)) is load


def test_its_helpers_that_send_up_to_ten_times_are_not_for_us(mt5: ModuleType) -> None:
    with pytest.raises(AssertionError, match="ten times"):
        mt5.Buy("EURUSD", 0.1)


# --- errors --------------------------------------------------------------------------------------


def test_the_error_starts_empty_and_is_set_anew_by_each_call(mt5: ModuleType) -> None:
    assert mt5.last_error() == (0, "")
    assert mt5.positions_get() is None
    assert mt5.last_error() == NO_CONNECTION
    assert mt5.shutdown() is True
    assert mt5.last_error() == (1, "Success")


def test_a_failure_is_none_false_or_zeros(mt5: ModuleType) -> None:
    assert mt5.version() == (0, 0, "")
    assert mt5.positions_total() is None
    assert mt5.symbol_select("EURUSD", True) is False
    assert mt5.last_error() == NO_CONNECTION
    assert mt5.market_book_add("EURUSD") is False
    assert mt5.last_error() == (1, "Success")
    assert mt5.symbols_total() is None
    assert mt5.last_error() == OLD


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volume", 1), ("volume", Decimal("0.1")), ("volume", "0.1"), ("volume", None),
        ("volume", np.float32(1)), ("price", True), ("sl", 0), ("comment", None),
        ("comment", "x" * 30), ("comment", "\N{CHART WITH UPWARDS TREND}" * 15),
        ("comment", b"x"), ("symbol", "x" * 30), ("magic", 1.0), ("magic", np.int64(1)),
        ("magic", "1"), ("expiration", datetime(2026, 1, 1, tzinfo=UTC)), ("action", None),
        ("position", "7"), ("type_filling", 1.0),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_before_the_connection(
    mt5: ModuleType, key: str, value: object
) -> None:
    for send in (mt5.order_send, mt5.order_check):
        assert send(GOOD | {key: value}) is None
        assert mt5.last_error() == (-2, f'Invalid "{key}" argument')


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volume", np.float64(1)), ("volume", float("nan")), ("price", float("inf")),
        ("comment", "x" * 29), ("comment", "\N{CHART WITH UPWARDS TREND}" * 14), ("magic", True),
        ("magic", Colour.RED), ("magic", 2**64 - 1), ("expiration", -1),
    ],
)  # fmt: skip
def test_a_value_of_the_right_type_reaches_the_connection(
    mt5: ModuleType, key: str, value: object
) -> None:
    assert mt5.order_send(GOOD | {key: value}) is None
    assert mt5.last_error() == NO_CONNECTION


@pytest.mark.parametrize(
    ("key", "value"),
    [("magic", -1), ("magic", 2**64), ("action", 2**32), ("expiration", 2**63), ("type", -1)],
)
def test_an_integer_out_of_range_raises_and_names_the_key(
    mt5: ModuleType, key: str, value: int
) -> None:
    with pytest.raises(SystemError, match="returned a result with an exception set") as raised:
        mt5.order_send(GOOD | {key: value})
    assert isinstance(raised.value.__cause__, OverflowError)
    assert mt5.last_error() == (-2, f'Invalid "{key}" argument')


def test_the_first_wrong_key_is_named_in_the_order_of_the_struct(mt5: ModuleType) -> None:
    bad: dict[str, Any] = dict.fromkeys(reversed(ZERO_REQUEST))
    named = []
    for key in ZERO_REQUEST:
        mt5.order_send(bad)
        named.append(mt5.last_error()[1])
        bad[key] = ZERO_REQUEST[key]
    assert named == [f'Invalid "{key}" argument' for key in ZERO_REQUEST]


def test_empty_keywords_are_not_no_keywords(mt5: ModuleType) -> None:
    nothing: dict[str, Any] = {}
    assert mt5.order_send(*(GOOD,), **nothing) is None
    assert mt5.last_error() == (-2, "Unnamed arguments not allowed")
    assert mt5.order_send(*(GOOD,)) is None
    assert mt5.last_error() == NO_CONNECTION
    assert mt5.order_send() is None
    assert mt5.last_error() == (-2, "Invalid number of arguments")


def test_functions_of_places_take_no_names_and_others_no_places(mt5: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"symbol_info\(\) takes no keyword arguments"):
        mt5.symbol_info(symbol="EURUSD")
    with pytest.raises(TypeError, match=r"_core.version\(\) takes no arguments \(1 given\)"):
        mt5.version(1)
    assert mt5.positions_get("EURUSD") is None
    assert mt5.last_error() == (-2, "Unnamed arguments not allowed")
    assert mt5.history_deals_get(date_from=1, date_to=2) is None
    assert mt5.last_error() == (-2, "Invalid arguments")
    assert mt5.history_deals_get(1, ticket=2) is None
    assert mt5.last_error() == (-2, "Unnamed arguments not allowed")


def test_login_and_initialize_check_their_words_first(mt5: ModuleType, tmp_path: Path) -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: mt5.initialize(path=None), 'Invalid "path" argument'),
        (lambda: mt5.initialize("x", "y"), "Invalid number of arguments"),
        (lambda: mt5.initialize(7), "Invalid 1st unnamed argument"),
        (lambda: mt5.initialize(str(tmp_path), password="x" * 254), 'Invalid "password" argument'),
        (lambda: mt5.login(0), 'Invalid "login" argument'),
        (lambda: mt5.login(None), "Invalid 1st unnamed argument"),
        (lambda: mt5.login(1, "p", "s", 4), "Invalid number of arguments"),
    ]
    for call, text in cases:
        assert call() is False
        assert mt5.last_error() == (-2, text)


# --- requests on their way -----------------------------------------------------------------------


def test_a_request_without_its_keys_is_zeros_and_unknown_keys_are_lost(
    linked: ModuleType, terminal: FakeTerminal
) -> None:
    linked.order_send({"action": 1, "stop_loss": 1.0})
    assert terminal.calls[-1].args == ZERO_REQUEST | {"action": 1}
    answer = linked.order_send(request=GOOD)
    assert terminal.calls[-1].args == ZERO_REQUEST
    assert answer.retcode == 10013
    assert answer.request == RECORDS["TradeRequest"](ZERO_REQUEST.values())


def test_a_request_as_keywords_is_the_same_request(
    linked: ModuleType, terminal: FakeTerminal
) -> None:
    assert linked.order_send(**BUY).retcode == 10009
    assert terminal.calls[-1].args == GOOD


def test_the_selection_is_by_ticket_before_symbol_before_group(linked: ModuleType) -> None:
    first = linked.order_send(BUY).order
    linked.order_send(BUY)
    assert [p.ticket for p in linked.positions_get(ticket=first, symbol="x", group=1)] == [first]
    assert linked.positions_get(symbol="x", group="*") == ()
    assert linked.last_error() == (1, "Success")
    assert len(linked.positions_get(tickets=first)) == 2
    assert linked.positions_get(group="!*EUR*") == ()
    assert len(linked.positions_get(group="*USD")) == 2


def test_history_has_three_forms(linked: ModuleType) -> None:
    answer = linked.order_send(BUY)
    soon = datetime.now(tz=UTC) + timedelta(days=2)
    for deals in (
        linked.history_deals_get(1, soon, group="EURUSD"),
        linked.history_deals_get(ticket=answer.deal),
        linked.history_deals_get(position=answer.order),
        linked.history_deals_get(1, soon, group="EURUSD", ticket="passed over"),
    ):
        assert [(deal.ticket, deal.order) for deal in deals] == [(answer.deal, answer.order)]
    # A deal is looked up by its own ticket, whatever the documentation says.
    assert linked.history_deals_get(ticket=answer.order) == ()
    assert [o.state for o in linked.history_orders_get(ticket=answer.order)] == [4]
    assert linked.history_deals_total(1, soon) == 2


def test_a_date_of_zero_is_no_date_and_what_does_not_fit_32_bits_raises_late(
    linked: ModuleType, terminal: FakeTerminal
) -> None:
    assert date_of(0) == UNINITIALISED
    assert date_of(1) == 1
    assert date_of(1.9) == 1
    assert date_of(datetime(2100, 1, 1, tzinfo=UTC)) < 0
    asked = terminal.count("history_deals_get")
    with pytest.raises(SystemError):
        linked.history_deals_get(1, 2**31)
    assert terminal.count("history_deals_get") == asked + 1


def test_a_symbol_that_is_not_there_is_none_with_a_reason(linked: ModuleType) -> None:
    assert linked.symbol_info("EURUSDx") is None
    assert linked.last_error() == (-4, "Terminal: Not found")
    assert linked.symbol_info_tick("EURUSDx") is None
    assert linked.symbol_select("EURUSDx", True) is False


def test_a_terminal_older_than_build_2364_hides_its_symbols(
    linked: ModuleType, terminal: FakeTerminal
) -> None:
    terminal.build = 2363
    assert linked.symbols_get() is None
    assert linked.last_error() == OLD
    assert linked.version() == (500, 2363, terminal.released)
    terminal.build = 2364
    assert [symbol.name for symbol in linked.symbols_get("EUR*")] == ["EURUSD"]


# --- records -------------------------------------------------------------------------------------


def test_a_record_is_a_struct_sequence_and_cannot_be_pickled(linked: ModuleType) -> None:
    tick: Any = linked.symbol_info_tick("EURUSD")
    assert issubclass(type(tick), tuple)
    assert tick == tuple(tick)
    assert list(tick._asdict()) == [name for name, _ in FACTS.records["Tick"]]
    assert type(tick).__module__ == "builtins"
    assert type(tick).n_sequence_fields == 8
    assert not hasattr(tick, "_fields")
    assert not hasattr(tick, "_replace")
    assert copy.copy(tick) == tick
    with pytest.raises(AttributeError, match="readonly"):
        tick.bid = 1.0
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(pickle.PicklingError, match="Tick on builtins failed"):
            pickle.dumps(tick, protocol)


def test_asdict_leaves_the_request_inside_a_record(linked: ModuleType) -> None:
    answer = linked.order_send(BUY)
    assert type(answer._asdict()["request"]) is RECORDS["TradeRequest"]


def test_every_answer_has_the_fields_and_the_types_of_its_struct(linked: ModuleType) -> None:
    linked.order_send(BUY)
    linked.order_send(BUY | {"action": 5, "type": 2, "price": 1.0, "type_filling": 2})
    soon = datetime.now(tz=UTC) + timedelta(days=2)
    answers: dict[str, Any] = {
        "TerminalInfo": linked.terminal_info(), "AccountInfo": linked.account_info(),
        "SymbolInfo": linked.symbol_info("EURUSD"), "Tick": linked.symbol_info_tick("EURUSD"),
        "TradePosition": linked.positions_get()[0], "TradeOrder": linked.orders_get()[0],
        "TradeDeal": linked.history_deals_get(1, soon)[1],
        "OrderCheckResult": linked.order_check(BUY), "OrderSendResult": linked.order_send(BUY),
    }  # fmt: skip
    for name, answer in answers.items():
        assert type(answer) is RECORDS[name], name
        assert record(name, _deep(answer)) == answer


def _deep(answer: Any) -> dict[str, Any]:
    plain: dict[str, Any] = answer._asdict()
    return {k: v._asdict() if hasattr(v, "_asdict") else v for k, v in plain.items()}


def test_a_broker_that_gives_a_wrong_field_or_type_is_found_out() -> None:
    tick: dict[str, Any] = {
        "time": 1, "bid": 1.0, "ask": 1.0, "last": 0.0, "volume": 0, "time_msc": 1, "flags": 6,
        "volume_real": 0.0,
    }  # fmt: skip
    assert record("Tick", tick).flags == 6
    for wrong in ({"bid": 1}, {"flags": 2**32}, {"volume": -1}, {"time": True}, {"more": 1}):
        with pytest.raises(AssertionError):
            record("Tick", tick | wrong)


# --- arrays and sums -----------------------------------------------------------------------------


def test_bars_and_ticks_are_arrays_of_60_bytes_a_row(
    linked: ModuleType, terminal: FakeTerminal
) -> None:
    terminal.bars["EURUSD"] = [(60 * n, 1.0, 2.0, 0.5, 1.5, 10 + n, 7, 3) for n in range(5)]
    terminal.ticks["EURUSD"] = [(100 + n, 1.0, 1.1, 0.0, 0, 100_000 + n, 6, 0.0) for n in range(5)]
    rates = linked.copy_rates_from_pos("EURUSD", linked.TIMEFRAME_M1, 0, 2)
    assert rates.dtype.itemsize == 60
    assert rates["time"].tolist() == [180, 240]
    assert rates["tick_volume"].dtype == np.dtype("u8")
    assert linked.copy_rates_range("EURUSD", 1, 60, 120)["time"].tolist() == [60, 120]
    assert linked.copy_rates_from("EURUSD", 1, 60, 5)["time"].tolist() == [0, 60]
    ticks = linked.copy_ticks_from("EURUSD", 102, 2, linked.COPY_TICKS_ALL)
    assert ticks.dtype.itemsize == 60
    assert ticks["time_msc"].tolist() == [100_002, 100_003]
    assert len(linked.copy_ticks_range("EURUSD", 1, 50, -1)) == 0
    assert linked.copy_rates_from_pos("EURUSDx", 1, 0, 1) is None
    with pytest.raises(SystemError):
        linked.copy_rates_from_pos("EURUSD", 1, 0, 1.0)


def test_sums_take_integers_and_refuse_what_is_no_number(linked: ModuleType) -> None:
    assert linked.order_calc_margin(0, "EURUSD", 1, 1) == pytest.approx(1000, rel=0.2)
    assert linked.order_calc_profit(0, "EURUSD", Decimal("0.1"), 1.1, 1.2) == pytest.approx(1000)
    assert linked.order_calc_margin(0, "EURUSDx", 1.0, 1.0) is None
    with pytest.raises(SystemError) as raised:
        linked.order_calc_profit(0.0, "EURUSD", 0.1, 1.1, 1.2)
    assert "must be int, not float" in str(raised.value.__cause__)


def test_depth_is_what_a_test_put_there(linked: ModuleType, terminal: FakeTerminal) -> None:
    assert linked.market_book_add("EURUSD") is True
    assert linked.market_book_get("EURUSD") == ()
    terminal.depth["EURUSD"] = [{"type": 1, "price": 1.1, "volume": 3, "volume_dbl": 3.0}]
    assert [row.price for row in linked.market_book_get("EURUSD")] == [1.1]
    assert linked.market_book_add("EURUSDx") is False
    assert linked.last_error() == (1, "Success")
    assert linked.market_book_release("EURUSD") is True
