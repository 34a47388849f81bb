"""Judging single requests: the lanes as lists, and a terminal that the example bodies fit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import OPERATIONS, Lane, Op
from bridge_server.core.gate import Admitted, judge
from bridge_server.core.trading_state import Cause, Causes, TradingState
from tests.support.builders import NOW, conditions, pending, position, quote, snapshot

__all__ = [
    "ENTRIES", "REDUCERS", "SETTLE_OPS", "SHOT", "STOPS", "code_of", "halted", "judged",
]  # fmt: skip

SETTLE_OPS: Final = [op for op, spec in OPERATIONS.items() if spec.lane is Lane.SETTLE]
STOPS: Final = [Op.HALT, Op.REDUCE_ONLY]
REDUCERS: Final = [Op.CLOSE, Op.CANCEL, Op.FLATTEN]
ENTRIES: Final = [Op.OPEN, Op.MODIFY, Op.CHECK]
# What the vectors' example bodies name is open at this terminal.
SHOT: Final = snapshot(
    [position(4711, volume=Decimal("0.10"))],
    [pending(4712)],
    quotes={"EURUSD": quote("1.09400", "1.09410")},
)


def code_of(verdict: Refusal | Request) -> ReasonCode | None:
    return verdict.code if isinstance(verdict, Refusal) else None


def judged(request: Admitted, **over: Any) -> ReasonCode | None:
    """Return the code under `conditions(**over)`, None for an admitted request."""
    over.setdefault("shot", SHOT)
    return code_of(judge(request, conditions(**over)))


def halted(*states: TradingState) -> Causes:
    """Return one latch for each of at most two states."""
    causes = Causes()
    for state, cause in zip(states, (Cause.OPERATOR, Cause.BREAKER), strict=False):
        causes.raise_cause(cause, NOW, state=state)
    return causes
