"""A stormy day on an EA account (tests/support/storm.py), on the Advisor's real source.

The storm kills the terminal at named points of a call, kills the server, loses answers, refuses,
delays, cuts the broker off, and lets a person trade by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from tests.mql4.house import House
from tests.support.storm import Storm

__all__ = ["EaStorm"]

_CALLS: Final = ("OrderSend", "OrderSend", "OrderClose", "OrderModify", "OrderDelete")
# Refused; told an error after it was done, before it is done, and although it never was.
_CODES: Final = ("138", "134", "137", "146", "136", "128x", "1x", "6x", "128@300", "128", "6")
_DEATHS: Final = (
    ("OrderSend", "before"), ("OrderSend", "inside"), ("OrderSend", "after"),
    ("OrderClose", "inside"), ("OrderModify", "inside"), ("FileFlush", "before"),
    ("FileFlush", "inside"), ("zmq_send", "before"), ("zmq_send", "after"),
)  # fmt: skip


class EaStorm(Storm):
    """`by_hand` are the tickets that a person has ended."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(house, seed)
        self.house = house
        self.by_hand: set[int] = set()

    @property
    def troubles(self) -> Sequence[Callable[[], None]]:
        """What may go wrong, each as likely as any other."""
        return (
            self._fail, self._fail, self._fail, self._slow, self._die, self._die,
            self._kill_server, self._reinit, self._by_hand, self._cut_off, self._prices,
        )  # fmt: skip

    def _fail(self) -> None:
        code = self.random.choice(_CODES)
        self.house.terminal.command("fail", self.random.choice(_CALLS), code)

    def _slow(self) -> None:
        self.house.terminal.command("slow", "OrderSend", self.random.choice((50, 300)))

    def _die(self) -> None:
        terminal = self.house.terminal
        function, where = self.random.choice(_DEATHS)
        terminal.command("die", function, where)
        until = time.monotonic() + 2
        while terminal.running and time.monotonic() < until:
            time.sleep(0.01)
        terminal.kill()  # the point may not have been reached: then here

    def _kill_server(self) -> None:
        self.house.kill_server()
        self.house.start_server()

    def _reinit(self) -> None:
        self.house.terminal.command("reinit", self.random.choice((3, 5)))

    def _by_hand(self) -> None:
        orders = self.house.terminal.orders()
        if orders:
            one = self.random.choice(orders)
            act = "manual_close" if one["type"] in ("BUY", "SELL") else "manual_delete"
            self.by_hand.add(one["ticket"])
            self.house.terminal.command(act, one["ticket"])

    def _cut_off(self) -> None:
        self.house.terminal.command("flag", "connected", 0)
        time.sleep(0.2)
        self.house.terminal.command("flag", "connected", 1)

    def _prices(self) -> None:
        pips = self.random.randrange(-50, 50)
        bid = Decimal("1.08500") + pips * Decimal("0.0001")
        self.house.terminal.command("price", "EURUSD", str(bid), str(bid + Decimal("0.00012")))

    def mend(self) -> None:
        """Start again what a trouble has ended."""
        if not self.house.terminal.running:
            assert self.house.terminal.start() == 0, self.house.terminal.prints[-5:]
        super().mend()

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        super().calm()
        for function in ("OrderSend", "OrderClose", "OrderModify", "OrderDelete"):
            self.house.terminal.command("fail", function, "ok")
