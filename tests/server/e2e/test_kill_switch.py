"""The kill switch in the midst of 100 orders a second, with everything broken that may be.

Counted at the broker: what begins after HALT was answered, by the broker's own ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from bridge_core.host.ledger import read_ledger
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import StateReply
from tests.support.clock import FakeClock
from tests.support.fake_kit import RATES
from tests.support.raw_client import RawClient, decode, now_ms, open_body
from tests.support.running import Account, Process, Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend

_PERIOD_S = 0.01
# The promise is 100 ms (`make bench` measures it); other tests may share the processors.
_ANSWER_S = 3.0


class _Stream:
    """A strategy that sends an OPEN every 10 ms and waits for no answer."""

    def __init__(self, account: Account) -> None:
        self._client = account.client()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            try:
                self._client.send(self._client.sign(Op.OPEN, open_body()), patience_s=0.5)
            except TimeoutError:  # its server was killed
                continue
            self.sent += 1
            while self._client.receive(0) is not None:
                continue
            due += _PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.sent >= 50)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


@pytest.fixture
def busy(tmp_path: Path) -> Account:
    """An account whose limits let 100 orders a second pass."""
    return make_account(tmp_path, extra=RATES)


def _begun(account: Account) -> list[int]:
    """Return when each act at the paper broker began (UTC ms)."""
    lines = read_ledger(account.state / "ledger.jsonl")
    return [line.wall_ms for line in lines if line.phase == "begin"]


def _halt(client: RawClient) -> int:
    """Pull the switch; return the server's time of its answer (UTC ms)."""
    asked = time.monotonic()
    answer = client.stop(Op.HALT)
    assert time.monotonic() - asked < _ANSWER_S
    reply = decode(StateReply, answer)
    assert (answer.status, reply.state) == ("OK", "HALTED")
    return reply.time


def test_at_most_one_order_begins_after_the_answer_and_kill_9_does_not_bring_them_back(
    busy: Account,
) -> None:
    with Process(busy) as server:
        server.ready()
        presser = server.client()
        with _Stream(busy) as stream:
            wait_until(lambda: len(_begun(busy)) > 20)
            at = _halt(presser)
            sent = stream.sent
            wait_until(lambda: stream.sent >= sent + 50)
            late = [when for when in _begun(busy) if when > at]
            assert len(late) <= 1
            server.kill()  # SIGKILL, in the midst of it
    before = len(_begun(busy))
    with Process(busy) as server:
        client = server.client()
        assert client.hello().state == "HALTED"
        assert client.open().code == "HALTED"
        assert len(_begun(busy)) == before
        assert client.flatten().status == "DONE"


def test_kill_9_right_after_the_answer_leaves_the_account_halted(busy: Account) -> None:
    for _ in range(3):
        (busy.state / "halted").unlink(missing_ok=True)
        with Process(busy) as server:
            server.ready()
            presser = server.client()
            _halt(presser)
            server.kill()
        with Process(busy) as server:
            assert server.client().hello().state == "HALTED"


# --- with everything broken that may be ----------------------------------------------------------


class _Stepping(FakeClock):
    """The machine's clock, which a test can push aside."""

    def wall_ms(self) -> int:
        return now_ms() + self.wall

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.mono


class _Trouble:
    """What is broken in one server, in a thread of this process."""

    def __init__(self, server: Running, clock: _Stepping) -> None:
        self.server = server
        self.clock = clock

    def full(self) -> None:
        """The journal's file may not grow any more: SQLite itself says SQLITE_FULL."""
        database = self.server.server.context.journal._db
        (used,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {used}")

    def hang(self) -> None:
        """The broker's call does not come back."""
        self.server.scripted.hang().wait_entered()

    def clock_trips(self) -> None:
        """The wall clock is pushed by a second."""
        self.clock.step_wall(1_000)

    def all(self) -> None:
        """Everything at once."""
        self.hang()
        self.full()
        self.clock_trips()


@contextmanager
def _serving(account: Account) -> Iterator[_Trouble]:
    clock = _Stepping(0, 0)
    with Running(account, ScriptedBackend(clock), clock) as server:
        server.ready()
        yield _Trouble(server, clock)


@pytest.mark.parametrize(
    "breaks", [_Trouble.full, _Trouble.hang, _Trouble.clock_trips, _Trouble.all]
)
def test_it_works_while_the_journal_is_full_the_broker_hangs_or_the_clock_has_tripped(
    busy: Account, breaks: Callable[[_Trouble], None]
) -> None:
    with _serving(busy) as trouble:
        server = trouble.server
        presser = server.client()
        with _Stream(busy) as stream:
            breaks(trouble)
            _halt(presser)
            begun = len(server.scripted.ledger)
            server.scripted.let_go()
            sent = stream.sent
            wait_until(lambda: stream.sent >= sent + 50)
            # What the broker was doing may end; of what waited nothing begins.
            assert len(server.scripted.ledger) <= begun + 1
            server.scripted.let_go()
        assert (busy.state / "halted").read_text("utf-8").startswith("HALTED ")
        assert presser.hello().state == "HALTED"
