"""The package as its user sees it: constants, 32 functions, record classes, three helpers."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache, partial
from types import FrameType, ModuleType
from typing import Any, Final, NoReturn

from tests.support.fake_metatrader5 import arguments
from tests.support.fake_metatrader5.client import Client, Fails
from tests.support.fake_metatrader5.facts import FACTS
from tests.support.fake_metatrader5.filters import in_group
from tests.support.fake_metatrader5.records import RECORDS, record

__all__ = ["fresh", "load"]

Args = tuple[Any, ...]
Named = dict[str, Any]
Function = Callable[..., Any]
Build = Callable[[Any, Named], Any]
_NONE: Final = Fails()

_COPIES: Final = {
    "copy_rates_from": ("symbol", "timeframe", "from_s", "count"),
    "copy_rates_from_pos": ("symbol", "timeframe", "start", "count"),
    "copy_rates_range": ("symbol", "timeframe", "from_s", "to_s"),
    "copy_ticks_from": ("symbol", "from_s", "count", "flags"),
    "copy_ticks_range": ("symbol", "from_s", "to_s", "flags"),
}
_CALCULATIONS: Final = {
    "order_calc_margin": ("action", "symbol", "volume", "price"),
    "order_calc_profit": ("action", "symbol", "volume", "price_open", "price_close"),
}
_SELECTED: Final = {"positions_get": "TradePosition", "orders_get": "TradeOrder"}
_PAST: Final = {"history_orders_get": "TradeOrder", "history_deals_get": "TradeDeal"}
_SINGLE: Final = {"symbol_info": "SymbolInfo", "symbol_info_tick": "Tick"}
_ANSWERED: Final = {"order_check": "OrderCheckResult", "order_send": "OrderSendResult"}
_PLAIN: Final = {"terminal_info": "TerminalInfo", "account_info": "AccountInfo"}
_TOTALS: Final = ("symbols_total", "positions_total", "orders_total")
_BOOKS: Final = ("market_book_add", "market_book_release")


def _value(value: Any, _wanted: Named) -> Any:
    return value


def _one(name: str) -> Build:
    return lambda value, _wanted: None if value is None else record(name, value)


def _rows(name: str, key: str = "symbol") -> Build:
    """Make records, and filter by group here, in the client, as the package does."""

    def build(rows: Any, wanted: Named) -> Any:
        if rows is None:
            return None
        group = wanted.get("group")
        kept = rows if group is None else [row for row in rows if in_group(group, row[key])]
        return tuple(record(name, row) for row in kept)

    return build


def _array(kind: str) -> Build:
    def build(rows: Any, _wanted: Named) -> Any:
        import numpy as np

        return np.array([tuple(row) for row in rows], dtype=np.dtype(FACTS.arrays[kind]))

    return build


def _no_keywords(name: str, named: Named) -> None:
    if named:
        raise TypeError(f"{name}() takes no keyword arguments")


def _no_arguments(name: str, args: Args, named: Named) -> None:
    _no_keywords(f"MetaTrader5._core.{name}", named)
    if args:
        raise TypeError(f"MetaTrader5._core.{name}() takes no arguments ({len(args)} given)")


def _empty_keywords(caller: FrameType) -> bool:
    """Whether the caller wrote `f(*args, **{})`.

    A C function is then handed an empty dictionary in place of none, and the package takes the
    call for one with keywords. Python code cannot see that, so this looks at the instruction.
    """
    if sys.version_info >= (3, 14):
        return False  # the instruction no longer says
    code, at = caller.f_code.co_code, caller.f_lasti
    return dis.opname[code[at]] == "CALL_FUNCTION_EX" and bool(code[at + 1] & 1)


class _Functions:
    """The functions by name, over one client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.made: dict[str, Function] = {}
        self._connection()
        self._lists()
        self._singles()
        self._arrays()

    def _add(self, name: str, function: Function) -> None:
        function.__name__ = function.__qualname__ = name
        self.made[name] = function

    def _asking(self, name: str, build: Build = _value, fails: Fails = _NONE) -> None:
        def function(*args: Any, **named: Any) -> Any:
            _no_arguments(name, args, named)
            return self.client.run(name, dict, build, fails)

        self._add(name, function)

    def _trading(self, name: str) -> None:
        def function(*args: Any, **named: Any) -> Any:
            handed = bool(named) or _empty_keywords(sys._getframe(1))
            parse = partial(arguments.trade_request, args, named if handed else None)
            return self.client.run(name, parse, _one(_ANSWERED[name]), _NONE)

        self._add(name, function)

    def _placed(
        self, name: str, parse: Callable[[Args], Named], build: Build, fails: Fails = _NONE
    ) -> None:
        def function(*args: Any, **named: Any) -> Any:
            _no_keywords(name, named)
            return self.client.run(name, lambda: parse(args), build, fails)

        self._add(name, function)

    def _named(
        self, name: str, parse: Callable[[Args, Named], Named], build: Build, fails: Fails = _NONE
    ) -> None:
        def function(*args: Any, **named: Any) -> Any:
            return self.client.run(name, lambda: parse(args, named), build, fails)

        self._add(name, function)

    # --- the four kinds of function -------------------------------------------------------------

    def _connection(self) -> None:
        client = self.client

        def shutdown(*args: Any, **named: Any) -> bool:
            _no_arguments("shutdown", args, named)
            return client.shutdown()

        def last_error(*args: Any, **named: Any) -> tuple[int, str]:
            _no_arguments("last_error", args, named)
            return client.error

        self._add("initialize", partial(client.initialize))
        self._add("login", partial(client.login))
        self._add("shutdown", shutdown)
        self._add("last_error", last_error)
        self._asking("version", lambda value, _: tuple(value), Fails((0, 0, "")))
        for name, kind in _PLAIN.items():
            self._asking(name, _one(kind))
        for name in _TOTALS:
            self._asking(name)

    def _lists(self) -> None:
        symbols = _rows("SymbolInfo", "name")
        self._named("symbols_get", arguments.group_of, symbols, Fails(bad=False))
        for name, kind in _SELECTED.items():
            self._named(name, arguments.selection, _rows(kind))
        for name, kind in _PAST.items():
            self._named(name, arguments.history, _rows(kind))
        for name in ("history_orders_total", "history_deals_total"):
            self._placed(name, arguments.between, _value)

    def _singles(self) -> None:
        for name, kind in _SINGLE.items():
            self._placed(name, arguments.symbol_of, _one(kind))
        self._placed("symbol_select", arguments.selected, _value, Fails(refused=False, bad=False))
        self._placed("market_book_get", arguments.symbol_of, _rows("BookInfo"))
        for name in _BOOKS:
            # The odd ones: a failure of the pipe is False, and the error stays (1, "Success").
            self._placed(name, arguments.symbol_of, _value, Fails(refused=False, silent=True))
        for name, names in _CALCULATIONS.items():
            self._placed(name, partial(arguments.profit_of, names), _value)
        for name in _ANSWERED:
            self._trading(name)

    def _arrays(self) -> None:
        for name, names in _COPIES.items():
            kind = "rates" if "rates" in name else "ticks"
            parse = partial(arguments.bars_or_ticks, names)
            self._placed(name, parse, _array(kind))


def _helper(name: str) -> Function:
    def function(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError(f"{name} sends up to ten times on a requote: nothing here may call it")

    return function


def fresh() -> ModuleType:
    """Return a module with a state of its own, as a new process has."""
    module = ModuleType("MetaTrader5", "The fake; see tests/support/fake_metatrader5.")
    functions = _Functions(Client()).made
    assert functions.keys() == FACTS.functions.keys(), "a function is missing, or one too many"
    helpers = {name: _helper(name) for name in FACTS.helpers}
    members = FACTS.constants | functions | helpers | RECORDS
    vars(module).update(members)
    vars(module).update(__version__=FACTS.version, __author__=FACTS.author)
    return module


@cache
def load() -> ModuleType:
    """Return the module of this process, as an import would: always the same one."""
    return fresh()
