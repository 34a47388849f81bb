"""MetaTrader 5 records become the server's picture: exactly, and never by guessing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.replies import text_of
from bridge_server.backends import mt5_books as books
from bridge_server.backends.mt5_books import RecordError
from bridge_server.core.orders import Life
from tests.support.clock import FakeClock
from tests.support.mt5_hand import ZONE_MS, HandAccount, tick_row

D = Decimal
BUY, SELL = 0, 1
CLOCK = FakeClock()
NOW = CLOCK.wall_ms()


def account() -> HandAccount:
    """Return an account with a position and a pending order."""
    made = HandAccount(CLOCK)
    made.deal(BUY, "0.10", magic=7, comment="Zmine")
    made.place(2, "0.20")
    return made


def position_row(**over: Any) -> dict[str, Any]:
    return next(iter(account().positions.values())) | over


def order_row(**over: Any) -> dict[str, Any]:
    return next(iter(account().orders.values())) | over


def deal_row(**over: Any) -> dict[str, Any]:
    return account().deals[-1] | over


# --- numbers -------------------------------------------------------------------------------------


@given(st.decimals(-(10**6), 10**6, places=8, allow_nan=False))
def test_a_double_is_the_decimal_it_was_made_from(value: Decimal) -> None:
    assert books.exact({"x": float(value)}, "x") == value


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e14, max_value=1e14))
def test_every_number_of_a_record_can_be_told(value: float) -> None:
    found = books.exact({"x": value}, "x")
    text_of(found)
    assert abs(found - D(repr(value))) <= D("0.000000005")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.3"), (1.1, "1.1"), (100.0, "100"), (-0.0, "0"), (3, "3"), (1e-9, "0")],
)
def test_a_number_is_written_as_people_write_it(value: float, text: str) -> None:
    assert str(books.exact({"x": value}, "x")) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e15, None, "1.1", True])
def test_what_is_no_number_is_refused_with_its_name(value: object) -> None:
    with pytest.raises(RecordError, match="price_open="):
        books.position_of(position_row(price_open=value), ZONE_MS)


@pytest.mark.parametrize("name", ["ticket", "type", "magic", "time_msc", "volume"])
def test_a_record_without_a_field_is_refused(name: str) -> None:
    row = position_row()
    del row[name]
    with pytest.raises(RecordError, match=name):
        books.position_of(row, ZONE_MS)


# --- time ----------------------------------------------------------------------------------------


def test_times_are_utc_and_unknown_while_the_zone_is() -> None:
    assert books.position_of(position_row(), ZONE_MS).opened_ms == NOW
    assert books.position_of(position_row(), None).opened_ms == 0
    row = order_row(time_expiration=(NOW + ZONE_MS) // 1000 + 60)
    assert books.pending_of(row, ZONE_MS).expiration_ms == NOW // 1000 * 1000 + 60_000
    assert books.pending_of(order_row(), ZONE_MS).expiration_ms == 0


# --- positions and orders ------------------------------------------------------------------------


def test_a_position_shows_the_ticket_it_has_now() -> None:
    row = position_row(ticket=999, sl=1.05, type=SELL)
    shown = books.position_of(row, ZONE_MS)
    assert (shown.ticket, shown.type, shown.volume, shown.sl, shown.tp) == (
        999, "SELL", D("0.1"), D("1.05"), D(0),
    )  # fmt: skip
    assert (shown.magic, shown.comment, shown.symbol) == (7, "Zmine", "EURUSD")


@pytest.mark.parametrize("kind", [2, 9, -1])
def test_a_position_that_is_neither_bought_nor_sold_is_refused(kind: int) -> None:
    with pytest.raises(RecordError, match="neither BUY nor SELL"):
        books.position_of(position_row(type=kind), ZONE_MS)


@pytest.mark.parametrize(
    ("kind", "word"),
    [(0, "BUY"), (3, "SELL_LIMIT"), (7, "SELL_STOP_LIMIT"), (8, "CLOSE_BY"), (9, ""), (77, "")],
)
def test_an_order_type_that_nobody_listed_is_no_word(kind: int, word: str) -> None:
    assert books.pending_of(order_row(type=kind), ZONE_MS).type == word


def test_a_pending_order_shows_what_is_left_of_it() -> None:
    shown = books.pending_of(order_row(volume_initial=0.5, volume_current=0.2), ZONE_MS)
    assert (shown.volume, shown.price, shown.placed_ms) == (D("0.2"), D("1.05"), NOW)


# --- the past ------------------------------------------------------------------------------------


def test_a_deal_names_the_ticket_that_its_position_has_now() -> None:
    row = deal_row(position_id=5)
    live, gone = books.deal_of(row, ZONE_MS, {5: 999}), books.deal_of(row, ZONE_MS, {})
    assert live is not None
    assert gone is not None
    assert (live.ticket, gone.ticket) == (999, 5)


def test_a_fee_is_a_commission() -> None:
    found = books.deal_of(deal_row(commission=-0.2, fee=-0.1), ZONE_MS, {})
    assert found is not None
    assert found.commission == D("-0.3")


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 17, 99])
def test_what_trades_nothing_is_no_deal(kind: int) -> None:
    row = deal_row(type=kind)
    assert books.deal_of(row, ZONE_MS, {}) is None
    assert books.signed_volume(row) == 0


@pytest.mark.parametrize(
    ("entry", "word"), [(0, "IN"), (1, "OUT"), (2, "INOUT"), (3, "OUT_BY"), (4, ""), (-1, "")]
)
def test_an_entry_that_nobody_listed_is_no_word(entry: int, word: str) -> None:
    found = books.deal_of(deal_row(entry=entry), ZONE_MS, {})
    assert found is not None
    assert found.entry == word


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (0, "MANUAL"), (1, "MANUAL"), (2, "MANUAL"), (3, "OURS"), (4, "SL"), (5, "TP"),
        (6, "STOP_OUT"), (7, ""), (8, ""), (9, ""), (10, ""), (-1, ""),
    ],
)  # fmt: skip
def test_a_reason_that_nobody_listed_is_no_word(reason: int, word: str) -> None:
    found = books.deal_of(deal_row(reason=reason), ZONE_MS, {})
    assert found is not None
    assert found.reason == word


@pytest.mark.parametrize(
    ("state", "life", "word"),
    [
        (0, "", "STARTED"), (1, "", "PLACED"), (2, "CANCELLED", "CANCELED"),
        (3, "CANCELLED", "PARTIAL"), (4, "FILLED", "FILLED"), (5, "CANCELLED", "REJECTED"),
        (6, "BROKER_EXPIRED", "EXPIRED"), (7, "", "REQUEST_ADD"), (9, "", "REQUEST_CANCEL"),
        (10, "", ""), (-1, "", ""),
    ],
)  # fmt: skip
def test_an_ended_order_has_a_life_that_the_journal_knows_or_none(
    state: int, life: str, word: str
) -> None:
    row = order_row(state=state, time_done_msc=NOW + ZONE_MS)
    found = books.ended_of(row, ZONE_MS)
    assert (found.life, found.state, found.time_ms) == (life, word, NOW)
    assert not life or Life(life)


def test_an_ended_order_says_what_was_filled_of_it_and_what_placed_it() -> None:
    found = books.ended_of(order_row(volume_initial=0.5, volume_current=0.2, reason=4), ZONE_MS)
    assert (found.volume, found.filled, found.reason) == (D("0.5"), D("0.3"), "SL")
    assert books.ended_of(order_row(reason=3), ZONE_MS).reason == ""


# --- the account ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "kind"), [(0, "demo"), (1, "contest"), (2, "real"), (3, "unknown(3)")]
)
def test_a_contest_account_is_neither_demo_nor_real(mode: int, kind: str) -> None:
    assert books.identity_of(account().account() | {"trade_mode": mode}).kind == kind


@pytest.mark.parametrize(
    ("mode", "word"), [(0, "netting"), (1, "netting"), (2, "hedging"), (3, "unknown(3)")]
)
def test_an_exchange_account_nets(mode: int, word: str) -> None:
    assert books.identity_of(account().account() | {"margin_mode": mode}).margin_mode == word


def test_a_margin_level_is_told_only_where_there_is_margin() -> None:
    row = account().account()
    assert books.account_of(row).margin_level is None
    found = books.account_of(row | {"margin": 110.0, "margin_level": 9090.909090909})
    assert found.margin_level == D("9090.90909091")


@pytest.mark.parametrize(("bid", "ask"), [(0.0, 1.1), (1.1, 0.0), (0.0, 0.0), (-1.0, 1.1)])
def test_a_tick_without_two_prices_is_no_quote(bid: float, ask: float) -> None:
    assert books.quote_of("EURUSD", tick_row(bid, ask, NOW), ZONE_MS, NOW) is None


def test_a_tick_is_a_quote_in_utc() -> None:
    found = books.quote_of("EURUSD", tick_row(1.1, 1.10012, NOW + ZONE_MS), ZONE_MS, NOW + 5)
    assert found is not None
    assert (found.bid, found.ask, found.time_ms, found.asked_wall_ms) == (
        D("1.1"), D("1.10012"), NOW, NOW + 5,
    )  # fmt: skip


# --- what did not change -------------------------------------------------------------------------


def test_only_what_changed_is_made_anew_and_what_is_gone_is_forgotten() -> None:
    made: list[int] = []

    def make(row: books.Row) -> tuple[object, int]:
        made.append(books.number(row, "ticket"))
        return row["profit"], len(made)

    kept = books.Kept[tuple[object, int]]()
    one, two = position_row(ticket=1, profit=0.0), position_row(ticket=2, profit=0.0)
    assert kept.of([one, two], 0, make) == [(0.0, 1), (0.0, 2)]
    assert kept.of([dict(two), dict(one)], 0, make) == [(0.0, 2), (0.0, 1)]  # in their own order
    assert kept.of([one, two | {"profit": 1.5}], 0, make) == [(0.0, 1), (1.5, 3)]
    assert kept.of([two], 0, make) == [(0.0, 4)]
    assert kept.of([one, two], 0, make) == [(0.0, 5), (0.0, 4)]
    assert kept.of([one, two], 3_600_000, make) == [(0.0, 6), (0.0, 7)]  # in another zone


def test_a_record_that_cannot_be_believed_is_not_taken_for_the_one_before_it() -> None:
    kept = books.Kept[Any]()
    row = position_row()
    (was,) = kept.of([row], 0, lambda one: books.position_of(one, 0))
    for wrong in ({"volume": float("nan")}, {"type": 7}, {"ticket": None}):
        with pytest.raises(RecordError):
            kept.of([row | wrong], 0, lambda one: books.position_of(one, 0))
    assert kept.of([row], 0, lambda one: books.position_of(one, 0)) == [was]
