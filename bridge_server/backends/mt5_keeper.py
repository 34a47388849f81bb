"""Keeps one worker: starts it, connects it to the terminal, replaces it, ends it.

Only the link's own thread joins and renews, and only while nobody else may ask the worker.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_core.host.clock import Clock
from bridge_core.host.filelock import FileLock
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Secret
from bridge_server.backends.mt5_connect import Failure, Joined, Pace, connect
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.backends.mt5_pipe import (
    HELLO,
    LOCKED,
    Answer,
    Ask,
    WorkerSpec,
    holder_of,
    pack,
)
from bridge_server.backends.mt5_process import WorkerProcess, end_process
from bridge_server.backends.mt5_status import StatusBook

__all__ = ["Keeper", "LinkSpec"]

_HELLO_MS: Final = 30_000  # a cold start of the interpreter on a busy machine


class LinkSpec(Struct, frozen=True, kw_only=True):
    """Which terminal, and what may be done with it.

    `trading` False is the rehearsal: the worker itself refuses `order_send`. `load` returns the
    module and is called in the worker, so it must be picklable by name. `lock` is a file that
    the server holds, and beside it one that the worker holds: no second server on a terminal, no
    second worker beside an orphan. `password` is used only by a login that is needed.
    """

    path: str
    portable: bool = False
    pins: Mt5Pins | None = None
    trading: bool = False
    load: Callable[[], object]
    lock: Path | None = None
    password: Secret = Secret(b"")
    pace: Pace = Pace()


class Keeper:
    """`process` is the present worker; `spoilt`: it may not be used any more.

    `unusable` says why the first one could not load the package; `greeted`: it has spoken.
    """

    def __init__(self, spec: LinkSpec, clock: Clock, book: StatusBook) -> None:
        self._spec = spec
        self._clock = clock
        self._book = book
        self._numbers = itertools.count(HELLO + 1)
        self._locked_mono = 0
        self.process: WorkerProcess | None = None
        self.spoilt = False
        self.unusable = ""
        self.greeted = threading.Event()

    def number(self) -> int:
        """Return a number for the next question."""
        return next(self._numbers)

    def kill(self) -> None:
        """End the worker now; any thread may, also at the end of the interpreter."""
        if self.process is not None:
            self.process.kill()

    def close(self, *, kindly: bool) -> None:
        """End the worker and let go of it; kindly: it says goodbye to the terminal."""
        if self.process is not None:
            self.process.close(kindly=kindly)

    def join(self) -> Joined | Failure:
        """Make one connection, in a new worker if need be; return why there is none."""
        failure = self._renew()
        if failure is not None:
            return failure
        spec = self._spec
        found = connect(self._connects, self._beats, spec.pins, spec.password, spec.pace)
        # Whatever state the package is in by now, the next try has a fresh one.
        self.spoilt = self.spoilt or isinstance(found, Failure)
        return found

    # --- inside ------------------------------------------------------------------------------

    def _renew(self) -> Failure | None:
        """See to it that there is a worker that may be used."""
        old = self.process
        if old is not None:
            if old.alive and not self.spoilt:
                return None
            if not old.close(kindly=False):
                why = f"the old worker (process {old.pid}) cannot be ended: restart this machine"
                return Failure(0, why)
        self.process, self.spoilt = None, True
        spec = self._spec
        locked = self._locked()
        if locked is not None:
            return locked
        given = WorkerSpec(
            path=spec.path, portable=spec.portable, pins=spec.pins, trading=spec.trading,
            lock=f"{spec.lock}.worker" if spec.lock is not None else "",
        )  # fmt: skip
        try:
            self.process = WorkerProcess(given, spec.load, self._clock)
        except OSError as error:
            return Failure(0, f"no worker can be started ({error.strerror}): free some memory")
        self._book.worker(self.process.pid)
        return self._greet(self.process)

    def _locked(self) -> Failure | None:
        """Look whether another worker lives, before one is started that could only say so."""
        if self._spec.lock is None:
            return None
        probe = FileLock(Path(f"{self._spec.lock}.worker"), "mt5-worker")
        try:
            probe.acquire()
        except ConfigError as error:
            return self._orphan(holder_of(error))
        probe.release()
        return None

    def _greet(self, process: WorkerProcess) -> Failure | None:
        heard = process.hear(HELLO, _HELLO_MS)
        hello = heard.told.answers[0] if heard.told is not None and heard.told.answers else None
        if hello is None:
            return Failure(0, f"the worker did not start: {heard.why}")
        if isinstance(hello.value, dict):
            self.greeted.set()
            self.spoilt, self._locked_mono = False, 0
            self._book.package(str(hello.value.get("package", "")))
            return None
        word, _, rest = hello.text.partition(" ")
        if word == LOCKED:
            return self._orphan(rest)
        why = (
            f"the package MetaTrader5 cannot be loaded ({rest}): on the terminal's Windows machine "
            "run `pip install MetaTrader5`; it exists for no other system"
        )
        self.unusable = self.unusable or why
        return Failure(0, why)

    def _orphan(self, pid: str) -> Failure:
        """A worker has the terminal still, and its server is gone, for we have the server's lock.

        It gets the time that a call may take; it ends by itself when the call does.
        """
        now = self._clock.mono_ms()
        self._locked_mono = self._locked_mono or now
        if now - self._locked_mono > self._spec.pace.trade_ms and pid.isdecimal():
            end_process(int(pid))
        why = f"an older worker (process {pid}) is still in a call to this terminal: waiting"
        return Failure(0, why, waits=True)

    def _connects(self, words: dict[str, object], password: str) -> Answer:
        ask = Ask(number=self.number(), verb="CONNECT", request=words, password=password)
        return self._ask(ask, self._spec.pace.connect_ms)[0]

    def _beats(self) -> tuple[Answer, Answer]:
        answers = self._ask(Ask(number=self.number(), verb="BEAT"), self._spec.pace.read_ms)
        return answers[0], answers[-1]

    def _ask(self, ask: Ask, patience_ms: int) -> tuple[Answer, ...]:
        assert self.process is not None
        heard = self.process.ask(pack(ask), ask.number, patience_ms)
        self.spoilt = self.spoilt or bool(heard.why)
        if heard.told is None or not heard.told.answers:
            return (Answer(ok=False, text=f"{heard.why}: is it frozen?"),)
        return heard.told.answers
