"""The doctor's checks of an account whose server works a MetaTrader 5 terminal.

What the server last saw of the terminal, as it passes it on with GET_LIMITS (rows `mt5_…`).
`ztb-server doctor`, on the terminal's machine, looks closer.
"""

from __future__ import annotations

from typing import Final

from bridge_client.cli.checkup import Check, Finding, Patient, fail, good, skip, warn
from bridge_client.cli.hops import AWAY, Behind

__all__ = ["REMOTE_MT5"]

_BEHIND: Final = Behind(
    "server to terminal worker", "mt5_", "the server has not reached the terminal yet",
    "no MetaTrader 5 terminal serves this account",
)  # fmt: skip
_THERE: Final = "stop the server, run ztb-server doctor there, and do what it says"
# The oldest terminal that the package can be answered by.
_BUILD_MIN: Final = 2364


def _is_rehearsal(patient: Patient) -> bool:
    return patient.hello is not None and patient.hello.mode == "paper"


def mt5_hop(patient: Patient) -> Finding:
    """The server reaches the terminal."""
    if patient.hello is None:
        return skip(AWAY)
    hop = _BEHIND.health(patient)
    if hop is None:
        return _BEHIND.missing(patient)
    if hop.state == "up":
        return good("up" if hop.ms is None else f"up, last round trip {hop.ms:.1f} ms")
    # The server's own words are a sentence with its fix.
    problem, _, fix = hop.why.partition(": ")
    found = f"{hop.state}: {problem}"
    return (fail if hop.state == "down" else warn)(found, fix or _THERE)


def mt5_build(patient: Patient) -> Finding:
    """Terminal and package are not older than they may be."""
    found = _BEHIND.nothing(patient, "mt5_build", "mt5_package")
    if found is not None:
        return found
    build, package = _BEHIND.rows(patient)["mt5_build"], _BEHIND.rows(patient)["mt5_package"]
    shown = f"terminal build {build}, package {package}"
    if not build.isdigit() or int(build) < _BUILD_MIN:
        return fail(shown, f"let the terminal update itself: build {_BUILD_MIN} is the least")
    return good(shown)


def mt5_identity(patient: Patient) -> Finding:
    """The terminal is logged in to the account that the server serves."""
    found = _BEHIND.nothing(patient, "mt5_login", "mt5_server", "mt5_kind", "mt5_margin_mode")
    if found is not None or patient.hello is None:
        return found or skip(AWAY)
    rows, named = _BEHIND.rows(patient), patient.hello.account
    seen = f"{rows['mt5_login']}@{rows['mt5_server']} ({rows['mt5_kind']}, "
    seen += f"{rows['mt5_margin_mode']})"
    if _is_rehearsal(patient):
        return good(f"a rehearsal on the prices of {seen}")
    wanted = f"{named.login}@{named.server} ({named.kind}, {named.margin_mode})"
    if seen != wanted:
        return fail(
            f"the terminal is on {seen}, the server serves {wanted}",
            f"log the terminal in to {named.login} at {named.server}, then ztb resume "
            "--operator DIR --cause IDENTITY --reason TEXT",
        )
    return good(seen)


def mt5_trading(patient: Patient) -> Finding:
    """The terminal is connected and lets a program trade."""
    found = _BEHIND.nothing(
        patient, "mt5_connected", "mt5_trade_allowed", "mt5_tradeapi_disabled",
        "mt5_account_trade_allowed", "mt5_trade_expert",
    )  # fmt: skip
    if found is not None:
        return found
    rows = _BEHIND.rows(patient)
    if rows["mt5_connected"] != "true":
        return fail(
            "the terminal has no connection to the broker",
            "look at its lower right corner; on a weekend, wait",
        )
    if _is_rehearsal(patient):
        return good("connected; a rehearsal needs no permission to trade")
    if rows["mt5_account_trade_allowed"] != "true":
        return fail("this login may only look", "log in with the master password")
    if rows["mt5_trade_expert"] != "true":
        return fail("the broker allows no programs on this account", "ask the broker")
    if rows["mt5_tradeapi_disabled"] != "false":
        return fail(
            "the terminal lets no Python program trade",
            "Tools > Options > Expert Advisors: empty `Disable algorithmic trading via external "
            "Python API`",
        )
    if rows["mt5_trade_allowed"] != "true":
        return fail("Algo Trading is off", "press the button Algo Trading in the toolbar")
    return good("connected, Algo Trading on")


def mt5_clock(patient: Patient) -> Finding:
    """The server knows what the broker's clock differs from UTC by."""
    rows = _BEHIND.rows(patient)
    found = _BEHIND.nothing(patient)
    if found is not None or "mt5_offset" not in rows:
        return found or skip("the server does not say mt5_offset")
    if rows["mt5_offset"] in ("", "unknown"):
        return warn(
            "the broker's clock is not known yet: an order with an expiration is refused",
            "wait for the market, or set utc_offset_minutes in server.toml",
        )
    return good(f"the broker's clock is {rows['mt5_offset']} from UTC")


def mt5_worker(patient: Patient) -> Finding:
    """The terminal has not hung since the server started."""
    found = _BEHIND.nothing(patient, "mt5_restarts")
    if found is not None:
        return found
    count = _BEHIND.rows(patient)["mt5_restarts"]
    if count == "0":
        return good("never replaced")
    return warn(
        f"its worker was replaced {count} times since the server started: the terminal hung or "
        "was closed",
        "look at the terminal's tab Journal and at log/server.log",
    )


REMOTE_MT5: Final[tuple[Check, ...]] = (
    Check("mt5.hop", mt5_hop),
    Check("mt5.build", mt5_build),
    Check("mt5.identity", mt5_identity),
    Check("mt5.trading", mt5_trading),
    Check("mt5.clock", mt5_clock),
    Check("mt5.worker", mt5_worker),
)
