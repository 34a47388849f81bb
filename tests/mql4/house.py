"""A whole house for the MetaTrader 4 path: account, server process, terminal with the real EA.

    with House(tmp_path) as house:                 # `ztb init`, server and terminal started, ACTIVE
        with house.connector() as bridge:
            bridge.buy("EURUSD", 0.01)
        house.terminal.command("fail", "OrderSend", "138")
        house.kill_server(); house.start_server(); house.ready()

Keys, files, sockets and both processes are the product's own; only the terminal, its broker and
libzmq.dll are simulated (tests/mql4/terminal).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bridge_core.host.ledger import LedgerLine, SignedOrder
from bridge_core.protocol.messages import Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.views import AccountView
from tests.mql4.judged import paper_lines
from tests.mql4.terminal import Terminal
from tests.mql4.terms import BrokerTerms
from tests.support.raw_client import RawClient, decode
from tests.support.running import wait_until
from tests.support.server_house import ServerHouse

__all__ = ["ACCT", "House"]

ACCT: Final = "mt4"
_SYMBOLS: Final = ("EURUSD", "USDJPY")
_PACE_MS: Final = 300
_ZONE_S: Final = 20.0
_LOOK_S: Final = 0.03


class House(ServerHouse):
    """One live EA account with everything that serves it. `extra` goes into server.toml as it is,
    `server` is the module that is run.

    A context manager: entering starts both sides and waits for ACTIVE; leaving stops them and
    asserts that the EA behaved (`Terminal.stop`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        inputs: Mapping[str, str | int | float | bool] | None = None,
        terms: BrokerTerms | None = None,
        sanitize: bool = True,
        extra: str = "",
        server: str = "bridge_server",
    ) -> None:
        terms = terms if terms is not None else BrokerTerms()
        symbols = [word for symbol in _SYMBOLS for word in ("--symbol", symbol)]
        super().__init__(
            folder, ACCT,
            [*symbols, "--max-volume", "10", "--backend", "ea", "--mode", "live",
             "--login", str(terms.account), "--broker-server", terms.server, "--kind", terms.kind],
            extra=extra, server=server,
        )  # fmt: skip
        own: dict[str, str | int | float | bool] = {
            "Symbols": ",".join(_SYMBOLS), "MaxLots": 10.0, "MaxPositions": 500,
            "ExpectedAccount": terms.account, "ExpectedServer": terms.server,
        }  # fmt: skip
        self.terminal = Terminal(
            folder / "terminal", inputs={**own, **(inputs or {})}, terms=terms, sanitize=sanitize
        )
        for seed, symbol in enumerate(_SYMBOLS):  # two new quotes tell the broker's zone
            self.terminal.command("walk", symbol, seed, _PACE_MS)
        self.give_keys()

    def ready(self) -> None:
        """Wait until the server takes entries: it is ACTIVE, and knows the broker's zone."""
        super().ready()
        client = self.client()
        try:
            wait_until(lambda: _zone_of(client) is not None, _ZONE_S, _LOOK_S)
        finally:
            client.close()

    def give_keys(self) -> None:
        """Copy ea/bridge.key into the terminal, as a user does."""
        shutil.copyfile(self.folder / "ea/bridge.key", self.terminal.files / "bridge.key")

    def __enter__(self) -> Self:
        try:
            assert self.terminal.start() == 0, self.terminal.prints
            self.start_server()
            self.ready()
        except BaseException:
            self.close()
            self.terminal.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
        self.terminal.__exit__(kind, error, at)

    def end_untimed(self) -> None:
        """End both sides and assert that the EA behaved: no violation, no leak, no sanitizer
        report. Other tests ask how long a handler took; a storm, on a crowded machine, does not.
        """
        self.close()
        said = self.terminal.violations
        said[:] = [one for one in said if " was busy for " not in one]
        self.terminal.stop()

    def lines(self, signed: dict[str, SignedOrder], claims: dict[str, str]) -> list[LedgerLine]:
        """The simulated broker's ledger."""
        return paper_lines(self.terminal.ledger(), signed, self.acct, self.terminal.terms, claims)


def _zone_of(client: RawClient) -> int | None:
    asked = Query(symbol="", since=0, until=0, first=0, count=0)
    return decode(AccountView, client.do(Op.GET_ACCOUNT, asked)).zone_ms
