"""`ztb-server doctor` at a MetaTrader 5 terminal: asks it through the link, and sends no order.

The link is a rehearsal's, whose worker refuses `order_send`, so nothing here can trade.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock, SystemClock
from bridge_core.host.filelock import FileLock
from bridge_core.protocol import limits
from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_core.protocol.keys import Mode
from bridge_server.backends.mt5_link import LinkSpec, LinkStatus, Mt5Link, Pace
from bridge_server.backends.mt5_pins import wrong_account
from bridge_server.backends.mt5_worker import import_metatrader5
from bridge_server.checks_mt5_market import clock_finding, symbol_finding, tag_finding
from bridge_server.checkup import Finding, fail, good, skip
from bridge_server.settings import ServerSettings

__all__ = ["Visit", "mt5_findings"]

_BUILD_MIN: Final = 2364  # the oldest that the package's symbols_get answers
_NOT_STARTED: Final = " (-10003 "  # IPC initialize failed
_PYTHON_MAX: Final = (3, 14)  # of MetaTrader5 5.0.6231
_STEP_S: Final = 0.1
_STARTING: Final = LinkStatus().why  # until the first attempt has failed
_DESKTOP: Final = "run the server on the terminal's Windows machine (docs/windows.md)"
_BY_HAND: Final = (
    "end terminal64.exe in the Task Manager, start it by hand, look at its tab Journal"
)
_OPTIONS: Final = (
    "Tools > Options > Expert Advisors: empty `Disable algorithmic trading via external Python API`"
)


class Visit(Struct, frozen=True, kw_only=True):
    """How the doctor calls on a terminal: tests bring their own package and less patience."""

    load: Callable[[], object] | None = None
    say: Callable[[str], object] = str
    patience_s: float = (limits.MT5_CONNECT_MS_MAX + limits.MT5_READ_MS_MAX) / 1000
    ticks_s: float = 5.0
    clock: Clock = SystemClock()
    pace: Pace = Pace()


def mt5_findings(settings: ServerSettings, spec: LinkSpec, visit: Visit) -> Iterator[Finding]:
    """Yield what a start needs of the terminal; each finding with its fix."""
    spec = structs.replace(spec, trading=False, load=visit.load or spec.load, pace=visit.pace)
    found = [_package(spec), _path(spec)]
    yield from found
    if any(one.state == "fail" for one in found):
        yield skip("mt5.terminal", "said above")
        return
    busy = _taken(spec)
    if busy is not None:
        yield busy
        return
    visit.say("asking the terminal; if it has to be started, this takes up to 3 minutes")
    link = Mt5Link(spec, visit.clock)
    try:
        link.start()
        yield from _at_the_terminal(settings, link, spec, visit)
    except ConfigError as error:
        problem, _, fix = error.detail.partition(": ")
        yield fail("mt5.terminal", problem, fix or "see the finding")
    finally:
        link.close()


# --- before anything is asked --------------------------------------------------------------------


def _package(spec: LinkSpec) -> Finding:
    name = "mt5.package"
    if spec.load is not import_metatrader5:
        return good(name, "a stand-in")
    if importlib.util.find_spec("MetaTrader5") is not None:
        return good(name, "MetaTrader5 is installed")
    if os.name != "nt":
        return fail(name, "the package MetaTrader5 exists for Windows only", _DESKTOP)
    bits = 64 if sys.maxsize > 2**32 else 32
    if bits == 32 or sys.version_info[:2] > _PYTHON_MAX:
        shown = ".".join(map(str, sys.version_info[:2]))
        return fail(
            name,
            f"there is no MetaTrader5 for Python {shown}, {bits} bit",
            "install the 64-bit Python 3.12 of python.org, and this project into it",
        )
    command = f'"{sys.executable}" -m pip install MetaTrader5'
    return fail(name, "MetaTrader5 is not installed", f"run `{command}`")


def _path(spec: LinkSpec) -> Finding:
    if Path(spec.path).is_file():
        return good("mt5.path", spec.path)
    return fail(
        "mt5.path",
        f"there is no terminal at {spec.path}",
        "copy MetaTrader 5 there (docs/windows.md, step 2), or mend mt5.path in server.toml",
    )


def _taken(spec: LinkSpec) -> Finding | None:
    """Return that a running server has the terminal; its worker must not be disturbed."""
    if spec.lock is None or not spec.lock.exists():
        return None
    lock = FileLock(spec.lock, "ztb-server doctor")
    try:
        lock.acquire()
    except BridgeError:
        fix = "ask `ztb doctor`, or stop the server first"
        return skip("mt5.terminal", "a running server has this terminal", fix)
    lock.release()
    return None


# --- at the terminal ------------------------------------------------------------------------------


def _at_the_terminal(
    settings: ServerSettings, link: Mt5Link, spec: LinkSpec, visit: Visit
) -> Iterator[Finding]:
    status = _joined(link, visit)
    if status.connects == 0:
        yield _unreachable(status)
        return
    status = link.beat()
    terminal = _terminal(status, spec)
    yield terminal
    if terminal.state == "fail":
        return
    live = settings.mode is Mode.LIVE
    account = _account(settings, status)
    yield account
    yield _broker(status)
    yield _api(status, live=live)
    if account.state == "fail":
        yield skip("mt5.symbol", "another account's symbols and permissions say nothing")
        return
    yield _margin(settings, status)
    yield _trading(status, live=live)
    infos: dict[str, Mapping[str, object]] = {}
    for symbol in settings.allowed_symbols:
        yield symbol_finding(settings, link, symbol, infos)
    yield clock_finding(settings, link, tuple(infos), visit.clock, visit.ticks_s)
    if live:
        yield tag_finding(settings.account, link, infos)
    else:
        yield skip("mt5.tag", "a rehearsal sends the terminal no order")


def _joined(link: Mt5Link, visit: Visit) -> LinkStatus:
    """Wait for the connection, or for why the first attempt made none."""
    end = time.monotonic() + visit.patience_s
    while not link.wait(_STEP_S):
        status = link.status
        if status.why != _STARTING or time.monotonic() > end:
            return status
    return link.status


def _unreachable(status: LinkStatus) -> Finding:
    why, said = status.why, ""
    if why.endswith(")") and " (-" in why:  # the package's own code and words
        why, _, said = why.rpartition(" (-")
        said = f" (-{said}"
    problem, _, fix = why.partition(": ")
    if why == _STARTING:
        problem, fix = "the terminal does not come up", _BY_HAND
    if "no answer" in fix or "frozen" in fix:
        fix = _BY_HAND
    if said.startswith(_NOT_STARTED):  # and its program is there: mt5.path has seen it
        problem = "the terminal cannot be started"
        fix = "does it update itself? Wait a minute; else start it by hand once, as this user"
    return fail("mt5.terminal", problem + said, fix or "look at the terminal's window")


def _terminal(status: LinkStatus, spec: LinkSpec) -> Finding:
    name = "mt5.terminal"
    elsewhere = wrong_account(None, spec.path, status.terminal, status.account)
    if elsewhere:
        return fail(
            name,
            f"another one answers: {elsewhere}, mt5.path is {spec.path}",
            "close that terminal, or write its terminal64.exe into mt5.path of server.toml",
        )
    build = status.terminal.get("build")
    shown = f"build {build}, package {status.package}, {status.ms} ms for a call"
    if not isinstance(build, int) or build < _BUILD_MIN:
        return fail(name, shown, "let the terminal update itself: Help > Check Desktop Updates")
    return good(name, shown)


def _account(settings: ServerSettings, status: LinkStatus) -> Finding:
    account, pinned = status.account, settings.terminal
    seen = f"{account.get('login')}@{account.get('server')} ({status.kind})"
    if pinned is None:
        return good("mt5.account", f"a rehearsal on the prices of {seen}")
    wanted = f"{pinned.login}@{pinned.server} ({pinned.kind})"
    if seen == wanted:
        return good("mt5.account", seen)
    return fail(
        "mt5.account",
        f"the terminal is logged in as {seen}, server.toml pins {wanted}",
        f"File > Login to Trade Account: {pinned.login} at {pinned.server}, {pinned.kind}",
    )


def _margin(settings: ServerSettings, status: LinkStatus) -> Finding:
    seen = status.margin_mode
    wanted = settings.mt5.margin_mode if settings.terminal is not None else None
    if not wanted or seen == wanted:
        return good("mt5.margin", seen)
    fix = f"log in to a {wanted} account"
    if seen in ("hedging", "netting"):
        fix = f'set margin_mode = "{seen}" in server.toml if that is meant, or {fix}'
    return fail("mt5.margin", f"the account is {seen}, server.toml pins {wanted}", fix)


def _broker(status: LinkStatus) -> Finding:
    if status.terminal.get("connected"):
        ping = status.terminal.get("ping_last")
        shown = f", {ping / 1000:.1f} ms away" if isinstance(ping, int) and ping > 0 else ""
        return good("mt5.broker", f"connected{shown}")
    return fail(
        "mt5.broker",
        "the terminal has no connection to the broker",
        "click its lower right corner and rescan the servers; on a weekend, wait",
    )


def _trading(status: LinkStatus, *, live: bool) -> Finding:
    name = "mt5.trading"
    if not live:
        return good(name, "a rehearsal needs no permission to trade")
    if not status.account.get("trade_allowed"):
        fix = "log in with the master password, not the investor's; else ask the broker"
        return fail(name, "this login may only look", fix)
    if not status.account.get("trade_expert"):
        return fail(name, "the broker allows no programs on this account", "ask the broker")
    if not status.terminal.get("trade_allowed"):
        fix = "press the button Algo Trading in the terminal's toolbar (Ctrl+E)"
        return fail(name, "Algo Trading is off", fix)
    return good(name, "Algo Trading is on, the account may trade by program")


def _api(status: LinkStatus, *, live: bool) -> Finding:
    if not status.terminal.get("tradeapi_disabled"):
        return good("mt5.api", "Python may trade")
    if not live:
        return good("mt5.api", "Python may not trade, and a rehearsal does not")
    return fail("mt5.api", "the terminal lets no Python program trade", _OPTIONS)
