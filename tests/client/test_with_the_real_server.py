"""The connector and the real server, over real sockets, with the paper broker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client import Connector, OrderFinal, PositionOpened, Resync, Status, Tick
from tests.support.running import Account, Process, make_account, wait_until


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = make_account(tmp_path)
    for who in ("connector", "operator"):
        config = made.bundle(who) / "connector.toml"
        lines = [
            "max_positions = 1000" if line.startswith("max_positions") else line
            for line in config.read_text("utf-8").splitlines()
            if not line.startswith("server")
        ]
        first = f'server = "tcp://127.0.0.1:{made.port}"\nttl_ms = 1000\n'
        config.write_text(first + "\n".join(lines), "utf-8")
    return made


@pytest.fixture
def server(account: Account) -> Iterator[Process]:
    with Process(account) as running:
        yield running


@pytest.fixture
def bridge(server: Process, account: Account) -> Iterator[Connector]:
    with Connector.from_config(account.bundle(), client="atlas") as made:
        made.connect(10)
        wait_until(lambda: made.health().state == "ACTIVE", 10)
        yield made


def test_the_whole_public_life_of_a_position(bridge: Connector) -> None:
    assert "PAPER" in repr(bridge)
    assert "ACTIVE" in repr(bridge)
    eu, quote = bridge.get_symbol("EURUSD"), bridge.get_quote("EURUSD")
    checked = bridge.check_order("EURUSD", "BUY", 0.01)
    assert checked.status is Status.OK, str(checked)
    assert checked.margin > 0
    result = bridge.buy("EURUSD", 0.01, sl=eu.price(quote.bid - 0.02, "down"), comment="v1")
    assert result.status is Status.FILLED, str(result)
    position = next(p for p in bridge.get_positions() if p.ticket == result.ticket)
    assert (position.client_order_id, position.volume) == (result.client_order_id, 0.01)
    moved = bridge.modify_position(result, sl=eu.price(quote.bid - 0.03, "down"))
    assert moved.status is Status.DONE, str(moved)
    again = bridge.modify_position(position, tp=eu.price(quote.bid + 0.03, "up"))
    assert again.status is Status.DONE, str(again)
    closed = bridge.close_position(position)
    assert closed.status in (Status.FILLED, Status.DONE), str(closed)
    assert bridge.get_positions() == []
    assert len(bridge.get_history()) >= 2
    assert bridge.order_status(result).status is Status.FILLED
    assert bridge.get_limits()
    assert bridge.get_account().currency == "USD"


def test_an_order_off_the_grid_is_told_the_two_nearest_values(bridge: Connector) -> None:
    checked = bridge.check_order("EURUSD", "BUY", 0.013)
    assert (checked.status, checked.code, checked.by) == ("DENIED", "VOLUME_GRID", "connector")
    assert [float(one) for one in checked.nearest] == [0.01, 0.02]
    assert "nearest=0.01,0.02" in str(checked)
    sent = bridge.buy("EURUSD", 0.013)
    assert (sent.code, sent.nearest) == ("VOLUME_GRID", checked.nearest)


def test_pending_orders_are_placed_moved_and_cancelled(bridge: Connector) -> None:
    eu, quote = bridge.get_symbol("EURUSD"), bridge.get_quote("EURUSD")
    placed = bridge.buy_limit("EURUSD", 0.01, price=eu.price(quote.bid - 0.05))
    assert placed.status is Status.WORKING, str(placed)
    moved = bridge.modify_order(placed, price=eu.price(quote.bid - 0.06))
    assert moved.status is Status.DONE, str(moved)
    (resting,) = bridge.get_pending_orders()
    assert resting.price == float(eu.price(quote.bid - 0.06))
    assert bridge.cancel_order(resting).status is Status.DONE
    assert bridge.get_pending_orders() == []


def test_close_all_is_one_order_with_children(bridge: Connector) -> None:
    for _ in range(3):
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    result = bridge.close_all()
    assert result.status is Status.DONE, str(result)
    assert len(result.children) == 3
    assert bridge.sync_all().positions == ()


def test_events_tell_what_happens_and_a_restart_brings_the_truth(
    bridge: Connector, server: Process
) -> None:
    with bridge.events("EURUSD", timeout=0.5) as feed:
        assert feed.ready(10)
        result = bridge.buy("EURUSD", 0.01)
        seen: list[object] = []
        until = time.monotonic() + 15
        kinds: set[type] = set()
        while not {Tick, PositionOpened, OrderFinal} <= kinds and time.monotonic() < until:
            seen.append(next(feed))
            kinds = {type(one) for one in seen}
        assert {Tick, PositionOpened, OrderFinal} <= kinds
        opened = next(e for e in seen if isinstance(e, PositionOpened))
        assert (opened.ticket, opened.client_order_id) == (result.ticket, result.client_order_id)
        assert all(t.missed == 0 for t in seen if isinstance(t, Tick))
        server.kill()
        with Process(server.account):
            until = time.monotonic() + 20
            found = next(feed)
            while not isinstance(found, Resync) and time.monotonic() < until:
                found = next(feed)
            assert isinstance(found, Resync)
            assert [p.ticket for p in found.positions] == [result.ticket]


def test_a_killed_server_leaves_no_order_twice_and_none_unknown(
    bridge: Connector, server: Process
) -> None:
    results = [
        bridge.buy("EURUSD", 0.01, client_order_id=f"o{n}", wait=0.002 * n) for n in range(5)
    ]
    server.kill()
    with Process(server.account):
        for result in results:
            done = bridge.wait(result, timeout=30)
            assert done.final, str(done)
        wait_until(lambda: not bridge.unfinished(), 30)
        wait_until(lambda: bridge.health().state == "ACTIVE", 10)
        last = bridge.buy("EURUSD", 0.01, client_order_id="o5", wait=10)
        assert last.status == "FILLED", str(last)
        filled = [f"o{n}" for n in range(6) if bridge.wait(f"o{n}").status == "FILLED"]
        assert sorted(p.client_order_id for p in bridge.get_positions()) == sorted(filled)


def test_halt_and_the_operators_resume(bridge: Connector, account: Account) -> None:
    assert bridge.halt("enough").state == "HALTED"
    refused = bridge.buy("EURUSD", 0.01)
    assert (refused.status, refused.code, refused.by) == ("DENIED", "HALTED", "server")
    with Connector.from_config(account.bundle("operator")) as operator:
        resumed = operator.resume("OPERATOR", "looked at it")
        assert resumed.status == "DONE", str(resumed)
    assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_a_lost_connector_disk_finds_its_order_again(bridge: Connector, account: Account) -> None:
    first = bridge.buy("EURUSD", 0.01, client_order_id="same")
    bridge.close()
    shutil.rmtree(account.bundle() / "state")
    with Connector.from_config(account.bundle(), client="atlas") as anew:
        again = anew.buy("EURUSD", 0.01, client_order_id="same")
        assert (again.status, again.rid, again.ticket) == ("FILLED", first.rid, first.ticket)
        assert len(anew.get_positions()) == 1


def test_the_servers_log_extends_what_was_witnessed(bridge: Connector) -> None:
    for _ in range(3):
        bridge.buy("EURUSD", 0.01)
    desk, session = bridge._desk, bridge._link.session
    assert desk is not None
    before = session.witness.proven.size
    bridge.ping()
    desk.resolver.witness()
    assert session.fork is None
    assert session.witness.proven.size >= session.witness.top.size > before
