"""While a broker call hangs: the loop answers, queues keep their promises, no lane starves."""

from __future__ import annotations

import threading
import time

from bridge_core.protocol import limits
from bridge_core.protocol.messages import Heartbeat, Query
from bridge_core.protocol.operations import Op
from tests.support.raw_client import RawClient, close_body, now_ms, open_body
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import ScriptedBackend


def _open_position(client: RawClient) -> int:
    return client.opened()


def test_stop_and_settle_answer_in_the_usual_time_and_an_order_is_pending_after_two_seconds(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    order = trader.sign(Op.OPEN, open_body())
    began = time.monotonic()
    trader.send(order)
    hang.wait_entered()
    other = running.client()
    rid = order.token.split(b":")[5].decode()
    times: list[float] = []
    for ask in (
        other.ping, other.health, other.hello, lambda: other.status(rid=rid),
        lambda: other.query(Op.GET_POSITIONS), lambda: other.fence("ab" * 16, other.inc, now_ms()),
        lambda: other.stop(Op.REDUCE_ONLY), lambda: other.stop(Op.HALT),
    ):  # fmt: skip
        start = time.monotonic()
        ask()
        times.append(time.monotonic() - start)
    assert max(times) < 1.5, "one of them waited for the broker"
    assert trader.answers([order])[0].status == "PENDING"
    assert 1.8 < time.monotonic() - began < 5.0
    hang.release()
    wait_until(lambda: trader.status(rid=rid).subject().status == "FILLED")
    assert trader.status(rid=rid).subject().final


def test_queued_orders_expire_while_the_broker_hangs_and_never_begin(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    queued = [trader.sign(Op.OPEN, open_body(), ttl=200) for _ in range(3)]
    for frames in queued:
        trader.send(frames)
    for answer in trader.answers(queued):
        assert (answer.status, answer.code) == ("DENIED", "EXPIRED")
    hang.release()
    wait_until(lambda: len(running.scripted.positions) == 1)
    time.sleep(0.1)
    assert len(running.scripted.ledger) == 1


def test_a_halt_ends_queued_entries_and_a_queued_close_survives_it(
    running: Running, trader: RawClient
) -> None:
    ticket = _open_position(trader)
    hang = running.scripted.hang()
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    entry = trader.sign(Op.OPEN, open_body())
    close = trader.sign(Op.CLOSE, close_body(ticket))
    trader.send(entry)
    trader.send(close)
    other = running.client()
    wait_until(lambda: other.status(rid=close.token.split(b":")[5].decode()).status == "OK")
    other.stop(Op.HALT)
    (answer,) = trader.answers([entry])
    assert (answer.status, answer.code) == ("DENIED", "HALTED")
    hang.release()
    rid = close.token.split(b":")[5].decode()
    wait_until(lambda: trader.status(rid=rid).subject().status == "FILLED")
    assert running.scripted.begun(entry.token.split(b":")[5].decode()) == 0
    assert ticket not in running.scripted.positions


def test_reduce_only_ends_queued_entries_but_not_a_queued_stop_that_protects(
    running: Running, trader: RawClient
) -> None:
    ticket = _open_position(trader)
    hang = running.scripted.hang()
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    other, third = running.client(), running.client()
    third.send(third.sign(Op.OPEN, open_body()))
    wait_until(lambda: other.health().open_orders == 2)
    answers: list[str] = []
    waiting = threading.Thread(
        target=lambda: answers.append(trader.modify(ticket, sl="1.09000").status)
    )
    waiting.start()
    wait_until(lambda: other.health().open_orders == 3)
    other.stop(Op.REDUCE_ONLY)
    assert third.receive() is not None
    hang.release()
    waiting.join(5)
    assert answers == ["DONE"]
    assert len(running.scripted.ledger) == 3


def test_a_close_overtakes_queued_entries(running: Running, trader: RawClient) -> None:
    ticket = _open_position(trader)
    hang = running.scripted.hang()
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    for _ in range(3):
        trader.send(trader.sign(Op.OPEN, open_body()))
    trader.send(trader.sign(Op.CLOSE, close_body(ticket)))
    wait_until(lambda: running.client().health().open_orders == 5)
    hang.release()
    wait_until(lambda: len(running.scripted.ledger) == 6)
    assert [one.op for one in running.scripted.ledger].index(Op.CLOSE) == 2


def test_a_queue_full_of_entries_refuses_entries_and_takes_a_close(account: Account) -> None:
    account.edit("port =", "rates.entry_per_s = 200\nport =")
    with Running(account) as server:
        client = server.ready()
        ticket = _open_position(client)
        hang = server.scripted.hang()
        client.send(client.sign(Op.OPEN, open_body()))
        hang.wait_entered()
        for _ in range(limits.WORKER_QUEUE_MAX):
            client.send(client.sign(Op.OPEN, open_body(), ttl=2_000))
        other = server.client()
        wait_until(lambda: other.health().open_orders == limits.WORKER_QUEUE_MAX + 1)
        assert other.open().code == "BUSY"
        close = other.sign(Op.CLOSE, close_body(ticket))
        other.send(close)
        rid = close.token.split(b":")[5].decode()
        assert server.client().status(rid=rid).subject().status == "PENDING"
        # What has died in the queue makes room again, though the broker still hangs.
        wait_until(lambda: server.client().health().open_orders == 2)
        # There is room, and yet no price that is younger than the call.
        assert other.open().code == "STALE_QUOTE"
        hang.release()


def test_a_flood_of_queries_starves_neither_a_close_nor_a_halt(account: Account) -> None:
    # Far below what the slowest machine can send, or no rate would be passed there.
    account.edit("port =", "rates.settle_per_s = 20\nport =")
    with Running(account) as running:
        trader = running.ready()
        ticket = _open_position(trader)
        noisy = running.client()
        body = Query(symbol="", since=0, until=0, first=0, count=0)
        for _ in range(250):
            noisy.send(noisy.sign(Op.GET_POSITIONS, body))
        assert trader.close_position(ticket).status == "FILLED"
        assert trader.stop(Op.HALT).status == "OK"
        codes = set()
        while (reply := noisy.receive(1_000)) is not None:
            codes.add(reply.token.split(b":")[7])
        assert codes == {b"-", b"RATE"}


def test_entries_beyond_their_rate_are_denied_and_a_close_is_not(account: Account) -> None:
    account.edit("port =", "rates.entry_per_s = 5\nport =")
    with Running(account) as running:
        trader = running.ready()
        ticket = _open_position(trader)
        codes = [trader.open().code for _ in range(60)]
        assert "RATE" in codes
        assert trader.close_position(ticket).status == "FILLED"
        for _ in range(30):
            assert trader.stop(Op.REDUCE_ONLY).status == "OK"


def test_a_heartbeats_sequence_must_grow(trader: RawClient) -> None:
    assert trader.do(Op.HEARTBEAT, Heartbeat(sequence=5)).status == "OK"
    for stale in (5, 4):
        answer = trader.do(Op.HEARTBEAT, Heartbeat(sequence=stale))
        assert (answer.status, answer.code) == ("DENIED", "SEQUENCE")
    assert trader.do(Op.HEARTBEAT, Heartbeat(sequence=6)).status == "OK"


def test_a_read_that_waits_behind_a_hanging_call_is_told_so(
    running: Running, trader: RawClient
) -> None:
    hang = running.scripted.hang()
    trader.send(trader.sign(Op.OPEN, open_body()))
    hang.wait_entered()
    other = running.client()
    answer = other.do(Op.CHECK, open_body(), ttl=300)
    assert (answer.status, answer.code) == ("DENIED", "BROKER_BUSY")
    hang.release()
    wait_until(lambda: other.do(Op.CHECK, open_body()).status == "OK")


def _link(client: RawClient) -> str:
    return {hop.hop: hop.state for hop in client.health().hops}["server to terminal"]


def test_a_pump_that_fails_takes_the_link_down_until_it_is_heard_again(account: Account) -> None:
    broker = ScriptedBackend()
    broker.pump_interval_ms = 400
    with Running(account, broker) as server:
        client = server.ready()
        broker.broken_pump = True
        wait_until(lambda: client.hello().state == "REDUCE_ONLY")
        until = time.monotonic() + 1.1  # a beat of the server's own does not call it up
        while time.monotonic() < until:
            assert _link(client) == "down"
            time.sleep(0.02)
        assert client.open().code == "REDUCE_ONLY"
        broker.broken_pump = False
        wait_until(lambda: _link(client) == "up")
