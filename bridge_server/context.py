"""What the rooms of floor 3 share: one account's doors and the last picture of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import Logger

from bridge_core.host.clock import Clock
from bridge_core.host.sqlite import Reserve
from bridge_core.protocol.keys import KeySet
from bridge_core.risk.policy import Policy
from bridge_server.alarms import Alarms
from bridge_server.core.executor import Attestor, HasHop
from bridge_server.core.ports import Backend, Identity, Snapshot
from bridge_server.guard import Guard
from bridge_server.journal import Journal
from bridge_server.publisher import Publisher
from bridge_server.replier import Replier
from bridge_server.settings import ServerSettings
from bridge_server.transport import Transport
from bridge_server.worker import Worker

__all__ = ["Context"]


def _nobody(_shot: Snapshot) -> None:
    return None


@dataclass(kw_only=True)
class Context:
    """Everything a request may touch. Owned by the one thread of the loop.

    `executor` is the side door of a backend that attests, `hop` of one that has an EA at all;
    None elsewhere. `on_snapshot` is called with every newer picture of the account.
    """

    settings: ServerSettings
    policy: Policy
    sets: Mapping[str, KeySet]
    incarnation: str
    clock: Clock
    journal: Journal
    reserve: Reserve
    guard: Guard
    backend: Backend
    worker: Worker
    replier: Replier
    transport: Transport
    publisher: Publisher
    alarms: Alarms
    log: Logger
    started_ms: int
    executor: Attestor | None = None
    hop: HasHop | None = None
    identity: Identity | None = None
    snapshot: Snapshot | None = None
    counters: dict[str, int] = field(default_factory=dict)
    on_snapshot: Callable[[Snapshot], None] = _nobody

    def see(self, shot: Snapshot | None) -> None:
        """Take a newer picture of the account; one that shows nothing yet changes nothing."""
        if shot is not None and shot.taken_wall_ms:
            self.snapshot = shot
            self.on_snapshot(shot)

    def count(self, name: str) -> int:
        """Add one to a counter and return it."""
        self.counters[name] = self.counters.get(name, 0) + 1
        return self.counters[name]
