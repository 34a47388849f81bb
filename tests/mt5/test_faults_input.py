"""Bad input: each gets its own code and a sentence, and nothing of it reaches the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from bridge_client import BridgeError, Connector, OrderResult
from tests.mt5.trial import Trial, trial_in, word_of
from tests.support.running import wait_until

_Order = Callable[[Connector], OrderResult]
_PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("input")) as trial:
        trial.heals()
        yield trial


@pytest.fixture(autouse=True)
def _nothing_is_sent(trial: Trial) -> Iterator[None]:
    old = trial.house.terminal.count("order_send")
    yield
    assert trial.house.terminal.count("order_send") == old


def _buy(volume: Any = 0.01, symbol: str = "EURUSD", **options: Any) -> _Order:
    return lambda bridge: bridge.buy(symbol, volume, **options)


# What is refused as a value: the code, and what the refusal names.
DENIED: Final[dict[str, tuple[_Order, str, str]]] = {
    "a symbol that nobody allowed": (_buy(symbol="NOSUCH"), "SYMBOL_NOT_ALLOWED", "NOSUCH"),
    "a volume off the grid": (_buy(0.015), "VOLUME_GRID", "0.015"),
    "a volume below the least": (_buy(0.001), "VOLUME_GRID", "0.001"),
    "a volume of nothing": (_buy(0), "VOLUME_GRID", "0"),
    "a volume above the limit": (_buy(11), "MAX_VOLUME", "11"),
    "a stop off the grid": (_buy(sl=1.0800001), "PRICE_GRID", "1.0800001"),
    "a stop on the wrong side": (_buy(sl=1.09), "STOPS_SIDE", "1.09"),
    "a target on the wrong side": (_buy(tp=1.07), "STOPS_SIDE", "1.07"),
    "a limit above the market": (
        lambda bridge: bridge.buy_limit("EURUSD", 0.01, price=1.2), "PRICE_SIDE", "1.2"
    ),
    "an expiration in the past": (
        lambda bridge: bridge.buy_limit("EURUSD", 0.01, price=1.05, expiration=_PAST),
        "EXPIRATION", "",
    ),
    "a position that is not there": (
        lambda bridge: bridge.close_position(123_456), "TICKET_UNKNOWN", "123456"
    ),
    "an order that is not there": (
        lambda bridge: bridge.cancel_order(123_456), "TICKET_UNKNOWN", "123456"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DENIED)
def test_what_no_broker_may_see_is_denied_with_its_own_code(trial: Trial, name: str) -> None:
    order, code, value = DENIED[name]
    told = order(trial.bridge)
    assert word_of(told) == f"DENIED {code}", told
    assert value in (told.value, ""), told
    if code.endswith("_GRID") and told.value != "0":
        assert told.nearest, told


# What is no order at all: a programming error of the strategy, raised.
RAISED: Final[dict[str, tuple[_Order, str, str]]] = {
    "a volume that is no number": (_buy(math.nan), "NUMBER", "field=volume"),
    "a volume without an end": (_buy(math.inf), "NUMBER", "field=volume"),
    "a negative volume": (_buy(-0.01), "NUMBER", "field=volume"),
    "a volume in words": (_buy("a lot"), "NUMBER", "field=volume"),
    "a stop that is no number": (_buy(sl=math.nan), "NUMBER", "field=sl"),
    "a target without an end": (_buy(tp=math.inf), "NUMBER", "field=tp"),
    "a price that is no number": (_buy(price=math.nan), "NUMBER", "field=price"),
    "a pending order without a price": (
        lambda bridge: bridge.send_order("EURUSD", "BUY_LIMIT", 0.01), "PRICE", "price"
    ),
    "a type that nobody knows": (
        lambda bridge: bridge.send_order("EURUSD", "HOLD", 0.01), "TYPE", "HOLD"
    ),
    "a comment that is too long": (_buy(comment="x" * 65), "COMMENT", "characters=65"),
    "a comment of other letters": (_buy(comment="gr\u00f6\u00dfer"), "COMMENT", "ASCII"),
    "a deviation that is negative": (_buy(deviation=-1), "BODY", "deviation"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAISED)
def test_what_is_no_order_is_raised_with_the_field_that_is_wrong(trial: Trial, name: str) -> None:
    order, code, field = RAISED[name]
    with pytest.raises(BridgeError, match=field) as caught:
        order(trial.bridge)
    assert caught.value.code == code
    assert "why=" in str(caught.value) or "known=" in str(caught.value)


# What depends on the terminal: its sentence says what to do. (A terminal that is missing, frozen,
# logged out or switched off: test_faults_connect and test_faults_world.)
def test_a_symbol_that_the_broker_does_not_have_is_named_with_its_fix(trial: Trial) -> None:
    broker, bridge = trial.house.broker, trial.bridge
    broker.rename_symbol("USDJPY", "USDJPY.m")
    trial.house.terminal.restart()  # the terms are read anew with a connection
    wait_until(
        lambda: "USDJPY: the broker has no such symbol: write its exact name" in _told(bridge)
    )
    trial.house.ready()
    told = bridge.buy("USDJPY", 0.01)
    assert word_of(told) == "DENIED SYMBOL_UNKNOWN", told
    assert word_of(bridge.check_order("EURUSD", "BUY", 0.01)) == "OK"  # the others go on
    broker.rename_symbol("USDJPY.m", "USDJPY")
    wait_until(lambda: "no such symbol" not in _told(bridge), 15)


def _told(bridge: Connector) -> str:
    return bridge.health().backend


def test_a_comment_as_long_as_may_be_crowds_no_tag_out(trial: Trial) -> None:
    trial.house.ready()
    checked = trial.bridge.check_order("EURUSD", "BUY", 0.01, comment="x" * 64)
    assert word_of(checked) == "OK", checked
