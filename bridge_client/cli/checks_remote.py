"""The doctor's online checks: the way to the server, its clock, state, limits and record."""

from __future__ import annotations

import socket
from typing import Final

from bridge_client.cli.asking import server_limits
from bridge_client.cli.audit import verdict
from bridge_client.cli.checkup import Check, Finding, Patient, fail, good, skip, warn
from bridge_client.cli.hops import AWAY, UNHEARD, heard
from bridge_client.cli.journals import remembered, unfinished
from bridge_client.settings import parse_endpoint
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.limits import CLOCK_SKEW_MS_MAX, PROTOCOL_VERSION
from bridge_core.protocol.replies import dec

__all__ = ["REMOTE"]

_START: Final = "start it: ztb-server run --config server/server.toml"
_CLOCKS: Final = "synchronise both clocks: timedatectl status, w32tm /query /status"
_CONNECT_S: Final = 2.0


def port(patient: Patient) -> Finding:
    """Somebody listens where the configuration says."""
    held = patient.settings
    if held is None or patient.config is None:
        return skip("no usable configuration")
    host, number = parse_endpoint(held.server, patient.config)
    try:
        socket.create_connection((host.strip("[]"), number), _CONNECT_S).close()
    except OSError as error:
        patient.listens = False
        return fail(f"{held.server} does not answer ({error.strerror or error})", _START)
    return good(f"{held.server} accepts connections")


def hello(patient: Patient) -> Finding:
    """The pinned server answers, authenticated."""
    if patient.bridge is None:
        return skip("no usable configuration or keys")
    if not patient.listens:
        return skip("nobody listens there")
    try:
        patient.bridge.connect(timeout=_CONNECT_S)
        patient.hello = patient.bridge.hello
    except BridgeError as error:
        return fail(
            f"no authenticated answer: {error}",
            "check that the server's keys folder has this key id (ztb keys list), then restart it",
        )
    if patient.hello is None:
        return fail("no answer to HELLO", _START)
    return good(f"incarnation {patient.hello.incarnation}, version {patient.hello.version or '?'}")


def protocol(patient: Patient) -> Finding:
    """Both sides speak a common protocol version."""
    if patient.hello is None:
        return skip(AWAY)
    spoken = patient.hello.protocols or [PROTOCOL_VERSION]
    shown = " ".join(map(str, spoken))
    if PROTOCOL_VERSION not in spoken:
        return fail(f"the server speaks {shown}, this side {PROTOCOL_VERSION}", "update the older")
    return good(f"protocol {PROTOCOL_VERSION}; the server speaks {shown}")


def mode(patient: Patient) -> Finding:
    """Both sides mean the same kind of account."""
    if patient.hello is None or patient.settings is None:
        return skip(AWAY)
    ours, theirs = str(patient.settings.mode), patient.hello.mode
    if ours != theirs:
        return fail(f"here {ours}, at the server {theirs}", "use the folder made for this server")
    who = patient.hello.account
    if ours == "paper" and who.kind != "paper":
        return warn(
            f"paper keys on a {who.kind} account {who.login}@{who.server}",
            "a rehearsal: fills come from the paper broker; make sure that is what you want",
        )
    return good(f"{ours}: {who.login}@{who.server} ({who.kind}, {who.margin_mode})")


def clock(patient: Patient) -> Finding:
    """The clocks agree well enough to sign entries."""
    offset = patient.bridge.clock_offset if patient.bridge is not None else None
    if patient.hello is None or offset is None:
        return skip(AWAY)
    shown = f"offset {offset.offset_ms:+d} ms +/- {offset.uncertainty_ms} ms"
    shown += f", {CLOCK_SKEW_MS_MAX} ms allowed"
    if abs(offset.offset_ms) - offset.uncertainty_ms > CLOCK_SKEW_MS_MAX:
        return fail(shown, _CLOCKS)
    if abs(offset.offset_ms) + offset.uncertainty_ms > CLOCK_SKEW_MS_MAX // 2:
        return warn(shown, _CLOCKS)
    return good(shown)


def state(patient: Patient) -> Finding:
    """Orders may pass."""
    if patient.hello is None:
        return skip(AWAY)
    if not patient.hello.causes and patient.hello.state == "ACTIVE":
        return good("ACTIVE")
    causes = " ".join(f"{one.cause} {one.symbol}".strip() for one in patient.hello.causes)
    found = f"{patient.hello.state} because of {causes or 'a cause it does not name'}"
    first = next((one.ends for one in patient.hello.causes if one.ends), "look at ztb health")
    return fail(found, first) if patient.hello.state == "HALTED" else warn(found, first)


def terminal(patient: Patient) -> Finding:
    """Every hop behind the server works."""
    if patient.hello is None or patient.bridge is None:
        return skip(AWAY)
    patient.health = patient.bridge.health()
    bad = [hop for hop in patient.health.hops if hop.state != "up"]
    if not bad:
        return good(", ".join(f"{hop.hop} up" for hop in patient.health.hops) or "no further hop")
    found = ", ".join(f"{hop.hop} {hop.state} ({hop.why})" for hop in bad)
    down = any(hop.state == "down" for hop in bad)
    fix = "look at the terminal on the server's machine: logged in, connected, trading allowed"
    return fail(found, fix) if down else warn(found, fix)


def symbols(patient: Patient) -> Finding:
    """The broker has every symbol under the configured name, and the server allows it."""
    if patient.hello is None or patient.bridge is None or patient.settings is None:
        return skip(AWAY)
    known = {row.symbol: row.allowed for row in patient.bridge.get_symbols()}
    missing = [name for name in patient.settings.allowed_symbols if name not in known]
    if missing:
        return fail(
            f"the server has no {' '.join(missing)}; it has {' '.join(known)}",
            "use the broker's spelling, or map it in [symbols] of connector.toml",
        )
    closed = [name for name in patient.settings.allowed_symbols if not known[name]]
    if closed:
        return warn(
            f"the server does not allow {' '.join(closed)}",
            "add it to allowed_symbols of server.toml",
        )
    return good(" ".join(patient.settings.allowed_symbols) or "none configured")


def limits(patient: Patient) -> Finding:
    """Both sides' limits agree; the stricter one holds anyway."""
    if patient.hello is None or patient.bridge is None or patient.settings is None:
        return skip(AWAY)
    theirs = {(row.name, row.symbol): row.value for row in server_limits(patient.bridge)}
    differ = []
    for symbol, ours in patient.settings.broker_limits().items():
        for name, mine in (("max_volume", ours.max_volume), ("max_positions", ours.max_positions)):
            other = theirs.get((name, symbol), "")
            if other and mine is not None and dec(other) != mine:
                differ.append(f"{symbol} {name}: {mine} here, {other} at the server")
    if differ:
        return warn("; ".join(differ), "the stricter holds; write the same in both .toml files")
    return good("the same on both sides")


def record(patient: Patient) -> Finding:
    """The server's record chains, and extends what was seen here."""
    if patient.hello is None or patient.bridge is None or patient.settings is None:
        return skip(AWAY)
    memories = remembered(patient.folder / patient.settings.state)
    head, wrong = verdict(patient.bridge, memories)
    if wrong:
        return fail(wrong[0], "find out why (ztb audit verify), then ztb audit accept")
    pairs = sum(len(one.pairs) for one in memories)
    return good(f"{head.size} records chain, {pairs} remembered heads agree")


def orders(patient: Patient) -> Finding:
    """No order is waiting for its outcome."""
    if patient.settings is None:
        return skip("no usable configuration")
    here = unfinished(patient.folder / patient.settings.state)
    ids = " ".join(row.client_order_id for row in here[:3])
    if patient.health is None or not heard(patient):
        found = f"{len(here)} unfinished here; {AWAY if patient.hello is None else UNHEARD}"
        return warn(found, f"ztb wait {ids}") if here else skip(found)
    unknown = patient.health.unknown_orders
    if not here and not unknown:
        return good("none is open")
    found = f"{len(here)} unfinished here, {unknown} UNKNOWN at the server"
    return warn(found, f"ztb wait {ids}".strip())


REMOTE: Final[tuple[Check, ...]] = (
    Check("server.port", port),
    Check("server.hello", hello),
    Check("server.protocol", protocol),
    Check("server.mode", mode),
    Check("clock.offset", clock),
    Check("server.state", state),
    Check("server.terminal", terminal),
    Check("symbols.known", symbols),
    Check("limits.agree", limits),
    Check("record.chain", record),
    Check("orders.unfinished", orders),
)
