"""Order states and the one transition table (protocol.md 7).

What is absent from the table is illegal. The journal applies every change by compare-and-set, so
the database and not program flow guarantees that ACCEPTED -> DISPATCHING happens once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from bridge_core.protocol.codes import Status

__all__ = [
    "FINAL_STATES", "LIFE", "TRANSITIONS", "Evidence", "Life", "OrderEvent", "OrderState",
    "after", "life_may_become", "status_of",
]  # fmt: skip


class OrderState(StrEnum):
    """Where a journaled request stands."""

    ACCEPTED = "ACCEPTED"
    DISPATCHING = "DISPATCHING"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    WORKING = "WORKING"
    DONE = "DONE"
    REJECTED = "REJECTED"
    DENIED = "DENIED"


class OrderEvent(StrEnum):
    """What can happen to it."""

    DISPATCH = "DISPATCH"
    REFUSE = "REFUSE"
    LOSE = "LOSE"
    FILL = "FILL"
    PART = "PART"
    PLACE = "PLACE"
    COMPLETE = "COMPLETE"
    REJECT = "REJECT"


class Life(StrEnum):
    """What became of a WORKING order afterwards."""

    WORKING = "WORKING"
    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    CANCELLED = "CANCELLED"
    BROKER_EXPIRED = "BROKER_EXPIRED"


class Evidence(StrEnum):
    """How an outcome is known, strongest first."""

    EA = "EA"
    BROKER = "BROKER"
    SERVER = "SERVER"
    TAG = "TAG"
    SHAPE = "SHAPE"
    ABSENT = "ABSENT"
    HUMAN = "HUMAN"


_S, _E = OrderState, OrderEvent
_DECIDED: Final = {
    _E.FILL: _S.FILLED,
    _E.PART: _S.PARTIAL,
    _E.PLACE: _S.WORKING,
    _E.COMPLETE: _S.DONE,
    _E.REJECT: _S.REJECTED,
    _E.REFUSE: _S.DENIED,
}

TRANSITIONS: Final[dict[tuple[OrderState, OrderEvent], OrderState]] = {
    (_S.ACCEPTED, _E.DISPATCH): _S.DISPATCHING,  # J2, the intent: before the broker call
    (_S.ACCEPTED, _E.REFUSE): _S.DENIED,  # deadline, halt, fence, restart
    **{(_S.DISPATCHING, event): state for event, state in _DECIDED.items()},
    (_S.DISPATCHING, _E.LOSE): _S.UNKNOWN,  # no answer, or a crash: never "failed"
    **{(_S.UNKNOWN, event): state for event, state in _DECIDED.items()},  # evidence only
}

FINAL_STATES: Final = frozenset(
    state for state in OrderState if not any(source is state for source, _ in TRANSITIONS)
)

LIFE: Final[dict[Life, frozenset[Life]]] = {
    Life.WORKING: frozenset({Life.FILLED, Life.PARTIAL, Life.CANCELLED, Life.BROKER_EXPIRED}),
    Life.PARTIAL: frozenset({Life.FILLED, Life.CANCELLED, Life.BROKER_EXPIRED}),
    Life.FILLED: frozenset(),
    Life.CANCELLED: frozenset(),
    Life.BROKER_EXPIRED: frozenset(),
}


def after(state: OrderState, event: OrderEvent) -> OrderState | None:
    """Return the state that follows, or None where the event is illegal."""
    return TRANSITIONS.get((state, event))


def life_may_become(life: Life, new: Life) -> bool:
    """Return whether a WORKING order's life may change so."""
    return new in LIFE[life]


def status_of(state: OrderState) -> Status:
    """Return what a peer is told of a row in this state."""
    if state in (OrderState.ACCEPTED, OrderState.DISPATCHING):
        return Status.PENDING
    return Status(state.value)
