"""The EA dies, is silent, lies or is replaced: each order has one outcome, and the EA says it."""

from __future__ import annotations

import pytest

from bridge_core.protocol.operations import Op
from tests.support.ea_account import EaHouse
from tests.support.fake_ea_faults import (
    POINTS,
    Lie,
    altered_record,
    another_status,
    no_record,
    resigned,
)
from tests.support.raw_client import RawClient, open_body
from tests.support.running import wait_until

RAN = frozenset({"call_after", "after_call", "after_result", "before_reply", "after_reply"})


@pytest.mark.parametrize("point", POINTS)
def test_an_ea_that_dies_at_any_point_acts_at_most_once_and_says_so_afterwards(
    house: EaHouse, point: str
) -> None:
    _, client = house.ready()
    house.ea.faults.die(point)
    frames = client.sign(Op.OPEN, open_body())
    rid = frames.token.split(b":")[5].decode()
    client.send(frames)
    house.ea.wait_dead()
    house.ea.restart()
    view = house.attested(client, rid, 12)
    assert view.status == ("FILLED" if point in RAN else "DENIED"), view
    assert house.broker.begun() <= 1
    assert (len(house.broker.market.open) == 1) is (point in RAN)
    again = client.ask(frames).order()  # the same bytes again get the stored word and run nothing
    assert (again.status, again.ea) == (view.status, view.ea)
    assert len(house.broker.market.open) == (point in RAN)


def test_a_lost_answer_is_unknown_until_status_brings_the_record(house: EaHouse) -> None:
    _, client = house.ready()
    house.ea.faults.drop("ANSWER")
    answer = client.ask(client.sign(Op.OPEN, open_body(), ttl=500), 10_000)
    assert answer.status in ("PENDING", "UNKNOWN")
    view = house.attested(client, answer.token.rid)
    assert (view.status, view.evidence) == ("FILLED", "EA")
    assert house.broker.begun() == 1


def test_an_order_that_the_ea_never_saw_is_buried_and_never_runs(house: EaHouse) -> None:
    _, client = house.ready()
    house.ea.faults.die("before_intent")
    frames = client.sign(Op.OPEN, open_body())
    client.send(frames)
    house.ea.wait_dead()
    house.ea.restart()
    view = house.attested(client, frames.token.split(b":")[5].decode(), 12)
    record = house.record_of(view)
    assert (view.status, view.code, record.order_hash) == ("DENIED", "FENCED", "0" * 64)
    word = house.ea.desk.execute(frames, 0, lambda _rid: None)  # a late copy at the EA itself
    assert word is not None
    assert (word["status"], word["code"]) == ("DENIED", "CONFLICT") or word["code"] == "FENCED"
    assert not house.broker.begun()


def test_without_a_heartbeat_an_order_is_denied_before_anything_is_sent(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.kill()
    wait_until(lambda: not server.ea.snapshot().connected, 12)
    wait_until(lambda: server.server.context.snapshot is server.ea.snapshot())
    answer = client.open()
    assert (answer.status, answer.code) == ("DENIED", "BROKER_DOWN")
    wait_until(lambda: "EA_STALE" in {cause.cause for cause in client.hello().causes})
    assert not house.broker.begun()
    hop = next(one for one in client.health().hops if one.hop == "server to EA")
    assert (hop.state, "silent" in hop.why) == ("down", True)


def test_a_goodbye_counts_at_once(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.stop()
    wait_until(lambda: not server.ea.link.alive(), 2.5)  # of silence it would be three
    assert client.open().code == "BROKER_DOWN"


def test_a_slow_broker_call_is_no_death_once_it_is_announced(house: EaHouse) -> None:
    _, client = house.ready()
    house.broker.slow_s = 4.0  # longer than a silent EA is waited for
    rid = client.open().token.rid
    view = house.attested(client, rid, 10)
    assert (view.status, house.broker.begun()) == ("FILLED", 1)


def test_after_a_reconnect_only_questions_are_asked(house: EaHouse) -> None:
    server, client = house.ready()
    heard: list[str] = []
    original = house.ea._body

    def hang_up_over_the_first_order(ask: object, number: int) -> object:
        body = original(ask, number)  # type: ignore[arg-type]
        heard.append(ask.word)  # type: ignore[attr-defined]
        if heard.count("EXEC") > 1 or heard[-1] != "EXEC":
            return body
        house.ea.hang_up()
        return None  # it ran, and its answer is lost with the connection

    house.ea._body = hang_up_over_the_first_order  # type: ignore[method-assign]
    answer = client.ask(client.sign(Op.OPEN, open_body(), ttl=500), 10_000)
    view = house.attested(client, answer.token.rid)
    assert (view.status, view.evidence) == ("FILLED", "EA")
    assert (heard.count("EXEC"), "STATUS" in heard) == (1, True)
    assert server.ea.link.status.instance == house.ea.instance
    assert house.broker.begun() == len(house.broker.market.open) == 1
    assert client.open().status == "FILLED"  # over the new connection


def test_a_server_that_restarts_meets_the_same_ea_again(house: EaHouse) -> None:
    server, client = house.ready()
    opened = client.open().order()
    server.stop()
    again = house.serve()
    fresh = again.ready()
    assert again.ea.link.status.instance == house.ea.instance
    assert fresh.status(opened.rid).subject().ea == opened.ea
    assert fresh.close_position(opened.ticket).status == "FILLED"


LIES: list[Lie] = [
    no_record,
    another_status("REJECTED"),
    altered_record(rid="b" * 32),
    resigned(rid="a" * 32),
    resigned(op="CLOSE"),
    resigned(order_hash="c" * 64),
    resigned(order_hash="0" * 64),
    resigned(acct="other"),
    resigned(kid="nobody-1"),
    resigned(status="DONE"),
    lambda word, _: word | {"mac": "-"},
    lambda word, _: word | {"code": "NO_MONEY"},
]


@pytest.mark.parametrize("lie", LIES)
def test_a_word_that_does_not_fit_the_order_proves_nothing(house: EaHouse, lie: Lie) -> None:
    _, client = house.ready()
    house.ea.faults.lies.append(lie)
    answer = client.ask(client.sign(Op.OPEN, open_body(), ttl=500), 10_000)
    rid = answer.token.rid
    assert answer.status in ("UNKNOWN", "PENDING"), answer.order()
    wait_until(lambda: client.health().counters.get("ea_lies", 0) > 0)
    assert client.status(rid).subject().status in ("UNKNOWN", "PENDING")
    house.ea.faults.lies.clear()  # the truth is in its journal
    assert house.attested(client, rid).status == "FILLED"
    assert house.broker.begun() == 1


def test_two_live_eas_halt_the_account(house: EaHouse) -> None:
    _, client = house.ready()
    first = house.ea.instance
    other = house.another_ea()
    other.start()
    wait_until(lambda: _latched(client, "EA_TWICE"), 12)
    assert client.open().code == "HALTED"
    assert client.health().state == "HALTED"
    assert house.ea.instance == first
    assert not house.broker.begun()


def test_an_ea_that_comes_back_after_another_took_its_place_halts_the_account(
    house: EaHouse,
) -> None:
    server, client = house.ready()
    house.ea.silent = True
    wait_until(lambda: not server.ea.link.alive(), 12)
    other = house.another_ea()
    other.start()
    other.wait_welcome(8)
    assert not _latched(client, "EA_TWICE")
    house.ea.silent = False
    wait_until(lambda: _latched(client, "EA_TWICE"), 12)


def test_an_ea_that_is_restarted_is_not_two(house: EaHouse) -> None:
    server, client = house.ready()
    house.ea.stop()
    house.ea.start()
    house.ea.wait_welcome()
    wait_until(lambda: server.ea.link.status.instance == house.ea.instance)
    wait_until(lambda: client.hello().state != "HALTED", 12)
    assert not _latched(client, "EA_TWICE")


def _latched(client: RawClient, cause: str) -> bool:
    return cause in {one.cause for one in client.health().causes}
