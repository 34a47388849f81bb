"""A ticket that no order of ours made: listed on a shared account, a halt on an exclusive one."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from bridge_core.protocol.messages import Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import make_tag
from bridge_server.core.ports import Executed, Outcome, Submission
from tests.support.fake_kit import RATES
from tests.support.listener import Listener
from tests.support.raw_client import Answer, RawClient
from tests.support.running import Account, Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend, late, loses

_JUDGED_S = 12.0  # a hand's trade halts an exclusive account within 5 s; a machine may be crowded
_LONG_S = 1.6  # an orphan would have been found by then


@pytest.fixture
def exclusive(tmp_path: Path) -> Account:
    return make_account(tmp_path, extra="exclusive = true")


def _why_halted(client: RawClient) -> str:
    return next((one.reason for one in client.hello().causes if one.cause == "COUNTER"), "")


def _resume(server: Running) -> Answer:
    body = Resume(cause="COUNTER", reason="it was me")
    return server.client("operator").do(Op.RESUME, body)


def _settled(server: Running) -> RawClient:
    """Return a client once the account's own tickets are known, so that others are orphans."""
    client = server.ready()
    wait_until(lambda: "orphans" in client.health().counters)
    time.sleep(0.3)
    return client


def _stays_active(client: RawClient, seconds: float = _LONG_S) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert _why_halted(client) == ""
        time.sleep(0.05)


def test_a_hands_trade_on_an_exclusive_account_halts_within_five_seconds_and_names_the_ticket(
    exclusive: Account,
) -> None:
    with Running(exclusive) as server:
        client = _settled(server)
        assert client.open().status == "FILLED"
        one = server.scripted.put_position(magic=0)
        begun = time.monotonic()
        wait_until(lambda: client.hello().state == "HALTED", _JUDGED_S)
        assert time.monotonic() - begun < _JUDGED_S
        assert f"ticket {one.ticket} (EURUSD BUY 0.01)" in _why_halted(client)
        assert client.open().code == "HALTED"
        assert client.health().counters["orphans"] == 1
        assert client.flatten().status == "DONE"  # flat means flat, the orphan too
        assert server.scripted.positions == {}


def test_a_hand_is_seen_in_the_midst_of_our_own_orders(tmp_path: Path) -> None:
    exclusive = make_account(tmp_path, extra=f"exclusive = true\n{RATES}")
    with Running(exclusive) as server:
        client = _settled(server)
        one = server.scripted.put_position(magic=0)
        until = time.monotonic() + _JUDGED_S
        while f"ticket {one.ticket} " not in _why_halted(client):
            client.open()
            assert time.monotonic() < until


def test_a_pending_order_of_nobodys_halts_too(exclusive: Account) -> None:
    with Running(exclusive) as server:
        client = _settled(server)
        ticket = client.opened(type="BUY_LIMIT", price="1.09000")
        resting = server.scripted.orders[ticket]
        alien = structs.replace(resting, ticket=ticket + 500, magic=0, comment="")
        server.scripted.orders = {**server.scripted.orders, alien.ticket: alien}
        wait_until(lambda: f"ticket {alien.ticket} (EURUSD BUY_LIMIT" in _why_halted(client))


def test_on_a_shared_account_a_hand_is_listed_and_counted_and_halts_nothing(
    running: Running, trader: RawClient
) -> None:
    trader.open()
    tickets = {running.scripted.put_position(magic=0).ticket for _ in range(3)}
    wait_until(lambda: trader.health().counters.get("orphans") == 3)
    rows = trader.query(Op.GET_POSITIONS).positions
    assert {row.ticket for row in rows if row.origin == "foreign"} == tickets
    _stays_active(trader)
    assert trader.open().status == "FILLED"
    running.scripted.positions = {}
    wait_until(lambda: trader.health().counters.get("orphans") == 0)


def test_more_orphans_than_a_shared_account_should_have_raise_one_alarm(tmp_path: Path) -> None:
    account = make_account(tmp_path, extra="orphans_max = 1")
    with Running(account) as server, Listener(account) as ear:
        client = server.ready()
        ear.wait_for("heartbeat")
        server.scripted.put_position(magic=0)
        wait_until(lambda: client.health().counters.get("orphans") == 1)
        server.scripted.put_position(magic=0)
        server.scripted.put_position(magic=0)
        alert = ear.wait_for("alert").body
        assert alert.code == "ORPHANS"
        assert alert.message.split(" ")[0] in ("2", "3")
        time.sleep(0.5)
        while ear.next(100) is not None:
            continue
        assert len([one for one in ear.heard if one.body.type == "alert"]) == 1
        assert client.open().status == "FILLED"


def test_an_orphan_still_halts_after_a_restart_until_an_operator_takes_it_for_known(
    exclusive: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(exclusive, broker) as server:
        client = _settled(server)
        broker.put_position(magic=0)
        wait_until(lambda: client.hello().state == "HALTED", _JUDGED_S)
        why = _why_halted(client)
    with Running(exclusive, broker) as server:
        client = server.client()
        assert _why_halted(client) == why
        wait_until(lambda: client.health().counters.get("orphans") == 1)
        assert _resume(server).status == "DONE"
        wait_until(lambda: "orphans_known" in exclusive.log)
        _stays_active(client)
    with Running(exclusive, broker) as server:
        client = _settled(server)
        _stays_active(client)  # known for good
        second = broker.put_position(magic=0)
        wait_until(lambda: f"ticket {second.ticket} " in _why_halted(client), _JUDGED_S)


def test_one_that_came_while_the_server_was_down_halts(exclusive: Account) -> None:
    broker = ScriptedBackend()
    with Running(exclusive, broker) as server:
        _settled(server)
    broker.put_position(magic=0)
    with Running(exclusive, broker) as server:
        client = server.client()
        wait_until(lambda: _why_halted(client) != "", _JUDGED_S)


def test_what_was_there_when_an_account_is_first_called_exclusive_is_known_and_told_once(
    tmp_path: Path,
) -> None:
    broker, account = ScriptedBackend(), make_account(tmp_path)
    broker.put_position(magic=0)
    with Running(account, broker) as server:  # shared at first
        client = server.ready()
        wait_until(lambda: client.health().counters.get("orphans") == 1)
    account.edit("port =", "exclusive = true\nport =")
    with Running(account, broker) as server:
        client = server.ready()
        wait_until(lambda: "orphans_known" in account.log)
        _stays_active(client)
        assert client.open().status == "FILLED"
    with Running(account, broker) as server:
        client = server.ready()
        broker.put_position(magic=0)
        wait_until(lambda: _why_halted(client) != "", _JUDGED_S)
    assert account.log.count(" orphans_known ") == 1


# --- what is ours ----------------------------------------------------------------------------


def test_an_order_whose_answer_was_lost_is_no_orphan(exclusive: Account) -> None:
    broker = ScriptedBackend()
    broker.settle_ms = 2_500
    with Running(exclusive, broker) as server:
        client = _settled(server)
        broker.scan_complete = False
        broker.plan += [loses(executed=True), late(0.5)]
        client.open()
        _stays_active(client)
        wait_until(lambda: client.hello().state == "ACTIVE")
        client.open()
        _stays_active(client)


def _unmarked(backend: ScriptedBackend, submission: Submission) -> Outcome:
    """A broker that shows no magic and no comment, and says nothing for a while."""
    done = backend.trade(submission)
    assert isinstance(done, Executed)
    one = backend.positions[done.facts.ticket]
    bare = structs.replace(one, magic=0, comment="")
    backend.positions = {**backend.positions, one.ticket: bare}
    time.sleep(1.5)
    return done


def test_a_ticket_is_not_judged_while_the_order_that_may_have_made_it_is_at_the_broker(
    exclusive: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(exclusive, broker) as server:
        client = _settled(server)
        broker.plan.append(_unmarked)
        assert client.open().status == "FILLED"
        _stays_active(client)


def test_what_is_left_of_a_position_under_another_number_is_ours_and_a_copied_tag_is_not(
    exclusive: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(exclusive, broker) as server:
        client = _settled(server)
        order = client.open(volume="0.10").order()
        held = broker.positions[order.ticket]
        rest = structs.replace(held, ticket=held.ticket + 500, volume=Decimal("0.04"))
        broker.positions = {rest.ticket: rest}
        _stays_active(client)
        # More than there was, a second bearer, or the tag of what was refused: nobody's.
        second = structs.replace(rest, ticket=rest.ticket + 1)
        broker.positions = {rest.ticket: rest, second.ticket: second}
        wait_until(lambda: f"ticket {second.ticket} " in _why_halted(client), _JUDGED_S)


@pytest.mark.parametrize("made", ["too large", "refused"])
def test_the_tag_of_an_order_that_cannot_have_made_it_hides_nothing(
    exclusive: Account, made: str
) -> None:
    broker = ScriptedBackend()
    with Running(exclusive, broker) as server:
        client = _settled(server)
        if made == "refused":
            answer = client.open(volume="99")
            magic = make_tag("demo", answer.token.rid).mt5_magic(0)
            one = broker.put_position(magic=magic)
        else:
            ticket = client.opened()
            held = broker.positions[ticket]
            one = structs.replace(held, ticket=held.ticket + 500, volume=Decimal("0.02"))
            broker.positions = {one.ticket: one}
        wait_until(lambda: f"ticket {one.ticket} " in _why_halted(client), _JUDGED_S)
