"""SIGTERM: at once when idle, at most ten seconds for a call that is at the broker."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_core.host.ledger import read_ledger
from bridge_core.protocol.messages import Settle
from bridge_core.protocol.operations import Op
from bridge_server import cli
from bridge_server.settings import ServerSettings
from bridge_server.wiring import Server, build_server
from tests.support.raw_client import close_body, now_ms, open_body
from tests.support.running import Account, Process, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend


def test_an_idle_server_stops_at_once_and_says_it_was_clean(account: Account) -> None:
    with Process(account) as server:
        server.ready()
        begun = time.monotonic()
        server.terminate()
        server.finish()
        assert time.monotonic() - begun < 4.0
        assert server.exit_code == 0


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the signal handlers of this process back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_stop_asked_for_during_the_start_ends_it_cleanly(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(settings: ServerSettings, base: Path, *, debug: bool) -> Server:
        signal.raise_signal(signal.SIGINT)
        server = build_server(settings, base, debug=debug)
        assert "listening" in account.log
        return server

    monkeypatch.setattr(cli, "build_server", interrupted)
    assert cli.main(["run", "--config", str(account.config)]) == 0


def test_a_stop_waits_for_the_call_at_the_broker_and_refuses_what_has_not_begun(
    account: Account,
) -> None:
    with Running(account) as server:
        client = server.ready()
        ticket = client.opened()
        hang = server.scripted.hang()
        at_broker = client.sign(Op.OPEN, open_body())
        entry = client.sign(Op.OPEN, open_body())
        close = client.sign(Op.CLOSE, close_body(ticket))
        client.send(at_broker)
        hang.wait_entered()
        for frames in (entry, close):
            client.send(frames)
        wait_until(lambda: server.client().health().open_orders == 3)
        server.ask_stop()
        for answer in client.answers([entry, close]):
            assert answer.code == "STOPPING"
        other = server.client()
        assert other.open().code == "STOPPING"
        assert other.ping().status == "OK"
        assert f"stopping waits_for={at_broker.token.split(b':')[5].decode()}" in account.log
        hang.release()
        assert client.answers([at_broker])[0].status == "FILLED"
        assert server.join() == 0
        assert ticket in server.scripted.positions


def test_orders_that_a_paused_machine_wakes_up_to_have_expired(account: Account) -> None:
    with Process(account) as server:
        client = server.ready()
        server.signal(signal.SIGSTOP)
        orders = [client.sign(Op.OPEN, open_body(), ttl=300) for _ in range(3)]
        for frames in orders:
            client.send(frames)
        time.sleep(0.4)
        server.signal(signal.SIGCONT)
        for answer in client.answers(orders):
            assert answer.code == "EXPIRED"
        begun = [one for one in read_ledger(account.state / "ledger.jsonl") if one.phase == "begin"]
        assert begun == []


class _Fast:
    """A clock whose monotonic side a test can push ahead."""

    ahead = 0

    def wall_ms(self) -> int:
        return now_ms()

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.ahead

    def mono_ns(self) -> int:
        return self.mono_ms() * 1_000_000


def test_a_stop_gives_up_after_ten_seconds_and_the_next_run_finds_out(account: Account) -> None:
    clock, broker = _Fast(), ScriptedBackend()
    with Running(account, broker, clock) as server:
        client = server.ready()
        hang = broker.hang()
        frames = client.sign(Op.OPEN, open_body())
        client.send(frames)
        hang.wait_entered()
        server.ask_stop()
        time.sleep(0.2)
        assert server.alive
        clock.ahead = 10_000
        assert server.join(4) == 1
        hang.release()
    rid = frames.token.split(b":")[5].decode()
    wait_until(lambda: broker.begun(rid) == 1)
    with Running(account, broker) as server:
        client = server.client()
        wait_until(lambda: client.status(rid=rid).subject().status == "FILLED")
        assert client.status(rid=rid).subject().evidence == "TAG"


def test_a_call_without_an_answer_for_a_minute_is_unknown_and_a_late_answer_ends_it(
    account: Account,
) -> None:
    clock = _Fast()
    with Running(account, ScriptedBackend(), clock) as server:
        client = server.ready()
        hang = server.scripted.hang()
        frames = client.sign(Op.OPEN, open_body())
        client.send(frames)
        hang.wait_entered()
        clock.ahead = 61_000
        other = server.client()
        rid = frames.token.split(b":")[5].decode()
        wait_until(lambda: other.status(rid=rid).subject().status == "UNKNOWN")
        operator = server.client("operator")
        word = Settle(rid=rid, status="DENIED", ticket=0, reason="it never came")
        answer = operator.do(Op.SETTLE, word)
        assert answer.code == "SETTLE_REFUSED"  # its call has not ended
        hang.release()
        wait_until(lambda: other.status(rid=rid).subject().status == "FILLED")
        assert other.status(rid=rid).subject().evidence == "BROKER"
