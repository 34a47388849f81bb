"""One order, one fault, one outcome: through connector, server, worker and terminal.

    with trial_in(folder) as trial:
        faults = trial.house.terminal.faults
        ended = trial.meet("buy", lambda: faults.script("order_send", EXECUTED, "kill_worker"))
        assert (ended.word, ended.runs) == ("FILLED", 1)

What the order needs (a position to close) is made before the fault is set; the outcome is waited
for, then what is left of the fault is taken away.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from bridge_client import BridgeError, Connector, EventFeed, OrderResult, Status
from bridge_core.protocol.codes import ReasonCode
from tests.mt5.house import House, terms_of
from tests.support.fake_metatrader5.faults import Kind, Script
from tests.support.running import wait_until

__all__ = ["Ended", "Trial", "hop_of", "trial_in", "word_of"]

# Asking over and over whether an order would go through must not cost it its place.
_FAST: Final = "rates.entry_per_s = 10000\nrates.account_entry_per_s = 10000\n"
_LONG_S: Final = 40.0
_WAIT_S: Final = 0.3
_ZONE: Final = timedelta(minutes=10)  # less than zones lie apart
# What waits a minute for a user waits a moment here; a hang is cut off after so many ms.
_QUICK: Final = {
    "ZTB_TEST_TRADE_MS": "900", "ZTB_TEST_READ_MS": "1500", "ZTB_TEST_RETRY_MS": "50",
    "ZTB_TEST_CONNECT_MS": "4000", "ZTB_TEST_SETTLE_MS": "300", "ZTB_TEST_BEAT_MS": "150",
    "ZTB_TEST_STABLE_MS": "5000",
}  # fmt: skip


def word_of(result: OrderResult) -> str:
    """Return status and code, as the tables have them."""
    return f"{result.status} {result.code}".removesuffix(" -")


def hop_of(bridge: Connector) -> tuple[str, str]:
    """Return state and reason of the hop to the terminal, nothing while the server is silent."""
    hops = [one for one in bridge.health().hops if one.hop == "server to terminal worker"]
    return (hops[0].state, hops[0].why) if hops else ("", "")


class Ended(NamedTuple):
    """How an order ended: the word, how often the broker ran it, how often it was sent."""

    word: str
    runs: int
    sent: int
    result: OrderResult


class Trial:
    """Orders of one connector, each under a name of its own."""

    def __init__(self, house: House, bridge: Connector, feed: EventFeed) -> None:
        self.house = house
        self.bridge = bridge
        self._feed = feed  # its order_final ends the waiting at once
        self._number = 0

    def meet(
        self,
        kind: str,
        fault: Callable[[], object],
        back: Callable[[], object] = lambda: None,
        **options: Any,
    ) -> Ended:
        """Let one order meet a fault; return its end, however long that takes.

        `back` takes the fault back once the order has been told of, or a moment has passed.
        """
        self.settled()
        act = self._prepared(kind)
        old = len(self.house.broker.lines())
        fault()
        told = act(**{"wait": _WAIT_S, **options})
        back()
        result = self.ended(told)
        self.house.terminal.faults.calm()
        lines = self.house.broker.lines()[old:]
        runs = sum(line["at"] == "end" and bool(line.get("executed")) for line in lines)
        sent = sum(line["at"] == "begin" for line in lines)
        return Ended(word_of(result), runs, sent, result)

    def settled(self) -> None:
        """Wait until an order would reach the broker: the row before may end only now."""
        self.house.ready()
        wait_until(lambda: hop_of(self.bridge)[0] == "up", 20)
        self.priced()
        wait_until(self._on_time, 20)
        # HEALTH is a second old: only a question that the terminal answers shows what is now.
        wait_until(self._reaches_the_broker, 20)

    def ended(self, told: OrderResult) -> OrderResult:
        """Wait until an order is final."""
        if told.final:
            return told
        until = time.monotonic() + _LONG_S
        while not (found := self.bridge.wait(told, timeout=0)).final:
            assert time.monotonic() < until, (found, hop_of(self.bridge))
            next(self._feed)
        return found

    def listen(self, seconds: float) -> None:
        """Take in events for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            next(self._feed)

    def script(self, name: str, point: str, kind: str, **how: Any) -> Script:
        """Script a fault of the terminal."""
        return self.house.terminal.faults.script(name, point, cast("Kind", kind), **how)

    def at(
        self,
        point: str,
        act: Callable[[], object],
        name: str = "order_send",
        kind: str = "delay",
        **how: Any,
    ) -> Script:
        """Let something happen when a call reaches a point; then the fault, or the call goes on."""
        ran: list[object] = []

        def reached(_args: dict[str, Any]) -> bool:
            if not ran:
                ran.append(act())
            return True

        return self.script(name, point, kind, when=reached, **{"seconds": 0, **how})

    def priced(self, symbol: str = "EURUSD") -> None:
        """Wait until the server has a price again."""

        def has_one() -> bool:
            try:
                return bool(self.bridge.get_quote(symbol).bid)
            except BridgeError:
                return False

        wait_until(has_one, 10)

    def _on_time(self) -> bool:
        # After its broker's clock was set a server needs two ticks to know by how much; until then
        # every price is as old as that, and an order that asks for a new picture is refused.
        told = self.bridge.get_quote("EURUSD").time
        return told is not None and abs(datetime.now(UTC) - told) < _ZONE

    def _reaches_the_broker(self) -> bool:
        try:
            checked = self.bridge.check_order("EURUSD", "BUY", 0.01)
        except BridgeError:
            return False
        return checked.status is Status.OK or checked.code == ReasonCode.BROKER_BUSY

    def heals(self) -> None:
        """Wait until all is well; an order without a fault goes through."""
        wait_until(lambda: hop_of(self.bridge)[0] == "up", 20)
        plain = self.meet("buy", lambda: None)
        assert (plain.word, plain.runs) == ("FILLED", 1), plain

    def _prepared(self, kind: str) -> Callable[..., OrderResult]:
        bridge = self.bridge
        self._number += 1
        name = f"{kind}-{self._number}"
        match kind:
            case "buy":
                return lambda volume=0.01, **o: bridge.buy(
                    "EURUSD", volume, client_order_id=name, **o
                )
            case "sell":
                return partial(bridge.sell, "EURUSD", 0.01, client_order_id=name)
            case "limit":
                return partial(bridge.buy_limit, "EURUSD", 0.01, price=1.07, client_order_id=name)
            case "close" | "modify":
                opened = bridge.buy("EURUSD", 0.01)
                assert word_of(opened) == "FILLED", opened
                if kind == "close":
                    return partial(bridge.close_position, opened)
                return partial(bridge.modify_position, opened, sl=1.05)
            case _:
                resting = bridge.buy_limit("EURUSD", 0.01, price=1.06)
                assert word_of(resting) == "WORKING", resting
                return partial(bridge.cancel_order, resting)


@contextmanager
def trial_in(folder: Path, environment: Mapping[str, str] = {}, **terms: Any) -> Iterator[Trial]:
    """A house in a hurry and a strategy; at its end all is healed, and S1 to S7 are judged."""
    house = House(folder, terms=terms_of(**terms), extra=_FAST)
    # Most rows end a worker, and starting another takes longer than all the rest of a row.
    warm = {"ZTB_TEST_WARM": "1"} if sys.platform == "linux" else {}
    house.environment.update(_QUICK | warm, **environment)
    with house:
        with house.connector() as bridge, bridge.events(timeout=0.1) as feed:
            yield Trial(house, bridge, feed)
            house.terminal.faults.calm()
        house.close()
        house.judge()
