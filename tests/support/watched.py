"""A server under a dead-man's switch, whose clock a test moves, and a strategy that beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge_core.protocol.messages import GetRange, Heartbeat, Hello, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import JournalPage, OrderView, StateReply, decode_reply
from bridge_core.protocol.views import DeadManView
from tests.support.clock import SlidingClock
from tests.support.raw_client import Answer, open_body, opened
from tests.support.running import Account, Running, make_account, wait_until
from tests.support.scripted_backend import ScriptedBackend

__all__ = ["AFTER_MS", "EVERYTHING", "Watched", "watched_account"]

AFTER_MS = 5_000
EVERYTHING = GetRange(since=0, first=0, count=0)


def watched_account(folder: Path, policy: str = "flatten") -> Account:
    return make_account(folder, extra=f'dead_man = {{ after_s = 5, policy = "{policy}" }}')


class Watched:
    """A server whose clock the test moves, and a strategy that beats when it is told to."""

    def __init__(self, account: Account, clock: SlidingClock) -> None:
        self.account, self.clock, self.number = account, clock, 0
        self.start()

    def start(self, backend: ScriptedBackend | None = None) -> None:
        self.running = Running(self.account, backend, clock=self.clock)
        self.running.__enter__()
        self.client = self.running.client()
        self.settled()

    def settled(self) -> None:
        wait_until(lambda: "RECOVERING" not in self.causes())

    @property
    def broker(self) -> ScriptedBackend:
        return self.running.scripted

    def do(self, op: Op, body: Request, **changes: Any) -> Answer:
        changes = {"iat": self.clock.wall_ms(), **changes}
        return self.client.do(op, body, **changes)

    def beat(self, **changes: Any) -> Answer:
        self.number += 1
        return self.do(Op.HEARTBEAT, Heartbeat(sequence=self.number), **changes)

    def open(self, **fields: Any) -> Answer:
        return self.do(Op.OPEN, open_body(**fields))

    def opened(self, **fields: Any) -> int:
        return opened(self.do, **fields)

    def book(self) -> tuple[int, int]:
        """Open a position and place a pending order; return their tickets."""
        held = self.opened()
        return held, self.opened(type="BUY_LIMIT", price="1.09000")

    def silence(self, ms: int = AFTER_MS + 100) -> None:
        self.clock.advance(ms)

    def looks(self) -> None:
        """Wait until the server has looked at its terminal since the clock was moved."""
        moved = self.clock.wall_ms()
        wait_until(lambda: self._taken_ms() >= moved)

    def _taken_ms(self) -> int:
        shot = self.running.server.context.snapshot
        return 0 if shot is None else shot.taken_wall_ms

    def health(self) -> StateReply:
        answer = self.do(Op.HEALTH, Hello(client="raw", version="1", sent=0))
        return decode_reply(StateReply, answer.body)

    @property
    def dead_man(self) -> DeadManView:
        found = self.health().dead_man
        assert found is not None
        return found

    def causes(self) -> list[str]:
        return [one.cause for one in self.health().causes]

    def rows(self) -> list[OrderView]:
        return decode_reply(JournalPage, self.do(Op.GET_JOURNAL, EVERYTHING).body).orders

    def flattens(self) -> list[OrderView]:
        return [one for one in self.rows() if one.op == "FLATTEN"]

    def cleared(self) -> bool:
        return not self.broker.positions and not self.broker.orders
