"""A stormy day on an EA account: several strategies trade while everything fails now and then.

Connectors, server and Advisor are the real ones, each in its own process or thread. The storm
kills the terminal at named points of a call, kills the server, loses answers, refuses, delays,
cuts the broker off, and lets a person trade by hand. It ends when every order has ended.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from bridge_client import Connector, OrderResult, Quote
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import BridgeError
from tests.mql4.house import House
from tests.support.running import wait_until

__all__ = ["Storm"]

_SYMBOLS: Final = ("EURUSD", "USDJPY")
_CALLS: Final = ("OrderSend", "OrderSend", "OrderClose", "OrderModify", "OrderDelete")
# Refused; told an error after it was done, before it is done, and although it never was.
_CODES: Final = ("138", "134", "137", "146", "136", "128x", "1x", "6x", "128@300", "128", "6")
_DEATHS: Final = (
    ("OrderSend", "before"), ("OrderSend", "inside"), ("OrderSend", "after"),
    ("OrderClose", "inside"), ("OrderModify", "inside"), ("FileFlush", "before"),
    ("FileFlush", "inside"), ("zmq_send", "before"), ("zmq_send", "after"),
)  # fmt: skip
_WEATHER: Final = frozenset(
    {
        ReasonCode.NO_CONNECTION, ReasonCode.BROKER_DOWN, ReasonCode.REDUCE_ONLY,
        ReasonCode.UNKNOWN_ORDER_OPEN, ReasonCode.UNFINISHED, ReasonCode.FENCED,
        ReasonCode.STALE_INCARNATION,
    }
)  # fmt: skip
_WAIT_S: Final = 1.5
_FAIR_S: Final = 4.0
_END_S: Final = 90.0


class Storm:
    """`run(orders, strategies)`; afterwards `results` has every answer, `faults` what was done."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.results: list[OrderResult] = []
        self.faults: Counter[str] = Counter()
        self.by_hand: set[int] = set()
        self._lock = threading.Lock()
        self._left = 0
        self._errors: list[BaseException] = []
        self._faults: tuple[Callable[[], None], ...] = (
            self._fail, self._fail, self._fail, self._slow, self._die, self._die,
            self._kill_server, self._reinit, self._by_hand, self._cut_off, self._prices,
        )  # fmt: skip

    def run(self, orders: int, strategies: int = 3) -> None:
        """Let strategies send that many orders together, and wait until each has ended."""
        self._left = orders
        bridges = [self.house.connector(f"s{n}") for n in range(strategies)]
        seeds = [self.random.randrange(2**32) for _ in bridges]
        threads = [
            threading.Thread(target=self._trade, args=(bridge, random.Random(seed)))
            for bridge, seed in zip(bridges, seeds, strict=True)
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._trouble()
                self._mend()
            self._calm()
            wait_until(lambda: not any(bridge.unfinished() for bridge in bridges), _END_S)
        finally:
            for thread in threads:
                thread.join()
            for bridge in bridges:
                bridge.close()
        if self._errors:
            raise self._errors[0]

    # --- strategies ----------------------------------------------------------------------------

    def _take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _trade(self, bridge: Connector, dice: random.Random) -> None:
        try:
            bridge.connect(_END_S)
            while self._take():
                result = self._order(bridge, dice)
                with self._lock:
                    self.results.append(result)
                    # What the weather alone refused is tried with another order.
                    self._left += result.code in _WEATHER
                time.sleep(0.2 if result.code in _WEATHER else dice.random() * 0.05)
        except BaseException as error:  # noqa: BLE001  the test's thread raises it
            self._errors.append(error)

    def _order(self, bridge: Connector, dice: random.Random) -> OrderResult:
        symbol = dice.choice(_SYMBOLS)
        try:
            return self._chosen(bridge, dice, symbol)
        except BridgeError:  # a question was not answered: no reason to stop trading
            return bridge.buy(symbol, "0.01", wait=_WAIT_S)

    def _chosen(self, bridge: Connector, dice: random.Random, symbol: str) -> OrderResult:
        held, rest = bridge.get_positions(), bridge.get_pending_orders()
        quote = bridge.get_quote(symbol)
        kind = dice.choice(
            ["buy", "sell", "stops", "pending", "close", "part", "modify", "cancel", "flatten"]
        )
        if kind == "close" and held:
            return bridge.close_position(dice.choice(held), wait=_WAIT_S)
        if kind == "part" and held:
            return bridge.close_position(dice.choice(held), "0.01", wait=_WAIT_S)
        if kind == "modify" and held:
            one = dice.choice(held)
            # Each time another level: what is so already needs no broker.
            away = dice.uniform(0.015, 0.03) * (-1 if one.type == "BUY" else 1)
            price = bridge.get_symbol(one.symbol).price(one.open_price * (1 + away), "down")
            return bridge.modify_position(one, sl=price, wait=_WAIT_S)
        if kind == "cancel" and rest:
            return bridge.cancel_order(dice.choice(rest), wait=_WAIT_S)
        if kind == "flatten" and len(held) + len(rest) > 12:
            return bridge.flatten("storm", wait=_WAIT_S)
        return _entry(bridge, kind, quote)

    # --- faults --------------------------------------------------------------------------------

    def _trouble(self) -> None:
        # Fair weather in between, or a day is nothing but restarts.
        enough, until = len(self.results) + self.random.randint(12, 36), time.monotonic() + _FAIR_S
        while len(self.results) < enough and time.monotonic() < until and self._left > 0:
            time.sleep(0.01)
        fault = self.random.choice(self._faults)
        self.faults[fault.__name__.lstrip("_")] += 1
        fault()

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

    def _mend(self) -> None:
        if not self.house.terminal.running:
            assert self.house.terminal.start() == 0, self.house.terminal.prints[-5:]
        assert self.house.server_alive, "the server ended by itself"

    def _calm(self) -> None:
        self._mend()
        for function in ("OrderSend", "OrderClose", "OrderModify", "OrderDelete"):
            self.house.terminal.command("fail", function, "ok")


def _entry(bridge: Connector, kind: str, quote: Quote) -> OrderResult:
    symbol, name = bridge.get_symbol(quote.symbol), quote.symbol
    if kind == "sell":
        return bridge.sell(name, "0.03", wait=_WAIT_S)
    if kind == "stops":
        sl, tp = symbol.price(quote.bid * 0.98, "down"), symbol.price(quote.ask * 1.02, "up")
        return bridge.buy(name, "0.02", sl=sl, tp=tp, comment="stops", wait=_WAIT_S)
    if kind == "pending":
        return bridge.buy_limit(
            name, "0.02", price=symbol.price(quote.bid * 0.97, "down"), wait=_WAIT_S
        )
    return bridge.buy(name, "0.03", price=quote.ask, deviation=30, wait=_WAIT_S)
