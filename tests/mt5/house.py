"""A whole house for the MetaTrader 5 path: account, server process, worker, a stand-in terminal.

    with House(tmp_path) as house:                # `ztb init`, terminal and server started, ACTIVE
        with house.connector() as bridge:
            bridge.buy("EURUSD", 0.01)
        house.terminal.faults.script("order_send", EXECUTED, "kill_worker")
        house.kill_server(); house.start_server(); house.ready()

The terminal and its broker live here, in the test's process: they outlive every worker and server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bridge_core.host.clock import SystemClock
from bridge_core.host.ledger import LedgerLine, SignedOrder
from tests.mt5.judged import paper_lines
from tests.support.fake_metatrader5 import FakeTerminal
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms
from tests.support.server_house import ServerHouse

__all__ = ["ACCT", "House", "terms_of"]

ACCT: Final = "mt5"
# All of the terminal's own waits, in parts of the real ones.
_SCALE: Final = 0.02
_PRICES: Final = {"EURUSD": ("1.08500", "1.08512"), "USDJPY": ("150.100", "150.112")}


def terms_of(**over: Any) -> Terms:
    """Return a rich account at a broker with two symbols whose ticks never grow old."""
    symbols = (
        SymbolTerms(streaming=True),
        SymbolTerms(
            name="USDJPY", digits=3, base="USD", profit="JPY", margin="USD", streaming=True,
            path="Forex\\USDJPY", description="US Dollar vs Yen",
        ),
    )  # fmt: skip
    return Terms(**{"symbols": symbols, "balance": 1_000_000, **over})


class House(ServerHouse):
    """One MetaTrader 5 account with everything that serves it.

    A context manager: entering starts both sides and waits for ACTIVE; leaving ends them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        terms: Terms | None = None,
        mode: str = "live",
        extra: str = "",
        server: str = "tests.mt5.quick_server",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        terms = terms if terms is not None else terms_of()
        self.broker = Broker(terms, SystemClock())
        for symbol, (bid, ask) in _PRICES.items():
            self.broker.price(symbol, bid, ask)
        self.terminal = FakeTerminal(folder / "terminal", self.broker, scale=_SCALE)
        margin = "hedging" if terms.hedging else "netting"
        pins = (
            "--login", str(terms.login), "--broker-server", terms.server, "--kind", "demo",
            "--margin-mode", margin,
        )  # fmt: skip
        symbols = [word for symbol in _PRICES for word in ("--symbol", symbol)]
        super().__init__(
            folder, ACCT,
            [*symbols, "--max-volume", "10", "--backend", "mt5", "--mode", mode,
             "--mt5-path", self.terminal.path, *(pins if mode == "live" else ())],
            extra=extra, server=server,
        )  # fmt: skip
        self.environment |= environment or {}

    def __enter__(self) -> Self:
        self.terminal.start()
        try:
            self.start_server()
            self.ready()
        except BaseException:
            self.close()
            self.terminal.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.terminal.faults.calm()
        self.terminal.faults.release()
        self.close()
        self.terminal.close()

    def lines(self, signed: dict[str, SignedOrder], claims: dict[str, str]) -> list[LedgerLine]:
        """The stand-in broker's ledger."""
        del claims  # every request carries its tag: it has one owner
        return paper_lines(self.broker.lines(), signed, self.acct)
