"""Targets of what lies on disks: key files, settings, credentials, `halted`, prices.

Each is written to a real file, since the readers' doors are part of what is tested.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge_client.settings import load_settings as load_connector
from bridge_core.host.bundles import (
    Bundle,
    EventRoot,
    ServerKeys,
    VerifyKeys,
    load_bundle,
    load_server_keys,
)
from bridge_core.host.ea_keys import EaKeys, EaSet, format_ea_keys, parse_ea_keys
from bridge_core.host.keyfiles import load_key_file
from bridge_core.host.prices import iter_rows
from bridge_core.host.settings import load_env
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.operations import Purpose, Scope
from bridge_server.core.trading_state import TradingState
from bridge_server.guard import read_halted
from bridge_server.settings import Overrides
from bridge_server.settings import load_settings as load_server
from tests.fuzz.target import Target
from tests.vectors.make import build

__all__ = ["FILES"]

_KEY: Final = str(msgspec.json.decode(build()["keys.json"])["cases"][0]["key"])  # published
_Z85: Final = "k" * 40


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ztb-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def _refused(act: Callable[..., Any], *args: Any) -> Any:
    try:
        return act(*args)
    except ConfigError as error:
        text = str(error)
    # One line, printable, bounded: it goes to a terminal and a log.
    assert text.isprintable(), "an error that could move a cursor"
    assert len(text) < 2_000
    return None


def _keys(data: bytes) -> None:
    path = _file("fuzz.key", data)
    for held in (_refused(load_bundle, path), _refused(load_server_keys, path)):
        if held is not None:
            assert msgspec.json.decode(data) is not None
            _refused(held.curve)
    bundle = _refused(load_bundle, path)
    if bundle is not None:
        _refused(bundle.event_keys)
        assert all(len(key) == 32 for key in bundle.key_set().keys.values())
    for kind, use in ((VerifyKeys, "key_set"), (EventRoot, "key")):
        held = _refused(load_key_file, path, kind)
        if held is not None:
            _refused(getattr(held, use), *([Purpose.EVENT_SRV] if use == "key" else []))


def _ea_keys(data: bytes) -> None:
    held = _refused(parse_ea_keys, data)
    if held is not None:
        # One text for one meaning: only the line ends may differ.
        assert format_ea_keys(held).rstrip(b"\n") == data.replace(b"\r\n", b"\n").rstrip(b"\n")
        holds = {kid: len(one.keys) for kid, one in held.key_sets().items()}
        assert held.mode is Mode.LIVE or set(holds.values()) == {0}, "a rehearsal that can trade"


def _settings(data: bytes) -> None:
    path = _file("fuzz.toml", data)
    _refused(load_server, path, Overrides())
    _refused(load_connector, path)


def _env(data: bytes) -> None:
    names = ("MT5_LOGIN", "MT5_PASSWORD", "MT5_SERVER", "MT5_PATH")
    found = _refused(load_env, _file(".env", data), names)
    assert found is None or set(found) <= set(names)


def _halted(data: bytes) -> None:
    found = read_halted(_file("halted", data))
    assert found is not None, "a file is there, so something holds"
    state, _ = found
    if state is not TradingState.HALTED:
        assert state is TradingState.REDUCE_ONLY, "a file never frees"
        assert data.strip(b" \t\r\n").split(b" ")[0] == b"REDUCE_ONLY"


def _prices(data: bytes) -> None:
    rows = _refused(lambda path: list(iter_rows(path)), _file("prices.csv", data))
    for before, after in zip(rows or (), (rows or ())[1:], strict=False):
        assert before.time_ms < after.time_ms


def _key_seeds() -> tuple[bytes, ...]:
    bundle = Bundle(
        kid="trade-1", acct="demo", mode=Mode.PAPER, scope=Scope.TRADE, ea=False, root=_KEY,
        curve_public=_Z85, curve_secret=_Z85, server_public=_Z85, event_kid="event-1",
        event_srv=_KEY,
    )  # fmt: skip
    server = ServerKeys(
        acct="demo", mode=Mode.PAPER, ea=False, curve_public=_Z85, curve_secret=_Z85,
        event_kid="event-1", event_srv=_KEY,
    )  # fmt: skip
    verify = VerifyKeys(
        kid="trade-1", acct="demo", mode=Mode.PAPER, scope=Scope.TRADE, curve_public=_Z85,
        keys={Purpose.ORDER_SRV: _KEY},
    )  # fmt: skip
    root = EventRoot(kid="event-1", acct="demo", mode=Mode.PAPER, root=_KEY)
    return tuple(msgspec.json.encode(one) for one in (bundle, server, verify, root))


def _ea_seeds() -> tuple[bytes, ...]:
    live = EaKeys(
        acct="demo", mode=Mode.LIVE, endpoint="tcp://127.0.0.1:5557", server_public=_Z85,
        curve_public=_Z85, curve_secret=_Z85, event_kid="event-1", event_ea=_KEY,
        sets=(EaSet(kid="t1-ab", scope=Scope.TRADE, signs=_KEY, reply=_KEY),
              EaSet(kid="q1-cd", scope=Scope.QUERY, signs="", reply=_KEY)),
    )  # fmt: skip
    none = tuple(msgspec.structs.replace(one, signs="", reply="") for one in live.sets)
    paper = msgspec.structs.replace(live, mode=Mode.PAPER, sets=none)
    return tuple(bytes(format_ea_keys(one)) for one in (live, paper))


_SERVER_TOML: Final = b"""account = "demo"
mode = "paper"
backend = "paper"
port = 5555
allowed_symbols = ["EURUSD"]
paper.balance = 10000
[limits.EURUSD]
max_volume = 0.01
max_positions = 1
"""
_CONNECTOR_TOML: Final = b"""account = "demo"
mode = "paper"
server = "tcp://127.0.0.1:5555"
keys = "keys/connector.key"
allowed_symbols = ["EURUSD"]
deviation = 20
[limits.EURUSD]
max_volume = 0.01
max_positions = 1
[strategies]
atlas = 1
"""
_BARS: Final = (
    b"<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    b"2026.01.05\t00:00:00\t1.1000\t1.1010\t1.0990\t1.1005\t10\t0\t2\n"
    b"2026.01.05\t00:01:00\t1.1005\t1.1010\t1.1000\t1.1001\t10\t0\t2\n"
)
_TICKS: Final = b"time,bid,ask\n2026-01-05T00:00:00Z,1.1000,1.1002\n1767571201000,1.1001,1.1003\n"

_SLOWNESS: Final = 5
_HALTED: Final = (b"HALTED 0f1e x\n", b"REDUCE_ONLY 0f1e2d a reason\n", b"", b"ACTIVE", b"1")
_ENV: Final = (b"MT5_LOGIN=1\nMT5_PASSWORD='a b'\n", b'export MT5_SERVER="x\\ny"\n# c\n')

FILES: Final = (
    Target("keys", _keys, _key_seeds(), _SLOWNESS),
    Target("ea_keys", _ea_keys, _ea_seeds(), _SLOWNESS),
    Target("settings", _settings, (_SERVER_TOML, _CONNECTOR_TOML), _SLOWNESS),
    Target("env", _env, _ENV, _SLOWNESS),
    Target("halted", _halted, _HALTED, _SLOWNESS),
    Target("prices", _prices, (_BARS, _TICKS), _SLOWNESS),
)
