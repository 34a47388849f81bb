"""The independent counter: a bug of ours that would send more than came in reaches no broker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from bridge_core.protocol.messages import Flatten
from bridge_core.protocol.operations import Op
from bridge_server.worker import ExecuteJob, Job, Worker
from tests.support.raw_client import RawClient, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend

_Give = Callable[[Worker, Job], None]


def _why_halted(client: RawClient) -> str:
    """Return why COUNTER is in force, "" if it is not."""
    return next((one.reason for one in client.hello().causes if one.cause == "COUNTER"), "")


def _twice(right: _Give) -> _Give:
    def give(self: Worker, job: Job) -> None:
        right(self, job)
        if isinstance(job, ExecuteJob):
            right(self, job)

    return give


def _more(right: _Give) -> _Give:
    def give(self: Worker, job: Job) -> None:
        if isinstance(job, ExecuteJob):
            body = structs.replace(job.submission.body, volume="0.50")
            job = ExecuteJob(structs.replace(job.submission, body=body))
        right(self, job)

    return give


def _many(right: _Give) -> _Give:
    """As in 2012: one order becomes many, under ids of the machine's own."""

    def give(self: Worker, job: Job) -> None:
        right(self, job)
        if isinstance(job, ExecuteJob):
            for number in range(5):
                child = structs.replace(job.submission, rid=f"{number:032x}")
                right(self, ExecuteJob(child))

    return give


@pytest.mark.parametrize(
    "given",
    [(_twice, 1, "twice"), (_more, 0, "than signed"), (_many, 1, "than signed")],
)
def test_a_bug_that_would_send_more_than_came_in_is_stopped_before_the_broker_and_halts(
    running: Running,
    trader: RawClient,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[Callable[[_Give], _Give], int, str],
) -> None:
    bug, begun, word = given
    with monkeypatch.context() as planted:
        planted.setattr(Worker, "give", bug(Worker.give))
        trader.send(trader.sign(Op.OPEN, open_body()))
        asker = running.client()
        wait_until(lambda: asker.hello().state == "HALTED")
        assert word in _why_halted(asker)
    assert len(running.scripted.ledger) == begun
    assert asker.open().code == "HALTED"
    assert len(running.scripted.ledger) == begun
    wait_until(lambda: asker.health().counters["verified"] >= 2)
    assert asker.health().counters["submitted"] == begun


def test_what_the_counter_stopped_is_unknown_and_no_denial(
    running: Running, trader: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.scripted.scan_complete = False
    with monkeypatch.context() as planted:
        planted.setattr(Worker, "give", _more(Worker.give))
        answer = trader.open()
    assert answer.status == "UNKNOWN"  # only the broker's records say that it never ran
    running.scripted.scan_complete = True
    rid = answer.token.rid
    wait_until(lambda: trader.status(rid=rid).subject().code == "ABSENT")


def test_the_latch_outlives_a_restart_and_lets_everything_out_that_reduces(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        held = [client.opened() for _ in range(2)]
        with monkeypatch.context() as planted:
            planted.setattr(Worker, "give", _twice(Worker.give))
            assert client.close_position(held[0]).status == "FILLED"
        wait_until(lambda: client.hello().state == "HALTED")
        why = _why_halted(client)
        assert client.close_position(held[1]).status == "FILLED"
    assert len(broker.ledger) == 4
    with Running(account, broker) as server:
        client = server.client()
        assert _why_halted(client) == why
        assert client.open().code == "HALTED"
        assert client.flatten().status == "DONE"


def test_a_flatten_goes_to_the_tickets_it_was_fixed_to_and_to_no_other(
    running: Running, trader: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that adds a ticket of its own, under the child's right id."""
    trader.open()
    other = trader.opened(symbol="EURUSD")
    body = Flatten(client_order_id="f", client="raw", scope="ALL", symbol="", reason="x")
    frames = trader.sign(Op.FLATTEN, body)
    counter = running.server.context.worker.counter
    right = counter.fix
    monkeypatch.setattr(
        counter, "fix", lambda rid, tickets: right(rid, [t for t in tickets if t != other])
    )
    trader.send(frames)
    asker = running.client()
    wait_until(lambda: asker.hello().state == "HALTED")
    assert "no part of its FLATTEN" in _why_halted(asker)
    assert set(running.scripted.positions) == {other}


def test_copies_and_refusals_raise_no_alarm_and_the_counts_are_in_health(
    running: Running, trader: RawClient
) -> None:
    frames = trader.sign(Op.OPEN, open_body())
    for _ in range(3):
        assert trader.ask(frames).status == "FILLED"
    assert trader.open(volume="99").status == "DENIED"
    assert trader.flatten().status == "DONE"
    wait_until(lambda: trader.health().counters.get("submitted") == 2)
    assert trader.health().counters["verified"] == 3
    assert trader.hello().state == "ACTIVE"
