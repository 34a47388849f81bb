"""What stands between an intent and its signature, in order: the link's own state, then risk."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from bridge_client.drafts import Draft
from bridge_client.judging import Judge
from bridge_client.link import Link
from bridge_client.order import Order
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.operations import OPERATIONS
from bridge_core.protocol.replies import OrderView
from bridge_core.risk.rates import Rates, TokenBuckets

__all__ = ["Admission", "refused"]


def refused(refusal: Refusal, view: OrderView) -> OrderView:
    """Return the view of an order that this connector itself refused."""
    return replace(
        view,
        status=Status.DENIED,
        code=refusal.code,
        by="connector",
        limit=refusal.limit,
        value=refusal.value,
        headroom=refusal.headroom,
        nearest=list(refusal.nearest),
        final=True,
        attested=True,
    )


class Admission:
    """Judges drafts. `live` gives the orders whose worst case counts."""

    def __init__(
        self, link: Link, judge: Judge, rates: Rates, live: Callable[[], Iterable[Order]]
    ) -> None:
        self._link, self._judge, self._live = link, judge, live
        self._buckets = TokenBuckets(rates)
        judge.live = live
        self.fork = ""

    def charge(self, draft: Draft) -> Refusal | None:
        """Take a token of the operation's lane, or return RATE: closing has a bucket of its own."""
        kid, lane = self._link.session.identity.keys.kid, OPERATIONS[draft.op].lane
        return self._buckets.charge(kid, lane, self._link.clocks().mono_ms)

    def judge(self, draft: Draft, order: Order) -> Refusal | None:
        """Return the first reason not to sign, on what is known; called under the signing lock."""
        refusal = self._blocked(draft) if draft.entry else None
        if refusal is not None or draft.proposal is None:
            return refusal
        return self._judge.verdict(draft.proposal, order)

    def look(self, draft: Draft, order: Order, until: float) -> Refusal | None:
        """Return the first reason not to sign, on a picture that is new, until a time (s).

        Before the signing lock: nobody waits there for an answer.
        """
        refusal = self._blocked(draft) if draft.entry else None
        if refusal is not None or draft.proposal is None:
            return refusal
        return self._judge.fresh_verdict(draft.proposal, until, order)

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
