"""The pipe of the fake: it holds the GIL, and dies as the real one does."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.mt5.remote import BUY, Remote, terminal_in
from tests.support.fake_metatrader5 import ANSWERED, BEFORE, FakeTerminal, fresh
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.pipe import pipe_name
from tests.support.running import wait_until

SENT = (-10001, FACTS.errors[-10001])
RECEIVED = (-10002, FACTS.errors[-10002])
NONE = (-10004, FACTS.errors[-10004])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[FakeTerminal]:
    with terminal_in(tmp_path) as one:
        yield one


@pytest.fixture
def client(terminal: FakeTerminal) -> Iterator[Remote]:
    with Remote(terminal.path) as one:
        yield one


# --- the GIL -------------------------------------------------------------------------------------


def test_every_thread_of_the_client_stands_still_during_a_call(
    terminal: FakeTerminal, client: Remote
) -> None:
    terminal.faults.script("positions_get", ANSWERED, "delay", seconds=0.5)
    said = client.call("positions_get")
    assert said.value == []
    assert said.beats <= 2  # of about a hundred


def test_in_the_terminals_own_process_it_waits_without_the_gil(terminal: FakeTerminal) -> None:
    mt5 = fresh()
    assert mt5.initialize(terminal.path)
    terminal.faults.script("positions_get", ANSWERED, "delay", seconds=0.05)
    assert mt5.positions_get() == ()
    mt5.shutdown()


def test_a_client_that_hangs_can_only_be_killed(terminal: FakeTerminal, client: Remote) -> None:
    terminal.faults.script("order_send", ANSWERED, "hang")
    client.begin("order_send", BUY)
    terminal.faults.wait_reached(ANSWERED)
    assert client.busy()
    client.kill()
    with Remote(terminal.path) as other:  # the terminal is free again
        assert len(other.call("positions_get").value) == 1


# --- how it ends ---------------------------------------------------------------------------------


def test_a_terminal_that_dies_while_idle_is_a_send_that_fails_until_initialize(
    terminal: FakeTerminal, client: Remote
) -> None:
    terminal.kill()
    for _ in range(3):
        assert client.call("positions_get").error == SENT
        assert client.call("order_send", BUY).error == SENT
    terminal.start()
    assert client.call("account_info").error == SENT
    assert client.call("initialize", terminal.path).value is True
    assert client.call("positions_get").error == (1, "Success")


def test_a_terminal_that_dies_during_a_call_is_an_answer_that_is_lost_and_then_no_connection(
    terminal: FakeTerminal, client: Remote
) -> None:
    terminal.faults.script("order_send", ANSWERED, "hang")
    client.begin("order_send", BUY)
    terminal.faults.wait_reached(ANSWERED)
    terminal.kill()
    assert client.end().error == RECEIVED
    assert client.call("order_send", BUY).error == NONE
    assert client.call("positions_get").error == NONE
    assert len(terminal.broker.positions()) == 1


def test_one_client_at_a_time_the_next_waits_for_as_long_as_it_takes(
    terminal: FakeTerminal, client: Remote
) -> None:
    with Remote() as second:
        second.call("last_error")  # it has started
        second.begin("initialize", terminal.path)
        assert second.busy()
        assert client.call("positions_get").value == []
        client.kill()
        assert second.end().value is True


def test_a_terminal_that_lets_two_in_serves_two(terminal: FakeTerminal, client: Remote) -> None:
    terminal.clients_max = 2
    with Remote(terminal.path) as second:
        assert second.call("order_send", BUY).value["retcode"] == 10009
        assert len(client.call("positions_get").value) == 1


def test_a_terminal_that_restarts_is_another_pipe(terminal: FakeTerminal, client: Remote) -> None:
    terminal.restart(after_s=0.1)
    assert client.call("positions_get").error == SENT
    wait_until(lambda: terminal.running)
    assert client.call("positions_get").error == SENT
    assert client.call("initialize", terminal.path).value is True
    assert terminal.launch.count == 0
    assert client.call("positions_get").value == []


def test_an_answer_may_be_huge(terminal: FakeTerminal, client: Remote) -> None:
    assert client.call("order_send", BUY).value["retcode"] == 10009
    terminal.faults.script("positions_get", ANSWERED, "alter", change=lambda rows: rows * 10_000)
    assert len(client.call("positions_get").value) == 10_000


def test_a_second_initialize_is_a_reconnect(terminal: FakeTerminal, client: Remote) -> None:
    assert client.call("initialize", terminal.path).value is True
    assert client.call("shutdown").value is True
    assert client.call("positions_get").error == NONE


def test_a_request_in_the_pipe_is_done_though_its_sender_is_dead(
    terminal: FakeTerminal, client: Remote
) -> None:
    terminal.broker.terms.execute_ms = 300
    client.begin("order_send", BUY)
    wait_until(lambda: terminal.count("order_send") == 1)
    client.kill()
    wait_until(lambda: len(terminal.broker.positions()) == 1)


def test_a_request_that_hangs_before_the_terminal_is_gone_with_its_sender(
    terminal: FakeTerminal, client: Remote
) -> None:
    terminal.faults.script("order_send", BEFORE, "hang")
    client.begin("order_send", BUY)
    terminal.faults.wait_reached(BEFORE)
    client.kill()
    with Remote(terminal.path) as other:
        assert other.call("positions_get").value == []
    assert terminal.count("order_send") == 0


# --- initialize ----------------------------------------------------------------------------------


def test_the_pipe_is_found_by_the_resolved_path_in_small_letters(
    terminal: FakeTerminal, tmp_path: Path
) -> None:
    around = tmp_path / "x" / ".." / "terminal64.exe"
    assert pipe_name(str(around)) == pipe_name(terminal.path)
    assert pipe_name(terminal.path.upper().replace(str(tmp_path).upper(), str(tmp_path))) == (
        pipe_name(terminal.path)
    )
    assert pipe_name(str(tmp_path / "other" / "terminal64.exe")) != pipe_name(terminal.path)


def test_two_terminals_are_two_accounts(terminal: FakeTerminal, tmp_path: Path) -> None:
    with terminal_in(tmp_path / "second", login=42) as second:
        mt5 = fresh()
        assert mt5.initialize(second.path)
        assert mt5.account_info().login == 42
        assert mt5.initialize(terminal.path)
        assert mt5.account_info().login == terminal.broker.terms.login
        mt5.shutdown()


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[FakeTerminal]:
    """A terminal that does not run."""
    with closing(terminal_in(tmp_path)) as one:
        one.install()
        yield one


def test_a_terminal_that_does_not_run_is_started(installed: FakeTerminal) -> None:
    installed.launch.after_s = 20
    mt5 = fresh()
    begun = time.monotonic()
    assert mt5.initialize(installed.path, portable=True), mt5.last_error()
    assert time.monotonic() - begun >= 0.2  # 20 s at this scale
    wait_until(lambda: installed.running)  # it answers a moment before it says so
    assert (installed.launch.count, installed.launch.portable) == (1, True)
    mt5.shutdown()


@pytest.mark.parametrize(
    ("refuse", "hang", "text"),
    [(True, False, "Process create failed '{}'"), (False, True, "Pipe server didn't answer in 60")],
)
def test_a_terminal_that_cannot_start_says_why(
    installed: FakeTerminal, *, refuse: bool, hang: bool, text: str
) -> None:
    installed.scale = 0.001
    installed.launch.refuse, installed.launch.hang = refuse, hang
    mt5 = fresh()
    assert mt5.initialize(installed.path) is False
    code, said = mt5.last_error()
    assert code == -10003
    assert said.startswith(f"IPC initialize failed, {text.format(installed.path)}")


def test_what_is_not_installed_is_not_found(tmp_path: Path) -> None:
    mt5 = fresh()
    absent = str(tmp_path / "terminal64.exe")
    assert mt5.initialize(absent) is False
    assert mt5.last_error() == (
        -10003, f"IPC initialize failed, Process create failed '{absent}'",
    )  # fmt: skip
    assert mt5.initialize() is False
    assert mt5.last_error() == (-10003, "IPC initialize failed, MetaTrader 5 x64 not found")
    terminal = terminal_in(tmp_path)
    terminal.start()
    terminal.close()
    shutil.rmtree(tmp_path)
    assert mt5.initialize(terminal.path) is False


# --- login ---------------------------------------------------------------------------------------


def test_without_an_account_initialize_waits_and_gives_up(terminal: FakeTerminal) -> None:
    terminal.logged_in = False
    mt5 = fresh()
    begun = time.monotonic()
    assert mt5.initialize(terminal.path) is False
    assert mt5.last_error() == (-10005, "IPC timeout")
    assert time.monotonic() - begun >= 0.5  # a minute at this scale
    assert mt5.initialize(terminal.path, timeout=1000) is False
    threading.Timer(0.1, lambda: setattr(terminal, "logged_in", True)).start()
    assert mt5.initialize(terminal.path) is True
    mt5.shutdown()


def test_login_switches_the_account_for_everybody_or_is_refused(terminal: FakeTerminal) -> None:
    terminal.passwords[(7, "Other-Demo")] = "secret"
    mt5 = fresh()
    assert mt5.login(7, "secret", "Other-Demo") is False
    assert mt5.last_error() == NONE
    assert mt5.initialize(terminal.path)
    assert mt5.login(7, "wrong", "Other-Demo") is False
    assert mt5.last_error() == (-6, "Terminal: Authorization failed")
    assert mt5.account_info().login == terminal.broker.terms.login  # the pipe is still there
    assert mt5.login(7, "secret", "Other-Demo") is True
    assert (mt5.account_info().login, mt5.account_info().server) == (7, "Other-Demo")
    assert mt5.login(8) is False
    assert mt5.last_error()[0] == -6
    assert mt5.initialize(terminal.path, login=7, server="Other-Demo", password="no") is False
    assert mt5.last_error()[0] == -6
    assert mt5.initialize(terminal.path, login=7, server="Other-Demo") is True
    mt5.shutdown()


def test_an_account_with_one_time_passwords_is_not_for_this_package(
    terminal: FakeTerminal,
) -> None:
    terminal.one_time_password = True
    mt5 = fresh()
    assert mt5.initialize(terminal.path, login=7, password="x", server="s") is False
    code, text = mt5.last_error()
    assert (code, text.partition(",")[0]) == (-7, "Unsupported authorization mode")
    assert mt5.initialize(terminal.path) is True
    mt5.shutdown()


def test_a_password_is_not_in_the_log_of_calls(terminal: FakeTerminal) -> None:
    terminal.passwords[(7, "Other-Demo")] = "secret"
    mt5 = fresh()
    assert mt5.initialize(terminal.path, login=7, password="secret", server="Other-Demo")
    assert terminal.count("login") == 1
    assert terminal.passwords_seen == 1
    assert "secret" not in repr(terminal.calls)
    mt5.shutdown()


def test_the_log_of_calls_names_the_process(terminal: FakeTerminal, client: Remote) -> None:
    client.call("positions_get")
    assert terminal.calls[-1].pid == client.pid
    assert terminal.calls[-1].pid != os.getpid()
