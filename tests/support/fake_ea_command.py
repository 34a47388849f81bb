"""`python -m tests.support.fake_ea`: a fake EA beside a server, for a strategy's author."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from tests.support.ea_keys import read_ea_keys
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_checks import EaInputs
from tests.support.fake_ea_faults import POINTS
from tests.support.fake_ea_market import Spec, Terms

__all__ = ["main"]


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.fake_ea",
        description="A fake Expert Advisor beside a server made by `ztb init NAME --backend ea`: "
        "real keys and signatures, a broker of its own, no MetaTrader. Lines `SYMBOL BID ASK` on "
        "its standard input move prices; Ctrl-C ends it.",
        epilog="Make an account for it with: ztb init demo --symbol EURUSD --max-volume 0.10 "
        "--backend ea --mode live --login 22437 --broker-server Fake-Demo --kind demo. The "
        "server's own limits still hold; --max-lots and --max-positions are the EA's.",
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
    parser.add_argument("--login", type=int, default=22437, help="account number (22437)")
    parser.add_argument("--broker-server", default="Fake-Demo", help="its server (Fake-Demo)")
    parser.add_argument("--max-lots", default="100", help="the EA's own cap on an order")
    parser.add_argument("--max-positions", type=int, default=100, help="the EA's own cap")
    parser.add_argument("--die", action="append", default=[], choices=POINTS,
                        help="die at this point of the next order, and start again")  # fmt: skip
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run one until Ctrl-C; each line of standard input moves a price: `SYMBOL BID ASK`."""
    asked = _arguments(words)

    folder = asked.folder or asked.account / "ea" / "fake"
    keys = read_ea_keys(asked.account / "ea" / "bridge.key")
    symbols = tuple(symbol for symbol, _, _ in asked.price)
    specs = tuple(Spec(symbol=name) for name in symbols)
    terms = Terms(account=asked.login, server=asked.broker_server, symbols=specs)
    broker = Broker(folder, terms)
    for symbol, bid, ask in asked.price:
        broker.price(symbol, bid, ask)
    broker.slow_s = asked.slow
    inputs = EaInputs(symbols=symbols, max_lots=asked.max_lots, max_positions=asked.max_positions)
    ea = FakeEa(keys, folder, broker, inputs=inputs)
    for point in asked.die:
        ea.faults.die(point)
    if asked.delay:
        ea.faults.delay_s["ANSWER"] = asked.delay
    # Also where a shell started it in the background, which ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ea.start()
    print(f"fake EA for {keys.acct} at {keys.endpoint}; ledger {broker.path}", flush=True)
    threading.Thread(target=_move_prices, args=(broker,), daemon=True).start()
    try:
        while True:
            if ea.died_at:
                print(f"died: {ea.died_at}; starting again", flush=True)
                ea.restart()
            time.sleep(0.1)
    except KeyboardInterrupt:
        ea.stop()
    return 0


def _move_prices(broker: Broker) -> None:
    for line in sys.stdin:
        words = line.split()
        try:
            symbol, bid, ask = words
            broker.price(symbol, bid, ask)
        except (ValueError, ArithmeticError):
            print(f"not `SYMBOL BID ASK`: {line.rstrip()}", file=sys.stderr, flush=True)
