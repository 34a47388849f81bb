"""The doctor's checks of an account whose orders an Expert Advisor carries out.

Offline: the EA's file and the server's key sets, where they lie beside this folder. Online: what
the EA last said of itself, as the server passes it on with GET_LIMITS (rows `ea_…`). The EA's own
word is in its records only; nothing here decides about an order.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge_client.cli.checkup import Check, Finding, Patient, fail, good, skip, warn
from bridge_client.cli.hops import AWAY, Behind
from bridge_client.cli.layout import EA_PATH, EA_PORT
from bridge_core.host.bundles import ServerKeys, VerifyKeys, load_server_keys
from bridge_core.host.ea_keys import EaKeys, ea_set, load_ea_keys
from bridge_core.host.keyfiles import load_key_file
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import KeyState
from bridge_core.protocol.limits import CLOCK_SKEW_MS_MAX, LIBZMQ_MIN
from bridge_core.protocol.replies import dec

__all__ = ["LOCAL_EA", "REMOTE_EA"]

_BEHIND: Final = Behind(
    "server to EA", "ea_", "the server has not heard the EA", "no EA serves this account"
)
_ATTACH: Final = "attach BridgeEA to a chart (mql4/README.md, step 6) and read its Experts tab"
_COPY: Final = "copy ea/bridge.key into MQL4/Files again"
_CLOCKS: Final = "synchronise the terminal's machine: w32tm /resync"
# The oldest build whose language this EA's source keeps to.
_BUILD_MIN: Final = 1162


# --- offline -------------------------------------------------------------------------------


def _account(patient: Patient) -> Path:
    return patient.folder.resolve().parent


def _ea_file(patient: Patient) -> Path | None:
    path = _account(patient) / EA_PATH
    return path if patient.config is not None and path.exists() else None


def _absent(patient: Patient) -> Finding:
    if patient.bundle is not None and patient.bundle.ea:
        return skip("the EA's file is not on this machine")
    return good("no EA's file beside this folder")


def _same_account(ea: EaKeys, patient: Patient) -> Finding | None:
    bundle = patient.bundle
    if bundle is None:
        return skip("no usable key file")
    if (ea.acct, ea.mode, ea.server_public) != (bundle.acct, bundle.mode, bundle.server_public):
        return fail(
            f"{EA_PATH} is for {ea.acct} ({ea.mode}), these keys are for {bundle.acct} "
            f"({bundle.mode})" + ("" if ea.acct != bundle.acct or ea.mode != bundle.mode
                                  else ", of another server"),
            "use the ea/ folder that `ztb init` made with these keys",
        )  # fmt: skip
    return None


def ea_file(patient: Patient) -> Finding:
    """The EA's file is sound and the EA can verify what these keys sign."""
    path = _ea_file(patient)
    if path is None:
        return _absent(patient)
    try:
        ea = load_ea_keys(path)
    except ConfigError as error:
        return fail(error.detail or str(error), "take the copy in the terminal's MQL4/Files")
    stranger = _same_account(ea, patient)
    if stranger is not None or patient.bundle is None:
        return stranger or skip("no usable key file")
    mine = ea_set(patient.bundle)
    if mine.kid not in ea.kids():
        return fail(
            f"the EA does not know key id {mine.kid}: it drops what these keys sign",
            "make a set that it knows (ztb keys add), and " + _COPY,
        )
    if mine not in ea.sets:
        return fail(
            f"the EA has other keys under key id {mine.kid}: it drops what these keys sign",
            "use the ea/ folder that `ztb init` made with these keys",
        )
    signs = "verifies and attests" if mine.reply else "a rehearsal: it can carry out no order"
    return good(f"{path}: {len(ea.sets)} key sets, {signs}")


def _verified(folder: Path) -> set[str]:
    """Return the kids that the server's side lets sign."""
    found = [
        load_key_file(path, VerifyKeys)
        for path in sorted(folder.glob("*.key"))
        if path.name != "server.key"
    ]
    return {one.kid for one in found if one.state is not KeyState.REVOKED}


def ea_sync(patient: Patient) -> Finding:
    """The server's folder and the EA's file name the same sets, identity and port."""
    path, server = _ea_file(patient), _account(patient) / "server"
    if path is None:
        return _absent(patient)
    if not (server / "keys/server.key").exists():
        return skip("the server's folder is not on this machine")
    try:
        ea, own = load_ea_keys(path), load_server_keys(server / "keys/server.key")
        kids = _verified(server / "keys")
    except ConfigError as error:
        return skip(f"cannot be compared: {error.detail}")
    if (own.ea_public, own.curve_public) != (ea.curve_public, ea.server_public):
        return fail(
            "the server lets in another EA than the one of this file",
            "use server/ and ea/ of the same `ztb init`",
        )
    return _same_sets(kids, set(ea.kids())) or _same_port(ea, own, server / "server.toml")


def _same_sets(server: set[str], ea: set[str]) -> Finding | None:
    if missing := sorted(server - ea):
        return fail(
            f"the EA does not know {' '.join(missing)}: it drops what they sign",
            f"ztb keys revoke {missing[0]}, then ztb keys add, and {_COPY}",
        )
    if more := sorted(ea - server):
        return warn(
            f"the EA still takes {' '.join(more)}, which the server does not",
            f"ztb keys revoke {more[0]}, and {_COPY}",
        )
    return None


def _same_port(ea: EaKeys, own: ServerKeys, toml: Path) -> Finding:
    try:
        port = tomllib.loads(toml.read_text("utf-8")).get("port", 0)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return skip(f"{toml} cannot be read")
    told = int(ea.endpoint.rsplit(":", 1)[1])
    if told != port + EA_PORT:
        return fail(
            f"the EA looks for the server on port {told}, it listens on {port + EA_PORT}",
            f"set port = {told - EA_PORT} in {toml}",
        )
    return good(f"{own.acct}: the server and the EA name the same sets, {ea.endpoint}")


# --- online --------------------------------------------------------------------------------


def ea_hop(patient: Patient) -> Finding:
    """The server hears the EA."""
    if patient.hello is None:
        return skip(AWAY)
    hop = _BEHIND.health(patient)
    if hop is None:
        return _BEHIND.missing(patient)
    took = "" if hop.ms is None else f", last round trip {hop.ms:.1f} ms"
    if hop.state == "up":
        return good(f"up{took}")
    found = f"{hop.state}: {hop.why}"
    return fail(found, _ATTACH) if hop.state == "down" else warn(found, _ATTACH)


def ea_build(patient: Patient) -> Finding:
    """Terminal, EA and libzmq.dll are not older than they may be."""
    found = _BEHIND.nothing(patient, "ea_build", "ea_version", "ea_dll")
    if found is not None:
        return found
    rows = _BEHIND.rows(patient)
    shown = f"EA {rows['ea_version']}, terminal build {rows['ea_build']}, libzmq {rows['ea_dll']}"
    build, dll = rows["ea_build"], rows["ea_dll"]
    if not build.isdigit() or int(build) < _BUILD_MIN:
        return fail(shown, f"let the terminal update itself: build {_BUILD_MIN} is the least")
    parts = dll.split(".")
    if not all(part.isdigit() for part in parts) or tuple(map(int, parts)) < LIBZMQ_MIN:
        least = ".".join(map(str, LIBZMQ_MIN))
        return fail(shown, f"libzmq.dll must be {least} or later: mql4/libzmq/README.md")
    return good(shown)


def ea_identity(patient: Patient) -> Finding:
    """The terminal is logged in to the account that the server names."""
    found = _BEHIND.nothing(patient, "ea_login", "ea_server", "ea_kind")
    if found is not None or patient.hello is None:
        return found or skip(AWAY)
    rows, named = _BEHIND.rows(patient), patient.hello.account
    seen = f"{rows['ea_login']}@{rows['ea_server']} ({rows['ea_kind']})"
    if not patient.hello.attests:
        return good(f"a rehearsal on the prices of {seen}")
    wanted = f"{named.login}@{named.server} ({named.kind})"
    if seen != wanted:
        return fail(
            f"the terminal is on {seen}, the server serves {wanted}",
            f"log the terminal in to {wanted}",
        )
    return good(seen)


def ea_trading(patient: Patient) -> Finding:
    """The terminal is connected and lets the EA trade."""
    found = _BEHIND.nothing(patient, "ea_connected", "ea_trade_allowed")
    if found is not None or patient.hello is None:
        return found or skip(AWAY)
    rows = _BEHIND.rows(patient)
    if rows["ea_connected"] != "true":
        return fail(
            "the terminal has no connection to the broker", "look at its lower right corner"
        )
    if not patient.hello.attests:
        return good("connected; a rehearsal needs no permission to trade")
    if rows["ea_trade_allowed"] != "true":
        return fail(
            "the terminal does not let the EA trade",
            "press AutoTrading in the toolbar and tick `Allow live trading` in the EA's settings",
        )
    return good("connected, trading allowed")


def ea_caps(patient: Patient) -> Finding:
    """The EA's own caps let pass what this side's limits do."""
    found = _BEHIND.nothing(patient, "ea_max_lots", "ea_max_positions", "ea_symbols")
    if found is not None or patient.settings is None or patient.hello is None:
        return found or skip("no usable configuration")
    rows = _BEHIND.rows(patient)
    held = {word.strip() for word in rows["ea_symbols"].split(",")}
    limits = patient.settings.broker_limits()
    wanted = [name for name in limits if name not in held]
    if wanted:
        return fail(
            f"the EA serves {' '.join(sorted(held))}, not {' '.join(wanted)}",
            f"set the EA's input Symbols = {','.join(sorted(held | set(wanted)))}",
        )
    shown = f"{rows['ea_max_lots']} lots, {rows['ea_max_positions']} positions"
    if not patient.hello.attests:
        return good(f"serves {' '.join(sorted(held))}; a rehearsal has no use for the others")
    lots = max((one.max_volume or Decimal(0) for one in limits.values()), default=Decimal(0))
    count = sum(one.max_positions or 0 for one in limits.values())  # the EA counts the account's
    if dec(rows["ea_max_lots"]) < lots or int(rows["ea_max_positions"]) < count:
        return warn(
            f"the EA allows {shown}; this side allows {lots} lots, {count} positions",
            f"the stricter holds: set the EA's inputs MaxLots = {lots}, MaxPositions = {count}, "
            "or lower the limits",
        )
    return good(f"{shown}, {' '.join(sorted(held))}")


def ea_clock(patient: Patient) -> Finding:
    """The terminal's clock agrees with the server's: both are on one machine."""
    found = _BEHIND.nothing(patient, "ea_clock_ms")
    if found is not None:
        return found
    offset = int(_BEHIND.rows(patient)["ea_clock_ms"])
    shown = f"offset {offset:+d} ms, {CLOCK_SKEW_MS_MAX} ms allowed"
    if abs(offset) > CLOCK_SKEW_MS_MAX:
        return fail(shown, _CLOCKS)
    return warn(shown, _CLOCKS) if abs(offset) > CLOCK_SKEW_MS_MAX // 2 else good(shown)


def ea_keys(patient: Patient) -> Finding:
    """The running EA knows this side's key id."""
    found = _BEHIND.nothing(patient, "ea_kids")
    if found is not None or patient.bundle is None:
        return found or skip("no usable key file")
    kids = _BEHIND.rows(patient)["ea_kids"].replace(",", " ").split()
    if patient.bundle.kid not in kids:
        return fail(
            f"the running EA knows {' '.join(kids)}, not {patient.bundle.kid}",
            f"{_COPY}: the EA takes it within 5 s",
        )
    return good(f"it knows {patient.bundle.kid}")


def ea_state(patient: Patient) -> Finding:
    """The EA's own trading state and journal let orders pass."""
    found = _BEHIND.nothing(patient, "ea_state")
    if found is not None:
        return found
    rows = _BEHIND.rows(patient)
    note = f" ({rows['ea_note']})" if rows.get("ea_note") else ""
    journal = rows.get("ea_journal") or "OK"
    shown = f"{rows['ea_state']}, journal {journal}{note}"
    if patient.hello is not None and not patient.hello.attests:
        return good(f"{shown}; a rehearsal carries out no order")
    if journal != "OK":
        return fail(shown, "free space on the terminal's disk, then attach the EA again")
    if not rows["ea_state"].startswith("ACTIVE"):
        return warn(shown, "ztb resume --operator DIR --cause OPERATOR --reason TEXT, when checked")
    return warn(shown, "do what it says, in the terminal") if note else good(shown)


LOCAL_EA: Final[tuple[Check, ...]] = (Check("ea.file", ea_file), Check("ea.sync", ea_sync))
REMOTE_EA: Final[tuple[Check, ...]] = (
    Check("ea.hop", ea_hop),
    Check("ea.build", ea_build),
    Check("ea.identity", ea_identity),
    Check("ea.trading", ea_trading),
    Check("ea.caps", ea_caps),
    Check("ea.clock", ea_clock),
    Check("ea.keys", ea_keys),
    Check("ea.state", ea_state),
)
