"""One connector, several threads: no reply goes astray, one id is one order, nobody blocks HALT."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bridge_client import Connector, OrderResult, Status, TransportError
from bridge_client.book import Book
from bridge_client.mailbox import Mailbox
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, SyncReply
from bridge_core.protocol.views import PositionView
from bridge_core.risk.order import Flying
from tests.support.fake_server import Delay, FakeServer, Kit, make_kit


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "connector")


@pytest.fixture
def server(kit: Kit) -> Iterator[FakeServer]:
    with FakeServer(kit) as running:
        yield running


@pytest.fixture
def bridge(server: FakeServer, kit: Kit) -> Iterator[Connector]:
    with Connector.from_config(kit.config, client="atlas") as made:
        made.connect()
        yield made


def test_two_threads_send_200_orders_each_and_every_one_gets_its_own_result(
    server: FakeServer, bridge: Connector
) -> None:
    results: dict[str, OrderResult] = {}

    def strategy(name: str) -> None:
        for n in range(200):
            wanted = f"{name}-{n}"
            volume = f"0.{n % 50 + 1:02d}"
            results[wanted] = bridge.buy("EURUSD", volume, client_order_id=wanted, comment=wanted)

    threads = [threading.Thread(target=strategy, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 400
    for wanted, result in results.items():
        assert result.status is Status.FILLED, str(result)
        assert (result.client_order_id, result.comment) == (wanted, wanted)
        assert result.exact["volume"] == f"0.{int(wanted[2:]) % 50 + 1:02d}"
    assert len(server.executed) == 400
    assert len({r.rid for r in results.values()}) == 400
    assert bridge._link.session.rejected == 0


def test_two_threads_with_one_id_make_one_order_and_both_get_its_result(
    server: FakeServer, bridge: Connector
) -> None:
    server.fault(Op.OPEN, Delay(0.2))
    results: list[OrderResult] = []
    gate = threading.Barrier(4)

    def buy() -> None:
        gate.wait()
        results.append(bridge.buy("EURUSD", 0.01, client_order_id="same"))

    threads = [threading.Thread(target=buy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [r.status for r in results] == ["FILLED"] * 4
    assert len({r.rid for r in results}) == 1
    assert len(server.executed) == 1


def test_a_fill_counts_against_max_positions_until_the_book_has_it(
    server: FakeServer, bridge: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.get_positions()
    known, go_on = threading.Event(), threading.Event()
    taken = bridge._book.outcome

    def slowly(view: OrderView, flying: Flying | None) -> None:
        known.set()
        go_on.wait(5)
        taken(view, flying)

    monkeypatch.setattr(bridge._book, "outcome", slowly)
    first = threading.Thread(target=lambda: bridge.buy("GBPUSD", 0.01))
    first.start()
    assert known.wait(5)  # it is filled, and neither in flight nor in the book
    second = bridge.buy("GBPUSD", 0.01, wait=2)
    go_on.set()
    first.join(20)
    assert (second.status, second.code) == ("DENIED", "MAX_POSITIONS")
    assert len(server.executed) == 1


def test_a_list_of_positions_from_before_a_fill_does_not_hide_the_fill() -> None:
    book, entry = Book(), Flying(symbol="EURUSD", type="BUY", volume=Decimal("0.01"))
    book.saw_all(SyncReply(), book.asking(0), 0)
    asked = book.asking(1)
    view = OrderView(rid="a" * 32, op="OPEN", status="FILLED", symbol="EURUSD", ticket=1)
    book.outcome(view, entry)
    book.saw_all(SyncReply(), asked, 1)  # the server answered before the fill, we heard it after
    assert book.ended() == (entry,)
    book.saw_all(SyncReply(), book.asking(2), 2)  # asked after it: closed since
    assert book.ended() == ()


def test_a_fill_that_the_picture_shows_already_is_counted_once() -> None:
    book, entry = Book(), Flying(symbol="EURUSD", type="BUY", volume=Decimal("0.01"))
    asked = book.asking(0)
    view = OrderView(rid="a" * 32, op="OPEN", status="FILLED", symbol="EURUSD", ticket=1)
    book.outcome(view, entry)
    shown = PositionView(
        ticket=1, symbol="EURUSD", type="BUY", volume="0.01", open_price="1", current_price="1"
    )
    book.saw_all(SyncReply(positions=[shown]), asked, 0)
    assert book.ended() == ()


def test_an_answer_that_was_overtaken_does_not_replace_a_newer_picture() -> None:
    book = Book()
    first, second = book.asking(0), book.asking(1)
    newer = book.saw_all(SyncReply(time=20), second, 20)
    assert book.saw_all(SyncReply(time=10), first, 10) is newer
    assert book.seen is newer


def test_max_positions_holds_between_threads(server: FakeServer, bridge: Connector) -> None:
    server.fault(Op.OPEN, Delay(0.2))
    results: list[OrderResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(bridge.buy("GBPUSD", 0.01)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(r.status for r in results) == ["DENIED", "DENIED", "DENIED", "FILLED"]
    assert {r.code for r in results if r.status == "DENIED"} == {"MAX_POSITIONS"}
    assert len(server.executed) == 1
    server.positions.clear()  # closed at the broker: a refusal is given on fresh truth only
    assert bridge.buy("GBPUSD", 0.01).status is Status.FILLED


def test_questions_are_answered_while_orders_wait(server: FakeServer, bridge: Connector) -> None:
    server.fault(Op.OPEN, Delay(1.0))
    waiting = threading.Thread(target=lambda: bridge.buy("EURUSD", 0.01))
    waiting.start()
    time.sleep(0.05)
    times = [bridge.ping().ms for _ in range(30)]
    waiting.join()
    assert sorted(times)[15] < 100


def test_close_ends_every_waiting_thread(server: FakeServer, kit: Kit) -> None:
    server.fault(Op.PING, *[Delay(30)] * 8)
    bridge = Connector.from_config(kit.config, client="atlas")
    bridge.connect()
    ended = threading.Event()

    def ask() -> None:
        with pytest.raises(TransportError):
            bridge.ping(timeout=30)
        ended.set()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    bridge.close()
    for thread in threads:
        thread.join(5)
    assert ended.is_set()
    assert not any(thread.is_alive() for thread in threads)


def test_a_follower_takes_over_when_the_leader_leaves(bridge: Connector) -> None:
    transport = bridge._link.transport
    leader = threading.Thread(
        target=lambda: transport.wait(Mailbox(), time.monotonic() + 0.3), daemon=True
    )
    leader.start()
    time.sleep(0.05)
    started = time.monotonic()
    assert not transport.wait(Mailbox(), started + 0.6)
    assert 0.5 < time.monotonic() - started < 5.0
    assert bridge.ping().ms > 0


def test_importing_the_package_is_cheap_and_loads_no_socket_library() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import bridge_client; "
        "d = time.perf_counter() - t; assert 'zmq' not in sys.modules; "
        "assert 'bridge_client.connector' not in sys.modules; assert d < 0.15, d; "
        "from bridge_client import *; assert Connector and Status and Tick"
    )
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=240)
