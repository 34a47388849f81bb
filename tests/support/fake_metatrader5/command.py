"""A fake terminal as a command: prices walk, lines of standard input change it, Ctrl-C ends it."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from tests.support.fake_metatrader5.broker import Broker
from tests.support.fake_metatrader5.terminal import FakeTerminal
from tests.support.fake_metatrader5.terms import Terms, pair

__all__ = ["main"]

_KINDS: Final = {"demo": 0, "contest": 1, "real": 2}
_EPILOG: Final = """lines of standard input:
  EURUSD 1.08500 1.08512   a price, from which the walk goes on
  algo on|off              the Algo Trading button
  link on|off              the terminal's link to its broker
  restart | kill | start   the terminal itself; the broker lives on
"""


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.fake_metatrader5",
        description="A fake MetaTrader 5 terminal with a broker of its own and a moving market. "
        "A client that takes tests.support.fake_metatrader5.load() for the package finds it by "
        "the path of its terminal64.exe.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="where terminal64.exe and the broker's ledger are")  # fmt: skip
    parser.add_argument("--margin-mode", default="hedging",
                        choices=["hedging", "netting", "exchange"])  # fmt: skip
    parser.add_argument("--kind", default="demo", choices=list(_KINDS))
    parser.add_argument("--login", type=int, default=5_001_234, help="account number (5001234)")
    parser.add_argument("--server", default="Fake-Demo", help="its server (Fake-Demo)")
    parser.add_argument("--price", nargs=3, action="append", metavar=("SYMBOL", "BID", "ASK"),
                        help="a symbol and its first price (EURUSD 1.08500 1.08512)")  # fmt: skip
    parser.add_argument("--every", type=float, default=0.25, metavar="S",
                        help="a price moves so often (0.25); 0: never by itself")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the walk (1)")
    return parser.parse_args(words)


class _Market:
    """Prices that walk: a point up or down at each step, the spread kept."""

    def __init__(self, broker: Broker, seed: int) -> None:
        self._broker = broker
        self._dice = random.Random(seed)
        self._prices: dict[str, tuple[Decimal, Decimal]] = {}
        self._points: dict[str, Decimal] = {}
        self._lock = threading.Lock()

    def put(self, symbol: str, bid: str, ask: str) -> None:
        """Set a price.

        Raises:
            ArithmeticError: a word is no number.
            KeyError: the broker has no such symbol.
        """
        known = self._broker.symbol(symbol)
        if known is None:
            raise KeyError(symbol)
        with self._lock:
            self._points[symbol] = Decimal(str(known["point"]))
            self._prices[symbol] = Decimal(bid), Decimal(ask)
            self._broker.price(symbol, bid, ask)

    def step(self) -> None:
        """Move every price."""
        with self._lock:
            for symbol, (bid, ask) in self._prices.items():
                by = self._dice.choice((-1, 1)) * self._points[symbol]
                if bid + by > 0:
                    self._prices[symbol] = bid + by, ask + by
                    self._broker.price(symbol, *self._prices[symbol])


def main(words: list[str]) -> int:
    """Run one until Ctrl-C."""
    asked = _arguments(words)
    prices = asked.price or [["EURUSD", "1.08500", "1.08512"]]
    symbols = tuple(
        pair(name, digits=len(bid.partition(".")[2]), selected=True) for name, bid, _ in prices
    )
    terms = Terms(
        login=asked.login, server=asked.server, trade_mode=_KINDS[asked.kind],
        margin_mode=asked.margin_mode, symbols=symbols,
    )  # fmt: skip
    asked.folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(terms, ledger=asked.folder / "ledger.jsonl")
    market = _Market(broker, asked.seed)
    for each in prices:
        market.put(*each)
    # Also where a shell started it in the background, which ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with FakeTerminal(asked.folder, broker) as terminal:
        print(f"fake terminal {terminal.path}", flush=True)
        print(f"account {terms.login} at {terms.server}, {asked.kind}, {terms.margin_mode}; "
              f"ledger {asked.folder / 'ledger.jsonl'}", flush=True)  # fmt: skip
        threading.Thread(target=_listen, args=(terminal, market), daemon=True).start()
        try:
            while True:
                time.sleep(asked.every or 3600)
                if asked.every:
                    market.step()
        except KeyboardInterrupt:
            return 0


def _listen(terminal: FakeTerminal, market: _Market) -> None:
    broker = terminal.broker
    does: dict[str, Callable[[], object]] = {
        "algo on": lambda: setattr(terminal, "trade_allowed", True),
        "algo off": lambda: setattr(terminal, "trade_allowed", False),
        "link on": lambda: broker.link(up=True), "link off": lambda: broker.link(up=False),
        "restart": terminal.restart, "kill": terminal.kill, "start": terminal.start,
    }  # fmt: skip
    for line in sys.stdin:
        words = line.split()
        try:
            if len(words) == 3:
                market.put(*words)
            else:
                does[" ".join(words)]()
        except (KeyError, ArithmeticError, AssertionError) as error:
            print(f"not understood: {line.strip()!r} ({error})", file=sys.stderr, flush=True)
        else:
            print(f"done: {line.strip()}", flush=True)
