"""A stormy day: several strategies trade while everything fails now and then.

Connectors, server and executor are the real ones, each in its own process or thread. What goes
wrong is the heir's affair: deaths, lost answers, a person's hand. The storm ends when every order
has ended.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from bridge_client import Connector, OrderResult, Quote
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.replies import OrderView
from tests.support.running import wait_until
from tests.support.server_house import ServerHouse

__all__ = ["DID", "Storm", "report"]

DID: Final = (Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE)
_SYMBOLS: Final = ("EURUSD", "USDJPY")
_WEATHER: Final = frozenset(
    {
        ReasonCode.NO_CONNECTION, ReasonCode.BROKER_DOWN, ReasonCode.REDUCE_ONLY,
        ReasonCode.UNKNOWN_ORDER_OPEN, ReasonCode.UNFINISHED, ReasonCode.FENCED,
        ReasonCode.STALE_INCARNATION, ReasonCode.NO_ACCOUNT, ReasonCode.NO_QUOTE,
        ReasonCode.STALE_QUOTE,
    }
)  # fmt: skip
_WAIT_S: Final = 1.5
_FAIR_S: Final = 4.0
_END_S: Final = 90.0


class Storm:
    """`run(orders, strategies)`; afterwards `results` has every answer, `faults` what was done.

    An heir fills `troubles`, and says how to mend what they broke and how to end them all.
    """

    def __init__(self, house: ServerHouse, seed: int) -> None:
        self.random = random.Random(seed)
        self.results: list[OrderResult] = []
        self.faults: Counter[str] = Counter()
        self.fair_orders = (12, 36)
        self.bridges: list[Connector] = []
        self._house = house
        self._lock = threading.Lock()
        self._left = 0
        self._levels = itertools.count()
        self._errors: list[BaseException] = []

    @property
    def troubles(self) -> Sequence[Callable[[], None]]:
        """What may go wrong, each as likely as any other."""
        raise NotImplementedError

    def mend(self) -> None:
        """Start again what a trouble has ended."""
        assert self._house.server_alive, "the server ended by itself"

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        self.mend()

    def run(self, orders: int, strategies: int = 3) -> None:
        """Let strategies send that many orders together, and wait until each has ended."""
        self._left = orders
        bridges = self.bridges = [self._house.connector(f"s{n}") for n in range(strategies)]
        seeds = [self.random.randrange(2**32) for _ in bridges]
        threads = [
            threading.Thread(target=self._trade, args=(bridge, random.Random(seed)))
            for bridge, seed in zip(bridges, seeds, strict=True)
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._fair_weather(threads)
                self._trouble()
                self.mend()
            self.calm()
            self._wait_for_the_rest()
        finally:
            for thread in threads:
                thread.join()
            for bridge in bridges:
                bridge.close()
        if self._errors:
            raise self._errors[0]

    def left(self) -> list[OrderResult]:
        """Return the orders that have not ended; an heir may end there what only a person can."""
        return [one for bridge in self.bridges for one in bridge.unfinished()]

    def _wait_for_the_rest(self) -> None:
        try:
            wait_until(lambda: not self.left(), _END_S)
        except AssertionError as error:
            raise AssertionError(self._stuck()) from error

    def _stuck(self) -> str:
        """Return what is known of the orders that do not end, and how the server stands."""
        bridge = self.bridges[0]
        told = ["some orders do not end"]
        for one in self.left():
            try:
                told.append(f"{one!r}\n  the server: {bridge.order_status(one.rid)!r}")
            except BridgeError as error:
                told.append(f"{one!r}\n  {error}")
        log = self._house.server_log().splitlines()[-40:]
        return "\n".join([*told, f"{bridge.health()!r}", *log])

    def _fair_weather(self, threads: Sequence[threading.Thread]) -> None:
        # Or a day is nothing but restarts; at its end, too, where the last order needs a server.
        enough = len(self.results) + self.random.randint(*self.fair_orders)
        until = time.monotonic() + _FAIR_S
        while len(self.results) < enough and time.monotonic() < until:
            if not any(thread.is_alive() for thread in threads):
                return
            time.sleep(0.01)

    def _trouble(self) -> None:
        trouble = self.random.choice(self.troubles)
        self.faults[trouble.__name__.lstrip("_")] += 1
        trouble()

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
            # Each time another level, whoever asks: what is so already needs no broker.
            away = 0.015 + next(self._levels) % 1_500 / 100_000
            away *= -1 if one.type == "BUY" else 1
            price = bridge.get_symbol(one.symbol).price(one.open_price * (1 + away), "down")
            return bridge.modify_position(one, sl=price, wait=_WAIT_S)
        if kind == "cancel" and rest:
            return bridge.cancel_order(dice.choice(rest), wait=_WAIT_S)
        if kind == "flatten" and len(held) + len(rest) > 12:
            return bridge.flatten("storm", wait=_WAIT_S)
        return _entry(bridge, kind, quote)


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


def report(storm: Storm, seed: int, views: Sequence[OrderView]) -> int:
    """Print what a storm was and how its orders ended; return how many were carried out."""
    did = sum(view.status in DID for view in views)
    ends = Counter(f"{view.status} {view.code} by {view.by or 'broker'}" for view in views)
    print(f"\nstorm seed {seed}: {len(views)} orders, {did} done, faults {dict(storm.faults)}")
    print(*(f"  {n:5} {what}" for what, n in ends.most_common()), sep="\n")
    return did
