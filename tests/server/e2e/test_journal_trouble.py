"""A full disk, a failing disk, the wrong journal, two servers (protocol.md 7, Server journal)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bridge_core.host.sqlite import JournalFull
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import Flatten, GetRange, Resume
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import JournalPage
from tests.support.raw_client import Answer, RawClient, close_body, decode, now_ms, open_body
from tests.support.running import Account, Process, Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend


class FullDisk:
    """No commit succeeds until `gone`; with `but_reserve` the reserve's space is enough."""

    def __init__(self, server: Running, *, but_reserve: bool) -> None:
        self.gone = False
        context = server.server.context
        journal = context.journal
        real = journal.transaction

        @contextmanager
        def transaction() -> Iterator[None]:
            before = journal.head
            if not (self.gone or (but_reserve and not context.reserve.exists)):
                journal.head = before
                raise JournalFull("JOURNAL_FULL", "sqlite=SQLITE_FULL")
            with real():
                yield

        journal.transaction = transaction  # type: ignore[method-assign]


def _freeze_size(server: Running, pages: int = 0) -> None:
    # SQLite's own SQLITE_FULL: the file may not grow any more.
    database = server.server.context.journal._db
    (used,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {used + pages}")


def _fill(client: RawClient) -> None:
    for _ in range(400):
        if client.open(volume="50").code == "JOURNAL_FULL":
            return
        if "JOURNAL_FULL" in [one.cause for one in client.hello().causes]:
            return
    raise AssertionError("the journal never filled")


def test_when_sqlite_says_full_no_entry_begins_and_the_stop_lane_is_served(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    _freeze_size(running)
    _fill(trader)
    begun = len(running.scripted.ledger)
    assert trader.open().status == "DENIED"
    assert len(running.scripted.ledger) == begun
    # A row may find a free page and its outcome none: then it is PENDING, never a false word.
    closed = trader.close_position(ticket)
    assert closed.status in ("DENIED", "PENDING", "FILLED")
    assert trader.ping().status == "OK"
    assert trader.stop(Op.HALT).status == "OK"
    assert trader.hello().state == "HALTED"
    running.server.context.journal._db.execute("PRAGMA max_page_count = 100000")
    wait_until(lambda: "JOURNAL_FULL" not in [one.cause for one in trader.hello().causes])
    rid = closed.token.rid
    wait_until(lambda: trader.status(rid=rid).subject().final)
    ran = trader.status(rid=rid).subject().status == "FILLED"
    assert running.scripted.begun(rid) == ran
    assert (ticket not in running.scripted.positions) == ran


def test_when_the_reserve_is_gone_too_the_reduce_lane_and_fence_are_denied_and_nothing_is_sent(
    running: Running, trader: RawClient
) -> None:
    ticket = trader.opened()
    disk = FullDisk(running, but_reserve=False)
    begun = len(running.scripted.ledger)
    for answer in (
        trader.close_position(ticket), trader.modify(ticket, sl="1.09000"), trader.flatten(),
        trader.fence("ab" * 16, trader.inc, now_ms()),
    ):  # fmt: skip
        assert (answer.status, answer.code) == ("DENIED", "JOURNAL_FULL")
    assert trader.open().code == "REDUCE_ONLY"
    assert trader.query(Op.GET_POSITIONS).total == 1
    assert trader.stop(Op.HALT).status == "OK"
    assert len(running.scripted.ledger) == begun
    disk.gone = True
    wait_until(lambda: "JOURNAL_FULL" not in [one.cause for one in trader.hello().causes])
    assert trader.close_position(ticket).status == "FILLED"


def test_on_a_full_disk_the_reserve_carries_the_reduce_lane(
    running: Running, trader: RawClient, account: Account
) -> None:
    ticket = trader.opened()
    disk = FullDisk(running, but_reserve=True)
    assert trader.open().code == "JOURNAL_FULL"
    assert (account.state / "reserve").exists()
    assert "JOURNAL_FULL" in [one.cause for one in trader.hello().causes]
    assert trader.close_position(ticket).status == "FILLED"
    assert not (account.state / "reserve").exists()
    disk.gone = True
    wait_until(lambda: trader.hello().state == "ACTIVE")
    assert (account.state / "reserve").exists()
    assert trader.open().status == "FILLED"


def test_a_halt_with_a_hanging_broker_and_a_full_disk_ends_what_waits_and_is_kept(
    account: Account,
) -> None:
    with Running(account) as server:
        client = server.ready()
        hang = server.scripted.hang()
        at_broker, queued = (client.sign(Op.OPEN, open_body()) for _ in range(2))
        client.send(at_broker)
        hang.wait_entered()
        client.send(queued)
        other = server.client()
        wait_until(lambda: other.health().open_orders == 2)
        disk = FullDisk(server, but_reserve=False)
        assert other.stop(Op.HALT).status == "OK"
        (denied,) = client.answers([queued])
        assert (denied.status, denied.code) == ("DENIED", "HALTED")
        assert other.ask(queued).frames == denied.frames
        hang.release()
        # The fill is known and cannot be kept yet: nobody is told before it is.
        assert client.receive(300) is None
        rid = at_broker.token.split(b":")[5].decode()
        assert other.status(rid=rid).subject().status == "PENDING"
        disk.gone = True
        wait_until(lambda: other.status(rid=rid).subject().status == "FILLED")
        assert other.ask(queued).frames == denied.frames
        stored = denied.frames
    with Running(account) as server:
        client = server.client()
        assert client.hello().state == "HALTED"
        assert client.ask(queued).frames == stored


def test_orders_denied_on_a_full_disk_stay_denied(running: Running, trader: RawClient) -> None:
    disk = FullDisk(running, but_reserve=False)
    frames = trader.sign(Op.OPEN, open_body())
    first = trader.ask(frames)
    assert first.code == "JOURNAL_FULL"
    assert trader.ask(frames).frames == first.frames
    disk.gone = True
    wait_until(lambda: trader.hello().causes == [])
    assert trader.ask(frames).frames == first.frames
    assert running.scripted.ledger == []


def test_a_resume_that_cannot_be_recorded_does_not_resume(
    running: Running, trader: RawClient, account: Account
) -> None:
    trader.stop(Op.HALT)
    disk = FullDisk(running, but_reserve=False)
    operator = running.client("operator")
    answer = operator.do(Op.RESUME, Resume(cause="OPERATOR", reason="now"))
    assert (answer.status, answer.code) == ("DENIED", "JOURNAL_FULL")
    assert trader.hello().state == "HALTED"
    assert (account.state / "halted").exists()
    disk.gone = True


def test_a_server_with_a_full_disk_still_stops(account: Account) -> None:
    with Running(account) as server:
        server.ready()
        FullDisk(server, but_reserve=False)
        server.ask_stop()
        assert server.join(2) == 0


def test_an_order_whose_deadline_passes_while_the_intent_is_written_never_begins(
    running: Running, trader: RawClient
) -> None:
    journal = running.server.context.journal
    real = journal.transaction

    @contextmanager
    def slowly() -> Iterator[None]:
        with real():
            yield
        time.sleep(0.3)

    journal.transaction = slowly  # type: ignore[method-assign]
    answer = trader.do(Op.OPEN, open_body(), ttl=250)
    assert (answer.status, answer.code) == ("DENIED", "EXPIRED")
    assert running.scripted.ledger == []


# --- JOURNAL_FATAL -------------------------------------------------------------------------------


class BrokenDisk:
    """A connection whose commits fail with an I/O error once `broken`."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.broken = False

    def execute(self, sql: str, *given: Any) -> Any:
        if self.broken and sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self._real.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _break(server: Running) -> BrokenDisk:
    journal = server.server.context.journal
    journal._db = BrokenDisk(journal._db)  # type: ignore[assignment]
    disk = journal._db
    assert isinstance(disk, BrokenDisk)
    return disk


def test_an_io_error_ends_the_server_says_unknown_and_calls_nobody_any_more(
    account: Account,
) -> None:
    broker = ScriptedBackend()
    with Running(account, broker) as server:
        client = server.ready()
        ticket = client.opened()
        hang = broker.hang()
        at_broker, queued = (client.sign(Op.OPEN, open_body()) for _ in range(2))
        client.send(at_broker)
        hang.wait_entered()
        client.send(queued)
        other = server.client()
        wait_until(lambda: other.health().open_orders == 2)
        disk = _break(server)
        disk.broken = True
        fatal = other.sign(Op.CLOSE, close_body(ticket))
        other.send(fatal)
        for answer in client.answers([at_broker, queued]):
            assert (answer.status, answer.code) == ("UNKNOWN", "JOURNAL_FATAL")
            assert answer.order().status == "UNKNOWN"
        # For a moment everybody hears it; a HALT still reaches the file.
        assert client.open().code == "JOURNAL_FATAL"
        assert client.do(Op.GET_STATUS, b"x").code == "JOURNAL_FATAL"
        assert client.stop(Op.HALT).status == "OK"
        begun = len(broker.ledger)
        hang.release()
        assert server.join(4) not in (0, None)
        assert len(broker.ledger) - begun <= 1  # the call that was there already
        assert broker.begun(queued.token.split(b":")[5].decode()) == 0
    assert (account.state / "halted").exists()
    with Running(account, broker) as server:
        client = server.client()
        causes = {one.cause for one in client.hello().causes}
        assert {"JOURNAL_FATAL", "OPERATOR"} <= causes
        rid = at_broker.token.split(b":")[5].decode()
        wait_until(lambda: client.status(rid=rid).subject().status == "FILLED")
        rid = queued.token.split(b":")[5].decode()
        assert client.status(rid=rid).subject().code == "ABORTED_RESTART"
        operator = server.client("operator")
        for cause in ("JOURNAL_FATAL", "OPERATOR"):
            answer = operator.do(Op.RESUME, Resume(cause=cause, reason="new disk"))
            assert answer.status == "DONE"
        wait_until(lambda: client.hello().state == "ACTIVE")
    with Running(account, broker) as server:
        server.ready()


def test_an_unclear_intent_commit_calls_no_broker(account: Account) -> None:
    with Running(account) as server:
        client = server.ready()
        _break(server).broken = True
        frames = client.sign(Op.OPEN, open_body())
        client.send(frames)
        assert server.join(5) not in (0, None)
        assert server.scripted.ledger == []


# --- whose journal -------------------------------------------------------------------------------


def test_a_second_server_on_the_same_journal_refuses_with_exit_code_3(account: Account) -> None:
    with Process(account) as first:
        first.ready()
        with Process(account) as second:
            second.finish()
            assert second.exit_code == 3
            assert "in use" in second.stderr
        assert first.client().ping().status == "OK"


@pytest.mark.parametrize("change", ["login", "account"])
def test_a_journal_of_another_account_is_refused(
    account: Account, tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    with Running(account) as server:
        server.ready()
    if change == "account":
        other = make_account(tmp_path_factory.mktemp("other"))
        journal = account.state / "journal.db"
        with sqlite3.connect(journal) as database:
            database.execute("UPDATE meta SET value = 'somebody' WHERE key = 'account'")
        database.close()
        assert other.port != account.port
        with pytest.raises(ConfigError, match="somebody"):
            Running(account)
        return
    with Process(account) as process:  # the paper account has another login
        process.finish()
        assert process.exit_code == 3
        assert "login" in process.stderr


def test_a_newer_journal_is_refused(account: Account) -> None:
    with Running(account) as server:
        server.ready()
    with sqlite3.connect(account.state / "journal.db") as database:
        database.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    database.close()
    with Process(account) as process:
        process.finish()
        assert process.exit_code == 3
        assert "upgrade" in process.stderr


def test_a_page_of_long_rows_still_fits_the_wire(running: Running, trader: RawClient) -> None:
    for _ in range(250):
        running.scripted.put_position()
    wait_until(lambda: trader.query(Op.GET_POSITIONS).total == 250)
    body = Flatten(client_order_id="flat", client="raw", scope="ALL", symbol="", reason="all")
    assert len(trader.do(Op.FLATTEN, body).order().children) == 250
    clients = [trader, running.client("trade"), running.client()]
    for turn in range(200):  # each refusal carries the order that has the id, children and all
        clients[turn % 2].send(clients[turn % 2].sign(Op.OPEN, open_body(client_order_id="flat")))
    asker = clients[2]

    def ask(first: int) -> Answer:
        return asker.do(Op.GET_JOURNAL, GetRange(since=0, first=first, count=0))

    wait_until(lambda: decode(JournalPage, ask(0)).total == 451, 20)
    rows, total = 0, 1
    while rows < total:
        answer = ask(rows)
        page = decode(JournalPage, answer)
        assert page.orders
        rows, total = rows + len(page.orders), page.total
    assert total == 451
    assert answer.frames.body.count(b"existing") < 200
