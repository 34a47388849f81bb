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

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bridge_client import Connector
from bridge_client.evidence import signed_rows
from tests.mql4.judged import paper_lines
from tests.mql4.terminal import Terminal
from tests.mql4.terms import BrokerTerms
from tests.support.oracles import Evidence, Told, journal_evidence
from tests.support.raw_client import RawClient
from tests.support.running import ROOT, free_port, run_ztb, wait_until

__all__ = ["ACCT", "House"]

ACCT: Final = "mt4"
_START_S: Final = 30.0
_SYMBOLS: Final = ("EURUSD", "USDJPY")
# Limits that do not get in the way of a test; what the limits do is tested elsewhere.
_POSITIONS: Final = 1000


class House:
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
        self.port = free_port()
        self.folder = folder / ACCT
        self._make(folder, terms, extra)
        own: dict[str, str | int | float | bool] = {
            "Symbols": ",".join(_SYMBOLS), "MaxLots": 10.0, "MaxPositions": 500,
            "ExpectedAccount": terms.account, "ExpectedServer": terms.server,
        }  # fmt: skip
        self.terminal = Terminal(
            folder / "terminal", inputs={**own, **(inputs or {})}, terms=terms, sanitize=sanitize
        )
        self.give_keys()
        self._module = server
        self._server: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    def _make(self, folder: Path, terms: BrokerTerms, extra: str) -> None:
        symbols = [word for symbol in _SYMBOLS for word in ("--symbol", symbol)]
        run_ztb(
            "init", ACCT, *symbols, "--max-volume", "10", "--backend", "ea", "--mode", "live",
            "--login", str(terms.account), "--broker-server", terms.server, "--kind", terms.kind,
            "--port", str(self.port), "--out", str(folder),
        )  # fmt: skip
        for side in ("server/server.toml", "connector/connector.toml"):
            path = self.folder / side
            text = path.read_text("utf-8")
            wide = text.replace("max_positions = 1 ", f"max_positions = {_POSITIONS} ")
            path.write_text(f"{extra}\n{wide}" if side.startswith("server") else wide, "utf-8")

    # --- life ----------------------------------------------------------------------------------

    def give_keys(self) -> None:
        """Copy ea/bridge.key into the terminal, as a user does."""
        shutil.copyfile(self.folder / "ea/bridge.key", self.terminal.files / "bridge.key")

    def start_server(self) -> None:
        """Start the server's process; `environment` is added to its own."""
        assert self._server is None or self._server.poll() is not None, "it runs already"
        with (self.folder / "server/stderr.log").open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", self._module, "run",
                 "--config", str(self.folder / "server/server.toml")],
                cwd=ROOT, stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )  # fmt: skip

    def stop_server(self) -> int:
        """Ask it to end and return its exit code."""
        assert self._server is not None
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
        return self._server.wait(_START_S)

    def kill_server(self) -> None:
        """SIGKILL."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(_START_S)

    def ready(self) -> None:
        """Wait until the server takes entries: the EA is heard, nothing is UNKNOWN."""
        client = self.client()
        try:
            wait_until(lambda: client.hello().state == "ACTIVE", _START_S)
        finally:
            client.close()

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

    def close(self) -> None:
        """End the server."""
        if self._server is not None and self._server.poll() is None:
            self.stop_server()

    # --- who asks ------------------------------------------------------------------------------

    @property
    def server_pid(self) -> int:
        """The server's process id."""
        assert self._server is not None
        return self._server.pid

    @property
    def server_alive(self) -> bool:
        """Whether the server's process lives."""
        return self._server is not None and self._server.poll() is None

    def connector(self, client: str = "atlas", who: str = "connector") -> Connector:
        """A connector as a strategy makes it."""
        return Connector.from_config(self.folder / who / "connector.toml", client=client)

    def client(self, who: str = "connector") -> RawClient:
        """A client that builds its requests by hand."""
        return RawClient.of(self.folder / who, self.port)

    # --- the truth -----------------------------------------------------------------------------

    def evidence(self) -> Evidence:
        """What was signed, told, recorded and done; the server and every connector have ended."""
        signed, told = {}, []
        for journal in sorted((self.folder).glob("*/state/*.db")):
            if journal.parent.parent.name == "server":
                continue
            for row in signed_rows(journal):
                signed[row.rid] = row.order
                told.append(Told(row.rid, row.view))
        claims = {each.rid: each.view.status for each in told}
        claims |= {child.rid: child.status for one in told for child in one.view.children}
        rows, log, hashes = journal_evidence(self.folder / "server/state/journal.db")
        return Evidence(
            acct=ACCT, signed=signed, told=told, rows=rows, log=log, hashes=hashes,
            lines=paper_lines(
                self.terminal.ledger(), signed, ACCT, self.terminal.terms,
                claims,
            ),
        )  # fmt: skip
