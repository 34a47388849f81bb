"""The one thread that owns the backend: takes a job at a time, watches the market in between.

The loop that serves the sockets never calls a backend, so it answers at its usual speed while a
broker call hangs. Results come back through a queue, in order, and ring the bell.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import Refusal, Status
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Open
from bridge_server.core import ports
from bridge_server.core.ports import (
    Backend,
    Deal,
    Identity,
    Lost,
    MarginEstimate,
    Outcome,
    Scan,
    Snapshot,
    Submission,
)
from bridge_server.counter import Counter
from bridge_server.transport import Bell

__all__ = [
    "Answered", "CheckJob", "Executed", "ExecuteJob", "Failed", "HistoryJob", "Job", "Observed",
    "Post", "ScanJob", "Scanned", "Started", "Worker",
]  # fmt: skip


class ExecuteJob(Struct, frozen=True):
    """Carry out one submission."""

    submission: Submission


class CheckJob(Struct, frozen=True):
    """Estimate an entry for the request `rid`."""

    rid: str
    order: Open


class HistoryJob(Struct, frozen=True):
    """Read deals for the request `rid` (market time, UTC ms)."""

    rid: str
    since_ms: int
    until_ms: int


class ScanJob(Struct, frozen=True):
    """Read the broker's records since a wall time (UTC ms)."""

    since_wall_ms: int


Job = ExecuteJob | CheckJob | HistoryJob | ScanJob


class Started(Struct, frozen=True):
    """The backend is connected."""

    identity: Identity
    snapshot: Snapshot


class Failed(Struct, frozen=True):
    """The backend cannot start, or its thread ended; `error` is ours, or a type name."""

    error: BridgeError | str


class Executed(Struct, frozen=True):
    """An order's outcome; `took_ms` is the time inside the backend; no snapshot if that failed."""

    rid: str
    outcome: Outcome
    snapshot: Snapshot | None
    took_ms: float


class Answered(Struct, frozen=True):
    """The answer to a read; None when the backend failed."""

    rid: str
    answer: MarginEstimate | Refusal | tuple[Deal, ...] | None


class Scanned(Struct, frozen=True):
    """A scan and the account after it; None when the backend failed."""

    scan: Scan | None
    snapshot: Snapshot | None = None


class Observed(Struct, frozen=True):
    """What happened at the broker by itself, and the account after it."""

    events: list[EventBody]
    snapshot: Snapshot


Post = Started | Failed | Executed | Answered | Scanned | Observed

_POSTS_MAX: Final = 4096
_BREATH_S: Final = 0.001


class Worker:
    """Runs a backend in its own thread; `give` hands over one job at a time.

    Nothing reaches the backend that `counter` bars.
    """

    def __init__(self, backend: Backend, bell: Bell) -> None:
        self._backend = backend
        self._bell = bell
        self.counter = Counter()
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._outbox: SimpleQueue[Post] = SimpleQueue()
        self._shown: Snapshot | None = None
        self._began = 0.0
        self._took_ms = 0.0
        self._thread = threading.Thread(target=self._run, name="backend", daemon=True)

    def start(self) -> None:
        """Start the thread; `Started` or `Failed` is its first post."""
        self._thread.start()

    def give(self, job: Job) -> None:
        """Hand a job over; it runs when the one before it has ended."""
        self._inbox.put(job)

    def take(self) -> list[Post]:
        """Return what the worker has posted, in order, without waiting."""
        posts: list[Post] = []
        while len(posts) < _POSTS_MAX:
            try:
                posts.append(self._outbox.get_nowait())
            except Empty:
                break
        return posts

    def terminal_ms(self) -> float:
        """Return how long the backend's last call took, or how long the present one has run."""
        began = self._began
        return (time.perf_counter() - began) * 1000 if began else self._took_ms

    def wait(self, timeout_s: float) -> Post | None:
        """Return the first post; for the start only."""
        try:
            return self._outbox.get(timeout=timeout_s)
        except Empty:
            return None

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end; return whether it did in time."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _post(self, post: Post) -> None:
        self._outbox.put(post)
        self._bell.ring()

    def _run(self) -> None:
        try:
            identity = self._backend.start()
            self._post(Started(identity, self._backend.snapshot()))
        except BridgeError as error:
            self._post(Failed(error))
            return
        except Exception as error:  # noqa: BLE001  the backend's own bug must not leave the server waiting
            self._post(Failed(type(error).__name__))
            return
        self._serve()
        self._backend.close()

    def _serve(self) -> None:
        interval_s = self._backend.pump_interval_ms / 1000
        next_pump = latest_pump = time.monotonic()
        while True:
            try:
                job = self._inbox.get(timeout=max(0.0, next_pump - time.monotonic()))
                if job is None:
                    return
                self._began = time.perf_counter()
                post = self._do(job)
                self._began = 0.0
                self._post(post)
                # The loop answers first: a pump at once would hold the interpreter against it.
                next_pump = min(time.monotonic() + _BREATH_S, latest_pump)
            except Empty:
                self._pump()
                next_pump = time.monotonic() + interval_s
                latest_pump = next_pump + _BREATH_S

    def _pump(self) -> None:
        begun = time.perf_counter()
        try:
            events = self._backend.pump()
            snapshot = self._backend.snapshot()
        except Exception as error:  # noqa: BLE001  seen as a lost link by the loop; the thread lives on
            self._post(Failed(type(error).__name__))
            return
        self._took_ms = (time.perf_counter() - begun) * 1000
        if events or snapshot is not self._shown:
            self._shown = snapshot
            self._post(Observed(events, snapshot))

    def _do(self, job: Job) -> Post:
        match job:
            case ExecuteJob(submission):
                return self._execute(submission)
            case ScanJob(since):
                try:
                    scan = self._backend.scan(since)
                    return Scanned(scan, self._backend.snapshot())
                except Exception:  # noqa: BLE001  no evidence: the order stays UNKNOWN and is scanned again
                    return Scanned(None)
            case CheckJob(rid, order):
                try:
                    return Answered(rid, self._backend.check(order))
                except Exception:  # noqa: BLE001  a read that failed is answered as such
                    return Answered(rid, None)
            case HistoryJob(rid, since, until):
                try:
                    return Answered(rid, self._backend.history(since, until))
                except Exception:  # noqa: BLE001  as above
                    return Answered(rid, None)

    def _execute(self, submission: Submission) -> Executed:
        begun = time.perf_counter()
        outcome: Outcome
        barred = self.counter.submit(submission)
        try:
            outcome = Lost(cause=barred) if barred else self._backend.execute(submission)
        except Exception as error:  # noqa: BLE001  it may have reached the broker: nobody knows
            outcome = Lost(cause=type(error).__name__)
        took_ms = (time.perf_counter() - begun) * 1000
        if not _is_listed(outcome):
            outcome = Lost(cause="an answer that nobody listed")
        try:
            snapshot = self._backend.snapshot()
        except Exception:  # noqa: BLE001  the pump will say so; the outcome must not be lost with it
            snapshot = None
        return Executed(submission.rid, outcome, snapshot, took_ms)


_LISTED: Final = frozenset({Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE})


def _is_listed(outcome: object) -> bool:
    # The types forbid anything else; a backend's bug must still not leave an order in the air.
    if isinstance(outcome, ports.Executed):
        return outcome.status in _LISTED
    return isinstance(outcome, ports.Rejected | ports.NotBegun | Lost)
