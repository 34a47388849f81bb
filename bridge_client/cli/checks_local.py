"""The doctor's offline checks: this interpreter, this folder, these keys. Nothing is sent."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from bridge_client.cli.checkup import Check, Finding, Patient, fail, good, skip, warn
from bridge_client.settings import load_settings
from bridge_core.host.alert_settings import load_destination
from bridge_core.host.alert_trial import look_at
from bridge_core.host.bundles import load_bundle
from bridge_core.host.keyfiles import read_secret_file
from bridge_core.host.permissions import mend_secrets
from bridge_core.host.sockets import require_libzmq
from bridge_core.host.sqlite import open_database
from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_core.protocol.limits import LIBZMQ_MIN
from bridge_core.protocol.operations import Scope
from bridge_core.risk.checks_basic import missing_limits

__all__ = ["LOCAL", "keys_mended"]

_PYTHON_MIN: Final = (3, 11)
_FREE_WARN: Final = 256 * 1024 * 1024
_FREE_FAIL: Final = 16 * 1024 * 1024
_FILES_MIN: Final = 256
_COMMAND: Final = re.compile(r"`([^`]+)`")
_NO_CONFIG: Final = "no usable configuration"
_NO_KEYS: Final = "no usable key file"


def python(_: Patient) -> Finding:
    """The interpreter is one that this version is tested on."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON_MIN:
        return fail(f"Python {found}", "install Python 3.11 or newer")
    bits = 64 if sys.maxsize > 2**32 else 32
    if bits == 32:
        return warn(f"Python {found}, 32 bit", "install the 64-bit Python")
    return good(f"Python {found}, {bits} bit")


def libzmq(_: Patient) -> Finding:
    """The libzmq here is new enough and can CURVE."""
    try:
        require_libzmq()
    except BridgeError as error:
        return fail(error.detail, "python -m pip install --upgrade pyzmq")
    return good(f"libzmq {'.'.join(map(str, LIBZMQ_MIN))} or newer, with CURVE")


def config_found(patient: Patient) -> Finding:
    """There is a configuration file."""
    if patient.config is None:
        return fail(patient.wanted, "ztb init demo --symbol EURUSD --max-volume 0.01")
    return good(str(patient.config))


def config_valid(patient: Patient) -> Finding:
    """The configuration holds known keys and legal values only."""
    if patient.config is None:
        return skip(_NO_CONFIG)
    try:
        patient.settings = load_settings(patient.config)
    except ConfigError as error:
        return fail(error.detail or str(error), f"edit {patient.config}")
    held = patient.settings
    return good(f"account {held.account}, mode {held.mode}, server {held.server}")


def limits_set(patient: Patient) -> Finding:
    """Every allowed symbol has its limits; without them its orders are denied NO_LIMIT."""
    held = patient.settings
    if held is None or patient.config is None:
        return skip(_NO_CONFIG)
    policy = held.policy(patient.config.parent)
    missing = {
        symbol: lines for symbol in held.allowed_symbols
        if (lines := missing_limits(policy, held.symbols.get(symbol, symbol)))
    }  # fmt: skip
    if missing:
        line = next(iter(missing.values()))[0]
        return warn(
            f"no {line.rpartition(']')[2].partition('=')[0].strip()} for {' '.join(missing)}: "
            "orders of it are denied NO_LIMIT",
            f"add {line} to {patient.config}",
        )
    return good(f"{len(held.allowed_symbols)} symbol(s), each with every limit it needs")


def _key_file(patient: Patient) -> Path | None:
    return patient.folder / patient.settings.keys if patient.settings is not None else None


def keys_private(patient: Patient) -> Finding:
    """The key file is its owner's alone, in a folder that is too."""
    path = _key_file(patient)
    if path is None:
        return skip(_NO_CONFIG)
    try:
        read_secret_file(path)
    except ConfigError as error:
        finding, _, advice = error.detail.rpartition(": ")
        command = _COMMAND.search(advice)
        return fail(finding, command[1] if command else advice)
    folder = path.parent
    if os.name == "posix" and not _managed(path) and folder.stat().st_mode & 0o077:
        return warn(f"others may list {folder}", f"chmod 700 {folder}")
    return good(f"{path} is its owner's alone")


def _managed(path: Path) -> bool:
    places = [Path("/run/secrets")]
    if os.environ.get("CREDENTIALS_DIRECTORY"):
        places.append(Path(os.environ["CREDENTIALS_DIRECTORY"]))
    return any(path.absolute().is_relative_to(place) for place in places)


def keys_mended(patient: Patient) -> Finding:
    """Asked to: the keys' folder and files are closed to others, before anything is checked."""
    if patient.config is None:
        return skip(_NO_CONFIG)
    settings = load_settings(patient.config)
    path = patient.folder / settings.keys
    apart = path.parent.resolve() != patient.folder.resolve()  # else it is everybody's folder
    try:
        changed = mend_secrets(path.parent if apart else None, [path])
        if settings.alerts is not None:
            changed += mend_secrets(None, [patient.folder / settings.alerts.env])
    except ConfigError as error:
        problem, _, fix = error.detail.rpartition(": ")
        return fail(problem, fix)
    shown = ", ".join(map(str, changed))
    return good(f"closed to others: {shown}" if changed else "nothing was open")


def keys_sound(patient: Patient) -> Finding:
    """The key file can be loaded and its keys are strong."""
    path = _key_file(patient)
    if path is None or not path.exists():
        return skip(_NO_CONFIG if path is None else _NO_KEYS)
    try:
        patient.bundle = load_bundle(path)
    except ConfigError as error:
        return fail(error.detail or str(error), "make a new set: ztb keys add NAME --scope trade")
    return good(f"key id {patient.bundle.kid}, 32 random bytes")


def keys_match(patient: Patient) -> Finding:
    """The keys were made for the configured account and mode."""
    bundle, held = patient.bundle, patient.settings
    if bundle is None or held is None:
        return skip(_NO_KEYS)
    if (bundle.acct, str(bundle.mode)) != (held.account, str(held.mode)):
        return fail(
            f"keys are for {bundle.acct} ({bundle.mode}), the file says {held.account} "
            f"({held.mode})",
            f"set account and mode in {patient.config} to those of the keys",
        )
    return good(f"keys and file agree: {bundle.acct}, {bundle.mode}")


def keys_scope(patient: Patient) -> Finding:
    """What the keys may do."""
    if patient.bundle is None:
        return skip(_NO_KEYS)
    match patient.bundle.scope:
        case Scope.OPERATOR:
            return warn(
                "operator keys: they end halts and cannot trade",
                "use connector/connector.toml in daily use; keep operator/ elsewhere",
            )
        case Scope.QUERY:
            return good("scope query: may look, not trade")
        case Scope.REDUCE:
            return good("scope reduce: may look, close and halt, not open")
        case scope:
            return good(f"scope {scope}: may look, trade and halt")


def keys_apart(patient: Patient) -> Finding:
    """The operator's keys are not on the strategy's machine."""
    if patient.config is None:
        return skip(_NO_CONFIG)
    operator = patient.folder.resolve().parent / "operator"
    if not operator.is_dir() or patient.folder.resolve() == operator:
        return good("the operator's keys are elsewhere")
    if patient.settings is not None and str(patient.settings.mode) == "paper":
        return good("the operator's keys are beside these; before live, move them away")
    return warn(
        f"the operator's keys are on this machine: {operator}",
        f"move {operator} to a medium that you plug in when you need it",
    )


def _state(patient: Patient) -> Path | None:
    return patient.folder / patient.settings.state if patient.settings is not None else None


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _usable(path: Path) -> bool:
    found = _existing(path)
    return found.is_dir() and os.access(found, os.W_OK | os.X_OK)


def state_writable(patient: Patient) -> Finding:
    """The journal's folder can be written, or made."""
    path = _state(patient)
    if path is None:
        return skip(_NO_CONFIG)
    found = _existing(path)
    if not found.is_dir():
        return fail(f"{found} is no folder", "move it away, or set another `state`")
    if not _usable(path):
        return fail(f"{path} cannot be written", f"chmod u+rwx {found}, as its owner")
    return good(str(path))


def state_durable(patient: Patient) -> Finding:
    """SQLite keeps WAL and FULL here: what is committed survives a power cut."""
    path = _state(patient)
    if path is None:
        return skip(_NO_CONFIG)
    if not _usable(path):
        return skip("the folder cannot be written")
    probe = _existing(path) / f".doctor-{os.getpid()}.db"
    try:
        connection = open_database(probe, exclusive=False)
        modes = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
        connection.close()
    except (BridgeError, OSError) as error:
        return fail(f"no durable journal here: {error}", "put `state` on a local disk")
    finally:
        for leftover in probe.parent.glob(f"{probe.name}*"):
            leftover.unlink()
    if modes != ["wal", 2]:
        return fail(f"journal_mode, synchronous read back as {modes}", "use a local disk")
    return good("journal_mode WAL, synchronous FULL, read back")


def disk(patient: Patient) -> Finding:
    """There is room for the journal."""
    path = _state(patient)
    if path is None:
        return skip(_NO_CONFIG)
    free = shutil.disk_usage(_existing(path)).free
    shown = f"{free // (1024 * 1024)} MiB free"
    if free < _FREE_FAIL:
        return fail(shown, f"free space on the disk of {path}")
    if free < _FREE_WARN:
        return warn(shown, f"free space on the disk of {path}")
    return good(shown)


def descriptors(_: Patient) -> Finding:
    """The process may open enough files and sockets."""
    if os.name != "posix":
        return skip("no such limit here")
    import resource  # noqa: PLC0415  (POSIX only)

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FILES_MIN:
        return warn(f"{soft} open files allowed", f"ulimit -n {_FILES_MIN * 4}")
    return good(f"{soft} open files allowed")


def alerts(patient: Patient) -> Finding:
    """The webhook of [alerts] can be reached; nothing is sent."""
    held = patient.settings
    if held is None:
        return skip(_NO_CONFIG)
    if held.alerts is None:
        return good("off: only log and events tell; docs/alerts.md says how to be told")
    try:
        destination = load_destination(held.alerts, patient.folder)
    except ConfigError as error:
        finding, _, fix = error.detail.rpartition("; ")
        return fail(finding or fix, fix)
    answers, finding, fix = look_at(destination)
    return good(finding) if answers else warn(finding, fix)


LOCAL: Final[tuple[Check, ...]] = (
    Check("python", python),
    Check("libzmq", libzmq),
    Check("config.found", config_found),
    Check("config.valid", config_valid),
    Check("config.limits", limits_set),
    Check("keys.private", keys_private),
    Check("keys.sound", keys_sound),
    Check("keys.match", keys_match),
    Check("keys.scope", keys_scope),
    Check("keys.apart", keys_apart),
    Check("state.writable", state_writable),
    Check("state.durable", state_durable),
    Check("disk.space", disk),
    Check("files.limit", descriptors),
    Check("alerts", alerts),
)
