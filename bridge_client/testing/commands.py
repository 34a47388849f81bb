"""What a test commands beside the strategy's calls: the market, and faults by name."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge_client.connector import Connector
from bridge_client.house import PaperHouse
from bridge_client.numbers import Number, exact
from bridge_client.testing.conditions import ACCOUNT, whole
from bridge_client.testing.judgement import BrokerAct, acts_of, signed_in
from bridge_client.testing.market import Market
from bridge_client.testing.script import Script
from bridge_client.testing.wire import LossyTransport
from bridge_client.views import Quote
from bridge_core.host.settings import nearest
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.errors import BridgeError, ConfigError, TransportError

__all__ = ["Commanded"]

_ARRIVE_S: Final = 10.0
_NAP_S: Final = 0.002
_BREATH_S: Final = 0.05
_COUNT_MAX: Final = 1_000
_BROKER_SAYS: Final = tuple(code.value for code in ReasonCode if "broker" in CODES[code].by)


class Commanded(Connector):
    """The commanding half of a `PaperBridge`, which sees to the rest."""

    _house: PaperHouse
    _market: Market
    _script: Script
    _wire: LossyTransport
    _step_ms: int

    # --- the market ---------------------------------------------------------------------------

    def step(self, price: object = None, symbol: str | None = None) -> Quote:
        """Let the next price come, of every symbol; or this one (a mid, or (bid, ask)) now.

        Returns when the broker has it, with the quote. While the server is dead the market goes
        on without it, and the broker takes the prices in when it is back.

        Raises:
            BridgeError: PRICES_OVER: every price has come. PRICES: the broker does not take it.
            ConfigError: PRICES: the price does not hold.
        """
        name = symbol or self._market.symbols[0]
        if price is None:
            self._market.lane(name)
            return self._arrived(name, self._market.forward())
        return self._arrived(name, self._market.place(name, price))

    def advance(self, count: int) -> Quote:
        """Let the next `count` prices come, each one a tick; as `step`."""
        for _ in range(whole(count, "count", (1, sys.maxsize)) - 1):
            self._market.forward()
        return self.step()

    def before(self, number: int, action: Callable[[], object]) -> None:
        """Do something just before price `number` comes (1: the one that stands already).

        For a strategy that runs in `events()`: `bridge.before(60, bridge.restart_server)`.

        Raises:
            ConfigError: PRICES: that price has come already.
        """
        self._market.before(whole(number, "number", (1, sys.maxsize)), action)

    def gap(self, delta: Number, symbol: str | None = None) -> Quote:
        """Let the market jump by a price difference now; later prices stay shifted by it.

        What lies in between (a stop, a pending order) is filled beyond its price, as in a gap.

        Raises:
            ConfigError: PRICES: no number, or it leads below 0.
        """
        name = symbol or self._market.symbols[0]
        try:
            amount = Decimal(str(delta))
        except ArithmeticError as error:
            raise ConfigError("PRICES", f"gap {delta!r} is no number") from error
        return self._arrived(name, self._market.gap(name, amount))

    def spread(self, points: int, symbol: str | None = None) -> Quote:
        """Set the spread (points) now, and of later prices that have no ask of their own."""
        name = symbol or self._market.symbols[0]
        return self._arrived(name, self._market.spread(name, points))

    def _arrived(self, symbol: str, time_ms: int) -> Quote:
        until = time.monotonic() + _ARRIVE_S
        nap = _NAP_S
        while self._house.running:
            time.sleep(nap)
            nap = _NAP_S
            try:
                quote = self.get_quote(symbol)
            except TransportError:
                continue  # killed or starting just now
            except BridgeError as error:
                if error.code not in (ReasonCode.NO_QUOTE, ReasonCode.RATE):
                    raise
                nap = _BREATH_S
                continue
            if quote.time is not None and round(quote.time.timestamp() * 1000) >= time_ms:
                return quote
            if time.monotonic() >= until:
                note = f"symbol={symbol} within_s={_ARRIVE_S:g} why='does the broker hang?'"
                raise BridgeError("PRICES", note)
        lane = self._market.lane(symbol)
        at = datetime.fromtimestamp(time_ms / 1000, UTC)
        return Quote(symbol=symbol, bid=float(lane.bid), ask=float(lane.ask), time=at)

    # --- the wire and the clock ------------------------------------------------------------------

    def drop_next_reply(self, count: int = 1) -> None:
        """Lose the next replies to orders on their way: the order arrived, its answer does not.

        The connector sends the same bytes again, or asks: one order, and its outcome later.
        """
        self._wire.lose(whole(count, "count", (1, _COUNT_MAX)))

    @property
    def dropped_replies(self) -> int:
        """How many replies were lost so far."""
        return self._wire.lost

    def clock_step(self, seconds: float) -> None:
        """Let this machine's wall clock jump by so many seconds (negative: back).

        Beyond one second of difference entries are DENIED CLOCK_SKEW; closing still works.
        """
        self._step_ms += round(seconds * 1000)

    # --- the broker -----------------------------------------------------------------------------

    def hang_broker(self, seconds: float) -> None:
        """Let the next order stay at the broker so long (s, at most 60) before it is done.

        Prices stand still meanwhile. The strategy sees PENDING; `wait` brings the outcome.
        """
        self._script.say(do="hang", seconds=seconds)

    def release_broker(self) -> None:
        """End a hang now."""
        self._script.say(do="release")

    def reject_next(self, code: str = "BROKER_REJECTED", count: int = 1) -> None:
        """Let the broker refuse the next orders with one of its codes (protocol.md 8).

        Raises:
            ConfigError: no broker says that; names the nearest.
        """
        if code not in _BROKER_SAYS:
            near = nearest(code, _BROKER_SAYS)
            hint = f"did you mean {near}?" if near else f"it says {', '.join(_BROKER_SAYS)}"
            raise ConfigError("CODE", f"no broker says {code}; {hint}")
        self._script.say(do="reject", code=str(code), count=count)

    def lose_next_answer(
        self, *, executed: bool = True, seconds: float = 0.0, count: int = 1
    ) -> None:
        """Let the broker's answer to the next orders be lost; without `executed` the order too.

        The broker's records are away for so many seconds (at most 60) as well: as long the order
        is UNKNOWN; then they are searched, and the strategy is told the truth.
        """
        self._script.say(do="lose", executed=executed, seconds=seconds, count=count)

    def partial_next(self, volume: Number) -> None:
        """Let the broker deal so many lots of the next market order or close, and no more."""
        self._script.say(do="partial", volume=f"{exact(volume, 'volume'):f}")

    def clear_faults(self) -> None:
        """End every fault that is armed: at the broker, on the wire, of the clock."""
        self._wire.lose(0)
        self._step_ms = 0
        self._script.say(do="clear")

    def ledger(self) -> tuple[BrokerAct, ...]:
        """Return every order that reached the broker, from its own ledger."""
        return acts_of(self._house.ledger, signed_in(self.config.parent), ACCOUNT)

    # --- files ----------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        """The connector.toml of this account, for a strategy that opens its own Connector."""
        return self._house.connector_toml

    @property
    def operator(self) -> Path:
        """The operator's folder: `Connector.from_config(bridge.operator).resume(…)`."""
        return self._house.folder / "operator"
