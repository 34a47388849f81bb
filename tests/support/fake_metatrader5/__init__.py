"""A stand-in for the package MetaTrader5, its terminal and a broker, for a machine without them.

    broker = Broker(Terms(symbols=(SymbolTerms(selected=True),)))      # broker.py
    broker.price("EURUSD", "1.10000", "1.10010")
    with FakeTerminal(folder, broker, scale=0.02) as terminal:         # terminal.py
        mt5 = load()                                                   # module.py; as an import
        assert mt5.initialize(terminal.path), mt5.last_error()
        terminal.faults.script("order_send", EXECUTED, "kill_worker")  # faults.py
        ...                                    # a client in another process dies at that point
        assert terminal.count("order_send") == 1

Three parts, as in life. The module is a client: it checks its arguments, keeps the last error and
talks over a local socket, holding the GIL. The terminal answers one client at a time; it may be
slow, hang, die, restart, change its account. The broker behind it keeps orders, deals and
positions, whoever dies. `load` can be pickled, so a spawned worker takes it in the place of the
import; terminal and broker stay in the test's process, where they can be looked into.

By hand: `python -m tests.support.fake_metatrader5 FOLDER` runs a terminal with a moving market.

What holds it to the truth: `facts.json` (constants, names, fields, texts) is compared with the
newest wheel by `make mt5-wheel`; argument checks and errors were measured in wheel 5.0.6231
without a terminal, and are compared with its answers case by case.

Not covered, or otherwise than in life:

- Only where Unix sockets with abstract names are: Linux. A request is not the package's bytes.
- In the terminal's own process a client waits without the GIL; with it neither would go on.
- `initialize()` without a path finds nothing; the real one takes whatever terminal it finds.
- A terminal that does not run is started by a thread, not by the operating system; `portable`
  is noted and has no effect.
- A date that is 0 is always the same wrong number; the real one is memory nobody wrote to.
- `order_send(*args, **{})` fails as in the package up to Python 3.13 only.
- `Buy`, `Sell` and `Close` raise: they send up to ten times, nothing here may call them.
- No docstrings on functions and records. numpy scalars are judged by the numpy installed.
- Bars, ticks and depth are what a test puts there; the terminal downloads nothing by itself.
- Whether two clients can share a real terminal is unknown; here the second waits (`clients_max`).
- Texts that a broker makes (comments of answers) are the common English ones; brokers differ.
- Margin, swaps and commissions are simple; see broker.py for what the broker leaves out.
"""

from __future__ import annotations

from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED, Faults
from tests.support.fake_metatrader5.module import fresh, load
from tests.support.fake_metatrader5.terminal import Call, FakeTerminal, Launch

__all__ = [
    "ACCEPTED", "ANSWERED", "BEFORE", "EXECUTED", "Call", "FakeTerminal", "Faults", "Launch",
    "fresh", "load",
]  # fmt: skip
