"""The scripted broker with a ledger in the paper ledger's form, judged by the same oracle."""

from __future__ import annotations

import threading
from typing import Any, Final

from bridge_core.host.ledger import LedgerLine
from bridge_server.core.ports import Executed, Outcome, Rejected, Submission
from tests.acceptance.clocks import StageClock
from tests.support.scripted_backend import Hang, ScriptedBackend, Step, trades

__all__ = ["FIELDS", "LedgerBroker"]

FIELDS: Final = {
    "OPEN": ("symbol", "type", "volume", "price", "sl", "tp", "deviation", "expiration"),
    "CLOSE": ("ticket", "symbol", "volume", "deviation"),
    "MODIFY": ("ticket", "price", "sl", "tp", "old_sl", "old_tp", "expiration"),
    "CANCEL": ("ticket",),
}


class SlowCall(Hang):
    """The broker is asked at once; its answer comes after `release`."""

    def __call__(self, backend: ScriptedBackend, submission: Submission) -> Any:
        """Begin, stand still, then do it."""
        backend.begin(submission)
        return super().__call__(backend, submission)


class LedgerBroker(ScriptedBackend):
    """Writes a begin line before each act and an end line after it; times are the true time."""

    def __init__(self, clock: StageClock, symbols: tuple[str, ...] = ("EURUSD",)) -> None:
        super().__init__(clock, symbols)
        self._true = clock
        self._pen = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._begun: Submission | None = None
        start = LedgerLine(
            phase="start", n=0, wall_ms=clock.true_ms(),
            result={"comment_chars": self.comment_chars, "source": "scripted"},
        )  # fmt: skip
        self.lines: list[LedgerLine] = [start]

    def begin(self, submission: Submission) -> None:
        """Write that the broker was asked, and for what; once for each call."""
        if submission is self._begun:
            return
        self._begun = submission
        super().begin(submission)
        with self._pen:
            self._count += 1
            self._numbers[submission.rid] = self._count
            self.lines.append(
                LedgerLine(
                    phase="begin", n=self._count, wall_ms=self._true.true_ms(),
                    op=submission.op.value, magic=submission.magic, comment=submission.comment,
                    deadline_wall_ms=submission.deadline.wall_ms,
                    fields={
                        name: getattr(submission.body, name) for name in FIELDS[submission.op]
                    },
                )
            )  # fmt: skip

    def hang(self, then: Step = trades) -> Hang:
        """Make the next call begin and stand still."""
        step = SlowCall(then)
        self._hanging.append(step)
        self.plan.append(step)
        return step

    def turn_the_page(self) -> None:
        """Begin the ledger anew: a later submission of an old order is one that nobody signed."""
        with self._pen:
            self.lines = self.lines[:1]
            self.ledger.clear()

    def trade(self, submission: Submission) -> Outcome:
        """Do what was asked, and write what came of it."""
        outcome = super().trade(submission)
        self._end(submission, outcome)
        return outcome

    def execute(self, submission: Submission) -> Outcome:
        """Carry out one order as the plan says."""
        outcome = super().execute(submission)
        if isinstance(outcome, Rejected):
            self._end(submission, outcome)
        return outcome

    def _end(self, submission: Submission, outcome: Outcome) -> None:
        result: dict[str, str | int] = {"outcome": "REJECTED"}
        if isinstance(outcome, Executed):
            facts = outcome.facts
            price = facts.close_price if submission.op == "CLOSE" else facts.price
            result = {
                "outcome": "EXECUTED", "ticket": facts.ticket, "volume": str(facts.volume),
                "price": str(price),
            }  # fmt: skip
        with self._pen:
            n = self._numbers.get(submission.rid, 0)
            self.lines.append(
                LedgerLine(phase="end", n=n, wall_ms=self._true.true_ms(), result=result)
            )
