"""What stands between an intent and its signature, in order: the link's own state, then risk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from bridge_client.book import Book
from bridge_client.drafts import Draft
from bridge_client.link import Link
from bridge_client.order import Order
from bridge_client.risk import Intent, RiskFacts, RiskMonitor
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.operations import Op

__all__ = ["Admission"]

_LOOK_S: Final = 2.0


class Admission:
    """Judges drafts. `live` gives the orders whose worst case counts."""

    def __init__(
        self,
        link: Link,
        book: Book,
        facts: Callable[[str], RiskFacts],
        monitor: RiskMonitor,
        live: Callable[[], Iterable[Order]],
    ) -> None:
        self._link, self._book = link, book
        self._facts, self._monitor, self._live = facts, monitor, live
        self.fork = ""
        self.look: Callable[[float], None] = lambda _timeout: None

    def judge(self, draft: Draft, order: Order) -> Refusal | None:
        """Return the first reason not to sign; called again under the signing lock."""
        if draft.entry:
            refusal = self._blocked(draft)
            if refusal is not None:
                return refusal
        if draft.intent is None:
            return None
        return self._monitor.judge(draft.intent, self._facts_now(draft.intent, order))

    def _blocked(self, draft: Draft) -> Refusal | None:
        skew = self._link.skew()
        if skew is not None:
            return Refusal(
                ReasonCode.CLOCK_SKEW,
                limit=f"{limits.CLOCK_SKEW_MS_MAX}ms",
                value=f"{skew.offset_ms}+-{skew.uncertainty_ms}ms",
            )
        for order in self._live():
            if not (order.recovered and order.open):
                continue
            if not order.symbol or not draft.view.symbol or order.symbol == draft.view.symbol:
                return Refusal(ReasonCode.UNFINISHED, value=order.client_order_id)
        if self.fork or self._link.session.fork is not None:
            return Refusal(ReasonCode.LOG_FORK)
        return None

    def _facts_now(self, intent: Intent, but: Order) -> RiskFacts:
        facts = self._facts(intent.symbol)
        if intent.op is not Op.OPEN or "_" in intent.type or facts.positions is None:
            return replace(facts, positions=None)
        flying = sum(
            1
            for o in self._live()
            if o is not but
            and o.life is not None
            # Until it is settled the book does not count it yet.
            and not (o.over and o.settled.is_set())
            and o.op == Op.OPEN
            and o.symbol == intent.symbol
            and "_" not in o.first.type
        )
        return replace(facts, positions=facts.positions + flying)

    def look_again(
        self, draft: Draft, order: Order, refusal: Refusal | None, until: float
    ) -> Refusal | None:
        """Return the verdict on fresh truth, where that is what it hangs on; asks at most once."""
        # A refusal for too many positions is only ever given on fresh truth.
        intent = draft.intent
        if intent is None or intent.op is not Op.OPEN:
            return refusal
        if refusal is None and self._book.positions(intent.symbol) is not None:
            return None
        try:
            self.look(max(0.1, min(_LOOK_S, until - time.monotonic())))
        except BridgeError:
            return refusal  # unknown: the server judges by its own truth
        return self.judge(draft, order)
