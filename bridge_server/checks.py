"""`ztb-server doctor`: what a start needs, each with a finding and one fix."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_core.host.alert_settings import load_destination
from bridge_core.host.alert_trial import look_at
from bridge_core.host.bundles import load_server_keys, load_verify_sets
from bridge_core.host.endpoints import check_endpoint_host
from bridge_core.host.permissions import mend_secrets
from bridge_core.host.settings import load_toml
from bridge_core.host.sockets import (
    require_libzmq,
)
from bridge_core.host.sqlite import open_database
from bridge_core.protocol import limits
from bridge_core.protocol.chain import ChainFault
from bridge_core.protocol.errors import BridgeError
from bridge_core.risk.policy import Policy
from bridge_server import wiring
from bridge_server.checks_mt5 import Visit, mt5_findings
from bridge_server.checkup import Finding, warn
from bridge_server.guard import HALTED_FILE, read_halted
from bridge_server.policy import untraded
from bridge_server.record import verify_file
from bridge_server.settings import Overrides, ServerSettings, load_settings, make_policy

__all__ = ["Finding", "run_checks", "show_checks"]

_FREE_BYTES_MIN: Final = 64 * 1024 * 1024


class _Room(Struct, frozen=True):
    settings: ServerSettings
    base: Path

    @property
    def state(self) -> Path:
        return self.base / self.settings.state


def run_checks(
    config: Path, flags: Overrides, *, fix_permissions: bool = False, visit: Visit | None = None
) -> list[Finding]:
    """Return every finding; nothing is changed, unless key files are to be closed to others.

    `visit` is how a MetaTrader 5 terminal is called on; the call starts it if it does not run.
    """
    findings = [
        _guarded("python", lambda: f"Python {sys.version.split()[0]}"),
        _guarded("libzmq", _libzmq),
    ]
    if fix_permissions:
        findings.append(_guarded("mended", lambda: _mended(config)))
    try:
        settings = load_settings(config, flags)
    except BridgeError as error:
        findings.append(_refused("config", error, "mend the named line"))
        return findings
    findings.append(Finding("config", "ok", f"{config} is valid"))
    room = _Room(settings, config.resolve().parent)
    for name, check in _CHECKS:
        findings.append(_guarded(name, lambda check=check: check(room)))  # type: ignore[misc]
    if settings.backend == "mt5":
        findings += _mt5(room, visit or Visit())
    return findings


def _mt5(room: _Room, visit: Visit) -> list[Finding]:
    try:
        spec = wiring.link_spec(room.settings, room.base, trading=False)
    except BridgeError as error:
        problem, _, fix = error.detail.partition("; ")
        return [Finding("mt5.env", "fail", problem, fix)]
    return list(mt5_findings(room.settings, spec, visit))


def _guarded(name: str, check: Callable[[], str | Finding]) -> Finding:
    try:
        found = check()
    except BridgeError as error:
        return _refused(name, error, "see the finding")
    except OSError as error:
        return Finding(name, "fail", type(error).__name__, "check the folder's owner and mode")
    return found if isinstance(found, Finding) else Finding(name, "ok", found)


def _refused(name: str, error: BridgeError, fix: str) -> Finding:
    problem, _, last = error.detail.rpartition(": ")
    if error.code == "KEY_FILE" and problem:  # it ends with what mends it
        return Finding(name, "fail", problem, last)
    return Finding(name, "fail", error.detail, fix)


def _mended(config: Path) -> str:
    # Before `.env` is read: as it is, it may be refused.
    settings, base = load_toml(config, ServerSettings), config.resolve().parent
    keys = base / settings.keys
    changed = mend_secrets(keys, keys.glob("*.key"))
    if settings.mt5.env:
        changed += mend_secrets(None, [base / settings.mt5.env])
    if settings.alerts is not None:
        changed += mend_secrets(None, [base / settings.alerts.env])
    return f"closed to others: {', '.join(map(str, changed))}" if changed else "nothing was open"


def _libzmq() -> str:
    require_libzmq()
    return "libzmq with CURVE"


def _bind(room: _Room) -> str:
    check_endpoint_host(room.settings.host, room.settings.bind_any)
    return f"{room.settings.host}:{room.settings.port} may be bound"


def _keys(room: _Room) -> str:
    own = load_server_keys(room.base / room.settings.keys / "server.key")
    sets = load_verify_sets(room.base / room.settings.keys, own)
    return f"{len(sets)} key sets, owner-only"


def _ea(room: _Room) -> str | Finding:
    settings = room.settings
    if settings.backend != "ea":
        return Finding("ea", "skip", "no EA on this account", "")
    if not load_server_keys(room.base / settings.keys / "server.key").ea_public:
        return Finding("ea", "fail", "server.key names no EA", "ztb init --backend ea")
    pinned = settings.terminal
    if pinned is None:
        return f"rehearsal on the terminal's prices, port {settings.port + 2}"
    return f"pinned to {pinned.login}@{pinned.server} ({pinned.kind}), port {settings.port + 2}"


def _disk(room: _Room) -> str | Finding:
    free = shutil.disk_usage(room.base).free
    if free < _FREE_BYTES_MIN:
        return Finding("disk", "fail", f"{free} bytes free", "free 64 MiB on the journal's disk")
    return f"{free // 2**20} MiB free"


def _journal(room: _Room) -> str | Finding:
    path = room.state / "journal.db"
    if not path.exists():
        return Finding("journal", "skip", "no journal yet", "start the server once")
    try:
        open_database(path, exclusive=True).close()
    except BridgeError as error:
        if error.code == "JOURNAL_IN_USE":
            return Finding("journal", "skip", "a running server owns it", "ask `ztb health`")
        raise
    return "durable: WAL, synchronous FULL, exclusive"


def _chain(room: _Room) -> str | Finding:
    path = room.state / "journal.db"
    if not path.exists():
        return Finding("record", "skip", "no journal yet", "start the server once")
    try:
        found = verify_file(path)
    except BridgeError as error:
        if error.code == "JOURNAL_IN_USE":
            return Finding("record", "skip", "a running server owns it", "run `ztb audit verify`")
        raise
    if isinstance(found, ChainFault):
        return Finding(
            "record", "fail", f"record {found.n}: {found.why}", "restore the journal from a backup"
        )
    return f"{found.size} records hold"


def _halted(room: _Room) -> str | Finding:
    found = read_halted(room.state / HALTED_FILE)
    if found is None:
        return "not halted"
    return Finding(
        "halted", "warn", f"{found[0]}: {found[1]}", "ztb resume --operator DIR --cause OPERATOR"
    )


def _limits(room: _Room) -> str | Finding:
    policy = make_policy(room.settings, room.base)
    missing = untraded(policy)
    if missing:
        symbols = sorted({symbol for each in missing.values() for symbol in each})
        return Finding(
            "limits", "warn", f"cannot be traded: {', '.join(symbols)}",
            "add to server.toml: " + "; ".join(missing),
        )  # fmt: skip
    return f"{len(policy.allowed_symbols)} symbols with limits, {_day(policy)}"


def _day(policy: Policy) -> str:
    return f"the day ends at a loss of {policy.account.max_daily_loss}"


def _alerts(room: _Room) -> str | Finding:
    settings = room.settings.alerts
    if settings is None:
        return "off: only log and events tell; docs/alerts.md says how to be told"
    answers, finding, fix = look_at(load_destination(settings, room.base))
    return finding if answers else warn("alerts", finding, fix)


def _dead_man(room: _Room) -> str:
    wanted = room.settings.dead_man
    if wanted is None:
        return "off: positions of a strategy that falls silent stay open; [dead_man] changes that"
    return f"policy {wanted.policy} after {wanted.after_s} s, once a heartbeat has come"


def _ttl(room: _Room) -> str:
    return f"ttl up to {room.settings.signature_ttl_s} s, skew {limits.CLOCK_SKEW_MS_MAX} ms"


_CHECKS: Final[tuple[tuple[str, Callable[[_Room], str | Finding]], ...]] = (
    ("bind", _bind),
    ("keys", _keys),
    ("ea", _ea),
    ("limits", _limits),
    ("dead_man", _dead_man),
    ("time", _ttl),
    ("disk", _disk),
    ("journal", _journal),
    ("record", _chain),
    ("halted", _halted),
    ("alerts", _alerts),
)


def show_checks(findings: list[Finding], *, as_json: bool) -> int:
    """Print the findings; return 0, or 1 when a check failed."""
    failed = any(one.state == "fail" for one in findings)
    if as_json:
        rows = [
            {"id": one.id, "state": one.state, "finding": one.finding, "fix": one.fix}
            for one in findings
        ]
        print(json.dumps({"schema": "ztb.server.doctor/1", "ok": not failed, "checks": rows}))
        return 1 if failed else 0
    for one in findings:
        print(f"{one.state:4}  {one.id:12}  {one.finding}")
        if one.fix and one.state in ("fail", "warn"):
            print(f"      fix: {one.fix}")
    return 1 if failed else 0
