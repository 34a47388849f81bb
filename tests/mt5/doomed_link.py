"""A server before a stand-in terminal that meets its end at a named place (tests/support/doom.py).

The places of doomed_server.py about the order and its journal hold here too. The link's own, all
about an order whose id begins with `subject-`:
call: nothing has been asked yet. ask: all is prepared, the request is about to go to the worker.
sent: it is in the worker's pipe. begun: the worker has said that `order_send` begins. answer: its
answer has come, and nobody has looked at it. answered: it has been understood, before J3.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bridge_core.host.clock import Clock
from bridge_server.backends import mt5_keeper, mt5_process
from bridge_server.backends.mt5 import Mt5Backend
from bridge_server.backends.mt5_pipe import Told
from bridge_server.backends.mt5_process import Heard, WorkerProcess
from bridge_server.core.ports import Backend, Outcome, Scan, Submission
from bridge_server.settings import ServerSettings
from bridge_server.wiring import Hop, build_backend
from tests.mt5.quick_server import be_quick
from tests.mt5.warm_worker import keep_workers_warm
from tests.support.doomed_server import Fate, arm_later, serve
from tests.support.zygote import Channel

__all__ = ["run"]


class _Now:
    """Whether what is done now is done for the subject."""

    ours = False
    trading = False


class DoomedProcess(WorkerProcess):
    """Knows where in a trade it is."""

    def ask(self, data: bytes, number: int, patience_ms: int, begun_ms: int = 0) -> Heard:
        _Now.trading = _Now.ours and begun_ms > 0
        if _Now.trading:
            Fate.doom.at("ask")
        try:
            return super().ask(data, number, patience_ms, begun_ms)
        finally:
            _Now.trading = False

    def _hear(self, number: int, patience_ms: int, begun_ms: int) -> Heard:
        if _Now.trading:
            Fate.doom.at("sent")
        heard = super()._hear(number, patience_ms, begun_ms)
        if _Now.trading:
            Fate.doom.at("answer")
        return heard


_is_only_begun = mt5_process._is_only_begun


def _is_begun(told: Told) -> bool:
    begun = _is_only_begun(told)
    if begun and _Now.trading:
        Fate.doom.at("begun")
    return begun


class _Places:
    """Hooks one backend."""

    def __init__(self, backend: Mt5Backend) -> None:
        self._execute = backend.execute
        self._scan = backend.scan
        backend.execute = self.execute  # type: ignore[method-assign]
        backend.scan = self.scan  # type: ignore[method-assign]

    def execute(self, submission: Submission) -> Outcome:
        _Now.ours = submission.rid == Fate.rid
        if _Now.ours:
            Fate.doom.at("call")
        outcome = self._execute(submission)
        if _Now.ours:
            Fate.doom.at("answered")
        _Now.ours = False
        return outcome

    def scan(self, since_wall_ms: int) -> Scan:
        Fate.doom.at("scan")
        return self._scan(since_wall_ms)


def _backend(settings: ServerSettings, base: Path, clock: Clock, hop: Hop) -> Backend:
    backend = build_backend(settings, base, clock, hop)
    assert isinstance(backend, Mt5Backend)
    _Places(backend)
    return backend


def run(given: dict[str, Any], channel: Channel) -> int:
    """Serve until the end; `given` is the plan, with `config`, `plan` and `environment`."""
    keep_workers_warm(channel.close)
    os.environ.update(given["environment"])
    be_quick()
    vars(mt5_keeper)["WorkerProcess"] = DoomedProcess
    vars(mt5_process)["_is_only_begun"] = _is_begun
    arm_later(Path(given["plan"]), channel)
    return serve(given, channel, _backend)
