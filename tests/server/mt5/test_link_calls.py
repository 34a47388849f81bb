"""What goes through the link: plain data, only what reads, and one trade call after its checks."""

from __future__ import annotations

import ast
import inspect
import math
import os
import signal
import sys
import threading

import pytest

from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.deadline import Deadline
from bridge_server.backends import mt5_worker
from bridge_server.backends.mt5_link import CallOf, Sent
from tests.server.mt5.small import UNWATCHED, Small, linked, soon
from tests.support.running import wait_until

BUY: dict[str, object] = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "magic": 2**53 - 1}


def test_records_come_as_plain_data_also_inside_each_other(small: Small) -> None:
    with linked(small.spec()) as link:
        told = link.call("account_info")
        assert isinstance(told.value, dict)
        assert told.value["login"] == 7001
        sent = link.trade(BUY, soon(2))
        assert sent.answer is not None
        assert sent.answer.value == {"retcode": 10009, "request": {"symbol": "EURUSD"}}


def test_an_empty_answer_is_no_failure_and_a_failure_has_its_code(small: Small) -> None:
    with linked(small.spec()) as link:
        assert (link.call("positions_get").ok, link.call("positions_get").value) == (True, [])
        small.say(positions_get=(-1, "Terminal: Call failed"))
        failed = link.call("positions_get", ticket=5)
        assert (failed.ok, failed.code, failed.text) == (False, -1, "Terminal: Call failed")


def test_several_calls_go_in_one_trip_and_each_has_its_answer(small: Small) -> None:
    with linked(small.spec()) as link:
        small.say(orders_get=(-1, "Terminal: Call failed"))
        answers = link.calls(CallOf("positions_get"), CallOf("orders_get"), CallOf("account_info"))
        assert [one.ok for one in answers] == [True, False, True]


def test_nothing_that_changes_anything_can_be_called_by_name(small: Small) -> None:
    with linked(small.spec()) as link:
        for name in ("order_send", "initialize", "login", "shutdown", "Buy", "Close", "__class__"):
            before = len(small.calls(name))
            answer = link.call(name, BUY)
            assert not answer.ok
            assert "not for reading" in answer.text
            assert len(small.calls(name)) == before


def test_a_trade_is_one_call_with_the_request_as_it_is(small: Small) -> None:
    with linked(small.spec()) as link:
        sent = link.trade(BUY, soon(2))
        assert sent.begun
        [(args, kwargs, _)] = small.calls("order_send")
        assert (args, kwargs) == ([BUY], {})


def test_the_worker_never_passes_empty_keywords_on() -> None:
    # `order_send(*a, **{})` answers -2 "Unnamed arguments not allowed" in wheel 5.0.6231; no
    # function written in Python can see the difference, so the source is read.
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(inspect.getsource(mt5_worker._Caller)))
        if isinstance(node, ast.IfExp | ast.Call) and "function(" in ast.unparse(node)
    ]
    assert calls == [
        "function(*args, **kwargs) if kwargs else function(*args)",
        "function(*args, **kwargs)",
        "function(*args)",
    ]


def test_a_rehearsal_s_worker_refuses_to_send(small: Small) -> None:
    with linked(small.spec(trading=False)) as link:
        sent = link.trade(BUY, soon(2))
        assert not sent.begun
        assert sent.refusal is not None
        assert sent.refusal.code is ReasonCode.BROKER_DOWN
        assert small.calls("order_send") == []


def test_a_number_that_is_none_is_never_sent(small: Small) -> None:
    with linked(small.spec()) as link:
        for number in (math.nan, math.inf, -math.inf):
            sent = link.trade(BUY | {"price": number}, soon(2))
            assert (sent.begun, _code(sent)) == (False, ReasonCode.BODY)
        unsayable = link.trade(BUY | {"magic": 2**70}, soon(2))
        assert (unsayable.begun, small.calls("order_send")) == (False, [])


_SWITCHED: list[tuple[dict[str, object], dict[str, object], str]] = [
    ({"login": 7002}, {}, "login 7002"),
    ({"server": "Small-Real"}, {}, "server Small-Real"),
    ({"trade_mode": 2}, {}, "kind real"),
    ({"trade_mode": 1}, {}, "kind contest"),
    ({"trade_mode": 9}, {}, "kind unknown(9)"),
    ({"margin_mode": 0}, {}, "margin netting"),
    ({}, {"path": "/elsewhere"}, "terminal /elsewhere"),
]


def test_an_account_switched_right_before_the_call_is_not_traded_on(small: Small) -> None:
    with linked(small.spec()) as link:
        for account, terminal, shown in _SWITCHED:
            small.account(**account)
            small.terminal(**terminal)
            sent = link.trade(BUY, soon(2))
            assert sent.refusal is not None
            assert (sent.begun, sent.refusal.code) == (False, ReasonCode.ACCOUNT_MISMATCH)
            assert shown in sent.refusal.value
            wait_until(lambda shown=shown: shown in link.about().wrong_account)  # type: ignore[misc]
        assert small.calls("order_send") == []
        small.account()
        small.terminal()
        assert link.beat().wrong_account == ""
        assert link.trade(BUY, soon(2)).begun


def test_a_terminal_without_its_broker_or_its_login_is_not_traded_on(small: Small) -> None:
    with linked(small.spec()) as link:
        small.terminal(connected=False)
        assert _code(link.trade(BUY, soon(2))) is ReasonCode.BROKER_DOWN
        assert not link.beat().linked
        small.terminal()
        small.account(login=0)
        assert _code(link.trade(BUY, soon(2))) is ReasonCode.BROKER_DOWN
        wait_until(lambda: "log in by hand" in link.status.why)
        assert link.status.wrong_account == ""
        assert small.calls("order_send") == []


def test_a_deadline_passed_on_either_clock_is_too_late(small: Small) -> None:
    with linked(small.spec()) as link:
        past, ahead = soon(-0.001), soon(5)
        for late in (Deadline(past.wall_ms, ahead.mono_ms), Deadline(ahead.wall_ms, past.mono_ms)):
            sent = link.trade(BUY, late)
            assert (sent.begun, _code(sent)) == (False, ReasonCode.EXPIRED)
        assert small.calls("order_send") == []


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
def test_a_deadline_that_passes_in_the_pipe_is_too_late(small: Small) -> None:
    with linked(small.spec(pace=UNWATCHED)) as link:
        pid, found = link.status.pid, list[Sent]()
        os.kill(pid, signal.SIGSTOP)
        deadline = soon(0.2)
        thread = threading.Thread(target=lambda: found.append(link.trade(BUY, deadline)))
        thread.start()
        wait_until(lambda: soon(0).mono_ms > deadline.mono_ms)
        os.kill(pid, signal.SIGCONT)
        thread.join()
        assert (found[0].begun, _code(found[0])) == (False, ReasonCode.EXPIRED)
        assert (small.calls("order_send"), link.status.pid) == ([], pid)


def _code(sent: Sent) -> ReasonCode | None:
    return sent.refusal.code if sent.refusal is not None else None
