"""Several paper accounts with a server process each, and the accounts.toml that names them."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bridge_client import Connector, Status
from bridge_core.protocol.operations import Op
from tests.support.running import Account, Process, make_account

__all__ = ["Fleet"]


class Fleet:
    """`accounts` by name, each served; `file` is the accounts.toml."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.accounts = {name: _account(folder / name) for name in names}
        self.file = folder / "accounts.toml"
        lines = [f'{name} = "{name}/demo/connector/connector.toml"\n' for name in names]
        self.file.write_text("".join(lines), "utf-8")
        self.servers: dict[str, Process] = {}

    def __enter__(self) -> Self:
        try:
            for name, account in self.accounts.items():  # one by one: a start takes a processor
                self.servers[name] = Process(account)
                self.servers[name].ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """End every server."""
        for server in self.servers.values():
            server.signal(signal.SIGCONT)
            server.__exit__()

    def fill(self, positions: int = 2, pendings: int = 1) -> None:
        """Give every account so many positions and pending orders."""
        for account in self.accounts.values():
            with Connector.from_config(account.folder / "connector", client="filler") as bridge:
                bridge.connect(15)
                for _ in range(positions):
                    assert bridge.buy("EURUSD", "0.01").status is Status.FILLED
                low = bridge.get_symbol("EURUSD").price(
                    bridge.get_quote("EURUSD").bid * 0.9, "down"
                )
                for _ in range(pendings):
                    placed = bridge.buy_limit("EURUSD", "0.01", price=low)
                    assert placed.status is Status.WORKING

    def hang(self, name: str) -> None:
        """Let a server stand still, as a machine that swaps does."""
        self.servers[name].signal(signal.SIGSTOP)
        time.sleep(0.05)

    def holding(self, name: str) -> int:
        """Return how many positions and pending orders an account has."""
        with self.accounts[name].client() as client:
            return client.query(Op.GET_POSITIONS).total + client.query(Op.GET_ORDERS).total


def _account(folder: Path) -> Account:
    account = make_account(folder, extra="rates.settle_per_s = 1000")
    config = account.folder / "connector" / "connector.toml"
    lines = config.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("server =", "max_positions"))]
    text = "\n".join([f'server = "tcp://127.0.0.1:{account.port}"', *kept, "max_positions = 1000"])
    config.write_text(text + "\n", "utf-8")
    return account
