"""A server that kills itself at a named point (SIGKILL): `doomed_server.py CONFIG POINT`.

Points: j1 and j2 (just after that commit of an OPEN), call (before the broker has it), act (the
broker has begun), done (the broker has done it), answered (before J3), j3 (after it, before the
reply), child (after the first child of a FLATTEN), unknown (a restart has just called a row
UNKNOWN), scan (a restart reads the broker's records). An OPEN with the comment `slow` takes a
second, so that the next one has to queue.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge_core.protocol.messages import Open
from bridge_core.protocol.signing import Frames
from bridge_server import wiring
from bridge_server.backends.paper import PaperBackend
from bridge_server.core.orders import FINAL_STATES, OrderState
from bridge_server.core.ports import Outcome, Scan, Submission
from bridge_server.journal import Change, Journal, OrderRow
from bridge_server.settings import Overrides, load_settings

POINT = sys.argv[2] if len(sys.argv) > 2 else ""


def die(point: str) -> None:
    """Die if this is the point."""
    if point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)  # SIGKILL of oneself is prompt, but not synchronous for every thread


class DoomedJournal(Journal):
    """Dies right after a commit."""

    _written: list[str]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._written = []
        with super().transaction():
            yield
        for point in self._written:
            die(point)

    def insert(self, row: OrderRow, kind: str, data: dict[str, str] | None = None) -> None:
        super().insert(row, kind, data)
        self._note(row, row.state)

    def change(
        self, row: OrderRow, to: Change, reply: Callable[[Any], Frames] | None = None
    ) -> OrderRow:
        moved = super().change(row, to, reply)
        self._note(row, to.state)
        return moved

    def _note(self, row: OrderRow, state: OrderState) -> None:
        if state is OrderState.UNKNOWN:
            self._written.append("unknown")
        if row.parent and state in FINAL_STATES:
            self._written.append("child")
        if row.op == "OPEN":
            stage = {OrderState.ACCEPTED: "j1", OrderState.DISPATCHING: "j2"}.get(state)
            self._written.append(stage or ("j3" if state in FINAL_STATES else ""))


class DoomedPaper(PaperBackend):
    """Dies before, during or after the act."""

    def execute(self, submission: Submission) -> Outcome:
        die("call")
        if isinstance(submission.body, Open) and submission.body.comment == "slow":
            time.sleep(1)
        outcome = super().execute(submission)
        die("answered")
        return outcome

    def _commit(self, *given: Any) -> Any:
        die("act")
        outcome = super()._commit(*given)
        die("done")
        return outcome

    def scan(self, since_wall_ms: int) -> Scan:
        die("scan")
        return super().scan(since_wall_ms)


def main() -> int:
    """Run until the point."""
    config = Path(sys.argv[1])
    settings = load_settings(config, Overrides())
    # mypy: the name is the module's own import, not its export; the hook is the tests' alone.
    vars(wiring)["Journal"] = DoomedJournal
    server = wiring.build_server(
        settings,
        config.parent,
        make_backend=lambda settings, base, clock: DoomedPaper(
            settings.paper, symbols=tuple(settings.allowed_symbols),
            folder=base / settings.state, base=base, clock=clock,
        ),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: server.service.ask_stop())
    return server.run()


if __name__ == "__main__":
    sys.exit(main())
