"""One whole account for tests: made by `ztb init`, its server a process of its own.

Keys, files, sockets and the server are the product's own. What executes (a terminal, a broker)
is the heir's affair, and so is the ledger by which the promises are judged.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge_client import Connector
from bridge_client.evidence import signed_rows
from bridge_core.host.ledger import LedgerLine, SignedOrder
from tests.support.oracles import Evidence, Told, broken_promises, journal_evidence
from tests.support.raw_client import RawClient
from tests.support.running import ROOT, free_port, run_ztb, wait_until

__all__ = ["ServerHouse"]

_START_S: Final = 30.0
_LOOK_S: Final = 0.03
# Limits that do not get in the way of a test; what the limits do is tested elsewhere.
_POSITIONS: Final = 1000


class ServerHouse:
    """`made` are the words for `ztb init ACCT`, `extra` goes into server.toml as it is, `server`
    is the module that is run. `environment` is added to the server's own.
    """

    def __init__(
        self, folder: Path, acct: str, made: Sequence[str], *, extra: str = "",
        server: str = "bridge_server",
    ) -> None:  # fmt: skip
        self.acct = acct
        self.port = free_port()
        self.folder = folder / acct
        self.environment: dict[str, str] = {}
        self._module = server
        self._server: subprocess.Popen[bytes] | None = None
        self._make(folder, made, extra)

    def _make(self, folder: Path, made: Sequence[str], extra: str) -> None:
        """Make the account's files, as a user does."""
        run_ztb("init", self.acct, *made, "--port", str(self.port), "--out", str(folder))
        for side in ("server/server.toml", "connector/connector.toml"):
            path = self.folder / side
            text = path.read_text("utf-8")
            wide = text.replace("max_positions = 1 ", f"max_positions = {_POSITIONS} ")
            path.write_text(f"{extra}\n{wide}" if side.startswith("server") else wide, "utf-8")

    # --- life ----------------------------------------------------------------------------------

    def start_server(self) -> None:
        """Start the server's process."""
        assert not self.server_alive, "it runs already"
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

    def wait_server(self, seconds: float = _START_S) -> int:
        """Wait until it has ended by itself, or by somebody else; return its exit code."""
        assert self._server is not None
        return self._server.wait(seconds)

    def ready(self) -> None:
        """Wait until the server takes entries: its executor is heard, nothing is UNKNOWN."""
        client = self._greeted()
        try:
            wait_until(lambda: client.hello().state == "ACTIVE", _START_S, _LOOK_S)
        finally:
            client.close()

    def _greeted(self) -> RawClient:
        """A client that was answered: on a busy machine a start takes longer than an answer may."""
        until = time.monotonic() + _START_S
        while True:
            try:
                return self.client()
            except TimeoutError:
                if time.monotonic() > until or not self.server_alive:
                    raise

    def close(self) -> None:
        """End the server."""
        if self.server_alive:
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

    def server_log(self) -> str:
        """What it has said so far."""
        return (self.folder / "server/stderr.log").read_text("utf-8")

    def connector(self, client: str = "atlas", who: str = "connector") -> Connector:
        """A connector as a strategy makes it."""
        return Connector.from_config(self.folder / who / "connector.toml", client=client)

    def client(self, who: str = "connector") -> RawClient:
        """A client that builds its requests by hand."""
        return RawClient.of(self.folder / who, self.port)

    # --- the truth -----------------------------------------------------------------------------

    def lines(self, signed: dict[str, SignedOrder], claims: dict[str, str]) -> list[LedgerLine]:
        """The broker's ledger; `claims` is what strategies were told, by rid."""
        raise NotImplementedError

    def evidence(self) -> Evidence:
        """What was signed, told, recorded and done; the server and every connector have ended."""
        signed, told = {}, []
        for journal in sorted(self.folder.glob("*/state/*.db")):
            if journal.parent.parent.name == "server":
                continue
            for row in signed_rows(journal):
                signed[row.rid] = row.order
                told.append(Told(row.rid, row.view))
        claims = {each.rid: each.view.status for each in told}
        claims |= {child.rid: child.status for one in told for child in one.view.children}
        rows, log, hashes = journal_evidence(self.folder / "server/state/journal.db")
        return Evidence(
            acct=self.acct, signed=signed, told=told, rows=rows, log=log, hashes=hashes,
            lines=self.lines(signed, claims),
        )  # fmt: skip

    def judge(self) -> None:
        """Assert S1 to S7; the server and every connector have ended."""
        broken = broken_promises(self.evidence())
        assert not broken, broken
