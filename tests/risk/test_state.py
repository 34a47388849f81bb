"""What is remembered between orders: the broker's day, the peak, counts; bounded, and durable."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import Status
from bridge_core.risk.policy import Policy
from bridge_core.risk.state import (
    FILLS_MAX,
    SENT_MAX,
    Breach,
    Fill,
    RiskState,
    Sent,
    day_of,
)
from tests.support.risk_world import NOW, account, modify, opening, pending, policy

D: Final = Decimal
_HOUR: Final = 3_600_000


def _policy(**risk: Any) -> Policy:
    return policy(risk, {})


def _day(equity: str = "10000", floating: str = "0", day: int = 5) -> RiskState:
    made = RiskState()
    assert made.see(account(equity), D(floating), day)
    assert made.realise(D(0), day)
    return made


def _causes(state: RiskState, **risk: Any) -> list[str]:
    return [one.cause for one in state.breaches(_policy(**risk), NOW)]


# --- the day ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("utc_ms", "zone_ms", "day"),
    [(0, 0, 0), (86_399_999, 0, 0), (86_400_000, 0, 1), (22 * _HOUR - 1, 2 * _HOUR, 0),
     (22 * _HOUR, 2 * _HOUR, 1), (_HOUR, -2 * _HOUR, -1), (2 * _HOUR, -2 * _HOUR, 0)],
)  # fmt: skip
def test_the_day_begins_at_midnight_by_the_brokers_clock(
    utc_ms: int, zone_ms: int, day: int
) -> None:
    assert day_of(utc_ms, zone_ms) == day


def test_a_new_day_begins_with_what_there_is_then_and_with_no_word_of_what_was_closed() -> None:
    state = _day()
    state.passed(opening(), NOW)
    state.see(account("9000"), D(-500), 5)
    assert state.realise(D(-500), 5)
    assert (state.lost(), state.trades) == (D(1000), 1)
    assert state.see(account("9100"), D(-400), 6)
    assert state.lost() is None
    assert (state.trades, state.day_equity) == (0, D(9100))
    assert state.realise(D(0), 6)
    assert state.lost() == 0


def test_an_earlier_day_begins_nothing_anew() -> None:
    state = _day(day=5)
    assert not state.see(account("9990"), D(-10), 4)
    assert (state.day, state.lost()) == (5, D(10))


def test_what_is_no_number_is_not_taken_in() -> None:
    state = RiskState()
    assert not state.see(account("NaN"), D(0), 5)
    assert not state.see(account(), D("NaN"), 5)
    assert state == RiskState()
    state = _day()
    assert not state.realise(D("NaN"), 5)
    assert not state.realise(D("Infinity"), 5)
    assert state.realised == 0


def test_closings_of_another_day_count_for_nothing() -> None:
    state = _day()
    assert not state.realise(D(-100), 4)
    assert not state.realise(D(-100), 6)
    assert state.lost() == 0
    assert not state.realise(D(0), 5)  # nothing new


def test_the_loss_of_the_day_is_what_was_closed_and_how_the_floating_profit_changed() -> None:
    state = _day(floating="30")
    state.see(account("9900"), D(-70), 5)
    state.realise(D(-45), 5)
    assert state.lost() == 145
    state.see(account("9900"), D(200), 5)
    assert state.lost() == -125


def test_before_anything_is_seen_nothing_is_known() -> None:
    state = RiskState()
    assert (state.lost(), state.fallen()) == (None, None)
    assert _causes(state, max_drawdown="1%") == []
    state.see(account(), D(0), 5)
    assert state.lost() is None
    assert _causes(state) == []


def test_a_deposit_is_no_gain_of_the_day() -> None:
    state = _day()
    state.see(account("50000"), D(-200), 5)
    assert _causes(state) == ["DAILY_LOSS"]


# --- the peak --------------------------------------------------------------------------------


def test_the_peak_only_rises_and_says_when_it_has() -> None:
    state = _day()
    assert not state.see(account("9000"), D(-1000), 5)
    assert state.see(account("10500"), D(500), 5)
    assert not state.see(account("10499"), D(499), 5)
    assert state.fallen() == 1
    assert not state.see(account("10500"), D(500), 5)


def test_an_account_in_debt_from_the_start_has_a_peak_too() -> None:
    state = RiskState()
    state.see(account("-5"), D(0), 1)
    assert (state.peak_equity, state.fallen()) == (D(-5), D(0))


# --- counts ----------------------------------------------------------------------------------


def test_an_entry_counts_once_it_has_passed_and_nothing_else_does() -> None:
    state = _day()
    state.passed(opening(), NOW)
    state.passed(opening("SELL"), NOW + 1)
    state.passed(modify(pending(), price="1.08"), NOW + 2)
    assert state.trades == 2
    assert state.sent == [
        Sent("EURUSD", "BUY", D("0.10"), NOW),
        Sent("EURUSD", "SELL", D("0.10"), NOW + 1),
    ]


def test_of_the_same_intent_only_the_last_is_remembered_however_its_volume_is_written() -> None:
    state = _day()
    state.passed(opening(volume="0.10"), NOW)
    state.passed(opening(volume="0.1"), NOW + 9)
    assert [one.at_ms for one in state.sent] == [NOW + 9]


def test_what_is_remembered_is_bounded() -> None:
    state = _day()
    for n in range(SENT_MAX + 50):
        state.passed(opening(volume=str(n + 1)), NOW + n)
    for n in range(FILLS_MAX + 50):
        state.ended(Status.FILLED, 1, NOW + n)
    assert (len(state.sent), state.sent[-1].volume) == (SENT_MAX, D(SENT_MAX + 50))
    assert (len(state.fills), state.fills[0].at_ms) == (FILLS_MAX, NOW + 50)


@pytest.mark.parametrize(
    ("status", "rejections", "fills"),
    [(Status.REJECTED, 3, 0), (Status.FILLED, 0, 1), (Status.PARTIAL, 0, 1),
     (Status.WORKING, 0, 0), (Status.DONE, 0, 0), (Status.DENIED, 2, 0), (Status.UNKNOWN, 2, 0),
     (Status.PENDING, 2, 0), (Status.OK, 2, 0)],
)  # fmt: skip
def test_only_the_brokers_word_counts_as_a_rejection_or_ends_a_row_of_them(
    status: Status, rejections: int, fills: int
) -> None:
    state = _day()
    for _ in range(2):
        state.ended(Status.REJECTED, 1, NOW)
    state.ended(status, 1, NOW)
    assert (state.rejections, len(state.fills)) == (rejections, fills)


# --- breaches --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floating", "broken"), [("-199.99", False), ("-200", True), ("-500", True)]
)
def test_the_daily_loss_is_broken_to_the_cent(floating: str, broken: bool) -> None:
    state = _day()
    state.see(account("9800"), D(floating), 5)
    assert (_causes(state) == ["DAILY_LOSS"]) is broken
    assert _causes(state, max_daily_loss=None) == []


def test_percent_of_a_daily_loss_is_of_the_days_first_equity_and_capped() -> None:
    state = _day("20000")
    state.see(account("20000"), D(-399), 5)
    assert _causes(state) == []
    assert _causes(state, initial_balance=D(10_000)) == ["DAILY_LOSS"]
    assert _causes(state, max_daily_loss="399") == ["DAILY_LOSS"]


@pytest.mark.parametrize(("equity", "broken"), [("9000.01", False), ("9000", True)])
def test_a_drawdown_is_broken_to_the_cent(equity: str, broken: bool) -> None:
    state = _day()
    state.see(account(equity), D(0), 5)
    assert (_causes(state, max_drawdown="10%") == ["DRAWDOWN"]) is broken
    assert _causes(state) == []


def test_a_breach_says_its_numbers() -> None:
    state = _day()
    state.see(account("9800"), D("-200.001"), 5)
    assert state.breaches(_policy(), NOW) == (Breach("DAILY_LOSS", "200.00", "200.01"),)


def test_rejections_in_a_row_break_the_breaker() -> None:
    state = _day()
    for _ in range(2):
        state.ended(Status.REJECTED, 1, NOW)
    assert _causes(state, max_rejections=3) == []
    state.ended(Status.REJECTED, 2, NOW)
    assert state.breaches(_policy(max_rejections=3), NOW) == (
        Breach("BREAKER", "max_rejections 3", "3"),
    )
    assert _causes(state) == []


def test_fills_of_one_strategy_within_the_window_break_the_breaker() -> None:
    state = _day()
    state.fills = [Fill(1, NOW), Fill(2, NOW), Fill(2, NOW - 59_999), Fill(1, NOW - 60_000)]
    assert state.breaches(_policy(max_fills=2), NOW) == (
        Breach("BREAKER", "max_fills 2", "2 of strategy 2"),
    )
    assert _causes(state, max_fills=3) == []
    assert _causes(state, max_fills=2, max_rejections=1) == ["BREAKER"]


# --- an operator's resume --------------------------------------------------------------------


def test_resuming_the_breaker_forgets_its_counts() -> None:
    state = _day()
    for _ in range(3):
        state.ended(Status.FILLED, 1, NOW)
        state.ended(Status.REJECTED, 1, NOW)
    state.resumed("BREAKER")
    assert (state.rejections, state.fills) == (0, [])


def test_resuming_a_drawdown_begins_a_new_peak() -> None:
    state = _day()
    state.see(account("8000"), D(0), 5)
    state.resumed("DRAWDOWN")
    assert _causes(state, max_drawdown="10%") == []
    state.see(account("7200"), D(0), 5)
    assert _causes(state, max_drawdown="10%") == ["DRAWDOWN"]


def test_resuming_a_daily_loss_begins_a_new_base_for_the_rest_of_the_day() -> None:
    state = _day()
    state.see(account("9700"), D(-100), 5)
    state.realise(D(-200), 5)
    assert _causes(state) == ["DAILY_LOSS"]
    state.resumed("DAILY_LOSS")
    assert state.lost() == 0
    state.realise(D(-300), 5)
    state.see(account("9600"), D(-193), 5)
    assert state.lost() == 193
    assert _causes(state) == []  # 2 % of 9700
    state.see(account("9600"), D(-194), 5)
    assert _causes(state) == ["DAILY_LOSS"]


def test_a_new_base_can_be_begun_again_where_closings_have_made_up_for_the_loss() -> None:
    state = _day()
    state.realise(D(-200), 5)
    state.resumed("DAILY_LOSS")
    state.realise(D(0), 5)
    assert state.lost() == -200
    state.resumed("DAILY_LOSS")
    assert state.lost() == 0


def test_a_new_base_without_a_word_of_what_was_closed_keeps_the_old_one() -> None:
    state = RiskState()
    state.see(account(), D(0), 5)
    state.resumed("DAILY_LOSS")
    state.realise(D(-200), 5)
    assert state.lost() == 200


def test_resuming_anything_else_changes_nothing() -> None:
    state = _day()
    state.resumed("OPERATOR")
    assert state == _day()


# --- durable ---------------------------------------------------------------------------------

_money = st.decimals(-(10**9), 10**9, places=8)
_times = st.integers(0, 2**50)


@given(
    st.builds(
        RiskState,
        day=st.integers(-1, 10**6), day_equity=_money, day_floating=_money,
        realised=st.none() | _money, settled=_money, floating=_money, equity=_money,
        peak_equity=_money, trades=st.integers(0, 10**6), rejections=st.integers(0, 10**6),
        fills=st.lists(st.builds(Fill, st.integers(0, 4095), _times), max_size=5),
        sent=st.lists(
            st.builds(Sent, st.sampled_from(["EURUSD", "é"]), st.just("BUY"), _money, _times),
            max_size=5,
        ),
    )
)  # fmt: skip
def test_what_is_written_is_what_is_read(state: RiskState) -> None:
    text = msgspec.json.encode(state)
    assert msgspec.json.decode(text, type=RiskState) == state


def test_a_state_of_an_earlier_version_without_a_field_is_read() -> None:
    assert msgspec.json.decode(b'{"day":3}', type=RiskState) == RiskState(day=3)
