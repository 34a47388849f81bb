"""What the connector's limits must remember, and its own latches: DAILY_LOSS, DRAWDOWN, BREAKER.

A latch of this connector blocks its entries and nothing else. It is in the client's journal, ends
at the broker's next day (DAILY_LOSS) or by an operator, and never by a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from bridge_client.seen import Money
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_core.risk.facts import Position
from bridge_core.risk.order import Proposal
from bridge_core.risk.policy import Policy
from bridge_core.risk.state import Breach, RiskState, day_of

__all__ = ["LOCAL_CAUSES", "LocalLatch", "RiskKeeper", "latches_in"]

_BREAKER: Final = "BREAKER"
_DAILY_LOSS: Final = "DAILY_LOSS"
# The causes of protocol.md 12 that a limit of the connector latches here too.
LOCAL_CAUSES: Final = (_DAILY_LOSS, "DRAWDOWN", _BREAKER)
# Their codes, in the order of precedence.
_CODES: Final = ("MAX_FILLS", "MAX_REJECTIONS", "DAILY_LOSS", "DRAWDOWN")
_DAY_MS: Final = 86_400_000
# A broker may show a deal later than the balance that it moved.
_HISTORY_MS: Final = 30_000


class LocalLatch(Struct, frozen=True):
    """A limit of this connector that was reached: its code, its numbers, the day, UTC ms."""

    code: str
    limit: str
    value: str
    day: int
    since_ms: int


class _Kept(Struct):
    state: RiskState
    latches: dict[str, LocalLatch] = {}


class _Realised(Struct, frozen=True):
    """When the day's deals were last read (monotonic ms), and the balance seen before."""

    day: int
    balance: Decimal
    mono_ms: int


def latches_in(raw: str) -> dict[str, LocalLatch]:
    """Return the latches in a journal's text, by cause; "" has none.

    Raises:
        ConfigError: it is damaged.
    """
    return _decoded(raw).latches


def _decoded(raw: str) -> _Kept:
    try:
        return msgspec.json.decode(raw, type=_Kept) if raw else _Kept(RiskState())
    except msgspec.MsgspecError as error:
        raise ConfigError("JOURNAL", f"the counts of the limits cannot be read: {error}") from error


class RiskKeeper:
    """One client's RiskState and latches. Thread-safe; times are the server's UTC ms."""

    def __init__(
        self, policy: Policy, raw: str = "", store: Callable[[str], None] = lambda _raw: None
    ) -> None:
        """Go on from what the journal kept; `store` makes a text durable at once.

        Raises:
            ConfigError: the journal's text is damaged.
        """
        self.lock = threading.RLock()
        self._policy, self._store = policy, store
        self._kept = _decoded(raw)
        self._realised: _Realised | None = None
        self._dirty = False
        self.on_latch: Callable[[str, LocalLatch], None] = lambda _cause, _latch: None

    @property
    def state(self) -> RiskState:
        """Return what is remembered now; look at it under `lock`."""
        return self._kept.state

    @property
    def latches(self) -> Mapping[str, LocalLatch]:
        """Return the latches that are set, by cause."""
        with self.lock:
            return dict(self._kept.latches)

    def refusal(self) -> Refusal | None:
        """Return why no entry may pass: a latch of ours."""
        found = {latch.code: latch for latch in self.latches.values()}
        for code in _CODES:
            if code in found:
                latch = found[code]
                return Refusal(ReasonCode(code), limit=latch.limit, value=latch.value, headroom="0")
        return None

    # --- what comes in --------------------------------------------------------------------------

    def saw(self, money: Money, positions: Iterable[Position], now_ms: int) -> None:
        """Take in the account as just read; without a known day nothing is told from it."""
        if money.zone_ms is None:
            return
        day = day_of(money.market_ms, money.zone_ms)
        floating = sum((one.profit + one.swap for one in positions), Decimal(0))
        with self.lock:
            self._dirty |= self.state.see(money.account, floating, day)
            if self._policy.account.daily_loss_ends == "day":
                self._end_of_day(day)
            self._latch(now_ms)

    def _end_of_day(self, day: int) -> None:
        latch = self._kept.latches.get(_DAILY_LOSS)
        if latch is not None and latch.day < day:
            del self._kept.latches[_DAILY_LOSS]
            self._dirty = True

    def history_since(self, money: Money, mono_ms: int) -> int | None:
        """Return from when on (market ms) the day's deals must be read, None if they are known."""
        if money.zone_ms is None or self._policy.account.max_daily_loss is None:
            return None
        day, last = day_of(money.market_ms, money.zone_ms), self._realised
        with self.lock:
            known = self.state.realised is not None and self.state.day == day
        fresh = last is not None and (last.day, last.balance) == (day, money.account.balance)
        if known and fresh and last is not None and mono_ms - last.mono_ms < _HISTORY_MS:
            return None
        return day * _DAY_MS - money.zone_ms

    def day_known(self, money: Money, mono_ms: int) -> bool:
        """Return whether what closing brought is known of this balance; asks later again then."""
        last = self._realised
        if last is None or money.zone_ms is None or last.balance != money.account.balance:
            return False
        if last.day != day_of(money.market_ms, money.zone_ms):
            return False
        self._realised = _Realised(last.day, last.balance, mono_ms)
        return True

    def realise(self, total: Decimal, money: Money, mono_ms: int, now_ms: int) -> None:
        """Take in what the day's deals have brought in all, asked for after `money` was seen."""
        if money.zone_ms is None:
            return
        day = day_of(money.market_ms, money.zone_ms)
        with self.lock:
            self._dirty |= self.state.realise(total, day)
            self._realised = _Realised(day, money.account.balance, mono_ms)
            self._latch(now_ms)

    def passed(self, order: Proposal, now_ms: int) -> str:
        """Count an entry that is about to be signed; return what its row must keep.

        It counts even if the row then cannot be written: nothing else may count less.
        """
        with self.lock:
            self.state.passed(order, now_ms)
            self._dirty = True
            return self._raw()

    def ended(self, status: str, strategy: int, now_ms: int) -> None:
        """Take in how an entry ended."""
        if status not in Status.__members__:
            return
        with self.lock:
            self.state.ended(Status(status), strategy, now_ms)
            self._dirty = True
            self._latch(now_ms)

    # --- latches ----------------------------------------------------------------------------

    def _latch(self, now_ms: int) -> None:
        new = [
            (breach.cause, self._latch_of(breach, now_ms))
            for breach in self.state.breaches(self._policy, now_ms)
            if breach.cause not in self._kept.latches
        ]
        if not new:
            return
        self._kept.latches.update(new)
        self._dirty = True
        with suppress(BridgeError):  # a disk that fails now fails the next intent too
            self._store(self._raw())
        for cause, latch in new:
            self.on_latch(cause, latch)

    def _latch_of(self, breach: Breach, now_ms: int) -> LocalLatch:
        code, limit, value = str(breach.cause), breach.limit, breach.value
        if code == _BREAKER:
            name, _, limit = limit.rpartition(" ")  # "max_rejections 5", "5 of strategy 1"
            code, value = name.upper(), value.partition(" ")[0]
        return LocalLatch(code, limit, value, self.state.day, now_ms)

    def end(self, cause: str) -> bool:
        """End a latch, as an operator has said; False if it is not set here.

        Raises:
            BridgeError: the journal cannot keep it; nothing has ended.
        """
        with self.lock:
            if cause not in self._kept.latches:
                return False
            after = _decoded(self._raw())
            del after.latches[cause]
            after.state.resumed(cause)
            self._store(msgspec.json.encode(after).decode())
            self._kept = after
            return True

    # --- keeping ----------------------------------------------------------------------------

    def changed(self) -> str:
        """Return what must be kept, "" if the journal has it; `kept` says that it was written."""
        with self.lock:
            return self._raw() if self._dirty else ""

    def kept(self, raw: str) -> None:
        """Take in that a text is durable."""
        with self.lock:
            self._dirty = self._dirty and raw != self._raw()

    def _raw(self) -> str:
        return msgspec.json.encode(self._kept).decode()
