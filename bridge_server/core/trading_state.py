"""Trading state: named causes -> ACTIVE, REDUCE_ONLY or HALTED; the state x operation matrix.

The state is the worst of its causes (protocol.md 12). Conditions end by themselves,
latches only by an operator's RESUME. Anyone with a trade or reduce key may lower the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode

__all__ = [
    "CAUSES", "MATRIX", "Act", "Cause", "CauseSpec", "Causes", "Kind", "RaisedCause",
    "TradingState", "refused_by_state",
]  # fmt: skip


class TradingState(StrEnum):
    """What the account may do now."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"


class Cause(StrEnum):
    """Why the state is lowered."""

    RECOVERING = "RECOVERING"
    UNKNOWN = "UNKNOWN"
    JOURNAL_FULL = "JOURNAL_FULL"
    CLOCK = "CLOCK"
    BROKER_LINK = "BROKER_LINK"
    EA_STALE = "EA_STALE"
    HEARTBEAT = "HEARTBEAT"
    STALE_ACCOUNT = "STALE_ACCOUNT"
    OPERATOR = "OPERATOR"
    DRAWDOWN = "DRAWDOWN"
    BREAKER = "BREAKER"
    IDENTITY = "IDENTITY"
    GHOST_FILL = "GHOST_FILL"
    COUNTER = "COUNTER"
    EA_TWICE = "EA_TWICE"
    CLOCK_HIGH_WATER = "CLOCK_HIGH_WATER"
    JOURNAL_FATAL = "JOURNAL_FATAL"
    DAILY_LOSS = "DAILY_LOSS"


class Kind(StrEnum):
    """A condition ends by itself; a latch ends by RESUME."""

    CONDITION = "condition"
    LATCH = "latch"


class CauseSpec(NamedTuple):
    """One row: kind, the state it means, how long it lingers once gone (ms), what ends it."""

    kind: Kind
    state: TradingState
    linger_ms: int
    ends: str


_A, _R, _H = TradingState.ACTIVE, TradingState.REDUCE_ONLY, TradingState.HALTED
_WAIT = limits.CONDITION_CLEAR_MS
_RESUME = "ztb resume --operator DIR --cause {cause} --reason TEXT"

CAUSES: Final[dict[Cause, CauseSpec]] = {
    Cause.RECOVERING: CauseSpec(Kind.CONDITION, _R, 0, "the start-up reconciliation ends"),
    Cause.UNKNOWN: CauseSpec(Kind.CONDITION, _R, 0, "the order's outcome is known"),
    Cause.JOURNAL_FULL: CauseSpec(Kind.CONDITION, _R, 0, "there is room on the journal's disk"),
    Cause.CLOCK: CauseSpec(Kind.CONDITION, _R, 0, "the clock is stable for 30 s"),  # guard waits
    Cause.BROKER_LINK: CauseSpec(Kind.CONDITION, _R, _WAIT, "the broker is back for 30 s"),
    Cause.EA_STALE: CauseSpec(Kind.CONDITION, _R, _WAIT, "the EA is heard for 30 s"),
    Cause.HEARTBEAT: CauseSpec(Kind.CONDITION, _R, _WAIT, "the connector is heard for 30 s"),
    Cause.STALE_ACCOUNT: CauseSpec(Kind.CONDITION, _R, _WAIT, "account data is fresh for 30 s"),
    Cause.OPERATOR: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.DRAWDOWN: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.BREAKER: CauseSpec(Kind.LATCH, _R, 0, _RESUME),
    Cause.IDENTITY: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.GHOST_FILL: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.COUNTER: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.EA_TWICE: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.CLOCK_HIGH_WATER: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.JOURNAL_FATAL: CauseSpec(Kind.LATCH, _H, 0, _RESUME),
    Cause.DAILY_LOSS: CauseSpec(Kind.LATCH, _R, 0, "the broker's next trading day, or " + _RESUME),
}

assert set(CAUSES) == set(Cause)


class Act(StrEnum):
    """What an operation does, as far as the state cares."""

    ENTER = "OPEN, CHECK"
    STOPS = "MODIFY of stops only"
    PRICE = "MODIFY of a pending's price"
    REDUCE = "CLOSE CANCEL FLATTEN"


# REDUCE_ONLY refuses every entry on a hedging account, where an opposite order only adds a leg;
# on netting accounts the caller passes `shrinks`. Stops may change unless one is taken away.
MATRIX: Final[dict[tuple[TradingState, Act], str]] = {
    (_A, Act.ENTER): "yes",
    (_A, Act.STOPS): "yes",
    (_A, Act.PRICE): "yes",
    (_A, Act.REDUCE): "yes",
    (_R, Act.ENTER): "only if the resulting netting position is smaller",
    (_R, Act.STOPS): "yes, unless it removes an sl",
    (_R, Act.PRICE): "no",
    (_R, Act.REDUCE): "yes",
    (_H, Act.ENTER): "no",
    (_H, Act.STOPS): "no",
    (_H, Act.PRICE): "no",
    (_H, Act.REDUCE): "yes",
}


def refused_by_state(state: TradingState, act: Act, *, helps: bool) -> ReasonCode | None:
    """Return HALTED or REDUCE_ONLY, or None when the matrix lets the act pass.

    `helps` is what the matrix' conditions ask: an entry shrinks the netting position, a change of
    stops takes no sl away.
    """
    if state is TradingState.ACTIVE or act is Act.REDUCE:
        return None
    if state is TradingState.HALTED:
        return ReasonCode.HALTED
    if act is Act.PRICE or not helps:
        return ReasonCode.REDUCE_ONLY
    return None


class RaisedCause(Struct, frozen=True, kw_only=True):
    """A cause in force; `symbol` limits it to one symbol, `gone_ms` is when its reason ended."""

    cause: Cause
    since_ms: int
    state: TradingState
    symbol: str = ""
    reason: str = ""
    gone_ms: int | None = None


class Causes:
    """The causes in force. Time is an argument (UTC ms); persistence is the caller's."""

    def __init__(self, raised: Iterable[RaisedCause] = ()) -> None:
        self._raised: dict[tuple[Cause, str], RaisedCause] = {
            (one.cause, one.symbol): one for one in raised
        }

    def __iter__(self) -> Iterator[RaisedCause]:
        """Iterate over the causes, oldest first."""
        return iter(sorted(self._raised.values(), key=lambda one: one.since_ms))

    def get(self, cause: Cause, symbol: str = "") -> RaisedCause | None:
        """Return the cause if it is in force."""
        return self._raised.get((cause, symbol))

    def raise_cause(
        self,
        cause: Cause,
        now_ms: int,
        *,
        symbol: str = "",
        reason: str = "",
        state: TradingState | None = None,
    ) -> bool:
        """Put a cause in force, or keep it there; return whether anything changed.

        A cause never becomes milder by being raised again.
        """
        wanted = state if state is not None else CAUSES[cause].state
        old = self._raised.get((cause, symbol))
        if old is not None and old.gone_ms is None and _rank(old.state) >= _rank(wanted):
            return False
        self._raised[cause, symbol] = RaisedCause(
            cause=cause,
            since_ms=old.since_ms if old is not None else now_ms,
            state=wanted if old is None or _rank(wanted) > _rank(old.state) else old.state,
            symbol=symbol,
            reason=reason or (old.reason if old is not None else ""),
        )
        return True

    def reason_gone(self, cause: Cause, now_ms: int, *, symbol: str = "") -> bool:
        """Say that a condition's reason has ended; it lingers as its row says.

        Returns whether the cause has left the set. Latches stay.
        """
        old = self._raised.get((cause, symbol))
        spec = CAUSES[cause]
        if old is None or spec.kind is Kind.LATCH:
            return False
        gone = old.gone_ms if old.gone_ms is not None else now_ms
        if now_ms - gone >= spec.linger_ms:
            del self._raised[cause, symbol]
            return True
        self._raised[cause, symbol] = RaisedCause(
            cause=cause,
            since_ms=old.since_ms,
            state=old.state,
            symbol=symbol,
            reason=old.reason,
            gone_ms=gone,
        )
        return False

    def resume(self, cause: Cause) -> bool:
        """End a latch by an operator's word; return whether it was in force."""
        if CAUSES[cause].kind is not Kind.LATCH:
            return False
        return self._raised.pop((cause, ""), None) is not None

    def state(self, symbol: str = "") -> TradingState:
        """Return the state for one symbol, or the account's when none is named."""
        worst = TradingState.ACTIVE
        for one in self._raised.values():
            if one.symbol in ("", symbol) and _rank(one.state) > _rank(worst):
                worst = one.state
        return worst

    def latches(self) -> tuple[RaisedCause, ...]:
        """Return the causes that must survive a restart."""
        return tuple(one for one in self._raised.values() if CAUSES[one.cause].kind is Kind.LATCH)


_RANK: Final = {state: rank for rank, state in enumerate(TradingState)}


def _rank(state: TradingState) -> int:
    return _RANK[state]
