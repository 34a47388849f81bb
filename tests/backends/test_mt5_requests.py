"""The requests that go to MetaTrader 5: exact types, nothing unknown, nothing left out."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_server.backends.mt5_requests import (
    Label,
    TradeRequest,
    Venue,
    close_request,
    expiration_s,
    fault_of,
    filling_of,
    modify_request,
    open_request,
    remove_request,
    stops_request,
)
from tests.support.builders import (
    NOW,
    cancel_order,
    close_order,
    modify_order,
    mt5_symbol,
    open_order,
    position,
    quote,
)
from tests.support.fake_metatrader5 import load

_D = Decimal
_LABEL = Label(magic=(7 << 40) | 12345, comment="ZABCDEFGHIJK note")
_HOUR = 3_600_000


def _venue(zone_ms: int | None = 2 * _HOUR, **over: Any) -> Venue:
    return Venue(mt5_symbol(**over), quote(), zone_ms)


def _made(request: TradeRequest | Refusal) -> TradeRequest:
    assert isinstance(request, dict), request
    assert fault_of(request) == ""
    assert {type(value) for value in request.values()} <= {int, float, str}
    return request


def _refused(request: TradeRequest | Refusal) -> Refusal:
    assert isinstance(request, Refusal), request
    return request


# --- each operation, key by key ----------------------------------------------------------------


@pytest.mark.parametrize(("type_", "number", "price"), [("BUY", 0, 1.1001), ("SELL", 1, 1.1)])
def test_a_market_order_carries_the_price_it_is_to_meet(
    type_: str, number: int, price: float
) -> None:
    body = open_order(type_, sl="1.08", tp="1.12", deviation=20, price="1.10005")
    assert _made(open_request(body, _LABEL, _venue())) == {
        "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": number, "type_filling": 1,
        "price": price, "deviation": 20, "sl": 1.08, "tp": 1.12, "magic": _LABEL.magic,
        "comment": _LABEL.comment,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "number"),
    [("BUY_LIMIT", 2), ("SELL_LIMIT", 3), ("BUY_STOP", 4), ("SELL_STOP", 5)],
)
def test_a_pending_order_rests_at_its_own_price_until_the_brokers_second(
    type_: str, number: int
) -> None:
    body = open_order(type_, price="1.09", expiration=NOW + 999)
    assert _made(open_request(body, _LABEL, _venue())) == {
        "action": 5, "symbol": "EURUSD", "volume": 0.1, "type": number, "type_filling": 2,
        "price": 1.09, "deviation": 20, "sl": 0.0, "tp": 0.0, "type_time": 2,
        "expiration": (NOW + 2 * _HOUR) // 1000, "magic": _LABEL.magic, "comment": _LABEL.comment,
    }  # fmt: skip


def test_without_an_expiration_it_rests_until_cancelled() -> None:
    request = _made(open_request(open_order("BUY_LIMIT", price="1.09"), _LABEL, _venue(None)))
    assert request["type_time"] == 0
    assert "expiration" not in request


@pytest.mark.parametrize(("held", "number", "price"), [("BUY", 1, 1.1), ("SELL", 0, 1.1001)])
@pytest.mark.parametrize(("volume", "lots"), [("0", 0.1), ("0.04", 0.04)])
def test_a_close_names_its_position_and_is_the_other_side(
    held: str, number: int, price: float, volume: str, lots: float
) -> None:
    body = close_order(11, volume, deviation=7)
    request = _made(close_request(body, position(11, held), _LABEL, _venue()))
    assert request == {
        "action": 1, "symbol": "EURUSD", "position": 11, "volume": lots, "type": number,
        "type_filling": 1, "price": price, "deviation": 7, "magic": _LABEL.magic,
        "comment": _LABEL.comment,
    }  # fmt: skip


def test_stops_are_sent_both_for_one_alone_would_clear_the_other() -> None:
    body = modify_order(11, sl="1.09", tp="0", old_sl="1.08")
    assert _made(stops_request(body, position(11), _LABEL)) == {
        "action": 6, "symbol": "EURUSD", "position": 11, "sl": 1.09, "tp": 0.0,
        "magic": _LABEL.magic, "comment": _LABEL.comment,
    }  # fmt: skip


_RESTING: dict[str, object] = {
    "ticket": 22, "symbol": "EURUSD", "type": 2, "price_open": 1.09, "type_time": 2,
    "time_expiration": 1_795_300_000, "price_stoplimit": 0.0,
}  # fmt: skip


def test_a_modify_of_stops_repeats_a_pending_orders_price_and_expiration_as_they_are() -> None:
    body = modify_order(22, sl="1.08")
    request = _made(modify_request(body, _RESTING, _LABEL, _venue(None)))
    assert request == {
        "action": 7, "symbol": "EURUSD", "order": 22, "price": 1.09, "sl": 1.08, "tp": 0.0,
        "type_time": 2, "expiration": 1_795_300_000, "magic": _LABEL.magic,
        "comment": _LABEL.comment,
    }  # fmt: skip


def test_a_modify_of_the_price_sets_the_expiration_anew() -> None:
    body = modify_order(22, price="1.085", expiration=NOW)
    request = _made(modify_request(body, _RESTING, _LABEL, _venue()))
    assert (request["price"], request["type_time"]) == (1.085, 2)
    assert request["expiration"] == (NOW + 2 * _HOUR) // 1000
    body = modify_order(22, price="1.085")
    request = _made(modify_request(body, _RESTING, _LABEL, _venue(None)))
    assert request["type_time"] == 0
    assert "expiration" not in request


def test_a_stop_limit_order_of_somebody_else_keeps_its_limit() -> None:
    row = _RESTING | {"price_stoplimit": 1.095}
    request = _made(modify_request(modify_order(22, sl="1.08"), row, _LABEL, _venue()))
    assert request["stoplimit"] == 1.095


def test_a_cancel_names_the_order_and_whose_it_is() -> None:
    assert _made(remove_request(cancel_order(22), _RESTING, _LABEL)) == {
        "action": 8, "symbol": "EURUSD", "order": 22, "magic": _LABEL.magic,
        "comment": _LABEL.comment,
    }  # fmt: skip


# --- filling and time --------------------------------------------------------------------------

_FOK, _IOC, _RETURN = 0, 1, 2


@pytest.mark.parametrize(
    ("execution", "flags", "wanted"),
    [
        (0, 0, _FOK), (1, 0, _FOK), (0, 3, _FOK), (1, 2, _FOK),
        (2, 1, _FOK), (2, 2, _IOC), (2, 3, _FOK), (2, 0, _FOK), (2, 4, _FOK),
        (3, 1, _FOK), (3, 2, _IOC), (3, 3, _FOK), (3, 0, _RETURN), (3, 4, _RETURN),
    ],
)  # fmt: skip
def test_the_filling_is_the_strictest_that_the_symbol_allows(
    execution: int, flags: int, wanted: int
) -> None:
    symbol = mt5_symbol(execution=execution, filling_mode=flags)
    assert filling_of(symbol) == wanted
    venue = Venue(symbol, quote())
    for body in (open_order(), open_order("SELL")):
        assert _made(open_request(body, _LABEL, venue))["type_filling"] == wanted
    closing = close_request(close_order(), position(), _LABEL, venue)
    assert _made(closing)["type_filling"] == wanted
    resting = open_request(open_order("BUY_LIMIT", price="1.09"), _LABEL, venue)
    assert _made(resting)["type_filling"] == _RETURN


def test_an_expiration_without_a_known_zone_is_refused_for_it_would_be_hours_off() -> None:
    body = open_order("BUY_LIMIT", price="1.09", expiration=NOW)
    refusal = _refused(open_request(body, _LABEL, _venue(None)))
    assert refusal.code is ReasonCode.NO_QUOTE
    moving = modify_order(22, price="1.085", expiration=NOW)
    assert _refused(modify_request(moving, _RESTING, _LABEL, _venue(None))).code == "NO_QUOTE"


@pytest.mark.parametrize(("flags", "expiration", "taken"), [
    (1, NOW, False), (1, 0, True), (4, 0, False), (4, NOW, True), (6, 0, False), (0, 0, True),
])  # fmt: skip
def test_an_expiration_that_the_symbol_does_not_allow_is_refused(
    flags: int, expiration: int, *, taken: bool
) -> None:
    body = open_order("BUY_LIMIT", price="1.09", expiration=expiration)
    found = open_request(body, _LABEL, _venue(expiration_mode=flags))
    assert isinstance(found, dict) == taken
    if isinstance(found, Refusal):
        assert found.code is ReasonCode.EXPIRATION


@pytest.mark.parametrize(
    ("ms", "zone_ms", "seconds"),
    [(0, None, 0), (0, 5, 0), (1_999, 0, 1), (1_000, None, None), (10_000, -3_000, 7)],
)
def test_broker_seconds(ms: int, zone_ms: int | None, seconds: int | None) -> None:
    assert expiration_s(ms, zone_ms) == seconds


# --- the check of what goes out ----------------------------------------------------------------

_GOOD = _made(open_request(open_order(), _LABEL, _venue()))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volume", math.nan), ("volume", math.inf), ("volume", 0.0), ("volume", -0.1),
        ("volume", 1), ("volume", _D("0.1")), ("volume", "0.1"), ("volume", None),
        ("price", 0.0), ("price", math.nan), ("sl", math.nan), ("sl", -1.0), ("tp", math.inf),
        ("sl", 0), ("type", True), ("type", 9), ("type", -1), ("type", 0.0),
        ("type_filling", 4), ("deviation", -1), ("deviation", 2**32), ("deviation", 1.0),
        ("magic", 0), ("magic", -5), ("magic", 2**53), ("magic", 5.0), ("symbol", ""),
        ("symbol", "E" * 30), ("symbol", "EURUSD\n"), ("symbol", "ЕURUSD"),
        ("comment", "x" * 29), ("comment", "Zé"), ("comment", ""), ("comment", "Z\x00"),
        ("comment", None), ("action", 0), ("action", 11), ("action", "1"), ("action", 10),
        ("expiration", 2**31), ("position", 0), ("position", 2**63), ("order", -1),
        ("stop_loss", 1.08), ("tickets", 5), ("request", {}),
    ],
)  # fmt: skip
def test_one_bad_value_or_unknown_key_and_nothing_goes_out(key: str, value: object) -> None:
    assert fault_of(_GOOD | {key: value}) == key


@pytest.mark.parametrize("key", ["symbol", "volume", "type", "type_filling", "price", "deviation",
                                 "magic", "comment"])  # fmt: skip
def test_one_missing_key_and_nothing_goes_out(key: str) -> None:
    assert fault_of({name: value for name, value in _GOOD.items() if name != key}) == key


def test_a_request_without_an_action_is_none() -> None:
    assert fault_of({}) == "action"


@pytest.mark.parametrize(
    "label",
    [Label(0, "Z"), Label(2**53, "Z"), Label(1, ""), Label(1, "x" * 29), Label(1, "é")],
    ids=["no magic", "magic too large", "no comment", "comment too long", "not ASCII"],
)
def test_a_label_that_does_not_fit_is_refused_and_never_cut_here(label: Label) -> None:
    for made in (
        open_request(open_order(), label, _venue()),
        close_request(close_order(), position(), label, _venue()),
        stops_request(modify_order(), position(), label),
        modify_request(modify_order(22), _RESTING, label, _venue()),
        remove_request(cancel_order(), _RESTING, label),
    ):
        assert _refused(made).code is ReasonCode.BODY


@given(volume=st.decimals("0.01", "500", places=2), price=st.decimals("0.00001", "99999", places=5))
def test_a_float_is_the_decimal_that_was_signed(volume: Decimal, price: Decimal) -> None:
    body = open_order("BUY_LIMIT", volume=str(volume), price=str(price))
    request = _made(open_request(body, _LABEL, _venue()))
    assert _D(repr(request["volume"])) == volume
    assert _D(repr(request["price"])) == price


@pytest.mark.parametrize("made", [
    open_request(open_order(), _LABEL, _venue()),
    open_request(open_order("SELL_STOP", price="1.09", expiration=NOW), _LABEL, _venue()),
    close_request(close_order(), position(), _LABEL, _venue()),
    stops_request(modify_order(sl="1.08"), position(), _LABEL),
    modify_request(modify_order(22, sl="1.08"), _RESTING, _LABEL, _venue()),
    remove_request(cancel_order(), _RESTING, _LABEL),
])  # fmt: skip
def test_the_package_takes_every_request_and_only_the_terminal_is_missing(
    made: TradeRequest | Refusal,
) -> None:
    module: Any = load()
    module.shutdown()
    assert module.order_send(_made(made)) is None
    assert module.last_error() == (-10004, "No IPC connection")
