"""What the broker says, what it does later, and what cannot be read meanwhile: one true outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial

import pytest

from tests.mt5.fault_rows import CODES, FILLS, Fill, Reading, readings
from tests.mt5.trial import Trial, trial_in, word_of
from tests.support.fake_metatrader5.faults import ANSWERED, BEFORE, EXECUTED

_QUICK = [one for one in readings() if one.quick]
_REST = [one for one in readings() if not one.quick]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("answers")) as trial:
        yield trial


# --- retcodes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("retcode", CODES)
def test_a_definite_no_is_rejected_with_its_code_and_nothing_runs(
    trial: Trial, retcode: int
) -> None:
    ended = trial.meet("buy", lambda: trial.house.broker.fail_next(retcode))
    assert ended.word == f"REJECTED {CODES[retcode]}"
    assert ended.result.retcode == retcode
    assert (ended.runs, ended.sent) == (0, 1)


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("retcode", [10011, 10012, 10023, 10031, 10039, 12345])
def test_a_code_that_decides_nothing_ends_by_what_the_books_show(
    trial: Trial, retcode: int, *, executed: bool
) -> None:
    ended = trial.meet("buy", lambda: trial.house.broker.fail_next(retcode, executed=executed))
    assert ended.word == ("FILLED" if executed else "DENIED ABSENT"), ended
    assert (ended.runs, ended.sent) == (int(executed), 1)


@pytest.mark.parametrize("name", FILLS)
def test_a_fill_is_told_as_the_deals_say_whenever_they_come(trial: Trial, name: str) -> None:
    fill: Fill = FILLS[name]
    plan = getattr(trial.house.broker, fill.control)
    ended = trial.meet("buy", lambda: plan(*fill.words, **fill.how), volume=0.1)
    assert ended.word in fill.may, ended
    assert ended.sent == 1
    if fill.volume:
        assert Decimal(str(ended.result.volume)) == Decimal(fill.volume)


def test_a_burst_that_the_broker_limits_is_rejected_where_it_says_so_and_goes_on_later(
    trial: Trial,
) -> None:
    terms = trial.house.broker.terms
    trial.heals()
    terms.rate_requests, terms.rate_ms = 100, 1
    trial.heals()  # what was sent before counts no more
    terms.rate_requests, terms.rate_ms = 3, 60_000
    old = trial.house.terminal.count("order_send")
    told = [trial.bridge.buy("EURUSD", 0.01) for _ in range(5)]
    terms.rate_requests = 0
    words = [word_of(one) for one in told]
    assert set(words) == {"FILLED", "REJECTED BROKER_REJECTED"}, words
    assert {one.retcode for one in told} == {10009, 10024}
    assert trial.house.terminal.count("order_send") == old + 5
    trial.heals()


def test_a_market_that_closes_between_check_and_send_is_told_so(trial: Trial) -> None:
    broker = trial.house.broker
    ended = trial.meet("buy", lambda: trial.at(BEFORE, lambda: broker.close_market("EURUSD")))
    broker.open_market("EURUSD")
    assert (ended.word, ended.result.retcode) == ("REJECTED MARKET_CLOSED", 10018)


def test_money_that_goes_between_check_and_send_is_told_so(trial: Trial) -> None:
    broker = trial.house.broker
    rich = Decimal(str(broker.account()["margin_free"])) - 1
    ended = trial.meet("buy", lambda: trial.at(BEFORE, lambda: broker.pay_in(-rich)), volume=1)
    broker.pay_in(rich)
    assert (ended.word, ended.result.retcode, ended.runs) == ("REJECTED NO_MONEY", 10019, 0)


def test_a_filling_that_the_broker_no_longer_takes_is_told_so(trial: Trial) -> None:
    (symbol, *_) = trial.house.broker.terms.symbols

    def other() -> None:
        symbol.filling_mode = 1

    ended = trial.meet("buy", lambda: trial.at(BEFORE, other))
    symbol.filling_mode = 2
    assert (ended.word, ended.result.retcode) == ("REJECTED BROKER_REJECTED", 10030)


# --- what is read meanwhile ----------------------------------------------------------------------


def _read(trial: Trial, row: Reading) -> None:
    ended = trial.meet("buy", lambda: trial.script(row.function, row.point, row.kind, **row.how))
    assert ended.word in row.may, ended
    assert ended.runs == int(ended.word == "FILLED"), ended
    assert ended.sent <= 1, ended


@pytest.mark.parametrize("row", _QUICK, ids=lambda row: row.name)
def test_what_cannot_be_read_makes_no_outcome(trial: Trial, row: Reading) -> None:
    _read(trial, row)


@pytest.mark.long
@pytest.mark.parametrize("row", _REST, ids=lambda row: row.name)
def test_so_it_is_with_every_other_function_and_fault(trial: Trial, row: Reading) -> None:
    _read(trial, row)


@pytest.mark.parametrize("order", ["buy", "close", "limit", "cancel", "modify"])
def test_answers_that_are_empty_for_a_while_are_no_absence(trial: Trial, order: str) -> None:
    """The answer of order_send is lost, and for some looks the terminal shows nothing at all."""
    shown = {
        "orders_get": [], "positions_get": [], "history_orders_get": [], "history_deals_get": [],
        "history_orders_total": 0, "history_deals_total": 0,
    }  # fmt: skip
    seen: list[str] = []

    def begin() -> None:
        until = time.monotonic() + 1.0  # absence would be concluded in a third of that

        def shows(name: str, nothing: object, value: object) -> object:
            if time.monotonic() > until:
                return value
            seen.append(name)
            return nothing

        for name, nothing in shown.items():
            change = partial(shows, name, nothing)
            trial.script(name, ANSWERED, "alter", times=10_000, change=change)

    ended = trial.meet(order, lambda: trial.at(EXECUTED, begin, kind="error", code=-1))
    assert ended.runs == 1
    assert not ended.word.startswith(("DENIED", "REJECTED")), ended
    assert set(seen) == set(shown)
    trial.heals()
