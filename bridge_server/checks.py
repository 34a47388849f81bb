"""`ztb-server doctor`: what a start needs, each with a finding and one fix."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_core.host.bundles import load_server_keys, load_verify_sets
from bridge_core.host.sockets import check_endpoint_host, require_libzmq
from bridge_core.host.sqlite import open_database
from bridge_core.protocol import limits
from bridge_core.protocol.chain import ChainFault
from bridge_core.protocol.errors import BridgeError
from bridge_server.guard import HALTED_FILE, read_halted
from bridge_server.record import verify_file
from bridge_server.settings import Overrides, ServerSettings, load_settings

__all__ = ["Finding", "run_checks", "show_checks"]

_FREE_BYTES_MIN: Final = 64 * 1024 * 1024


class Finding(Struct, frozen=True):
    """One check: ok, warn, fail or skip; the fix is one command or edit."""

    id: str
    state: str
    finding: str
    fix: str = ""


class _Room(Struct, frozen=True):
    settings: ServerSettings
    base: Path

    @property
    def state(self) -> Path:
        return self.base / self.settings.state


def run_checks(config: Path, flags: Overrides) -> list[Finding]:
    """Return every finding; nothing is changed."""
    findings = [
        _guarded("python", lambda: f"Python {sys.version.split()[0]}"),
        _guarded("libzmq", _libzmq),
    ]
    try:
        settings = load_settings(config, flags)
    except BridgeError as error:
        findings.append(Finding("config", "fail", error.detail, "mend the named line"))
        return findings
    findings.append(Finding("config", "ok", f"{config} is valid"))
    room = _Room(settings, config.resolve().parent)
    for name, check in _CHECKS:
        findings.append(_guarded(name, lambda check=check: check(room)))  # type: ignore[misc]
    return findings


def _guarded(name: str, check: Callable[[], str | Finding]) -> Finding:
    try:
        found = check()
    except BridgeError as error:
        return Finding(name, "fail", error.detail, "see the finding")
    except OSError as error:
        return Finding(name, "fail", type(error).__name__, "check the folder's owner and mode")
    return found if isinstance(found, Finding) else Finding(name, "ok", found)


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
    missing = [s for s in room.settings.allowed_symbols if s not in room.settings.limits]
    if missing:
        return Finding(
            "limits", "warn", f"no limits for {', '.join(missing)}: it cannot be traded",
            f"add [limits.{missing[0]}] with max_volume and max_positions",
        )  # fmt: skip
    return f"{len(room.settings.limits)} symbols with limits"


def _ttl(room: _Room) -> str:
    return f"ttl up to {room.settings.signature_ttl_s} s, skew {limits.CLOCK_SKEW_MS_MAX} ms"


_CHECKS: Final[tuple[tuple[str, Callable[[_Room], str | Finding]], ...]] = (
    ("bind", _bind),
    ("keys", _keys),
    ("ea", _ea),
    ("limits", _limits),
    ("time", _ttl),
    ("disk", _disk),
    ("journal", _journal),
    ("record", _chain),
    ("halted", _halted),
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
        print(f"{one.state:4}  {one.id:8}  {one.finding}")
        if one.fix and one.state in ("fail", "warn"):
            print(f"      fix: {one.fix}")
    return 1 if failed else 0
