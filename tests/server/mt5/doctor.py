"""A terminal, a broker and an account's folder for the doctor to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import structs

from bridge_core.host.clock import Clock
from bridge_server.backends.mt5_link import LinkSpec, LinkStatus, Pace
from bridge_server.backends.mt5_worker import _Caller
from bridge_server.checks import run_checks
from bridge_server.checks_mt5 import Visit
from bridge_server.checkup import Finding
from bridge_server.settings import Overrides
from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.terms import Terms
from tests.support.mt5_account import make_mt5_account
from tests.support.running import Account

QUICK = Pace(
    read_ms=2_000, trade_ms=2_000, connect_ms=6_000, authorise_ms=600, beat_ms=200, stale_ms=1_500,
    retry_ms_min=50, retry_ms_max=400, refused_ms=400,
)  # fmt: skip
VISIT = Visit(load=load, patience_s=15, ticks_s=3, pace=QUICK)
BLIND = Visit(load=load, patience_s=15, ticks_s=0, pace=QUICK)  # the clock is not measured


class House:
    """A terminal with a broker behind it, and an account's folder that names it."""

    def __init__(self, folder: Path, terminal: FakeTerminal, terms: Terms) -> None:
        self.folder = folder
        self.terminal = terminal
        self.terms = terms
        self.account: Account = make_mt5_account(folder, terminal.path)

    def rehearsal(self, margin_mode: str = "hedging") -> None:
        again = self.folder / "rehearsal"
        again.mkdir()
        self.account = make_mt5_account(
            again, self.terminal.path, mode="paper", margin_mode=margin_mode
        )

    def ask(self, visit: Visit = BLIND) -> dict[str, Finding]:
        found = run_checks(self.account.config, Overrides(), visit=visit)
        assert len({one.id for one in found}) == len(found)
        return {one.id: one for one in found if one.id.startswith("mt5.")}

    def one(self, name: str) -> Finding:
        found = self.ask()
        assert name in found, list(found)
        return found[name]


class NearLink:
    """The link without its worker: the same calls, in this process and at once."""

    def __init__(self, spec: LinkSpec, clock: Clock) -> None:
        del clock
        assert not spec.trading  # a worker that could send an order is never asked for
        self._spec = spec
        self._module: Any = load()
        self.call = _Caller(self._module).call
        self.status = LinkStatus()

    def start(self) -> None:
        assert self._module.initialize(self._spec.path, portable=self._spec.portable)
        self.status = structs.replace(self.status, connects=1)

    def wait(self, _seconds: float) -> bool:
        return True

    def beat(self) -> LinkStatus:
        terminal, account = self.call("terminal_info").value, self.call("account_info").value
        assert isinstance(terminal, dict)
        assert isinstance(account, dict)
        return structs.replace(self.status, terminal=terminal, account=account)

    def close(self) -> None:
        self._module.shutdown()
