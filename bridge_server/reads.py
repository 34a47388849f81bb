"""CHECK and GET_HISTORY: questions that the backend answers, in the queue behind the orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Query, Request
from bridge_server.answers import Answers
from bridge_server.core.ports import Deal, MarginEstimate
from bridge_server.lifecycle import Lifecycle
from bridge_server.telling import Waiter
from bridge_server.worker import Answered, CheckJob, HistoryJob

__all__ = ["Reads"]

# The pages of one range come from one reading: a terminal may take a second for thousands of deals.
_KEPT_MS: Final = 5_000


class Reads:
    """Who waits for which answer; `tell` sends it."""

    def __init__(
        self, orders: Lifecycle, answers: Answers, tell: Callable[[Waiter, object], None]
    ) -> None:
        self._orders = orders
        self._answers = answers
        self._tell = tell
        self._waiting: dict[str, tuple[Waiter, Request]] = {}
        self._own: dict[str, Callable[[tuple[Deal, ...] | None], None]] = {}
        self._kept: tuple[tuple[int, int], tuple[Deal, ...]] | None = None
        self._kept_at_ms: int | None = None

    def ask(self, waiter: Waiter, body: Request, job: CheckJob | HistoryJob) -> None:
        """Queue a question, or say that too many wait; a later page needs no question."""
        if isinstance(body, Query) and body.first and self._kept is not None:
            span, deals = self._kept
            if span == (body.since, body.until):
                self._tell(waiter, self._answers.history(deals, body))
                return
        if len(self._orders.reads) >= limits.WORKER_QUEUE_MAX:
            self._tell(waiter, Refusal(ReasonCode.BUSY, limit=str(limits.WORKER_QUEUE_MAX)))
            return
        self._waiting[job.rid] = (waiter, body)
        self._orders.reads.append(job)
        self._orders.dispatch_next()

    def ask_own(self, job: HistoryJob, then: Callable[[tuple[Deal, ...] | None], None]) -> None:
        """Queue a question of the server's own; no request id is like its name."""
        self._own[job.rid] = then
        self._orders.reads.append(job)
        self._orders.dispatch_next()

    def on_answered(self, post: Answered) -> None:
        """Pass an answer on, if somebody still waits for it."""
        self._orders.busy = False
        waiting, then = self._waiting.pop(post.rid, None), self._own.pop(post.rid, None)
        if then is not None:
            answer = post.answer
            then(None if isinstance(answer, MarginEstimate | Refusal) else answer)
        if waiting is not None:
            waiter, body = waiting
            self._tell(waiter, self._shown(post, body))
        self._orders.dispatch_next()

    def _shown(self, post: Answered, body: Request) -> object:
        answer = post.answer
        if answer is None:
            return Refusal(ReasonCode.BROKER_DOWN)
        if isinstance(answer, Refusal):
            return answer
        if isinstance(answer, MarginEstimate):
            return self._answers.estimate(post.rid, answer)
        assert isinstance(body, Query)
        self._kept, self._kept_at_ms = ((body.since, body.until), answer), None
        return self._answers.history(answer, body)

    def tick(self, mono_ms: int) -> None:
        """Tell those who have waited long enough, and keep no reading for long."""
        if self._kept_at_ms is None:
            self._kept_at_ms = mono_ms
        elif mono_ms - self._kept_at_ms >= _KEPT_MS:
            self._kept = None
        for rid, (waiter, _) in list(self._waiting.items()):
            if mono_ms >= waiter.pending_at_ms:
                del self._waiting[rid]
                self._tell(waiter, Refusal(ReasonCode.BROKER_BUSY))
