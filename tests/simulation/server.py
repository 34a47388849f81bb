"""The real server on simulated time: service, gate, journal, guard, settlement, paper broker.

Only three doors are stand-ins: the sockets, the backend's thread, the clock.
"""

from __future__ import annotations

import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

from bridge_core.host.clock import ClockGuard
from bridge_core.host.sqlite import Reserve
from bridge_core.protocol.signing import Frames
from bridge_server.alarms import Alarms
from bridge_server.backends.paper_book import Book
from bridge_server.context import Context
from bridge_server.guard import HALTED_FILE, Guard
from bridge_server.journal import Journal
from bridge_server.publisher import Publisher
from bridge_server.replier import Replier
from bridge_server.service import Service
from bridge_server.settings import make_policy
from bridge_server.transport import Bell, Incoming, Transport
from bridge_server.worker import ExecuteJob, Job, Post, Worker
from tests.simulation.broker import Ground, SimBroker
from tests.simulation.house import ACCT, EVENT_KEY, key_sets, settings
from tests.simulation.network import Network
from tests.simulation.world import Machine, World

__all__ = ["SimServer"]

_BATCH: Final = 64
_RESERVE_BYTES: Final = 4096
# Without an order the loop has only clocks and ages to look at: each second, as the pump wakes it.
_IDLE_MS: Final = 1_500
_LOG: Final = logging.getLogger("ztb-simulated")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_LOG.setLevel(logging.CRITICAL + 1)


class _Bell:
    """Nobody waits, so nobody is woken."""

    def ring(self) -> None:
        """Do nothing."""


class SimTransport:
    """The server's sockets."""

    undelivered = malformed = refused_keys = 0

    def __init__(self, machine: SimServer) -> None:
        self._machine = machine
        self.inbox: deque[Incoming] = deque()
        self.bell = _Bell()

    def poll(self, _timeout_ms: int) -> list[Incoming]:
        """Return what arrived."""
        return [self.inbox.popleft() for _ in range(min(_BATCH, len(self.inbox)))]

    def send(self, route: bytes, reply: Frames) -> None:
        """Send; the machine may die before or after."""
        self._machine.step("before reply")
        self._machine.on_reply(reply)
        self._machine.network.deliver(route, reply)
        self._machine.step("after reply")

    def publish(self, _topic: bytes, _event: Frames) -> None:
        """Lose the event: nothing here may depend on one."""

    def self_test(self) -> bool:
        """There is no stranger."""
        return True


class SimJournal(Journal):
    """A journal between whose steps the machine may die; a crash in a transaction rolls back."""

    machine: SimServer

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.machine.step("before commit")
        # What did not happen must not be believed: the head in memory goes with the transaction.
        with super().transaction():
            yield
            self.machine.step("in commit")
        self.machine.step("after commit")


class SimWorker(Worker):
    """The backend's thread as planned events: a job begins, and its answer comes, later."""

    def __init__(self, machine: SimServer, backend: SimBroker) -> None:
        super().__init__(backend, cast(Bell, _Bell()))
        self._machine = machine
        self._broker = backend
        self._posts: deque[Post] = deque()

    def give(self, job: Job) -> None:
        """Plan the job."""
        begin_ms = self._machine.call_delay(before=True) if isinstance(job, ExecuteJob) else 0
        self._machine.after(begin_ms, lambda: self._begin(job))

    def _begin(self, job: Job) -> None:
        post = self._do(job)
        delay = self._machine.call_delay(before=False) if isinstance(job, ExecuteJob) else 0
        self._machine.after(delay, lambda: self._post(post))

    def _post(self, post: Post) -> None:
        self._posts.append(post)
        self._machine.wake()

    def take(self) -> list[Post]:
        """Return what was posted."""
        posts = list(self._posts)
        self._posts.clear()
        return posts

    def terminal_ms(self) -> float:
        """Simulated calls take no time of ours."""
        return 0.0

    def pump(self) -> None:
        """Look at the market, unless a call is running."""
        self._pump()


class SimServer(Machine):
    """One server process after another, on the same folder."""

    def __init__(self, world: World, ground: Ground) -> None:
        super().__init__(world, "server")
        self.ground = ground
        self.settings = settings(tight=world.seed % 3 == 2)
        self.network = Network(world, self._arrive)
        self.state = world.folder / "state"
        self.state.mkdir()
        self.service: Service | None = None
        self.context: Context | None = None
        self.on_reply: Callable[[Frames], None] = lambda _frames: None
        self.on_turn: Callable[[], None] = lambda: None
        self.starts = 0
        self.slow_before_ms = self.slow_after_ms = 0
        self._transport = SimTransport(self)
        self._planned_ms = -1

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process: what `wiring` does, on the stand-ins."""
        if self.up:
            return
        self.up = True
        self.starts += 1
        self.world.note(f"server starts ({self.starts})")
        self._transport = SimTransport(self)
        context = self._open()
        self.context = context
        self.step("started")
        identity = context.snapshot.identity if context.snapshot else None
        assert identity is not None
        context.journal.bind(
            {
                "account": ACCT,
                "mode": "paper",
                "login": str(identity.login),
                "broker_server": identity.server,
            }
        )
        context.guard.start(self.clock.wall_ms())
        context.reserve.ensure()
        self.service = Service(context)
        context.guard.on_change(self.service.admin.state_changed)
        self.service.admin.mark_started({"incarnation": context.incarnation})
        self.network.server_is(up=True)
        self.service.start()
        self._planned_ms = -1
        self.wake()
        self.after(10, self._pump)

    def _open(self) -> Context:
        journal = SimJournal.__new__(SimJournal)
        journal.machine = self
        Journal.__init__(journal, self.state / "journal.db")
        self._journal = journal
        backend = SimBroker(self, self.ground, self.state)
        self._backend = backend
        draw = self.world.stream(f"incarnation {self.starts}")
        incarnation = f"{draw.getrandbits(64):016x}"
        clock = self.clock
        worker = SimWorker(self, backend)
        self._worker = worker
        backend.start()
        transport = cast(Transport, self._transport)
        publisher = Publisher(ACCT, incarnation, EVENT_KEY, transport.publish)
        context = Context(
            settings=self.settings,
            policy=make_policy(self.settings, self.state),
            sets=key_sets(),
            incarnation=incarnation,
            clock=clock,
            journal=journal,
            reserve=Reserve(journal.path, _RESERVE_BYTES),
            guard=Guard(
                self.state, journal, ClockGuard(clock.wall_ms(), clock.mono_ms()), lambda *_: None
            ),
            backend=backend,
            worker=worker,
            replier=Replier(ACCT, key_sets(), incarnation, lambda: journal.head),
            transport=transport,
            publisher=publisher,
            alarms=Alarms(publisher, clock, _LOG, None),
            log=_LOG,
            started_ms=clock.wall_ms(),
        )
        context.snapshot = backend.snapshot()
        context.identity = context.snapshot.identity
        return context

    def lose(self) -> None:
        """Let go of what a dead process held; the files stay as its last commits left them."""
        self.network.server_is(up=False)
        self.service = self.context = None
        for held in (getattr(self, "_journal", None), getattr(self, "_backend", None)):
            if held is not None:
                with suppress(AttributeError):  # it died before it had opened anything
                    held.close()

    def stop(self) -> None:
        """Stop in order, unless a call is at the broker: simulated time would not go on."""
        if self.service is not None and not self.service.orders.calling:
            self.service._wind_down()
            self.world.note("server stopped")
            self.crash()

    # --- work --------------------------------------------------------------------------------

    def _arrive(self, incoming: Incoming) -> None:
        if self.up:
            self._transport.inbox.append(incoming)
            self.wake(self.world.draws.randrange(2))

    def wake(self, delay_ms: int = 0) -> None:
        """Plan a turn of the loop."""
        at = self.world.now_ms + delay_ms
        if self._planned_ms < 0 or at < self._planned_ms:
            self._planned_ms = at
            self.after(delay_ms, lambda: self._turn(at))

    def _turn(self, at_ms: int) -> None:
        if self.service is None or self._planned_ms != at_ms:
            return
        self._planned_ms = -1
        self.service.turn(0)
        self.on_turn()
        self.wake(max(1, self.service._wait_ms()) if self.service.orders.flights else _IDLE_MS)

    def _pump(self) -> None:
        if self.service is not None:
            if not self.service.orders.busy:
                self._worker.pump()
            self.after(1000, self._pump)

    def call_delay(self, *, before: bool) -> int:
        """Return how long the next call takes to begin, or its answer to come (ms)."""
        if before:
            taken, self.slow_before_ms = self.slow_before_ms, 0
        else:
            taken, self.slow_after_ms = self.slow_after_ms, 0
        return taken + self.world.draws.randrange(3)

    # --- the disk ------------------------------------------------------------------------------

    def copy_journal(self, aside: Path) -> None:
        """Keep a copy of the record as a backup would; only while the process is down."""
        shutil.copyfile(self.state / "journal.db", aside)

    def restore_journal(self, aside: Path) -> None:
        """Put an older record back; only while the process is down."""
        shutil.copyfile(aside, self.state / "journal.db")
        for suffix in ("-wal", "-shm"):
            (self.state / f"journal.db{suffix}").unlink(missing_ok=True)

    @property
    def broker_book(self) -> Book:
        """What the broker holds, hidden or not."""
        return self._backend._book

    @property
    def halted(self) -> bool:
        """Whether the file says so."""
        return (self.state / HALTED_FILE).exists()
