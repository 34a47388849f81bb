"""`python -m tests.support.fake_ea`: a fake EA beside a server, for a strategy's author."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from tests.support.ea_keys import read_ea_keys
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_checks import EaInputs
from tests.support.fake_ea_market import Spec, Terms

__all__ = ["main"]


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.fake_ea",
        description="A fake Expert Advisor beside a server made by `ztb init NAME --backend ea`: "
        "real keys and signatures, a broker of its own, no MetaTrader. Ctrl-C ends it.",
    )
    parser.add_argument("--account", type=Path, required=True, metavar="DIR",
                        help="the account's folder; it reads DIR/ea/bridge.key")  # fmt: skip
    parser.add_argument("--price", nargs=3, action="append", default=[],
                        metavar=("SYMBOL", "BID", "ASK"), help="a quote to start with")  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="DIR",
                        help="journal and ledger (default: DIR/ea/fake)")  # fmt: skip
    parser.add_argument("--delay", type=float, default=0.0, metavar="S",
                        help="every answer leaves so much later")  # fmt: skip
    parser.add_argument("--slow", type=float, default=0.0, metavar="S",
                        help="every broker call takes so long")  # fmt: skip
    parser.add_argument("--login", type=int, default=22437, help="the broker's account number")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run one until Ctrl-C; every other line of stdin moves a price: `SYMBOL BID ASK`."""
    return _serve(_arguments(words))


def _serve(asked: argparse.Namespace) -> int:

    folder = asked.folder or asked.account / "ea" / "fake"
    keys = read_ea_keys(asked.account / "ea" / "bridge.key")
    symbols = tuple(symbol for symbol, _, _ in asked.price)
    terms = Terms(account=asked.login, symbols=tuple(Spec(symbol=name) for name in symbols))
    broker = Broker(folder, terms)
    for symbol, bid, ask in asked.price:
        broker.price(symbol, bid, ask)
    broker.slow_s = asked.slow
    ea = FakeEa(keys, folder, broker, inputs=EaInputs(symbols=symbols))
    if asked.delay:
        ea.faults.delay_s["ANSWER"] = asked.delay
    ea.start()
    print(f"fake EA {ea.instance} for {keys.acct} at {keys.endpoint}; ledger {broker.path}")
    try:
        for line in sys.stdin:
            symbol, bid, ask = line.split()
            broker.price(symbol, bid, ask)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    ea.stop()
    return 0
