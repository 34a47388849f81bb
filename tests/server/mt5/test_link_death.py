"""Whatever dies: a call ends, its outcome is told as it is known, nothing runs twice or later."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from bridge_core.host.clock import SystemClock
from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.mt5_keeper import Keeper
from bridge_server.backends.mt5_link import Mt5Link, Sent
from bridge_server.backends.mt5_pipe import HELLO, Ask, WorkerSpec, pack
from bridge_server.backends.mt5_process import WorkerProcess
from tests.server.mt5.small import PINS, QUICK, UNWATCHED, Small, linked, load, soon
from tests.support.running import ROOT, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")

BUY: dict[str, object] = {"action": 1, "symbol": "EURUSD", "volume": 0.1}


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()


def _trade(link: Mt5Link) -> tuple[threading.Thread, list[Sent]]:
    found: list[Sent] = []
    thread = threading.Thread(target=lambda: found.append(link.trade(BUY, soon(5))))
    thread.start()
    return thread, found


def test_a_read_that_never_returns_costs_the_worker_and_nothing_else(small: Small) -> None:
    with linked(small.spec()) as link:
        first = link.status.pid
        small.hang(positions_get=60)
        answer = link.call("positions_get")
        assert (answer.ok, answer.code) == (False, 0)
        assert "no answer in 1 s" in answer.text
        assert _is_gone(first)
        small.hang()
        wait_until(lambda: link.call("positions_get").ok, 10)
        assert link.status.pid != first
        assert (link.status.generation, link.status.restarts) == (2, 1)


def test_a_trade_that_never_returns_is_unknown_and_called_once_in_all(small: Small) -> None:
    with linked(small.spec()) as link:
        small.hang(order_send=60)
        thread, found = _trade(link)
        wait_until(lambda: len(small.calls("order_send")) == 1)
        # The worker stands still with the interpreter's lock held; this side goes on.
        assert link.status.busy_with == "order_send"
        for _ in range(1_000):
            assert link.status.generation == 1
            assert link.about().name == "server to terminal worker"
        assert thread.is_alive()
        thread.join()
        assert (found[0].begun, found[0].answer, found[0].refusal) == (True, None, None)
        small.hang()
        wait_until(lambda: link.call("positions_get").ok, 10)
        assert len(small.calls("order_send")) == 1


def test_a_trade_whose_checks_never_return_is_proven_not_begun(small: Small) -> None:
    with linked(small.spec()) as link:
        small.hang(account_info=60)
        sent = link.trade(BUY, soon(5))
        assert not sent.begun
        assert sent.refusal is not None
        assert small.calls("order_send") == []
        small.hang()


def test_a_worker_killed_in_the_trade_call_leaves_it_unknown(small: Small) -> None:
    with linked(small.spec()) as link:
        small.hang(order_send=60)
        thread, found = _trade(link)
        wait_until(lambda: len(small.calls("order_send")) == 1)
        os.kill(link.status.pid, signal.SIGKILL)
        thread.join()
        assert (found[0].begun, found[0].answer) == (True, None)
        small.hang()
        wait_until(lambda: link.status.alive, 10)
        assert len(small.calls("order_send")) == 1


def test_a_worker_killed_before_it_read_the_trade_is_proven_not_begun(small: Small) -> None:
    with linked(small.spec(pace=UNWATCHED)) as link:
        pid = link.status.pid
        os.kill(pid, signal.SIGSTOP)
        thread, found = _trade(link)
        wait_until(lambda: link.status.busy_with == "order_send")
        os.kill(pid, signal.SIGKILL)
        thread.join()
        assert not found[0].begun
        assert small.calls("order_send") == []


def test_a_word_said_in_the_last_moment_is_still_heard(small: Small) -> None:
    spec = WorkerSpec(path=small.path, portable=True, pins=PINS, trading=True)
    worker = WorkerProcess(spec, partial(load, str(small.folder)), SystemClock())
    assert worker.hear(HELLO, 30_000).told is not None
    small.hang(order_send=60)
    due = soon(30)
    ask = Ask(number=7, verb="TRADE", request=BUY, wall_ms=due.wall_ms, mono_ms=due.mono_ms)
    worker._pipe.send_bytes(pack(ask))
    wait_until(lambda: len(small.calls("order_send")) == 1)
    # The patience ends before the word "begun" was read: the pipe is read to its end.
    heard = worker._give_up(7, begun=False, why="no answer in time")
    assert (heard.begun, heard.told) == (True, None)
    assert worker.close(kindly=False)


def test_a_worker_killed_while_idle_is_replaced_by_itself(small: Small) -> None:
    with linked(small.spec()) as link:
        first = link.status.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: link.status.alive and link.status.pid != first, 10)
        assert link.call("positions_get").ok
        assert link.status.connects == 2


def test_a_worker_frozen_in_the_middle_of_its_answer_is_ended_too(small: Small) -> None:
    with linked(small.spec()) as link:
        # Signals do not reach a process that is stopped; only its end ends the wait.
        os.kill(link.status.pid, signal.SIGSTOP)
        assert not link.call("positions_get").ok
        wait_until(lambda: link.call("positions_get").ok, 10)


def test_a_frozen_worker_is_ended_also_while_a_long_question_does_not_fit_into_the_pipe(
    small: Small,
) -> None:
    with linked(small.spec()) as link:
        os.kill(link.status.pid, signal.SIGSTOP)
        answer = link.call("positions_get", "x" * 4_000_000)
        assert not answer.ok
        wait_until(lambda: link.call("positions_get").ok, 10)
        assert link.status.generation == 2


def test_a_worker_that_is_started_while_the_interpreter_ends_is_ended_too(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def late(_keeper: Keeper) -> None:
        entered.set()
        go_on.wait(10)

    monkeypatch.setattr(Keeper, "_locked", late)
    link = Mt5Link(small.spec(), SystemClock())
    starting = threading.Thread(target=link.start)
    starting.start()
    assert entered.wait(10)
    ending = threading.Thread(target=link._abandon)
    ending.start()
    wait_until(link._stopping.is_set)
    go_on.set()  # only now the worker is made
    ending.join(20)
    starting.join(20)
    process = link._keeper.process
    assert process is None or not process.alive
    link.close()


def test_ctrl_c_and_a_stop_of_the_service_do_not_cut_a_trade_short(small: Small) -> None:
    with linked(small.spec()) as link:
        small.hang(order_send=0.3)
        thread, found = _trade(link)
        wait_until(lambda: len(small.calls("order_send")) == 1)
        os.kill(link.status.pid, signal.SIGINT)
        os.kill(link.status.pid, signal.SIGTERM)
        thread.join()
        assert found[0].answer is not None
        assert found[0].answer.ok


# --- the server itself ---------------------------------------------------------------------------

_SERVER = """
import os, signal, sys, threading
from pathlib import Path
from bridge_core.host.clock import SystemClock
from bridge_server.backends.mt5_link import Mt5Link
from tests.server.mt5.small import UNWATCHED, Small, soon
small = Small(Path(sys.argv[1]))
link = Mt5Link(small.spec(pace=UNWATCHED), SystemClock())
link.start()
assert link.wait(20)
if sys.argv[2] == "stopped":
    os.kill(link.status.pid, signal.SIGSTOP)
else:
    small.hang(order_send=float(sys.argv[2]))
ask = lambda: link.trade({"symbol": "EURUSD"}, soon(5))
threading.Thread(target=ask, daemon=True).start()
while link.status.busy_with != "order_send":
    pass
print(link.status.pid, flush=True)
sys.stdin.read()
"""  # and its end: nobody has closed the link


def _server(small: Small, *words: str) -> tuple[subprocess.Popen[str], int]:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(small.folder), *words],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout is not None
    return server, int(server.stdout.readline())


def _end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.wait()
    for pipe in (server.stdin, server.stdout):
        assert pipe is not None
        pipe.close()


def test_an_orphan_ends_with_the_call_it_is_in_and_makes_no_other(small: Small) -> None:
    server, worker = _server(small, "0.7")
    wait_until(lambda: len(small.calls("order_send")) == 1)
    _end(server)
    assert not _is_gone(worker)  # still inside the call
    wait_until(lambda: _is_gone(worker))
    assert len(small.calls("order_send")) == 1


def test_an_orphan_that_had_not_read_its_trade_does_not_send_it(small: Small) -> None:
    server, worker = _server(small, "stopped")
    _end(server)
    os.kill(worker, signal.SIGCONT)
    wait_until(lambda: _is_gone(worker))
    assert small.calls("order_send") == []


def test_the_next_server_waits_for_the_orphan_s_call_and_then_connects(small: Small) -> None:
    server, worker = _server(small, "60")
    wait_until(lambda: len(small.calls("order_send")) == 1)
    _end(server)
    small.hang()
    with linked(small.spec(pace=structs.replace(QUICK, trade_ms=60_000)), joined=False) as link:
        wait_until(lambda: f"older worker (process {worker})" in link.status.why, 10)
        assert not _is_gone(worker)
        assert link.status.generation == 0  # nothing was started beside it
        assert not link.trade(BUY, soon(5)).begun
        os.kill(worker, signal.SIGKILL)  # its call has come to an end
        assert link.wait(10)
    assert len(small.calls("order_send")) == 1


def test_an_orphan_whose_call_never_ends_is_ended_by_the_next_server(small: Small) -> None:
    server, worker = _server(small, "60")
    wait_until(lambda: len(small.calls("order_send")) == 1)
    _end(server)
    small.hang()
    with linked(small.spec()):
        assert _is_gone(worker)
    assert len(small.calls("order_send")) == 1


def test_a_call_that_hangs_does_not_keep_a_server_from_ending(small: Small) -> None:
    server, worker = _server(small, "60")
    wait_until(lambda: len(small.calls("order_send")) == 1)
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(10) == 0
    wait_until(lambda: _is_gone(worker))
    assert server.stdout is not None
    server.stdout.close()


def test_nothing_is_left_when_a_link_is_closed(small: Small) -> None:
    with linked(small.spec()) as link:
        idle = link.status.pid
    assert _is_gone(idle)
    assert len(small.calls("shutdown")) >= 2  # before connecting, and as a farewell
    with linked(small.spec()) as link:
        small.hang(positions_get=60)
        thread = threading.Thread(target=link.call, args=("positions_get",))
        thread.start()
        wait_until(lambda: len(small.calls("positions_get")) == 1)
        hanging = link.status.pid
    thread.join()
    assert _is_gone(hanging)
    assert multiprocessing.active_children() == []
    assert not link.call("positions_get").ok
    assert not link.trade(BUY, soon(5)).begun


def test_a_second_server_on_the_same_terminal_is_refused(small: Small) -> None:
    with linked(small.spec()), pytest.raises(ConfigError) as caught:
        Mt5Link(small.spec(), SystemClock()).start()
    assert f"process {os.getpid()}" in caught.value.detail
    with linked(small.spec()):
        pass  # it is free again


def _no_package() -> object:
    raise ImportError("No module named 'MetaTrader5'")


def test_a_package_that_is_not_there_stops_the_start_with_the_fix(small: Small) -> None:
    with pytest.raises(ConfigError) as caught, linked(small.spec(load=partial(_no_package))):
        pass
    assert "pip install MetaTrader5" in caught.value.detail
    assert multiprocessing.active_children() == []
