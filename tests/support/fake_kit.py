"""One account's keys and folder, as `ztb init` would make them, for the scripted server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

from bridge_core.host.bundles import Bundle
from bridge_core.host.keyfiles import random_key, save_key_file
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import Purpose, Scope

__all__ = ["ACCT", "LIMITS", "RATES", "RISK", "Kit", "free_ports", "make_kit"]

ACCT = "demo"
# A test that is about neither limits of money nor rates meets none.
RATES = "rates = { entry_per_s = 5000, account_entry_per_s = 5000, reduce_per_s = 5000 }"
LIMITS = (
    "[limits.EURUSD]\nmax_volume = 1.0\nmax_positions = 1000\n"
    "[limits.GBPUSD]\nmax_volume = 1.0\nmax_positions = 1\n"
)
RISK = 'risk = { max_daily_loss = "50%", require_sl = false }'


def free_ports(count: int = 2) -> int:
    """Return the first of so many free neighbouring ports on loopback."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for n in range(1, count):
                    with socket.socket() as other:
                        other.bind(("127.0.0.1", port + n))
            except OSError:
                continue
            return int(port)


class Kit(msgspec.Struct):
    """One account's keys and folder, as `ztb init` would make them."""

    folder: Path
    port: int
    bundle: Bundle
    server_curve: Any
    event_key: bytes

    @property
    def config(self) -> Path:
        return self.folder / "connector.toml"


def make_kit(
    folder: Path,
    *,
    scope: Scope = Scope.TRADE,
    ea: bool = False,
    more: str = "",
    limits: str = LIMITS,
) -> Kit:
    """Write a connector's folder and return it with what the fake server needs."""
    port, server_curve, curve = free_ports(), new_curve_keys(), new_curve_keys()
    event_root = random_key()
    event = {
        p: derive(event_root, mode=Mode.PAPER, acct=ACCT, kid="ev1", purpose=p)
        for p in (Purpose.EVENT_SRV, Purpose.EVENT_EA)
    }
    bundle = Bundle(
        kid="c1", acct=ACCT, mode=Mode.PAPER, scope=scope, ea=ea, root=random_key().hex(),
        curve_public=curve.public.decode(), curve_secret=curve.secret.decode(),
        server_public=server_curve.public.decode(), event_kid="ev1",
        event_srv=event[Purpose.EVENT_SRV].hex(),
        event_ea=event[Purpose.EVENT_EA].hex() if ea else "",
    )  # fmt: skip
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_key_file(folder / "keys" / "connector.key", bundle)
    (folder / "connector.toml").write_text(
        f'account = "{ACCT}"\nmode = "paper"\nserver = "tcp://127.0.0.1:{port}"\n'
        f'allowed_symbols = ["EURUSD", "GBPUSD"]\n'
        f"{'' if 'risk' in more else RISK}\n{'' if 'rates' in more else RATES}\n{more}\n"
        f"{limits}",
        encoding="utf-8",
    )
    return Kit(folder, port, bundle, server_curve, event[Purpose.EVENT_SRV])
