"""Out never exceeds in: submissions against verified request ids, tickets against the journal.

This is the control whose lack let 212 orders become four million (SEC order 34-70694). It knows
nothing of an order's life: only which request ids were verified, what is handed to the broker,
and which tickets the broker shows. Times are monotonic ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.messages import Cancel, Close, encode_body
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import parse_request
from bridge_server.core.orders import OrderState
from bridge_server.core.ports import Submission

__all__ = ["COUNTED", "FLATTEN_KEPT_MS", "KEPT_MS", "Orphans", "Tally", "explains"]

# What trades. A FLATTEN itself, a RESUME and a question to an executor move nothing.
_TRADES: Final = frozenset({Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL})
COUNTED: Final = _TRADES | {Op.FLATTEN}
# Longer than anything can still go out: an order's life is 10 s, a FLATTEN's child has 120.
KEPT_MS: Final = 2 * limits.TRADE_CALL_MS_MAX
FLATTEN_KEPT_MS: Final = limits.FLATTEN_WINDOW_MS + 3 * limits.TRADE_CALL_MS_MAX


class _Verified(Struct):
    """A verified request id: when, and of a FLATTEN the tickets it was fixed to."""

    at_ms: int
    flattens: bool
    tickets: frozenset[int] | None = None


class Tally:
    """Counts both sides; `submit` says why something may not go out, "" if it may.

    Each verified order may go out once, as it was signed; of each verified FLATTEN one child for
    each ticket that it was fixed to. The server's own FLATTEN, which nobody signs, is named before.
    """

    def __init__(self) -> None:
        self.verified = 0
        self.submitted = 0
        self._verified: dict[str, _Verified] = {}
        self._submitted: dict[str, int] = {}
        self._own: dict[str, str] = {}  # children of the server's own, by request id: their parent

    def verify(self, rid: str, op: Op, now_ms: int) -> None:
        """Count a request whose MAC held; its copies are the same request."""
        if op not in COUNTED or rid in self._verified:
            return
        self.verified += 1
        self._verified[rid] = _Verified(now_ms, op is Op.FLATTEN)

    def fix(self, rid: str, tickets: Iterable[int]) -> None:
        """Fix the tickets of a FLATTEN; the first word holds."""
        parent = self._verified.get(rid)
        if parent is not None and parent.flattens and parent.tickets is None:
            parent.tickets = frozenset(tickets)

    def own(self, rid: str, tickets: Iterable[int], now_ms: int) -> None:
        """Take in a FLATTEN that the server itself begins, with its tickets; the first word holds.

        It can only close and cancel, and only these.
        """
        if rid in self._verified:
            return
        one = self._verified[rid] = _Verified(now_ms, flattens=True, tickets=frozenset(tickets))
        self._own |= {child_rid(rid, ticket): rid for ticket in one.tickets or ()}

    def begun(self, rid: str, now_ms: int) -> None:
        """Take over what an earlier run handed over."""
        self._submitted[rid] = now_ms

    def submit(self, submission: Submission, now_ms: int) -> str:
        """Return why a submission may not go out, "" if it may and is counted now."""
        if submission.op not in _TRADES:
            return ""
        why = self._why_not(submission)
        if not why:
            self.submitted += 1
            self._submitted[submission.rid] = now_ms
        return why

    def _why_not(self, submission: Submission) -> str:
        rid = submission.rid
        if rid in self._submitted:
            return f"order {rid} was about to go to the broker twice"
        signed = parse_request(submission.frames.token)
        parent = signed.rid if signed is not None else self._own.get(rid, "")
        source = self._verified.get(parent)
        if source is None:
            return f"order {rid} was about to go to the broker, and nobody has verified it"
        if signed is not None and not source.flattens:
            same = signed.rid == rid and signed.op == submission.op
            if same and submission.frames.body == encode_body(submission.body):
                return ""
            return f"order {rid} was about to go to the broker otherwise than signed"
        body = submission.body
        ticket = body.ticket if isinstance(body, Close | Cancel) else 0
        if ticket in (source.tickets or ()) and rid == child_rid(parent, ticket):
            return ""
        return f"order {rid} was about to go to the broker, and is no part of its FLATTEN"

    def forget(self, now_ms: int) -> None:
        """Forget what can go out no more; a request id that is forgotten may not go out again."""
        for rid, one in list(self._verified.items()):
            kept = FLATTEN_KEPT_MS if one.flattens else KEPT_MS
            if now_ms - one.at_ms >= kept:
                del self._verified[rid]
        self._own = {rid: one for rid, one in self._own.items() if one in self._verified}
        for rid, at_ms in list(self._submitted.items()):
            if now_ms - at_ms >= FLATTEN_KEPT_MS:
                del self._submitted[rid]

    def __len__(self) -> int:
        """Return how many request ids are held."""
        return len(self._verified) + len(self._submitted)


_MADE_IT: Final = frozenset(
    {
        OrderState.DISPATCHING, OrderState.UNKNOWN, OrderState.FILLED, OrderState.PARTIAL,
        OrderState.WORKING, OrderState.DONE,
    }
)  # fmt: skip


def explains(state: OrderState) -> bool:
    """Return whether an OPEN in this state can have a ticket at the broker.

    One that was refused, or concluded absent, cannot: its tag there is nobody's order.
    """
    return state in _MADE_IT


class _Sighting(Struct):
    """A ticket that maps to no order yet, and the open orders that may turn out to have made it."""

    since_ms: int
    waits_for: frozenset[str]


class Orphans:
    """Tells the tickets that nobody here ordered from those whose outcome is not written yet."""

    def __init__(self) -> None:
        self._seen: dict[int, _Sighting] = {}

    def judge(
        self, strange: Mapping[int, str], flying: Mapping[str, str], now_ms: int
    ) -> frozenset[int]:
        """Return the orphans among tickets that map to no journaled order.

        `strange` are those tickets with their symbols, `flying` the orders at the broker or
        UNKNOWN with theirs ("" may be any). A ticket is judged once it has been seen for
        ORPHAN_SEEN_MS and every order that was open at its first sight has ended; an UNKNOWN one
        holds it up for ORPHAN_UNKNOWN_MS at the most.
        """
        self._seen = {
            ticket: self._again(ticket, symbol, flying, now_ms)
            for ticket, symbol in strange.items()
        }
        return frozenset(ticket for ticket, one in self._seen.items() if _over(one, now_ms))

    def _again(self, ticket: int, symbol: str, flying: Mapping[str, str], now_ms: int) -> _Sighting:
        old = self._seen.get(ticket)
        if old is not None and not old.waits_for:
            return old
        if old is not None:
            return _Sighting(old.since_ms, old.waits_for & flying.keys())
        # What begins from now on cannot have made it.
        return _Sighting(now_ms, frozenset(r for r, of in flying.items() if of in ("", symbol)))


def _over(one: _Sighting, now_ms: int) -> bool:
    waited_ms = now_ms - one.since_ms
    if waited_ms < limits.ORPHAN_SEEN_MS:
        return False
    return not one.waits_for or waited_ms >= limits.ORPHAN_UNKNOWN_MS
