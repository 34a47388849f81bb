"""An account on the paper broker, its server in a process, and a strategy that trades a little."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from bridge_client import Connector
from bridge_client.risk import RiskMonitor
from tests.support.running import Account, Process, make_account

__all__ = ["LivedDay"]

_FOLDERS: Final = ("connector", "operator", "query")


class LivedDay:
    """Orders by name, each ended another way; see `trade`. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.account: Account = make_account(folder)
        for who in _FOLDERS:
            path = self.config(who)
            lines = [
                f'server = "tcp://127.0.0.1:{self.account.port}"' if line.startswith("server =")
                else line.replace("max_positions = 1 ", "max_positions = 3 ")
                for line in path.read_text("utf-8").splitlines()
            ]  # fmt: skip
            path.write_text("\n".join(lines) + "\n", "utf-8")
        self.process: Process | None = None

    def config(self, who: str = "connector") -> Path:
        """Return a side's connector.toml."""
        return self.account.bundle(who) / "connector.toml"

    def start(self) -> None:
        """Start the server and wait until it takes entries."""
        self.process = Process(self.account)
        self.process.ready()

    def stop(self, *, kill: bool = False) -> None:
        """End the server."""
        if self.process is not None:
            if not kill:
                self.process.terminate()
                self.process.finish()
            self.process.__exit__()
            self.process = None

    def trade(self) -> None:
        """Fill, refuse on either side, modify, let rest, cancel, close, halt, flatten, resume."""
        with Connector.from_config(self.config(), client="atlas") as bridge:
            bridge.connect()
            quote = bridge.get_quote("EURUSD")
            bought = bridge.buy("EURUSD", 0.1, price=quote.ask, client_order_id="bought")
            bridge.modify_position(bought, sl=0.5, client_order_id="modified")
            bridge.sell("EURUSD", 0.2, client_order_id="sold")
            rests = bridge.buy_limit("EURUSD", 0.1, price=0.9, client_order_id="rests")
            bridge.cancel_order(rests, client_order_id="cancelled")
            judged, bridge._judge._monitor = bridge._judge._monitor, RiskMonitor(())
            # As a connector that judges nothing would send it: the server refuses.
            bridge.buy_limit("EURUSD", 0.1, price=9, client_order_id="wrong-side")
            bridge._judge._monitor = judged
            bridge.close_position(bought, client_order_id="closed")
            bridge.buy("EURUSD", 50, client_order_id="too-much")
            bridge.halt("lunch")
            bridge.buy("EURUSD", 0.1, client_order_id="halted")
            bridge.flatten("end of day", client_order_id="flat")
        with Connector.from_config(self.config("operator")) as operator:
            operator.resume("OPERATOR", "after lunch")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
