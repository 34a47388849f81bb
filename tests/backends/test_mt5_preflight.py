"""What keeps an order from MetaTrader 5 just before it would be sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_server.backends.mt5_link import LinkStatus
from bridge_server.backends.mt5_preflight import (
    changed,
    frozen,
    moved,
    not_taken,
    off_grid,
    standing,
    with_seen,
)
from bridge_server.backends.mt5_requests import (
    Label,
)
from bridge_server.backends.mt5_symbols import Mt5Symbol
from tests.support.builders import (
    NOW,
    close_order,
    modify_order,
    mt5_symbol,
    open_order,
    pending,
    position,
    quote,
    snapshot,
    spec,
)

_D = Decimal
_LABEL = Label(magic=(7 << 40) | 12345, comment="ZABCDEFGHIJK note")
_HOUR = 3_600_000


# --- before it goes out ------------------------------------------------------------------------

_UP: dict[str, Any] = {
    "alive": True, "linked": True, "why": "",
    "terminal": {"trade_allowed": True, "tradeapi_disabled": False, "connected": True},
    "account": {"trade_allowed": True, "trade_expert": True},
}  # fmt: skip


def _standing(**over: Any) -> Refusal | None:
    return standing(LinkStatus(**_UP | over))


def test_with_everything_in_order_nothing_is_in_the_way() -> None:
    assert _standing() is None


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"wrong_account": "login 2 instead of 1"}, "ACCOUNT_MISMATCH"),
        ({"alive": False, "why": "the terminal is gone"}, "BROKER_DOWN"),
        ({"linked": False, "why": "no broker"}, "BROKER_DOWN"),
        ({"terminal": {"trade_allowed": False}}, "TRADE_DISABLED"),
        ({"terminal": {"trade_allowed": True, "tradeapi_disabled": True}}, "TRADE_DISABLED"),
        ({"account": {"trade_allowed": False, "trade_expert": True}}, "TRADE_DISABLED"),
        ({"account": {"trade_allowed": True, "trade_expert": False}}, "TRADE_DISABLED"),
    ],
)
def test_each_thing_in_the_way_has_its_code_and_a_sentence(over: dict[str, Any], code: str) -> None:
    refusal = _standing(**over)
    assert refusal is not None
    assert refusal.code == code
    assert refusal.value


def test_another_account_is_said_before_anything_else() -> None:
    refusal = _standing(wrong_account="login 2", alive=False)
    assert refusal is not None
    assert refusal.code is ReasonCode.ACCOUNT_MISMATCH


@pytest.mark.parametrize(
    ("mode", "type_", "netting", "taken"),
    [
        (4, "BUY", False, True), (4, "SELL_LIMIT", False, True), (0, "BUY", False, False),
        (0, "BUY", True, False), (1, "BUY", False, True), (1, "SELL", False, False),
        (1, "SELL", True, True), (2, "SELL_STOP", False, True), (2, "BUY_STOP", False, False),
        (3, "BUY", False, False), (3, "BUY", True, True), (9, "BUY", False, False),
    ],
)  # fmt: skip
def test_a_symbols_mode_keeps_entries_out_unless_they_may_reduce(
    mode: int, type_: str, *, netting: bool, taken: bool
) -> None:
    refusal = not_taken(type_, mt5_symbol(trade_mode=mode), netting=netting)
    assert (refusal is None) == taken
    if refusal is not None:
        assert refusal.code is ReasonCode.TRADE_DISABLED


@pytest.mark.parametrize(
    ("type_", "price", "deviation", "passes"),
    [
        ("BUY", "1.09990", 20, True), ("BUY", "1.09989", 20, False), ("BUY", "1.10030", 20, True),
        ("BUY", "1.10031", 20, False), ("SELL", "1.10020", 20, True),
        ("SELL", "1.10021", 20, False), ("BUY", "1.10010", 0, True), ("BUY", "1.10011", 0, False),
        ("BUY", "0", 0, True), ("BUY_LIMIT", "1.00", 0, True),
    ],
)  # fmt: skip
def test_a_reference_is_measured_against_the_price_that_is_to_be_met(
    type_: str, price: str, deviation: int, *, passes: bool
) -> None:
    body = open_order(type_, price=price, deviation=deviation)
    refusal = moved(body, quote(), _D("0.00001"))
    assert (refusal is None) == passes
    if refusal is not None:
        assert refusal.code is ReasonCode.PRICE_MOVED
        assert refusal.limit == str(deviation)


def test_price_moved_says_by_how_many_points() -> None:
    refusal = moved(open_order(price="1.09980", deviation=20), quote(), _D("0.00001"))
    assert refusal == Refusal(ReasonCode.PRICE_MOVED, limit="20", value="30")


@pytest.mark.parametrize(("sl", "tp", "same"), [
    ("1.08", "0", True), ("1.080", "0", True), ("1.0801", "0", False), ("1.08", "1.2", False),
    ("0", "0", False),
])  # fmt: skip
def test_stops_are_changed_only_from_what_the_strategy_saw(sl: str, tp: str, *, same: bool) -> None:
    body = modify_order(11, sl="1.09", old_sl="1.08", old_tp="0")
    for held in (position(11, sl=_D(sl), tp=_D(tp)), pending(11, sl=_D(sl), tp=_D(tp))):
        refusal = changed(body, held)
        assert (refusal is None) == same
        if refusal is not None:
            assert refusal.code is ReasonCode.CHANGED
            assert sl in refusal.value


@pytest.mark.parametrize(
    ("held", "is_frozen"),
    [
        (position(sl=_D("1.09950")), True),  # BUY: its stop acts on the bid, 1.10000
        (position(sl=_D("1.09949")), False),
        (position(tp=_D("1.10050")), True),
        (position(tp=_D("1.10051")), False),
        (position(type="SELL", sl=_D("1.10060")), True),  # SELL: on the ask, 1.10010
        (position(type="SELL", sl=_D("1.10061")), False),
        (position(), False),
        (pending(price=_D("1.09960")), True),  # BUY_LIMIT: on the ask
        (pending(price=_D("1.09959")), False),
        (pending(type="SELL_LIMIT", price=_D("1.10050")), True),
        (pending(type="SELL_LIMIT", price=_D("1.10051")), False),
    ],
)
def test_what_lies_within_the_freeze_level_is_not_changed(held: Any, *, is_frozen: bool) -> None:
    symbol = mt5_symbol(spec=spec(freeze_level=50))
    refusal = frozen(held, quote(), symbol)
    assert (refusal is not None) == is_frozen
    if refusal is not None:
        assert (refusal.code, refusal.limit) == (ReasonCode.STOPS_LEVEL, "0.00050")
    assert frozen(held, quote(), mt5_symbol()) is None


def _seen(held: Any = None, *, symbol: Mt5Symbol | None = None, with_quote: bool = True) -> Any:
    chosen = symbol or mt5_symbol()
    return with_seen(snapshot(), chosen, quote() if with_quote else None, held)


@pytest.mark.parametrize(
    ("body", "code", "nearest"),
    [
        (open_order(volume="0.105"), "VOLUME_GRID", ("0.10", "0.11")),
        (open_order(volume="0.001"), "VOLUME_GRID", ("0.01",)),
        (open_order(sl="1.080001"), "PRICE_GRID", ("1.08000", "1.08001")),
        (open_order("BUY_LIMIT", price="1.11"), "PRICE_SIDE", ()),
        (open_order(sl="1.2"), "STOPS_SIDE", ()),
        (open_order(symbol="GBPUSD"), "SYMBOL_UNKNOWN", ()),
        (open_order(expiration=NOW - 1), "EXPIRATION", ()),
        (close_order(11, "0.11"), "VOLUME_GRID", ("0.10",)),
        (close_order(11, symbol="GBPUSD"), "TICKET_UNKNOWN", ()),
        (close_order(12), "TICKET_UNKNOWN", ()),
        (modify_order(11, price="1.08"), "PRICE_SIDE", ()),
    ],
)  # fmt: skip
def test_grids_and_sides_are_looked_at_once_more_with_what_was_read_now(
    body: Any, code: str, nearest: tuple[str, ...]
) -> None:
    refusal = off_grid(body, _seen(position(11)))
    assert refusal is not None
    assert (refusal.code, refusal.nearest) == (code, nearest)


def test_what_is_in_order_passes() -> None:
    for body in (open_order(sl="1.08"), close_order(11), close_order(11, "0.04"),
                 modify_order(11, sl="1.08")):  # fmt: skip
        assert off_grid(body, _seen(position(11))) is None


def test_without_a_fresh_quote_there_is_nothing_to_compare_with() -> None:
    refusal = off_grid(open_order(), _seen(with_quote=False))
    assert refusal is not None
    assert refusal.code is ReasonCode.NO_QUOTE


def test_the_stops_level_is_the_symbols_own_of_now() -> None:
    near = mt5_symbol(spec=structs.replace(mt5_symbol().spec, stops_level=100))
    refusal = off_grid(open_order(sl="1.09950"), _seen(symbol=near))
    assert refusal is not None
    assert refusal.code is ReasonCode.STOPS_LEVEL
