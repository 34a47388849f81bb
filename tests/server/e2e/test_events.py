"""Events: signed, numbered for each stream, for every subscriber we know (protocol.md 10)."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from bridge_core.host.bundles import load_bundle
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.events import event_topic, tick_topic
from bridge_core.protocol.messages import Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import SyncReply
from tests.support.listener import Heard, Listener
from tests.support.raw_client import RawClient, decode
from tests.support.running import Account, Process, Running, wait_until
from tests.support.scripted_backend import loses


def _numbers(heard: list[Heard]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for one in heard:
        if one.body.type != "heartbeat":
            numbers[one.token.stream].append(one.token.seq)
    return numbers


def test_orders_and_states_are_told_in_one_numbered_stream(
    running: Running, trader: RawClient, account: Account
) -> None:
    with Listener(account) as ear:
        ear.wait_for("heartbeat")
        order = trader.open(client_order_id="mine").order()
        told = ear.wait_for("order_final")
        assert (told.body.rid, told.body.status, told.body.ticket) == (
            order.rid, "FILLED", order.ticket,
        )  # fmt: skip
        assert told.topic == event_topic("demo")
        trader.stop(Op.HALT)
        changed = ear.wait_for("state_changed")
        assert (changed.body.state, changed.body.cause) == ("HALTED", "OPERATOR")
        assert changed.token.seq == told.token.seq + 1
        assert changed.token.stream == told.token.stream == f"srv-{trader.inc}"


def test_a_heartbeat_comes_each_second_takes_no_number_and_carries_every_stream(
    running: Running, trader: RawClient, account: Account
) -> None:
    with Listener(account) as ear:
        first = ear.wait_for("heartbeat")
        begun = time.monotonic()
        trader.open()
        final = ear.wait_for("order_final")
        assert final.token.seq == first.token.seq + 1
        second = ear.wait_for("heartbeat")
        assert 0.5 < time.monotonic() - begun < 4.0
        points = {one.stream: one.seq for one in second.body.streams}
        assert points[f"srv-{trader.inc}"] == final.token.seq == second.token.seq


def test_ticks_and_positions_of_the_paper_broker_are_heard_by_two_subscribers_alike(
    account: Account,
) -> None:
    account.edit("port =", "paper.pace_ms = 50\nport =")
    with (
        Process(account) as server,
        Listener(account) as one,
        Listener(account, who="query") as two,
    ):
        client = server.ready()
        one.wait_for("heartbeat")
        two.wait_for("heartbeat")
        ticket = client.opened(client_order_id="mine")
        opened = one.wait_for("position_opened")
        assert (opened.body.ticket, opened.body.client_order_id) == (ticket, "mine")
        assert opened.body.origin == "ours"
        client.close_position(ticket)
        closed = one.wait_for("position_closed")
        assert (closed.body.ticket, closed.body.reason) == (ticket, "OURS")
        assert two.wait_for("position_closed").body == closed.body
        tick = one.wait_for("tick")
        assert tick.topic == tick_topic("demo", "EURUSD")
        assert tick.token.stream == f"tick-{client.inc}-EURUSD"
        for ear in (one, two):
            for numbers in _numbers(ear.heard).values():
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_snapshot_names_the_point_in_each_stream_that_it_contains(
    running: Running, trader: RawClient, account: Account
) -> None:
    with Listener(account) as ear:
        ear.wait_for("heartbeat")
        trader.open()
        final = ear.wait_for("order_final")
        body = Query(symbol="", since=0, until=0, first=0, count=0)
        sync = decode(SyncReply, trader.do(Op.SYNC_ALL, body))
        assert {one.stream: one.seq for one in sync.streams} == {
            final.token.stream: final.token.seq
        }
        assert len(sync.positions) == 1


def test_a_subscriber_gets_only_the_topics_it_asked_for(
    running: Running, trader: RawClient, account: Account
) -> None:
    with Listener(account, topics=(tick_topic("demo", "EURUSD"),)) as ear:
        trader.open()
        assert ear.next(1_200) is None


def test_an_unknown_curve_key_hears_nothing(
    running: Running, trader: RawClient, account: Account, tmp_path: Path
) -> None:
    bundle = load_bundle(account.bundle() / "keys" / "connector.key")
    keys = new_curve_keys()
    stranger = msgspec.structs.replace(
        bundle, curve_public=keys.public.decode(), curve_secret=keys.secret.decode()
    )
    with Listener(account, curve=stranger) as ear, Listener(account) as friend:
        friend.wait_for("heartbeat")
        trader.open()
        friend.wait_for("order_final")
        assert ear.next(200) is None


def test_a_lost_order_is_an_alert(running: Running, trader: RawClient, account: Account) -> None:
    with Listener(account) as ear:
        ear.wait_for("heartbeat")
        running.scripted.plan.append(loses(executed=False))
        lost = trader.open(client_order_id="mine")
        alert = ear.wait_for("alert")
        assert (alert.body.code, "mine" in alert.body.message) == ("UNKNOWN", True)
        final = ear.wait_for("order_final")
        assert (final.body.rid, final.body.code) == (lost.token.rid, "ABSENT")


@pytest.mark.parametrize("dead", [True, False])
def test_the_self_test_notices_a_dead_handler_and_nobody_new_gets_in(
    account: Account, dead: bool
) -> None:
    with Running(account) as server:
        client = server.ready()
        context = server.server.context
        if dead:
            context.transport._zap.stop()
        server.server.service._pulse._self_test_ms = 0
        if dead:
            wait_until(lambda: context.counters.get("self_test_failed", 0) == 1)
            assert "self_test_failed" in account.log
            hops = {one.hop: one for one in client.health().hops}
            wait_until(
                lambda: (
                    {h.hop: h.state for h in client.health().hops}["server sockets"] == "degraded"
                )
            )
            assert "server sockets" in hops
            bundle = load_bundle(account.bundle("trade") / "keys" / "connector.key")
            with RawClient(bundle, f"tcp://127.0.0.1:{account.port}") as late:
                late.inc = client.inc
                with pytest.raises(TimeoutError):
                    late.send(late.sign(Op.HELLO, b"{}"), patience_s=0.3)
        else:
            time.sleep(1.2)
            assert client.health().counters.get("self_test_failed", 0) == 0
