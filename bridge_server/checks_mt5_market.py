"""The doctor's look at a terminal's symbols, its broker's clock, and what it keeps of a tag."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from bridge_core.host.clock import Clock
from bridge_core.protocol.tag import make_tag
from bridge_server.backends.mt5_books import RecordError
from bridge_server.backends.mt5_link import Mt5Link
from bridge_server.backends.mt5_symbols import FOK, Mt5Symbol, symbol_of
from bridge_server.backends.mt5_zone import Zone
from bridge_server.checkup import Finding, fail, good, skip, warn
from bridge_server.settings import ServerSettings

__all__ = ["clock_finding", "near_names", "symbol_finding", "tag_finding"]

Infos = dict[str, Mapping[str, object]]

_NEAR_MAX: Final = 5
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+")
_CORE_CHARS: Final = 6  # a currency pair
_STEP_S: Final = 0.2
# Any request id: the longest tag there can be, 53 bits of magic and 28 characters of comment.
_RID: Final = "0123456789abcdef0123456789abcdef"
_COMMENT: Final = "ztb-server-doctor"
_COMMENT_CHARS: Final = 28
_STRATEGY_MAX: Final = 4095
_DEAL: Final = 1  # TRADE_ACTION_DEAL
_BUY: Final = 0  # ORDER_TYPE_BUY
_FIX_TRADE_MODE: Final = "ask the broker whether this account may trade it"
_WHY_NOT: Final[dict[int, tuple[str, str]]] = {
    10017: ("trading is disabled for it", _FIX_TRADE_MODE),
    10018: ("the market is closed", "run this again when it is open"),
    10019: ("there is not enough free margin", "put money into the account, or trade less"),
    10021: ("there is no price yet", "run this again when the symbol has a price"),
    10026: ("the broker's server allows no programs", "ask the broker"),
    10027: ("Algo Trading is off", "press the button Algo Trading in the terminal's toolbar"),
    10030: ("its filling is not taken", "say so in an issue, with the line of mt5.symbol"),
}


# --- symbols -----------------------------------------------------------------------------------


def symbol_finding(settings: ServerSettings, link: Mt5Link, symbol: str, infos: Infos) -> Finding:
    """Look at one symbol; what the terminal says of it goes into `infos`."""
    name = f"mt5.symbol {symbol}"
    answer = link.call("symbol_info", symbol)
    if not answer.ok or not isinstance(answer.value, dict):
        if answer.code not in (1, -4):
            return fail(
                name,
                f"cannot be asked for: {answer.code} {answer.text}",
                "look at the terminal's window, then run this again",
            )
        return _missing(link, name, symbol)
    infos[symbol] = answer.value
    try:
        known = symbol_of(answer.value)
    except RecordError as error:
        return fail(name, str(error), "take it out of allowed_symbols in server.toml")
    bad = _untradable(settings, name, known)
    if bad is not None:
        return bad
    if not answer.value.get("select"):
        return warn(
            name,
            "is not shown in Market Watch: the server adds it by itself",
            f"right click in Market Watch > Symbols: show {symbol}",
        )
    spec = known.spec
    return good(
        name,
        f"{spec.digits} digits, {_lots(spec.volume_min)} to {_lots(spec.volume_max)} lots, "
        f"{spec.execution} execution, filling {spec.filling}, stops {spec.stops_level} points away",
    )


def _missing(link: Mt5Link, name: str, symbol: str) -> Finding:
    near = near_names(link, symbol)
    if not near:
        return fail(
            name,
            "the broker has no such symbol, and none like it",
            "copy the name from Market Watch into both .toml files",
        )
    return fail(
        name,
        f"the broker has no such symbol; it has {' '.join(near)}",
        f"if {near[0]} is meant, write that in allowed_symbols and limits of both .toml files",
    )


def near_names(link: Mt5Link, symbol: str) -> list[str]:
    """Return the broker's names most like a symbol, the most alike first; never more than a few.

    Suffixes are what differs: EURUSD.m, EURUSDm, #EURUSD.
    """
    core = max(_LETTERS.findall(symbol), key=len, default="")
    parts = {core, core.upper(), core[:_CORE_CHARS], core[:_CORE_CHARS].upper()} - {""}
    if not parts:
        return []
    group = ",".join(f"*{part}*" for part in sorted(parts))
    answer = link.call("symbols_get", group=group)
    if not answer.ok or not isinstance(answer.value, list):
        return []
    names = {str(row.get("name", "")) for row in answer.value if isinstance(row, dict)} - {""}

    def likeness(name: str) -> tuple[float, int, str]:
        ratio = difflib.SequenceMatcher(None, symbol.lower(), name.lower()).ratio()
        return (-ratio, len(name), name)

    return sorted(names, key=likeness)[:_NEAR_MAX]


def _untradable(settings: ServerSettings, name: str, known: Mt5Symbol) -> Finding | None:
    spec = known.spec
    if not (known.takes("BUY") or known.takes("SELL")):
        return fail(
            name, f"may not be opened now: {spec.trade_mode or 'unknown mode'}", _FIX_TRADE_MODE
        )
    if not known.fillings():
        return fail(name, "takes no known filling: a market order cannot be sent", _FIX_TRADE_MODE)
    held, least = settings.limits.get(spec.symbol), _lots(spec.volume_min)
    most = held.max_volume if held is not None else None
    if most is not None and most < spec.volume_min:
        return fail(
            name,
            f"its smallest lot is {least}, max_volume is {_lots(most)}: none passes",
            f"set max_volume = {least} in both .toml files, if that is not too much",
        )
    one_sided = [side for side in ("BUY", "SELL") if not known.takes(side)]
    if one_sided:
        return warn(name, f"{one_sided[0]} is not allowed: {spec.trade_mode}", _FIX_TRADE_MODE)
    return None


def _lots(value: Decimal) -> str:
    return format(value.normalize(), "f")  # 500.0 is what a double says


# --- the broker's clock --------------------------------------------------------------------------


def clock_finding(
    settings: ServerSettings, link: Mt5Link, symbols: tuple[str, ...], clock: Clock, for_s: float
) -> Finding:
    """Compare the broker's clock with UTC by fresh ticks, as the server does."""
    pinned = settings.mt5.utc_offset_minutes
    zone = Zone(None)
    end = time.monotonic() + for_s
    while zone.offset_ms is None and time.monotonic() < end:
        for symbol in symbols:
            answer = link.call("symbol_info_tick", symbol)
            tick = answer.value.get("time_msc") if isinstance(answer.value, dict) else None
            if isinstance(tick, int):
                zone.see(symbol, tick, clock.wall_ms(), clock.mono_ms())
        if zone.offset_ms is None:
            time.sleep(_STEP_S)
    if zone.offset_ms is None:
        problem, _, fix = zone.why.partition(": ")
        found = problem if pinned is None else f"{problem}; pinned to {_utc(pinned)}"
        return warn("mt5.clock", found, fix) if pinned is None else good("mt5.clock", found)
    seen = zone.offset_ms // 60_000
    if pinned is not None and pinned != seen:
        return fail(
            "mt5.clock",
            f"the broker's clock is {_utc(seen)}, server.toml pins {_utc(pinned)}",
            f"set utc_offset_minutes = {seen} in server.toml, or leave it out",
        )
    return good("mt5.clock", f"the broker's clock is {_utc(seen)}, by fresh ticks")


def _utc(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60}:{abs(minutes) % 60:02d}"


# --- the tag -------------------------------------------------------------------------------------


def tag_finding(account: str, link: Mt5Link, infos: Infos) -> Finding:
    """Let the terminal check an order of the smallest size: does our mark come back whole?"""
    request = next((one for one in map(_request, infos.items()) if one), None)
    if request is None:
        return skip("mt5.tag", "no symbol that could be asked with")
    tick = link.call("symbol_info_tick", request["symbol"])
    ask = tick.value.get("ask") if isinstance(tick.value, dict) else None
    if not isinstance(ask, float) or ask <= 0:
        return skip("mt5.tag", f"{request['symbol']} has no price now")
    tag = make_tag(account, _RID)
    marks = {
        "magic": tag.mt5_magic(_STRATEGY_MAX),
        "comment": tag.broker_comment(_COMMENT, _COMMENT_CHARS),
    }
    answer = link.call("order_check", {**request, "price": ask, **marks})
    if not answer.ok or not isinstance(answer.value, dict):
        return fail(
            "mt5.tag",
            f"the order is not even checked: {answer.code} {answer.text}",
            "update terminal and package",
        )
    return _judged(answer.value, marks)


def _judged(value: Mapping[str, object], marks: dict[str, object]) -> Finding:
    echo = value.get("request")
    back = {name: echo.get(name) if isinstance(echo, dict) else None for name in marks}
    if back != marks:
        return fail(
            "mt5.tag",
            f"the terminal gives back {back}, not {marks}",
            "do not trade with this terminal: orders could not be found again; update it",
        )
    retcode = value.get("retcode")
    if retcode == 0:
        return good(
            "mt5.tag",
            "magic and comment come back whole; what the broker keeps "
            "of the comment shows only on an order (docs/real-terminal.md)",
        )
    why, fix = _WHY_NOT.get(retcode if isinstance(retcode, int) else -1, ("", ""))
    return warn(
        "mt5.tag",
        f"the mark comes back, but an order would get {retcode} "
        f"({why or value.get('comment') or 'no word'})",
        fix or "look at the terminal's tab Journal",
    )


def _request(item: tuple[str, Mapping[str, object]]) -> dict[str, object]:
    symbol, info = item
    try:
        known = symbol_of(info)
    except RecordError:
        return {}
    fillings = known.fillings()
    return {
        "action": _DEAL,
        "symbol": symbol,
        "volume": float(known.spec.volume_min),
        "type": _BUY,
        "deviation": 20,
        "type_filling": fillings[0] if fillings else FOK,
    }
