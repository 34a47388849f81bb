"""What must be remembered between orders: the broker's day, the peak, counts. Pure.

Each side has its own and makes it durable with msgspec's JSON; time is an argument.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from msgspec import Struct

from bridge_core.protocol.codes import Status
from bridge_core.risk.exact import EXACT, money_text
from bridge_core.risk.facts import Account
from bridge_core.risk.order import Proposal
from bridge_core.risk.policy import AccountLimits, Policy, amount, capped

__all__ = ["FILLS_MAX", "SENT_MAX", "Breach", "Fill", "RiskState", "Sent", "day_of"]

_DAY_MS: Final = 86_400_000
# What is remembered at most; `max_fills` is at most this, a full `sent` refuses rather than forget.
FILLS_MAX: Final = 1_000
SENT_MAX: Final = 1_000


def day_of(market_ms: int, zone_ms: int) -> int:
    """Return the number of the broker's trading day: midnight by the broker's own clock.

    `zone_ms` is the broker's clock minus UTC.
    """
    return (market_ms + zone_ms) // _DAY_MS


class Fill(Struct, frozen=True):
    """An entry that was carried out: whose (strategy number), and when (UTC ms)."""

    strategy: int
    at_ms: int


class Sent(Struct, frozen=True):
    """An entry that passed: what the duplicate-intent filter compares."""

    symbol: str
    type: str
    volume: Decimal
    at_ms: int


class Breach(Struct, frozen=True):
    """A standing limit that is broken: the cause of protocol.md 12, and its numbers as text."""

    cause: str
    limit: str
    value: str


class RiskState(Struct, kw_only=True):
    """Money in account currency. `day` -1: nothing has been seen yet.

    The loss of the day is what closing brought (`realised`, since its start) plus the change of
    the floating profit since its start. `realised` None: not known (yet), which refuses. `settled`
    is what of it came before an operator began a new base.
    """

    day: int = -1
    day_equity: Decimal = Decimal(0)
    day_floating: Decimal = Decimal(0)
    realised: Decimal | None = None
    settled: Decimal = Decimal(0)
    floating: Decimal = Decimal(0)
    equity: Decimal = Decimal(0)
    peak_equity: Decimal = Decimal(0)
    trades: int = 0
    rejections: int = 0
    fills: list[Fill] = []
    sent: list[Sent] = []

    def see(self, account: Account, floating: Decimal, day: int) -> bool:
        """Take in the account as read now; `floating` is profit and swap of all open positions.

        Begins a new day (its equity, floating profit, counts) when `day` is a later one. Returns
        whether what must survive a restart has changed. What is no number is not taken in.
        """
        if not (account.equity.is_finite() and floating.is_finite()):
            return False
        first, later = self.day == -1, day > self.day
        self.equity, self.floating = account.equity, floating
        if later:
            self.day, self.day_equity, self.day_floating = day, account.equity, floating
            self.realised, self.settled, self.trades = None, Decimal(0), 0
        higher = first or account.equity > self.peak_equity
        if higher:
            self.peak_equity = account.equity
        return later or higher

    def realise(self, total: Decimal, day: int) -> bool:
        """Take in what the closings of a day have brought in all (net); of another day: nothing."""
        if day != self.day or not total.is_finite() or total == self.realised:
            return False
        self.realised = total
        return True

    def lost(self) -> Decimal | None:
        """Return the loss of the day, below 0 for a gain; None while it is not known."""
        if self.day == -1 or self.realised is None:
            return None
        with localcontext(EXACT):
            return self.settled - self.realised + self.day_floating - self.floating

    def fallen(self) -> Decimal | None:
        """Return how far the equity is below its peak; None while nothing has been seen."""
        if self.day == -1:
            return None
        with localcontext(EXACT):
            return self.peak_equity - self.equity

    def loss_limit(self, account: AccountLimits) -> Decimal | None:
        """Return max_daily_loss as money, None where it is off."""
        if account.max_daily_loss is None:
            return None
        return amount(account.max_daily_loss).of(capped(self.day_equity, account))

    def fall_limit(self, account: AccountLimits) -> Decimal | None:
        """Return max_drawdown as money, None where it is off."""
        if account.max_drawdown is None:
            return None
        return amount(account.max_drawdown).of(capped(self.peak_equity, account))

    def fills_of(self, strategy: int, account: AccountLimits, now_ms: int) -> int:
        """Return how many entries of a strategy number were filled within fills_window_s."""
        since = now_ms - account.fills_window_s * 1000
        return sum(one.strategy == strategy and one.at_ms > since for one in self.fills)

    def passed(self, order: Proposal, now_ms: int) -> None:
        """Take in an entry that passed every check: it counts at once, whatever becomes of it."""
        if order.kind != "OPEN":
            return
        self.trades += 1
        intent = (order.symbol, order.type, order.volume)
        others = [one for one in self.sent if (one.symbol, one.type, one.volume) != intent]
        self.sent = [*others, Sent(*intent, now_ms)][-SENT_MAX:]

    def ended(self, status: Status, strategy: int, now_ms: int) -> None:
        """Take in how an entry ended: the broker's REJECTED in a row, and fills of a strategy."""
        if status is Status.REJECTED:
            self.rejections += 1
        elif status in (Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE):
            self.rejections = 0
        if status in (Status.FILLED, Status.PARTIAL):
            self.fills = [*self.fills, Fill(strategy, now_ms)][-FILLS_MAX:]

    def resumed(self, cause: str) -> None:
        """Take in that an operator ended a latch.

        BREAKER forgets its counts, DRAWDOWN begins a new peak, DAILY_LOSS a new base for the day.
        """
        if cause == "BREAKER":
            self.rejections, self.fills = 0, []
        elif cause == "DRAWDOWN":
            self.peak_equity = self.equity
        elif cause == "DAILY_LOSS":
            self.day_equity, self.day_floating = self.equity, self.floating
            if self.realised is not None:
                self.settled = self.realised

    def breaches(self, policy: Policy, now_ms: int) -> tuple[Breach, ...]:
        """Return the standing limits that are broken: DAILY_LOSS, DRAWDOWN, BREAKER."""
        account = policy.account
        found = [
            _broken("DAILY_LOSS", self.lost(), self.loss_limit(account)),
            _broken("DRAWDOWN", self.fallen(), self.fall_limit(account)),
            self._breaker(account, now_ms),
        ]
        return tuple(one for one in found if one is not None)

    def _breaker(self, account: AccountLimits, now_ms: int) -> Breach | None:
        most = account.max_rejections
        if most is not None and self.rejections >= most:
            return Breach("BREAKER", f"max_rejections {most}", str(self.rejections))
        most = account.max_fills
        if most is None:
            return None
        for strategy in sorted({one.strategy for one in self.fills}):
            count = self.fills_of(strategy, account, now_ms)
            if count >= most:
                return Breach("BREAKER", f"max_fills {most}", f"{count} of strategy {strategy}")
        return None


def _broken(cause: str, value: Decimal | None, limit: Decimal | None) -> Breach | None:
    if value is None or limit is None or value < limit:
        return None
    return Breach(cause, money_text(limit), money_text(value))
