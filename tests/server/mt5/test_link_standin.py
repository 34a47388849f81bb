"""The link against the stand-in: a terminal and a broker that live on while the worker dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bridge_core.host.clock import SystemClock
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.keys import Secret
from bridge_server.backends.mt5_answers import Accepted, judge_sent
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link, Sent
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.core.ports import Lost
from tests.server.mt5.small import QUICK, linked, soon
from tests.support.fake_metatrader5 import (
    ACCEPTED,
    ANSWERED,
    BEFORE,
    EXECUTED,
    FakeTerminal,
    load,
)
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms
from tests.support.running import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a Unix socket")

PINS = Mt5Pins(login=5_001_234, server="Fake-Demo", kind="demo", margin="hedging")
BUY: dict[str, object] = {
    "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "type_filling": 1,
    "price": 1.1001, "deviation": 10, "magic": 77, "comment": "ZTAG",
}  # fmt: skip


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[FakeTerminal]:
    broker = Broker(Terms(symbols=(SymbolTerms(selected=True, streaming=True),)), SystemClock())
    broker.price("EURUSD", "1.10000", "1.10010")
    with FakeTerminal(tmp_path / "MT5 demo", broker, scale=0.01) as one:
        yield one


def _spec(terminal: FakeTerminal, **changes: Any) -> LinkSpec:
    spec = LinkSpec(
        path=terminal.path, portable=True, pins=PINS, trading=True, load=load,
        lock=Path(terminal.path).with_name("lock"), pace=QUICK,
    )  # fmt: skip
    return structs.replace(spec, **changes)


def _trade(link: Mt5Link) -> Sent:
    return link.trade(BUY, soon(5))


def test_an_order_is_sent_once_and_its_answer_comes_back_whole(terminal: FakeTerminal) -> None:
    with linked(_spec(terminal)) as link:
        sent = _trade(link)
        assert sent.answer is not None
        answer = sent.answer.value
        assert isinstance(answer, dict)
        assert answer["retcode"] == 10009
        assert isinstance(answer["request"], dict)
        assert answer["request"]["magic"] == 77
        positions = link.call("positions_get").value
        assert isinstance(positions, list)
        assert [one["ticket"] for one in positions] == [answer["order"]]
    assert terminal.count("order_send") == 1
    rows = dict(link.about().caps)
    assert (rows["mt5_login"], rows["mt5_margin_mode"]) == ("5001234", "hedging")
    assert (rows["mt5_build"], rows["mt5_ping_ms"]) == ("5833", "12.3")


@pytest.mark.parametrize("point", [BEFORE, ACCEPTED, EXECUTED, ANSWERED])
@pytest.mark.parametrize("kind", ["kill_worker", "kill_terminal", "hang"])
def test_whatever_ends_the_call_the_request_was_made_once(
    terminal: FakeTerminal, point: str, kind: str
) -> None:
    with linked(_spec(terminal)) as link:
        terminal.faults.script("order_send", point, kind)  # type: ignore[arg-type]
        sent = _trade(link)
        assert sent.begun
        if kind == "kill_terminal":
            assert sent.answer is not None
            assert (sent.answer.ok, sent.answer.code) == (False, -10002)
        else:
            assert sent.answer is None
        # The hop is red, and comes back: a dead terminal is started by initialize.
        terminal.faults.calm()
        wait_until(lambda: link.status.alive and link.status.connects == 2, 15)
        executed = len(terminal.broker.positions())
        assert executed == (0 if point == BEFORE else 1)
        assert terminal.broker.begun() == executed
        assert link.call("positions_get").ok


def test_ipc_send_failed_cannot_be_green_for_18_days(terminal: FakeTerminal) -> None:
    terminal.launch.refuse = True
    with linked(_spec(terminal)) as link:
        terminal.stop()
        wait_until(lambda: not link.about().alive)
        first = link.status.why
        assert "IPC send failed" in first or "terminal" in first
        last_ok = link.status.last_ok_ms
        for _ in range(3):  # whatever asks, it stays red and says since when
            assert not link.call("positions_get").ok
            assert not _trade(link).begun
        assert (link.about().alive, link.status.last_ok_ms) == (False, last_ok)
        terminal.launch.refuse = False
        terminal.start()
        wait_until(lambda: link.status.alive, 15)
        assert _trade(link).begun
    assert terminal.count("order_send") == 1


def test_an_answer_of_another_call_ends_the_connection(terminal: FakeTerminal) -> None:
    with linked(_spec(terminal)) as link:
        terminal.faults.script("order_send", ANSWERED, "out_of_step")
        sent = _trade(link)
        assert sent.begun
        assert sent.answer is not None
        assert sent.answer.code == -10000
        wait_until(lambda: link.status.alive and link.status.generation == 2, 15)
        assert link.call("account_info").ok
    assert terminal.broker.begun() == 1


@pytest.mark.parametrize("retcode", [10009, 10018])
def test_an_answer_that_repeats_another_request_is_of_another_call(
    terminal: FakeTerminal, retcode: int
) -> None:
    def another(answer: dict[str, Any]) -> dict[str, Any]:
        # A yes or a no, and both are of somebody else's order.
        return answer | {"retcode": retcode, "request": answer["request"] | {"magic": 78}}

    with linked(_spec(terminal)) as link:
        terminal.faults.script("order_send", ANSWERED, "alter", change=another)
        sent = _trade(link)
        assert sent.begun
        assert sent.answer is not None
        assert (sent.answer.ok, sent.answer.code) == (False, -10000)
        assert isinstance(judge_sent(sent), Lost)
        wait_until(lambda: link.status.alive and link.status.generation == 2, 15)
        answer = _trade(link).answer
        assert answer is not None
        assert answer.ok
    assert terminal.broker.begun() == 2


def test_a_terminal_that_repeats_no_request_is_believed(terminal: FakeTerminal) -> None:
    bare = {"magic": 0, "comment": ""}
    terminal.faults.script(
        "order_send", ANSWERED, "alter", change=lambda one: one | {"request": one["request"] | bare}
    )
    with linked(_spec(terminal)) as link:
        assert isinstance(judge_sent(_trade(link)), Accepted)
        assert link.status.generation == 1


def test_an_account_switched_by_hand_is_not_traded_on(terminal: FakeTerminal) -> None:
    with linked(_spec(terminal, password=Secret(b"hunter2!"))) as link:
        terminal.login_as(login=999, server="Other-Real", trade_mode=2)
        sent = _trade(link)
        assert sent.refusal is not None
        assert sent.refusal.code is ReasonCode.ACCOUNT_MISMATCH
        wait_until(lambda: "login 999" in link.about().wrong_account)
        terminal.restart()  # also after a new connection it is left as the person chose it
        wait_until(lambda: link.status.connects == 2, 15)
        assert "login 999" in link.about().wrong_account
        assert (terminal.count("login"), terminal.count("order_send")) == (0, 0)


def test_a_terminal_that_is_not_logged_in_is_logged_in_once(terminal: FakeTerminal) -> None:
    terminal.logged_in = False
    terminal.passwords = {(PINS.login, PINS.server): "hunter2!"}
    with linked(_spec(terminal, password=Secret(b"hunter2!"))) as link:
        assert link.status.wrong_account == ""
        assert link.status.linked
        assert terminal.count("login") == 1


def test_a_wrong_password_is_tried_once_in_a_long_while(terminal: FakeTerminal) -> None:
    terminal.logged_in = False
    terminal.passwords = {(PINS.login, PINS.server): "another"}
    pace = structs.replace(QUICK, refused_ms=60_000, connect_ms=10_000)
    spec = _spec(terminal, password=Secret(b"hunter2!"), pace=pace)
    with linked(spec, joined=False) as link:
        wait_until(lambda: "refuses login" in link.status.why, 15)
        assert terminal.count("login") == 1
        assert "hunter2!" not in link.status.why


def test_algo_trading_off_is_told_and_the_hop_is_degraded(terminal: FakeTerminal) -> None:
    with linked(_spec(terminal)) as link:
        terminal.trade_allowed = False
        assert "Algo Trading button" in link.beat().why
        assert link.about().alive
        terminal.trade_allowed, terminal.tradeapi_disabled = True, True
        assert "bars Python" in link.beat().why
        terminal.tradeapi_disabled = False
        terminal.broker.link(False)
        now = link.beat()
        assert (now.linked, now.linked_mono) == (False, 0)
        assert not link.about().linked
