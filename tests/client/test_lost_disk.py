"""Rule 4: a connector whose disk was lost reads GET_JOURNAL before it adds exposure."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge_client import Connector, LocalProtocolError, OrderResult, Status
from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import RequestToken
from tests.support.fake_server import FakeServer, Instead, Kit, Lose, make_kit
from tests.support.running import Account, Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend, loses


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector")


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


def a_row(rid: str, **fields: object) -> OrderView:
    """Return an order of this client as the server's journal has it."""
    base = OrderView(
        rid=rid * 32, op="OPEN", client_order_id=f"id-{rid}", client="atlas", status="PENDING",
        symbol="EURUSD", type="BUY", requested_volume="0.01", accepted_at=1_700_000_000_000,
    )  # fmt: skip
    return replace(base, **fields)


def refused(result: OrderResult, code: str) -> None:
    assert (result.status, result.code, result.by) == ("DENIED", code, "connector"), str(result)


# --- against the real server ----------------------------------------------------------------------


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = make_account(tmp_path)
    config = made.bundle() / "connector.toml"
    lines = [line for line in config.read_text("utf-8").splitlines() if line[:6] != "server"]
    first = f'server = "tcp://127.0.0.1:{made.port}"\nttl_ms = 1000\n'
    text = "\n".join(lines).replace("max_positions = 1", "max_positions = 1000")
    config.write_text(first + text, "utf-8")
    return made


@pytest.fixture
def running(account: Account) -> Iterator[Running]:
    with Running(account) as one:
        one.ready()
        yield one


def test_an_order_that_hangs_at_the_broker_is_taken_over_and_blocks_its_symbol_until_final(
    running: Running, account: Account
) -> None:
    hang = running.scripted.hang()
    with Connector.from_config(account.bundle(), client="atlas") as bridge:
        left = bridge.buy("EURUSD", 0.01, client_order_id="same", wait=0.3)
        assert not left.final
        hang.wait_entered()
    shutil.rmtree(account.bundle() / "state")
    with Connector.from_config(account.bundle(), client="atlas") as anew:
        anew.connect(10)
        assert [one.rid for one in anew.unfinished()] == [left.rid]
        refused(anew.buy("EURUSD", 0.01, client_order_id="other"), "UNFINISHED")
        same = anew.buy("EURUSD", 0.01, client_order_id="same", wait=0.1)
        assert (same.rid, same.final) == (left.rid, False)
        hang.release()
        done = anew.wait("same", timeout=10)
        assert (done.status, done.rid) == ("FILLED", left.rid)
        assert anew.buy("EURUSD", 0.01, client_order_id="same").ticket == done.ticket
        assert anew.buy("EURUSD", 0.01, client_order_id="other").status is Status.FILLED
    assert running.scripted.begun(left.rid) == 1
    assert len(running.scripted.ledger) == 2


def test_an_unknown_order_is_taken_over_and_its_outcome_is_found(
    running: Running, account: Account
) -> None:
    backend = running.scripted
    backend.scan_complete = False
    backend.plan.append(loses(executed=True))
    with Connector.from_config(account.bundle(), client="atlas") as bridge:
        left = bridge.buy("EURUSD", 0.01, client_order_id="same", wait=2.5)
        assert left.status in (Status.UNKNOWN, Status.PENDING, Status.FILLED)
    shutil.rmtree(account.bundle() / "state")
    with Connector.from_config(account.bundle(), client="atlas") as anew:
        anew.connect(10)
        backend.scan_complete = True
        done = anew.wait("same", timeout=15)
        assert (done.status, done.rid) == ("FILLED", left.rid)
        wait_until(lambda: not anew.unfinished(), 10)
    assert _at_broker(backend, left.rid) == 1


def _at_broker(backend: ScriptedBackend, rid: str) -> int:
    return backend.begun(rid)


# --- against a scripted server --------------------------------------------------------------------


def test_an_unreadable_journal_denies_entries_and_nothing_is_signed(
    server: FakeServer, kit: Kit
) -> None:
    server.fault(Op.GET_JOURNAL, *[Lose()] * 100)
    with Connector.from_config(kit.config, client="atlas") as bridge:
        refused(bridge.buy("EURUSD", 0.01, wait=2), "UNFINISHED")
        assert server.count(Op.OPEN) == 0
        assert bridge.flatten("reductions are always signed").status is Status.DONE
        server.faults.clear()
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_a_journal_that_is_refused_denies_entries(server: FakeServer, kit: Kit) -> None:
    def deny(one: FakeServer, token: RequestToken, reply: Frames) -> list[Frames]:
        asked = next(frames for op, frames in reversed(one.seen) if op is Op.GET_JOURNAL)
        del reply
        return [one.sign(token, asked, "DENIED", "BROKER_DOWN", OrderView(rid=token.rid))]

    server.fault(Op.GET_JOURNAL, *[Instead(deny)] * 100)
    with Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        result = bridge.buy("EURUSD", 0.01, wait=2)
        refused(result, "UNFINISHED")
        assert "BROKER_DOWN" in result.value


def test_a_journal_that_breaks_off_denies_entries(server: FakeServer, kit: Kit) -> None:
    server.orders = {"1" * 32: a_row("1", status="FILLED", final=True)}
    server.page_rows = 0
    with Connector.from_config(kit.config, client="atlas") as bridge:
        result = bridge.buy("EURUSD", 0.01, wait=2)
        refused(result, "UNFINISHED")
        assert "JOURNAL_PAGE" in result.value
        server.page_rows = 1
        assert bridge.buy("EURUSD", 0.01).status is Status.FILLED


def test_without_a_connection_it_is_no_connection(kit: Kit) -> None:
    with Connector.from_config(kit.config, client="atlas") as bridge:
        started = time.monotonic()
        refused(bridge.buy("EURUSD", 0.01, wait=0.4), "NO_CONNECTION")
        assert time.monotonic() - started < 4.0


def test_every_page_is_read_and_only_this_clients_own_orders_are_taken(
    server: FakeServer, kit: Kit
) -> None:
    server.page_rows = 2
    rows = [
        a_row("1", status="FILLED", final=True, ticket=11),
        a_row("2", client="other"),
        a_row("3", client_order_id=""),
        a_row("4", parent="1" * 32),
        a_row("5", op="SETTLE"),
        a_row("6", symbol="GBPUSD"),
        a_row("7", status="DENIED", code="EXPIRED", final=True),
    ]
    server.orders = {row.rid: row for row in rows}
    with Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        assert [one.client_order_id for one in bridge.unfinished()] == ["id-6"]
        known = bridge.buy("EURUSD", 0.01, client_order_id="id-1")
        assert (known.status, known.ticket, known.rid) == ("FILLED", 11, "1" * 32)
        dead = bridge.buy("EURUSD", 0.01, client_order_id="id-7")
        assert (dead.status, dead.code) == ("DENIED", "EXPIRED")
        with pytest.raises(LocalProtocolError, match="CONFLICT"):
            bridge.buy("EURUSD", 0.1, client_order_id="id-1")
        refused(bridge.buy("GBPUSD", 0.01), "UNFINISHED")
        assert server.count(Op.OPEN) == 0
        server.finish("6" * 32, status="FILLED", ticket=16)
        assert bridge.wait("id-6", timeout=8).ticket == 16


def test_it_is_read_once_in_a_journals_life(server: FakeServer, kit: Kit) -> None:
    for _ in range(3):
        with Connector.from_config(kit.config, client="atlas") as bridge:
            assert bridge.buy("EURUSD", 0.01).status is Status.FILLED
    assert server.count(Op.GET_JOURNAL) == 1


def test_a_reduction_before_it_was_read_does_not_make_the_journal_known(
    server: FakeServer, kit: Kit
) -> None:
    server.fault(Op.GET_JOURNAL, *[Lose()] * 100)
    server.orders = {"1" * 32: a_row("1")}
    with Connector.from_config(kit.config, client="atlas") as bridge:
        assert bridge.flatten("first").status is Status.DONE
    server.faults.clear()
    with Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.connect()
        refused(bridge.buy("EURUSD", 0.01), "UNFINISHED")


def test_what_the_background_reads_is_there_without_an_entry(server: FakeServer, kit: Kit) -> None:
    server.orders = {"1" * 32: a_row("1")}
    with Connector.from_config(kit.config, client="atlas") as bridge:
        bridge.get_positions()  # its HELLO is the first
        wait_until(lambda: [o.client_order_id for o in bridge.unfinished()] == ["id-1"], 12)
        server.finish("1" * 32, status="FILLED", ticket=4)
        wait_until(lambda: not bridge.unfinished(), 8)
        assert bridge.wait("id-1").ticket == 4


def test_an_order_in_flight_while_it_is_read_keeps_its_id(server: FakeServer, kit: Kit) -> None:
    # The reduction claims the id before GET_JOURNAL is read; the server says whose id it is.
    closed = a_row("1", op="FLATTEN", symbol="", type="", requested_volume="0", status="DONE",
                   final=True)  # fmt: skip
    server.orders = {closed.rid: closed}
    server.fault(Op.GET_JOURNAL, *[Lose()] * 2)

    def never(token: RequestToken, body: Request) -> OrderView:
        raise AssertionError((token, body))

    server.decide = never
    with Connector.from_config(kit.config, client="atlas") as bridge:
        again = bridge.flatten("close all", client_order_id="id-1")
        assert (again.status, again.rid) == ("DONE", closed.rid)
