"""Either side dies or forgets in the middle of an order: one outcome, found out, never repeated."""

from __future__ import annotations

import shutil

from bridge_core.protocol.operations import Op
from tests.support.ea_account import EaHouse
from tests.support.raw_client import RawClient, open_body
from tests.support.running import Process, wait_until


def _sent(client: RawClient) -> str:
    frames = client.sign(Op.OPEN, open_body())
    client.send(frames)
    return frames.token.split(b":")[5].decode()


def test_a_server_killed_while_the_broker_works_asks_and_never_hands_over_again(
    house: EaHouse,
) -> None:
    house.ea.start()
    with Process(house.account) as process:
        client = process.ready()
        house.broker.slow_s = 2.0
        rid = _sent(client)
        wait_until(lambda: house.broker.begun() == 1)
        process.kill()
    with Process(house.account) as process:
        client = process.client()
        view = house.attested(client, rid, 15)
        assert (view.status, view.evidence) == ("FILLED", "EA")
    assert house.broker.begun() == 1


def test_a_server_killed_before_the_ea_answered_learns_of_a_rejection_too(house: EaHouse) -> None:
    house.ea.start()
    with Process(house.account) as process:
        client = process.ready()
        house.broker.slow_s = 1.5
        house.broker.refuse("NO_MONEY")
        rid = _sent(client)
        wait_until(lambda: house.broker.begun() == 1)
        process.kill()
    with Process(house.account) as process:
        view = house.attested(process.client(), rid, 15)
    assert (view.status, view.code) == ("REJECTED", "NO_MONEY")


def test_both_killed_in_the_middle_find_the_order_by_the_eas_word(house: EaHouse) -> None:
    house.ea.start()
    with Process(house.account) as process:
        client = process.ready()
        house.ea.faults.die("after_call")
        rid = _sent(client)
        house.ea.wait_dead()
        process.kill()
    house.ea.start()
    with Process(house.account) as process:
        assert house.attested(process.client(), rid, 15).status == "FILLED"
    assert house.broker.begun() == 1


def test_an_ea_that_lost_its_journal_says_nothing_and_the_tag_ends_the_order_here_only(
    house: EaHouse,
) -> None:
    server, client = house.ready()
    server.ea.settle_ms = 0  # instead of a minute
    house.ea.faults.die("call_after")
    rid = _sent(client)
    house.ea.wait_dead()
    shutil.rmtree(house.folder / "ea-0")
    house.ea.restart()
    wait_until(lambda: client.status(rid).subject().final, 15)
    view = client.status(rid).subject()
    assert (view.status, view.evidence, view.ea) == ("FILLED", "TAG", "")  # no client takes this
    assert house.broker.begun() == 1


def test_an_order_that_is_not_there_ends_only_by_the_eas_word(house: EaHouse) -> None:
    server, client = house.ready()
    server.ea.settle_ms = 0
    house.ea.faults.die("before_intent")
    rid = _sent(client)
    house.ea.wait_dead()
    assert client.status(rid).subject().status in ("PENDING", "UNKNOWN")
    wait_until(lambda: client.status(rid).subject().status == "UNKNOWN", 8)
    shutil.rmtree(house.folder / "ea-0", ignore_errors=True)
    house.ea.restart()
    view = house.attested(client, rid, 15)
    assert (view.status, view.evidence) == ("DENIED", "EA")
    assert not house.broker.begun()
