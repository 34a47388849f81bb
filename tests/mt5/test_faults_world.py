"""The world changes while an order is under way: at each point of the call, one true outcome.

Link, terminal, switches, symbols, tickets, prices, clocks, comments: what happened is set by a
test, what may be told stands in the table beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import pytest

from tests.mt5.trial import Trial, trial_in
from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED, POINTS

_Act = Callable[[Trial], object]
FILLED: Final = frozenset({"FILLED"})
ABSENT: Final = frozenset({"DENIED ABSENT"})


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("world")) as trial:
        yield trial


class Turn(NamedTuple):
    """What happens, what takes it back, and what is told if it happens BEFORE.

    ACCEPTED is either: a broker looks at its rules again when it executes.
    """

    act: _Act
    back: _Act
    before: frozenset[str]
    later: frozenset[str] = FILLED


def _link(up: bool, history_ms: int = 0) -> _Act:
    return lambda trial: trial.house.broker.link(up, history_ms)


def _switch(**fields: bool) -> _Act:
    return lambda trial: vars(trial.house.terminal).update(fields)


def _symbol(**fields: Any) -> _Act:
    def act(trial: Trial) -> None:
        for name, value in fields.items():
            setattr(trial.house.broker.terms.symbols[0], name, value)

    return act


def _both(*acts: _Act) -> _Act:
    return lambda trial: [act(trial) for act in acts]


def _prices(bid: str, ask: str) -> _Act:
    return lambda trial: trial.house.broker.price("EURUSD", bid, ask)


_BACK = _prices("1.08500", "1.08512")
TURNS: Final[dict[str, Turn]] = {
    "link lost": Turn(_link(up=False), _link(up=True), ABSENT),
    "link lost, history late": Turn(_link(up=False), _link(up=True, history_ms=60), ABSENT),
    "link lost, history very late": Turn(_link(up=False), _link(up=True, history_ms=700), ABSENT),
    "link lost and back": Turn(
        _both(_link(up=False), _link(up=True, history_ms=400)),
        lambda _: None, FILLED,
    ),
    "terminal restarted": Turn(
        lambda trial: trial.house.terminal.restart(0.2), lambda _: None, ABSENT
    ),
    "terminal restarted, history empty": Turn(
        _both(
            lambda trial: trial.house.terminal.restart(),
            lambda trial: trial.house.broker.reload_history(700),
        ),
        lambda _: None, ABSENT,
    ),
    "Algo Trading off": Turn(
        _switch(trade_allowed=False), _switch(trade_allowed=True),
        frozenset({"REJECTED TRADE_DISABLED"}),
    ),
    "Python barred": Turn(
        _switch(tradeapi_disabled=True), _switch(tradeapi_disabled=False),
        frozenset({"DENIED TRADE_DISABLED"}),
    ),
    "symbol unselected": Turn(
        lambda trial: trial.house.broker.select("EURUSD", False),
        lambda trial: trial.house.broker.select("EURUSD", True),
        frozenset({"REJECTED PRICE_OFF", "FILLED"}),
    ),
    "symbol renamed": Turn(
        lambda trial: trial.house.broker.rename_symbol("EURUSD", "EURUSD.r"),
        lambda trial: trial.house.broker.rename_symbol("EURUSD.r", "EURUSD"),
        frozenset({"REJECTED BROKER_REJECTED"}),
    ),
    "digits changed": Turn(
        _symbol(digits=3), _symbol(digits=5), frozenset({"FILLED", "REJECTED INVALID_PRICE"}),
    ),
    "volume step changed": Turn(
        _symbol(volume_min=Decimal(1), volume_step=Decimal(1)),
        _symbol(volume_min=Decimal("0.01"), volume_step=Decimal("0.01")),
        frozenset({"REJECTED INVALID_VOLUME"}),
    ),
    "close only": Turn(
        _symbol(trade_mode=3), _symbol(trade_mode=4), frozenset({"REJECTED TRADE_DISABLED"})
    ),
    "price jumped": Turn(_prices("1.09500", "1.09512"), _BACK, FILLED),
    "broker's clock an hour on": Turn(
        lambda trial: trial.house.broker.set_zone(180),
        lambda trial: trial.house.broker.set_zone(120), FILLED,
    ),
    "broker's clock an hour back": Turn(
        lambda trial: trial.house.broker.set_zone(60),
        lambda trial: trial.house.broker.set_zone(120), FILLED,
    ),
}  # fmt: skip


def _lost_too(trial: Trial, point: str) -> None:
    """After the broker has done it, let the answer be lost as well: only the records tell."""
    if point != ANSWERED:
        trial.script("order_send", ANSWERED, "error", code=-1)


# A symbol that was away is looked for again after five seconds.
_SLOW: Final = ("symbol renamed", "link lost, history late")
_QUICK: Final = [(n, p) for n in TURNS if n not in _SLOW for p in (BEFORE, EXECUTED)]
_REST: Final = [(n, p) for n in TURNS for p in POINTS if (n, p) not in _QUICK]


@pytest.mark.parametrize(("name", "point"), _QUICK)
def test_the_world_turns_under_an_order(trial: Trial, name: str, point: str) -> None:
    _turned(trial, name, point)


@pytest.mark.long
@pytest.mark.parametrize(("name", "point"), _REST)
def test_it_turns_at_the_other_points(trial: Trial, name: str, point: str) -> None:
    _turned(trial, name, point)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", TURNS)
def test_it_turns_and_the_answer_is_lost_too(trial: Trial, name: str, point: str) -> None:
    _turned(trial, name, point, lost=True)


def _turned(trial: Trial, name: str, point: str, *, lost: bool = False) -> None:
    turn = TURNS[name]

    def happen() -> None:
        trial.at(point, lambda: turn.act(trial))
        if lost:
            _lost_too(trial, point)

    may = {BEFORE: turn.before, ACCEPTED: turn.before | turn.later}.get(point, turn.later)
    if lost:
        may |= FILLED | ABSENT
    for _ in range(3):
        ended = trial.meet("buy", happen, back=lambda: turn.back(trial))
        trial.priced()
        # On a machine that stood still the price was too old before the order met anything.
        if ended.sent or ended.word in may or ended.result.code not in ("STALE_QUOTE", "NO_QUOTE"):
            break
    assert ended.word in may, ended
    assert ended.runs == int(ended.word == "FILLED"), ended
    assert ended.sent <= 1


OFF: Final[dict[str, tuple[Turn, str, str]]] = {
    "Algo Trading off": (TURNS["Algo Trading off"], "TRADE_DISABLED", "press the button"),
    "Python barred": (TURNS["Python barred"], "TRADE_DISABLED", "clear it"),
    "link lost": (TURNS["link lost"], "BROKER_DOWN", "no link to its broker"),
}


@pytest.mark.parametrize("name", OFF)
def test_what_is_off_already_gets_no_order_and_says_what_to_do(trial: Trial, name: str) -> None:
    turn, code, fix = OFF[name]
    ended = trial.meet("buy", lambda: turn.act(trial), lambda: turn.back(trial))
    told = ended.result
    assert (ended.word, ended.sent) == (f"DENIED {code}", 0), told
    assert fix in told.value, told
