"""Results say what is known, in one line, and never pretend to be a boolean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge_client import (
    OrderDeniedError,
    OrderRejectedError,
    OrderType,
    OutcomeUnknownError,
    Status,
    Symbol,
)
from bridge_client.facts import read
from bridge_client.result import from_view
from bridge_client.views import Position
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.views import PositionView, SymbolView

REFUSED = OrderView(
    rid="a" * 32, status="DENIED", code="MAX_VOLUME", by="server", limit="0.10", value="1.00",
    headroom="0.04", final=True,
)  # fmt: skip


def test_a_refusal_is_one_readable_line() -> None:
    said = str(from_view(REFUSED))
    assert said == "DENIED MAX_VOLUME by server: limit=0.10 value=1.00 headroom=0.04"


def test_a_result_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="status"):
        bool(from_view(REFUSED))


def test_status_and_type_compare_with_plain_words() -> None:
    assert from_view(REFUSED).status == "DENIED"
    assert OrderType.BUY_LIMIT == "BUY_LIMIT"
    assert OrderType.BUY_LIMIT.pending
    assert OrderType.SELL.buys is False


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("DENIED", OrderDeniedError), ("REJECTED", OrderRejectedError),
        ("PENDING", OutcomeUnknownError), ("UNKNOWN", OutcomeUnknownError),
    ],
)  # fmt: skip
def test_raise_for_status_has_one_error_for_each_kind_of_no(
    status: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        from_view(OrderView(rid="a" * 32, status=status)).raise_for_status()


@pytest.mark.parametrize("status", ["FILLED", "PARTIAL", "WORKING", "DONE", "OK"])
def test_raise_for_status_returns_what_went_through(status: str) -> None:
    result = from_view(OrderView(rid="a" * 32, status=status))
    assert result.raise_for_status() is result
    assert result.final


def test_a_status_of_a_later_version_is_unknown_not_an_outcome() -> None:
    result = from_view(OrderView(rid="a" * 32, status="SETTLED_BY_MAGIC", final=True))
    assert result.status is Status.UNKNOWN
    assert not result.final


def test_numbers_are_floats_times_are_aware_and_exact_has_the_signed_texts() -> None:
    view = PositionView(
        ticket=1, symbol="EURUSD.m", type="BUY", volume="0.10", open_price="1.08510",
        current_price="1.0900", profit="-0.5", opened_at=1_700_000_000_123,
    )  # fmt: skip
    found = read(Position, view, {"EURUSD.m": "EURUSD"}.__getitem__)
    assert (found.symbol, found.volume, found.profit) == ("EURUSD", 0.1, -0.5)
    assert found.exact["volume"] == "0.10"
    assert found.opened_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert len({found, found}) == 1


@pytest.mark.parametrize("text", ["1e5", "NaN", "abc", "1,5", "-0"])
def test_a_decimal_that_is_none_is_the_peers_fault(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        from_view(OrderView(rid="a" * 32, volume=text))


def test_rounding_is_the_callers_word() -> None:
    view = SymbolView(
        symbol="X", digits=5, point="0.00001", volume_min="0.01", volume_max="50",
        volume_step="0.01", contract_size="100000",
    )  # fmt: skip
    eu = read(Symbol, view, str)
    assert str(eu.price(1.234567, "down")) == "1.23456"
    assert str(eu.price(1.234567, "up")) == "1.23457"
    assert str(eu.price("1.234565")) in ("1.23456", "1.23457")
    assert str(eu.volume(0.129)) == "0.12"
    assert eu.volume(0.001) == 0
    assert eu.volume(1000) == 50
    assert str(eu.points(20)) == "0.00020"
