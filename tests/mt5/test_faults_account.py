"""Another account under us, another margin mode, another clock on this PC: no order goes astray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bridge_core.protocol.messages import Resume
from bridge_core.protocol.operations import Op
from tests.mt5.shifted_clock import NAME, set_clock
from tests.mt5.trial import Trial, hop_of, trial_in, word_of
from tests.support.fake_metatrader5.faults import ANSWERED, BEFORE, EXECUTED, POINTS
from tests.support.running import wait_until

_HOUR_MS: Final = 3_600_000
OTHERS: Final[dict[str, dict[str, Any]]] = {
    "login": {"login": 7_777_777},
    "server": {"server": "Other-Demo"},
    "kind": {"trade_mode": 2},
    "margin mode": {"margin_mode": 0},
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial_in(tmp_path_factory.mktemp("account")) as trial:
        yield trial


def _causes(trial: Trial) -> set[str]:
    return {one.cause for one in trial.bridge.health().causes}


def _back(trial: Trial) -> None:
    """The pinned account again; then a person looks, and says so."""
    trial.house.terminal.login_as()
    wait_until(lambda: hop_of(trial.bridge)[0] == "up", 10)


def _halted_and_back(trial: Trial) -> None:
    wait_until(lambda: "IDENTITY" in _causes(trial), 10)
    _back(trial)


def _resume(trial: Trial, cause: str = "IDENTITY") -> None:
    operator = trial.house.client("operator")
    try:
        assert operator.do(Op.RESUME, Resume(cause=cause, reason="checked")).status == "DONE"
    finally:
        operator.close()
    trial.house.ready()


# Each costs two heartbeats of the server: two in every run.
_QUICK: Final = ("login", "margin mode")
_EVERY: Final = [(other, point) for other in OTHERS for point in POINTS]


@pytest.mark.parametrize("other", _QUICK)
def test_an_account_that_is_switched_under_an_order_halts_and_loses_nothing(
    trial: Trial, other: str
) -> None:
    _switched(trial, other, EXECUTED)


@pytest.mark.long
@pytest.mark.parametrize(("other", "point"), _EVERY)
def test_so_it_is_at_every_point(trial: Trial, other: str, point: str) -> None:
    _switched(trial, other, point)


def _switched(trial: Trial, other: str, point: str) -> None:
    terminal = trial.house.terminal
    told = []

    def back() -> None:
        wait_until(lambda: "IDENTITY" in _causes(trial), 10)
        told.append(word_of(trial.bridge.buy("EURUSD", 0.01)))
        _back(trial)

    ended = trial.meet(
        "buy", lambda: trial.at(point, lambda: terminal.login_as(**OTHERS[other])), back
    )
    assert ended.word == "FILLED", ended  # what the terminal had already, it sent
    assert (ended.runs, ended.sent) == (1, 1)
    assert told in (["DENIED HALTED"], ["DENIED ACCOUNT_MISMATCH"]), told
    _resume(trial)


@pytest.mark.parametrize("other", [one for one in OTHERS if one not in _QUICK])
def test_an_account_that_is_switched_just_before_gets_no_order(trial: Trial, other: str) -> None:
    _just_before(trial, other)


@pytest.mark.long
@pytest.mark.parametrize("other", _QUICK)
def test_so_it_is_with_what_else_may_differ(trial: Trial, other: str) -> None:
    _just_before(trial, other)


def _just_before(trial: Trial, other: str) -> None:
    """Between order_check, the last look but one, and order_send lies the worker's own look."""
    terminal = trial.house.terminal
    ended = trial.meet(
        "buy",
        lambda: trial.at(ANSWERED, lambda: terminal.login_as(**OTHERS[other]), "order_check"),
        lambda: _halted_and_back(trial),
    )
    assert ended.word == "DENIED ACCOUNT_MISMATCH", ended
    assert ended.sent == 0
    _resume(trial)


def test_a_margin_mode_that_is_not_the_configured_one_starts_halted(trial: Trial) -> None:
    house = trial.house
    old = house.broker.begun()
    house.close()
    house.terminal.login_as(margin_mode=0)
    house.start_server()
    wait_until(lambda: "IDENTITY" in _causes(trial), 20)
    state, why = hop_of(trial.bridge)
    assert state != "up"
    assert "margin" in why, why
    assert word_of(trial.bridge.buy("EURUSD", 0.01)) == "DENIED HALTED"
    assert house.broker.begun() == old
    _back(trial)
    assert word_of(trial.bridge.buy("EURUSD", 0.01)) == "DENIED HALTED"  # until a person says so
    _resume(trial)
    trial.heals()


# --- the PC's clock ------------------------------------------------------------------------------


def test_a_pc_whose_clock_is_set_under_an_order_still_tells_what_became_of_it(
    tmp_path: Path,
) -> None:
    with _on_a_clock(tmp_path) as (trial, file):
        _jump(trial, file, EXECUTED, 2)


@pytest.mark.long
@pytest.mark.parametrize("hours", [2, -2])
@pytest.mark.parametrize("point", POINTS)
def test_such_a_pc_trades_again_once_its_clock_is_right_and_steady(
    tmp_path: Path, point: str, hours: int
) -> None:
    with _on_a_clock(tmp_path) as (trial, file):
        _jump(trial, file, point, hours)
        trial.house.ready()  # the server's own word that its clock has stood still for a while
        # A connector that has measured the wrong clock may take a while longer: a new one does not.
        with trial.house.connector("afresh") as bridge:
            result = bridge.buy("EURUSD", 0.01)
        assert word_of(result) == "FILLED", result


@contextmanager
def _on_a_clock(folder: Path) -> Iterator[tuple[Trial, Path]]:
    file = folder / "clock"
    set_clock(file, 0)
    with trial_in(folder / "house", {NAME: str(file)}) as trial:
        yield trial, file


def _jump(trial: Trial, file: Path, point: str, hours: int) -> None:
    """The answer is lost too: only the broker's records, read by the wrong clock, can tell."""
    trial.settled()
    scripted = trial.at(point, lambda: set_clock(file, hours * _HOUR_MS), kind="error", code=-1)
    told = trial.bridge.buy("EURUSD", 0.01, wait=0.3)
    wait_until(lambda: not scripted.times, 10)
    refused = trial.bridge.buy("EURUSD", 0.01, wait=1)
    set_clock(file, 0)
    found = trial.ended(told)
    assert word_of(found) == ("DENIED ABSENT" if point == BEFORE else "FILLED"), found
    assert word_of(trial.ended(refused)).startswith("DENIED"), refused
