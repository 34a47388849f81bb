"""A broker with money: prices that a test sets, profit that floats, deals that keep it.

One lot gains 100 000 times the move of the price, in account currency; there is no spread. Its
market time is the wall clock's plus `ahead_ms`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.messages import Close
from bridge_server.core.ports import Account, Deal, Outcome, Position, Quote, Snapshot, Submission
from tests.support.scripted_backend import ScriptedBackend

__all__ = ["MoneyBackend"]

_LOT: Final = Decimal(100_000)


class MoneyBackend(ScriptedBackend):
    """`price` of EURUSD, `balance` and `zone_ms` belong to the test."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.price = Decimal("1.10000")
        self.balance = Decimal(10_000)
        self.zone_ms: int | None = 0
        self.ahead_ms = 0
        self.frozen: Snapshot | None = None
        self.last_tick_ms: int | None = None  # a market that stands still: its last tick
        self.history_down = False
        self.deals_hidden = False
        self.asked_since: list[int] = []

    def market_ms(self) -> int:
        """Return market time now, UTC ms."""
        if self.last_tick_ms is not None:
            return self.last_tick_ms
        return self.clock.wall_ms() + self.ahead_ms

    def snapshot(self) -> Snapshot:
        """Return the account at the present price."""
        if self.frozen is not None:
            return self.frozen
        shot = super().snapshot()
        positions = {ticket: self._valued(one) for ticket, one in self.positions.items()}
        profit = sum((one.profit for one in positions.values()), Decimal(0))
        equity = self.balance + profit
        price = {"bid": self.price, "ask": self.price}
        return structs.replace(
            shot,
            market_ms=self.market_ms(),
            zone_ms=self.zone_ms,
            account=Account(
                balance=self.balance, equity=equity, margin=Decimal(0), free_margin=equity,
                profit=profit,
            ),
            positions=positions,
            quotes={
                name: Quote(
                    symbol=name, time_ms=self.market_ms(), asked_wall_ms=shot.taken_wall_ms, **price
                )
                for name in shot.quotes
            },
        )  # fmt: skip

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals from a market time on."""
        self.asked_since.append(since_ms)
        if self.history_down:
            raise OSError("no history")
        shown = () if self.deals_hidden else self.deals
        return tuple(one for _, one in shown if one.time_ms >= since_ms)

    def _valued(self, one: Position) -> Position:
        move = self.price - one.open_price
        profit = (move if one.type == "BUY" else -move) * one.volume * _LOT
        return structs.replace(one, current_price=self.price, profit=profit)

    def put_position(self, **fields: Any) -> Position:
        """Open a position at the present price."""
        return super().put_position(**{"open_price": self.price, **fields})

    def _open(self, body: Any, submission: Submission) -> Outcome:
        outcome = super()._open(body, submission)
        self.positions = {
            ticket: structs.replace(one, open_price=self.price)
            if one.magic == submission.magic
            else one
            for ticket, one in self.positions.items()
        }
        return outcome

    def _close(self, body: Close, submission: Submission) -> Outcome:
        held = self.positions.get(body.ticket)
        outcome = super()._close(body, submission)
        if held is not None:
            self.settle(held)
        return outcome

    def settle(self, held: Position) -> None:
        """Book what a position has brought, into its last deal and the balance."""
        profit = self._valued(held).profit
        at_ms, deal = self.deals.pop()
        self.deals.append((at_ms, structs.replace(deal, profit=profit, time_ms=self.market_ms())))
        self.balance += profit

    def stop_out(self, ticket: int) -> None:
        """Close a position as the broker does, without being asked."""
        held = self.positions[ticket]
        self.positions = {k: v for k, v in self.positions.items() if k != ticket}
        self._deal(held, "OUT", {})
        self.settle(held)
