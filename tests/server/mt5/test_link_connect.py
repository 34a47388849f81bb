"""Connecting: by kind of error, with growing pauses, and with a password only where needed."""

from __future__ import annotations

import os
import time

import pytest
from msgspec import structs

from bridge_core.protocol.keys import Secret
from bridge_server.backends.mt5_connect import Failure, Joined, Pace, Retry, connect, halting
from bridge_server.backends.mt5_pipe import Answer
from tests.server.mt5.small import ACCOUNT, PINS, QUICK, Small, linked, soon
from tests.support.running import wait_until

_FINE = {"connected": True, "trade_allowed": True, "tradeapi_disabled": False}
_PASSWORD = Secret(b"hunter2!")


class _Terminal:
    """Answers `initialize` as told, in order; keeps what it was asked with."""

    def __init__(self, *codes: tuple[int, str], login: int = 7001) -> None:
        self.codes = list(codes)
        self.asked: list[tuple[dict[str, object], str]] = []
        self.login = login

    def connects(self, words: dict[str, object], password: str) -> Answer:
        self.asked.append((dict(words), password))
        code, text = self.codes.pop(0) if self.codes else (1, "Success")
        return Answer(ok=code == 1, value=code == 1, code=code, text=text)

    def beats(self) -> tuple[Answer, Answer]:
        account = dict(ACCOUNT, login=self.login)
        return Answer(ok=True, value=dict(_FINE), code=1), Answer(ok=True, value=account, code=1)

    def connect(self, password: Secret = _PASSWORD) -> Joined | Failure:
        return connect(self.connects, self.beats, PINS, password, Pace())


def test_a_terminal_that_is_logged_in_is_never_given_a_password() -> None:
    terminal = _Terminal()
    assert isinstance(terminal.connect(), Joined)
    assert terminal.asked == [({"timeout": 60_000}, "")]


def test_another_login_that_a_person_chose_is_never_switched_away_from() -> None:
    terminal = _Terminal(login=7002)
    found = terminal.connect()
    assert isinstance(found, Joined)
    assert found.account["login"] == 7002
    assert [password for _, password in terminal.asked] == [""]


@pytest.mark.parametrize("code", [(-10005, "IPC timeout"), (-6, "Terminal: Authorization failed")])
def test_only_a_terminal_that_is_not_logged_in_is_given_the_password(code: tuple[int, str]) -> None:
    terminal = _Terminal(code)
    assert isinstance(terminal.connect(), Joined)
    words = {"timeout": 60_000, "login": 7001, "server": "Small-Demo"}
    assert terminal.asked[1:] == [(words, "hunter2!")]
    alone = _Terminal(code)
    found = alone.connect(Secret(b""))
    assert isinstance(found, Failure)
    assert "log in by hand" in found.why
    assert len(alone.asked) == 1


def test_a_terminal_that_shows_no_login_is_logged_in_too() -> None:
    terminal = _Terminal(login=0)
    terminal.connect()
    assert [password for _, password in terminal.asked] == ["", "hunter2!"]


@pytest.mark.parametrize(
    ("code", "text", "words", "refused"),
    [
        (-10003, "IPC initialize failed, MetaTrader 5 x64 not found", "mt5.path", False),
        (-10003, "IPC initialize failed, Process create failed 'C:\\x'", "mt5.path", False),
        (-10003, "IPC initialize failed, access denied", "start it by hand once", False),
        (-10005, "IPC timeout", "mt5.portable", False),
        (-6, "Terminal: Authorization failed", "log in by hand", True),
        (-7, "Terminal: Unsupported function", "one-time", True),
        (-5, "Terminal: Incompatible versions", "update", False),
        (-10000, "IPC call failed", "out of step", False),
        (-10001, "IPC send failed", "closed or updates itself", False),
        (-10002, "IPC recv failed", "ended during a call", False),
        (-10004, "No IPC connection", "no connection", False),
        (-1, "Terminal: Call failed", "Journal tab", False),
        (-99, "who knows", "refuses", False),
    ],
)
def test_each_kind_of_failure_has_its_sentence_and_its_code(
    code: int, text: str, words: str, refused: bool
) -> None:
    found = _Terminal((code, text)).connect(Secret(b""))
    assert isinstance(found, Failure)
    assert (words in found.why, found.code, found.refused) == (True, code, refused)
    assert str(code) in found.why


def test_a_password_that_is_refused_is_named_by_its_login_and_not_hurried() -> None:
    found = _Terminal((-6, "no"), (-6, "Terminal: Authorization failed")).connect()
    assert isinstance(found, Failure)
    assert found.refused
    assert "refuses login 7001" in found.why
    assert "hunter2!" not in found.why


@pytest.mark.parametrize(
    ("terminal", "account", "words"),
    [
        ({"connected": False}, {}, "no link to its broker"),
        ({"tradeapi_disabled": True}, {}, "bars Python"),
        ({"trade_allowed": False}, {}, "Algo Trading button"),
        ({}, {"trade_allowed": False}, "trading password"),
        ({}, {"trade_expert": False}, "no automatic trading"),
        ({}, {}, ""),
    ],
)
def test_what_keeps_a_terminal_from_trading_is_said_with_its_fix(
    terminal: dict[str, object], account: dict[str, object], words: str
) -> None:
    said = halting(_FINE | terminal, ACCOUNT | account)
    assert (words in said) if words else said == ""


def test_the_pauses_grow_to_a_bound_and_begin_anew_after_a_connection_that_held() -> None:
    retry = Retry(Pace())
    assert [retry.pause_ms() for _ in range(8)] == [
        1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]  # fmt: skip
    retry.lasted(5_000)  # a connection that fell at once: it goes on where it was
    assert retry.pause_ms(Failure(-1, "no")) == 60_000
    assert retry.pause_ms(Failure(0, "an orphan", waits=True)) == 1_000
    retry.lasted(30_000)
    assert retry.pause_ms() == 1_000
    assert retry.pause_ms(Failure(-6, "no", refused=True)) == 300_000


# --- in a real worker -----------------------------------------------------------------------------


def test_ipc_send_failed_is_seen_at_once_and_ended_by_initialize_alone(small: Small) -> None:
    with linked(small.spec()) as link:
        pid = link.status.pid
        lost = (-10001, "IPC send failed")
        small.say(terminal_info=lost, account_info=lost, positions_get=lost)
        small.hang(initialize=0.5)  # long enough to look around
        wait_until(lambda: not link.status.alive)  # nobody asked: the link looks by itself
        assert "closed or updates itself" in link.status.why
        assert not link.about().alive
        assert "connecting" in link.call("positions_get").text
        assert not link.trade({"symbol": "EURUSD"}, soon(2)).begun
        small.say()
        small.hang()
        wait_until(lambda: link.status.alive)
        assert (link.status.pid, link.status.connects) == (pid, 2)
        assert link.call("positions_get").ok
        assert small.calls("order_send") == []


def test_initialize_is_not_polled_while_a_terminal_is_away(small: Small) -> None:
    small.say(initialize=(-10003, "IPC initialize failed, MetaTrader 5 x64 not found"))
    pace = structs.replace(QUICK, retry_ms_min=100, retry_ms_max=10_000)
    with linked(small.spec(pace=pace), joined=False) as link:
        wait_until(lambda: len(small.calls("initialize")) == 3)
        begun = time.monotonic()
        wait_until(lambda: len(small.calls("initialize")) == 4)
        assert time.monotonic() - begun >= 0.3  # 100, 200, then 400 ms
        assert "mt5.path" in link.status.why
        assert link.status.generation == 4  # each try has a fresh package
        for _ in range(100):  # asking does not connect
            assert not link.call("positions_get").ok
        assert len(small.calls("initialize")) == 4


def test_an_answer_out_of_step_costs_the_worker(small: Small) -> None:
    with linked(small.spec()) as link:
        pid = link.status.pid
        small.say(positions_get=(-10000, "IPC call failed"))
        assert link.call("positions_get").code == -10000
        small.say()
        wait_until(lambda: link.status.alive and link.status.pid != pid, 10)


def test_a_terminal_that_never_answers_initialize_costs_a_worker_and_is_told(small: Small) -> None:
    small.hang(initialize=60)
    with linked(small.spec(), joined=False) as link:
        wait_until(lambda: "no answer in 2 s" in link.status.why, 10)
        small.hang()
        assert link.wait(10)
        assert link.status.generation >= 2


def test_the_password_crosses_no_pipe_when_the_terminal_is_logged_in(small: Small) -> None:
    with linked(small.spec(password=_PASSWORD)) as link:
        small.say(terminal_info=(-10001, "IPC send failed"))
        wait_until(lambda: link.status.connects == 1 and not link.status.alive)
        small.say()
        wait_until(lambda: link.status.connects == 2)
    assert len(small.calls("initialize")) >= 2
    assert "hunter2!" not in (small.folder / "calls").read_text()
    # The whole request of `initialize`: nothing that is empty is passed at all.
    words = {"path": small.path, "timeout": QUICK.authorise_ms, "portable": True}
    assert small.calls("initialize")[0][:2] == ([], words)


def test_a_terminal_frozen_while_nobody_asks_turns_red(small: Small) -> None:
    with linked(small.spec()) as link:
        small.hang(terminal_info=60)
        wait_until(lambda: not link.status.alive)
        wait_until(lambda: "new worker" in link.status.why or "hangs" in link.status.why)
        small.hang()
        wait_until(lambda: link.status.alive, 10)


def test_the_broker_s_link_is_counted_from_when_it_holds(small: Small) -> None:
    with linked(small.spec()) as link:
        first = link.beat().linked_mono
        assert first
        small.terminal(connected=False)
        assert link.beat().linked_mono == 0
        assert "no link to its broker" in link.status.why
        small.terminal()
        assert link.beat().linked_mono > first
        assert os.getpid() != link.status.pid
