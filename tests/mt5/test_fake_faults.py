"""Every fault at every point of a trade call: what the client sees, and what the broker did."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.mt5.remote import BUY, Remote, terminal_in
from tests.support.fake_metatrader5 import FakeTerminal, fresh
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED, Faults
from tests.support.running import wait_until

DONE = (1, "Success")
AT = [(BEFORE, 0), (ACCEPTED, 1), (EXECUTED, 1), (ANSWERED, 1)]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[FakeTerminal]:
    with terminal_in(tmp_path) as one:
        yield one


@pytest.fixture
def mt5(terminal: FakeTerminal) -> Iterator[ModuleType]:
    module = fresh()
    assert module.initialize(terminal.path)
    yield module
    module.shutdown()


def held(terminal: FakeTerminal) -> int:
    return len(terminal.broker.positions())


# --- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "executed"), AT)
@pytest.mark.parametrize("code", [-1, -3, -10000, -10001, -10002, -10004])
def test_an_error_says_nothing_of_what_the_broker_did(
    terminal: FakeTerminal, mt5: ModuleType, point: str, executed: int, code: int
) -> None:
    terminal.faults.script("order_send", point, "error", code=code)
    assert mt5.order_send(BUY) is None
    assert mt5.last_error() == (code, FACTS.errors[code])
    assert held(terminal) == executed
    assert terminal.count("order_send") == executed  # BEFORE: the terminal never got it


@pytest.mark.parametrize(
    ("code", "later"), [(-1, 1), (-10000, 1), (-10001, -10001), (-10002, -10004), (-10004, -10004)]
)
def test_what_follows_an_error_is_by_its_kind(
    terminal: FakeTerminal, mt5: ModuleType, code: int, later: int
) -> None:
    terminal.faults.script("order_send", ANSWERED, "error", code=code)
    mt5.order_send(BUY)
    for _ in range(3):
        mt5.account_info()
        assert mt5.last_error()[0] == later
    assert mt5.initialize(terminal.path)
    assert mt5.account_info() is not None


def test_a_pipe_that_was_disconnected_fails_to_read_once_and_to_send_from_then_on(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    terminal.faults.script("order_send", ANSWERED, "error", code=-10002, kept=True)
    codes = []
    for _ in range(3):
        mt5.order_send(BUY)
        codes.append(mt5.last_error()[0])
    assert codes == [-10002, -10001, -10001]
    assert held(terminal) == 1


def test_a_pipe_out_of_step_gives_each_call_the_answer_of_the_one_before(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    terminal.faults.script("order_send", ANSWERED, "out_of_step")
    assert mt5.order_send(BUY) is None
    assert mt5.last_error() == (-10000, "IPC call failed")
    wait_until(lambda: held(terminal) == 1)
    # The package looks at the kind of an answer only: this one belongs to the order before.
    late = mt5.order_send(BUY | {"magic": 5})
    assert late.request.magic == BUY["magic"]
    assert mt5.positions_get() is None
    assert mt5.last_error() == (-10000, "IPC call failed")
    assert mt5.initialize(terminal.path)
    assert len(mt5.positions_get()) == 2


@pytest.mark.parametrize(
    ("how", "at_once", "at_last"),
    [
        ({"execute": "now"}, 1, 1), ({"execute": "never"}, 0, 0),
        ({"execute": "later", "after_s": 0.2}, 0, 1),
    ],
)  # fmt: skip
def test_an_accepted_request_is_executed_by_the_word_of_the_fault(
    terminal: FakeTerminal, mt5: ModuleType, how: dict[str, Any], at_once: int, at_last: int
) -> None:
    terminal.faults.script("order_send", ACCEPTED, "error", code=-10002, **how)
    assert mt5.order_send(BUY) is None
    assert held(terminal) == at_once
    wait_until(lambda: held(terminal) == at_last)
    assert terminal.count("order_send") == 1


def test_a_terminal_dies_and_its_broker_executes_later(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    terminal.faults.script(
        "order_send", ACCEPTED, "kill_terminal", execute="later", after_s=0.2
    )  # fmt: skip
    assert mt5.order_send(BUY) is None
    assert mt5.last_error()[0] == -10002
    assert not terminal.running
    assert held(terminal) == 0
    wait_until(lambda: held(terminal) == 1)


@pytest.mark.parametrize(("point", "executed"), AT)
def test_a_terminal_dies_at_each_point(
    terminal: FakeTerminal, mt5: ModuleType, point: str, executed: int
) -> None:
    terminal.faults.script("order_send", point, "kill_terminal")
    assert mt5.order_send(BUY) is None
    assert mt5.last_error()[0] == -10002
    assert mt5.order_send(BUY) is None
    assert mt5.last_error()[0] == -10004
    assert held(terminal) == executed
    assert mt5.initialize(terminal.path)  # which starts it
    assert terminal.launch.count == 1
    assert len(mt5.positions_get()) == executed


@pytest.mark.parametrize(("point", "executed"), AT)
def test_a_worker_is_killed_at_each_point(
    terminal: FakeTerminal, point: str, executed: int
) -> None:
    terminal.faults.script("order_send", point, "kill_worker")
    with Remote(terminal.path) as client:
        client.begin("order_send", BUY)
        assert client.wait_dead() == -signal.SIGKILL
    wait_until(lambda: held(terminal) == executed)
    terminal.faults.wait_reached(point)
    mt5 = fresh()
    assert mt5.initialize(terminal.path)  # free for the next one: that call is over
    assert held(terminal) == executed
    mt5.shutdown()


def test_any_process_is_killed_when_a_call_gets_there(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    terminal.faults.script("order_send", EXECUTED, "kill_pid", pid=victim.pid)
    assert mt5.order_send(BUY).retcode == 10009
    assert victim.wait(10) == -signal.SIGKILL
    assert victim.stdin is not None
    victim.stdin.close()


# --- other answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "how", "executed"),
    [(BEFORE, {}, 0), (ACCEPTED, {"execute": "never"}, 0), (EXECUTED, {}, 1), (ANSWERED, {}, 1)],
)
@pytest.mark.parametrize("code", [10011, 10012, 10031, 19999])
def test_a_code_comes_with_and_without_an_execution(
    terminal: FakeTerminal,
    mt5: ModuleType,
    *,
    point: str,
    how: dict[str, Any],
    executed: int,
    code: int,
) -> None:
    terminal.faults.script("order_send", point, "retcode", code=code, **how)
    answer = mt5.order_send(BUY)
    assert (answer.retcode, answer.order, answer.deal) == (code, 0, 0)
    assert answer.request.magic == BUY["magic"]
    assert held(terminal) == executed


def test_an_answer_is_none_where_a_record_or_a_list_is_expected(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    for name in ("order_send", "positions_get", "symbol_info"):
        terminal.faults.script(name, ANSWERED, "none")
    for answer in (mt5.order_send(BUY), mt5.positions_get(), mt5.symbol_info("EURUSD")):
        assert answer is None
        assert mt5.last_error() == DONE


def test_an_answer_is_altered(terminal: FakeTerminal, mt5: ModuleType) -> None:
    terminal.faults.script(
        "order_send", ANSWERED, "alter", change=lambda answer: answer | {"volume": 0.3}
    )
    assert mt5.order_send(BUY).volume == 0.3
    assert terminal.broker.positions()[0]["volume"] == 0.1


def test_a_check_is_answered_with_another_code(terminal: FakeTerminal, mt5: ModuleType) -> None:
    terminal.faults.script("order_check", ANSWERED, "retcode", code=10019)
    answer = mt5.order_check(BUY)
    assert (answer.retcode, answer.comment) == (10019, "No money")
    assert answer.balance == 10_000.0


def test_an_accepted_request_that_hangs_and_never_executes_times_out(
    terminal: FakeTerminal, mt5: ModuleType
) -> None:
    terminal.faults.script("order_send", ACCEPTED, "delay", seconds=0.01, execute="never")
    assert mt5.order_send(BUY).retcode == 10012
    assert held(terminal) == 0


# --- scripts -------------------------------------------------------------------------------------


def test_a_script_is_used_up_skips_and_chooses(terminal: FakeTerminal, mt5: ModuleType) -> None:
    faults = terminal.faults
    faults.script("*", BEFORE, "error", code=-1, times=2, skip=1)
    codes = []
    for _ in range(4):
        mt5.account_info()
        codes.append(mt5.last_error()[0])
    assert codes == [1, -1, -1, 1]
    faults.script("order_send", BEFORE, "none", when=lambda request: request["magic"] == 5)
    assert mt5.order_send(BUY).retcode == 10009
    assert mt5.order_send(BUY | {"magic": 5}) is None
    faults.script("order_send", BEFORE, "none", times=9)
    faults.calm()
    assert mt5.order_send(BUY).retcode == 10009


def test_a_hang_goes_on_when_it_is_released(terminal: FakeTerminal) -> None:
    terminal.faults.script("order_send", EXECUTED, "hang")
    with Remote(terminal.path) as client:
        client.begin("order_send", BUY)
        terminal.faults.wait_reached(EXECUTED)
        assert held(terminal) == 1
        assert client.busy(0.05)
        terminal.faults.release()
        assert client.end().value["retcode"] == 10009


def test_a_script_that_makes_no_sense_is_refused() -> None:
    faults = Faults()
    unknown: Any = "explode"
    with pytest.raises(AssertionError, match="nowhere"):
        faults.script("order_send", "nowhere", "hang")
    with pytest.raises(AssertionError, match="explode"):
        faults.script("order_send", BEFORE, unknown)
    with pytest.raises(AssertionError, match="only at ACCEPTED"):
        faults.script("order_send", BEFORE, "hang", execute="later")
    with pytest.raises(AssertionError, match="no fault was met"):
        faults.wait_reached(BEFORE, seconds=0.01)


# --- states --------------------------------------------------------------------------------------


def test_the_terminals_own_switches_stop_a_trade(terminal: FakeTerminal, mt5: ModuleType) -> None:
    terminal.trade_allowed = False
    answer = mt5.order_send(BUY)
    assert (answer.retcode, answer.request_id) == (10027, 0)
    assert mt5.terminal_info().trade_allowed is False
    assert mt5.last_error() == DONE
    terminal.tradeapi_disabled = True
    assert mt5.order_send(BUY) is None
    assert mt5.last_error() == (-8, FACTS.errors[-8])
    assert mt5.terminal_info().tradeapi_disabled is True
    assert held(terminal) == 0


def test_a_link_that_is_down_shows_and_refuses(terminal: FakeTerminal, mt5: ModuleType) -> None:
    terminal.broker.link(False)
    assert mt5.terminal_info().connected is False
    assert mt5.order_send(BUY).retcode == 10031
    terminal.broker.link(True)
    assert mt5.terminal_info().connected is True
    assert mt5.order_send(BUY).retcode == 10009


def test_the_account_is_switched_under_a_client(terminal: FakeTerminal, mt5: ModuleType) -> None:
    own = mt5.account_info().login
    terminal.login_as(login=42, trade_mode=2, margin_mode=0)
    shown = mt5.account_info()
    assert (shown.login, shown.trade_mode, shown.margin_mode) == (42, 2, 0)
    terminal.login_as()
    assert mt5.account_info().login == own
