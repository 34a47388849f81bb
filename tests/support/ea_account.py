"""A live EA account for tests: the product's own server and `ea` backend, a fake EA, a fake broker.

Made by `ztb init --backend ea`, as a user makes it; only the port is a test's own.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Self

from bridge_core.host.clock import Clock
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import ea_record_mac_holds
from bridge_core.protocol.token import EaRecord, parse_ea_record
from bridge_server.backends.ea import EaBackend
from bridge_server.core.ports import Backend
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import Server, build_server
from tests.support.ea_keys import EaKeys, read_ea_keys
from tests.support.fake_ea import FakeEa
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_checks import EaInputs
from tests.support.raw_client import RawClient
from tests.support.running import (
    Account,
    Running,
    copy_account,
    free_port,
    make_reserve,
    run_ztb,
    wait_until,
)

__all__ = ["EaHouse", "EaServer", "make_ea_account"]


@cache
def _template(mode: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ztb-ea-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    live = ("--login", "22437", "--broker-server", "Fake-Demo", "--kind", "demo")
    run_ztb(
        "init", "demo", "--symbol", "EURUSD", "--max-volume", "1", "--out", str(folder),
        "--backend", "ea", "--mode", mode, *(live if mode == "live" else ()),
    )  # fmt: skip
    run_ztb("keys", "add", "reduce", "--scope", "reduce", "--account", str(folder / "demo"))
    make_reserve(folder / "demo")
    return folder


def make_ea_account(folder: Path, *, mode: str = "live", extra: str = "") -> Account:
    """Return an account of its own on free ports."""
    copy_account(_template(mode) / "demo", folder / "demo")
    port = free_port()
    account = Account(folder / "demo", port)
    lines = account.config.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("port", "max_positions"))]
    text = "\n".join(kept) + "\nmax_positions = 1000\n"
    account.config.write_text(f"port = {port}\n{extra}\n{text}", "utf-8")
    key_file = account.folder / "ea" / "bridge.key"
    told = [
        f"endpoint tcp://127.0.0.1:{port + 2}" if line.startswith("endpoint") else line
        for line in key_file.read_text("ascii").splitlines()
    ]
    key_file.write_text("\n".join(told) + "\n", "ascii")
    return account


class EaServer(Running):
    """The server with the backend that its configuration names, in a thread."""

    def _build(self, account: Account, backend: Backend | None, clock: Clock | None) -> Server:
        assert backend is None
        settings = load_settings(account.config, Overrides())
        return build_server(settings, account.config.parent, clock=clock)

    @property
    def ea(self) -> EaBackend:
        assert isinstance(self.backend, EaBackend)
        return self.backend


class EaHouse:
    """One account, one broker, one EA, one server; started as far as a test wants them."""

    def __init__(self, folder: Path, *, mode: str = "live", inputs: EaInputs | None = None) -> None:
        self.account = make_ea_account(folder, mode=mode)
        self.keys: EaKeys = read_ea_keys(self.account.folder / "ea" / "bridge.key")
        self.broker = Broker(folder / "broker")
        self.broker.price("EURUSD", "1.08500", "1.08512")
        self.folder = folder
        self.inputs = inputs
        self._eas: list[FakeEa] = []
        self._servers: list[EaServer] = []
        self.ea = self.another_ea()

    def point_connector(self) -> Path:
        """Let the connector's configuration name this test's port, with room; return its folder."""
        folder = self.account.bundle()
        toml = folder / "connector.toml"
        text = toml.read_text("utf-8")
        for key, value in (
            ("server", f'"tcp://127.0.0.1:{self.account.port}"'), ("max_positions", "1000"),
        ):  # fmt: skip
            text, found = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            assert found == 1, key
        toml.write_text(text, "utf-8")
        return folder

    def another_ea(self) -> FakeEa:
        """Return a further EA of the same account, not started."""
        folder = self.folder / f"ea-{len(self._eas)}"
        ea = FakeEa(self.keys, folder, self.broker, inputs=self.inputs)
        self._eas.append(ea)
        return ea

    def serve(self) -> EaServer:
        """Start a server."""
        server = EaServer(self.account)
        self._servers.append(server)
        return server.__enter__()

    def ready(self) -> tuple[EaServer, RawClient]:
        """Start EA and server; return the server and a client once entries are taken."""
        self.ea.start()
        server = self.serve()
        self.ea.wait_welcome()
        return server, server.ready()

    def record_of(self, view: OrderView) -> EaRecord:
        """Return an order's record, which must verify."""
        record = parse_ea_record(view.ea.encode("ascii"))
        assert record is not None, view
        key = self.keys.sets[record.kid].reply
        assert ea_record_mac_holds(key, view.ea.encode("ascii"), view.ea_mac)
        return record

    def attested(self, client: RawClient, rid: str, seconds: float = 8.0) -> OrderView:
        """Wait until an order is final and carries the EA's record; return it."""

        def there() -> bool:
            view = client.status(rid).subject()
            return view.final and bool(view.ea)

        wait_until(there, seconds)
        view = client.status(rid).subject()
        self.record_of(view)
        return view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()
        for ea in self._eas:
            ea.kill()
