"""The argument checks of the package, made in the client before it looks at its connection.

Each function here takes what Python was given and returns what goes to the terminal. A refusal is
`BadArgumentError`, which becomes None and (-2, text). An integer out of range is a `SystemError`:
the package leaves a Python error pending and returns None all the same (measured in wheel
5.0.6231, as everything here).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from tests.support.fake_metatrader5.facts import FACTS, utf16_units
from tests.support.fake_metatrader5.records import ZERO_REQUEST

__all__ = [
    "UNINITIALISED", "BadArgumentError", "LateError", "bars_or_ticks", "between", "date_of",
    "group_of", "history", "initialize", "login", "profit_of", "selected", "selection", "symbol_of",
    "trade_request",
]  # fmt: skip

Args = tuple[Any, ...]
Named = Mapping[str, Any]

UNINITIALISED: Final = 0x6B8B4567
"""What the package uses for a date that is 0: memory nobody wrote to. Here always the same."""

_BOUNDS: Final = {
    "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip
_PATH_MAX: Final = 32_767
_NAMED: Final = ("path", "login", "password", "server", "timeout")


class BadArgumentError(Exception):
    """The package answers (-2, text) and asks nobody.

    With a `pending` error it also leaves that one behind, which CPython makes a SystemError of.
    """

    def __init__(self, text: str, pending: Exception | None = None) -> None:
        super().__init__(text)
        self.pending = pending

    @classmethod
    def named(cls, name: str, pending: Exception | None = None) -> BadArgumentError:
        """Return the refusal of one argument."""
        return cls(f'Invalid "{name}" argument', pending)


def _whole(name: str, kind: str, value: Any) -> int:
    if not isinstance(value, int):
        raise BadArgumentError.named(name)
    number = int(value)
    low, high = _BOUNDS[kind]
    if low <= number <= high:
        return number
    if kind == "uint32":
        text = (
            "can't convert negative value to unsigned int" if number < 0
            else "Python int too large to convert to C unsigned long"
        )  # fmt: skip
    elif kind == "uint64" and number < 0:
        text = "can't convert negative int to unsigned"
    else:
        text = "int too big to convert"
    raise BadArgumentError.named(name, OverflowError(text))


def _text(name: str, value: Any, limit: str) -> str:
    if not isinstance(value, str) or utf16_units(value) > FACTS.limits[limit]:
        raise BadArgumentError.named(name)
    return str(value)


# --- trade ---------------------------------------------------------------------------------------


def trade_request(args: Args, named: Named | None) -> dict[str, Any]:
    """Return the C struct of a request: all 17 fields, zero where nothing was said.

    Keys that the package does not know are passed over without a word; so `request={...}` is a
    request in which nothing is set. `named` is None where no keywords were handed over at all:
    an empty dictionary of them, as from `order_send(*args, **{})`, is one too many.
    """
    if args and named is not None:
        raise BadArgumentError("Unnamed arguments not allowed")
    if named is None and len(args) != 1:
        raise BadArgumentError("Invalid number of arguments")
    if args and not isinstance(args[0], dict):
        raise BadArgumentError("Invalid arguments")
    given: Named = args[0] if named is None else named
    request = dict(ZERO_REQUEST)
    for name, kind in FACTS.records["TradeRequest"]:
        if name in given:
            request[name] = _request_field(name, kind, given[name])
    return request


def _request_field(name: str, kind: str, value: Any) -> Any:
    if kind == "str":
        return _text(name, value, f"{name}_utf16_units_max")
    if kind == "float":
        if not isinstance(value, float):  # numpy.float64 is one, an int and a Decimal are none
            raise BadArgumentError.named(name)
        return float(value)
    return _whole(name, kind, value)


def profit_of(names: tuple[str, ...], args: Args) -> dict[str, Any]:
    """Return the arguments of order_calc_margin and order_calc_profit: integers are fine here."""
    _counted(args, len(names))
    action, symbol, *floats = _parsed(args, "kO" + "d" * (len(names) - 2))
    return dict(zip(names, [action & 0xFFFFFFFF, _symbol(symbol), *floats], strict=True))


_CELLS: Final[dict[str, Any]] = {"i": ctypes.c_int, "k": ctypes.c_ulong, "d": ctypes.c_double}


def _parsed(args: Args, form: str) -> list[Any]:
    """Take arguments apart with the same call of CPython that the package uses."""
    cells = [_CELLS.get(letter, ctypes.py_object)() for letter in form]
    into = [ctypes.byref(cell) for cell in cells]
    try:
        ctypes.pythonapi.PyArg_ParseTuple(ctypes.py_object(args), form.encode(), *into)
    except TypeError as error:
        raise BadArgumentError("Invalid arguments", error) from None
    except OverflowError:  # a C long of Windows is as long as its int
        late = OverflowError("Python int too large to convert to C long")
        raise BadArgumentError("Invalid arguments", late) from None
    return [cell.value for cell in cells]


# --- connection ----------------------------------------------------------------------------------


def initialize(args: Args, named: Named) -> dict[str, Any]:
    """Return path, login, password, server, timeout and portable, as far as they were given."""
    if len(args) > 1:
        raise BadArgumentError("Invalid number of arguments")
    if args and (not isinstance(args[0], str) or len(args[0]) > _PATH_MAX):
        raise BadArgumentError("Invalid 1st unnamed argument")
    found = {name: _connecting(name, named[name]) for name in _NAMED if name in named}
    if args:
        found["path"] = str(args[0])
    return found | {"portable": bool(named.get("portable"))}


def login(args: Args, named: Named) -> dict[str, Any]:
    """Return login, password, server and timeout."""
    if len(args) > 3:
        raise BadArgumentError("Invalid number of arguments")
    found: dict[str, Any] = {}
    places = zip(("login", "password", "server"), ("1st", "2nd", "3rd"), args, strict=False)
    for name, place, value in places:
        try:
            found[name] = _connecting(name, value)
        except BadArgumentError as bad:
            raise BadArgumentError(f"Invalid {place} unnamed argument", bad.pending) from None
    for name in ("login", "password", "server", "timeout"):
        if name in named:
            found[name] = _connecting(name, named[name])
    if not found.get("login"):
        raise BadArgumentError.named("login")
    return found


def _connecting(name: str, value: Any) -> Any:
    if name in ("login", "timeout"):
        return _whole(name, "uint64" if name == "login" else "uint32", value)
    if name == "path":
        if not isinstance(value, str) or len(value) > _PATH_MAX:
            raise BadArgumentError.named(name)
        return str(value)
    return _text(name, value, f"{name}_utf16_units_max")


# --- reads ---------------------------------------------------------------------------------------


def selection(args: Args, named: Named) -> dict[str, Any]:
    """Return what positions_get and orders_get select by: ticket wins over symbol over group."""
    if args:
        raise BadArgumentError("Unnamed arguments not allowed")
    if "ticket" in named:
        return {"ticket": _whole("ticket", "uint64", named["ticket"])}
    if "symbol" in named:
        return {"symbol": _text("symbol", named["symbol"], "symbol_utf16_units_max")}
    if "group" in named:
        return {"group": _text("group", named["group"], "group_utf16_units_max")}
    return {}


def group_of(args: Args, named: Named) -> dict[str, Any]:
    """Return the group of symbols_get."""
    if len(args) > 1:
        raise BadArgumentError("Invalid number of arguments")
    if args:
        if not isinstance(args[0], str):
            raise BadArgumentError("Invalid 1st unnamed argument")
        return {"group": _text("group", args[0], "group_utf16_units_max")}
    if "group" in named:
        return {"group": _text("group", named["group"], "group_utf16_units_max")}
    return {}


def history(args: Args, named: Named) -> dict[str, Any]:
    """Return one of the three forms: two dates (and a group), a ticket, or a position."""
    if len(args) == 2:
        found: dict[str, Any] = {"from_s": date_of(args[0]), "to_s": date_of(args[1])}
        if "group" in named:
            found["group"] = _text("group", named["group"], "group_utf16_units_max")
        return found
    for name in ("ticket", "position"):
        if name in named:
            if args:
                raise BadArgumentError("Unnamed arguments not allowed")
            return {name: _whole(name, "uint64", named[name])}
    raise BadArgumentError("Invalid arguments")


def between(args: Args) -> dict[str, Any]:
    """Return the two dates of history_orders_total and history_deals_total."""
    _counted(args, 2)
    return {"from_s": date_of(args[0]), "to_s": date_of(args[1])}


def symbol_of(args: Args) -> dict[str, Any]:
    """Return the symbol of a function that takes nothing else."""
    _counted(args, 1)
    return {"symbol": _symbol(args[0])}


def selected(args: Args) -> dict[str, Any]:
    """Return the symbol and the flag of symbol_select."""
    if len(args) not in (1, 2):
        raise BadArgumentError("Invalid arguments")
    symbol = _symbol(args[0])
    return {"symbol": symbol, "on": bool(args[1]) if len(args) > 1 else True}


def bars_or_ticks(names: tuple[str, ...], args: Args) -> dict[str, Any]:
    """Return the arguments of a copy_ function by name."""
    _counted(args, len(names))
    makers: dict[str, Callable[[Any], Any]]
    makers = {"symbol": _symbol, "from_s": date_of, "to_s": date_of}
    values = _parsed(args, "".join("O" if name in makers else "i" for name in names))
    given = zip(names, values, strict=True)
    return {name: makers[name](value) if name in makers else value for name, value in given}


class LateError(int):
    """A date that could not be taken: the call goes on with -1, and fails when it comes back."""

    pending: Exception


def date_of(value: Any) -> int:
    """Return a date in seconds, as the package makes it.

    A datetime without a zone is of the PC's zone; what does not fit 32 bits is cut. And 0 is passed
    over, so that memory nobody wrote to is used.
    """
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, float):
        seconds = int(value) if math.isfinite(value) else -(2**31)
        cut = seconds & 0xFFFFFFFF
        return (cut - 2**32 if cut & 0x80000000 else cut) or UNINITIALISED
    if not isinstance(value, int):
        raise BadArgumentError("Invalid arguments")
    if not -(2**31) <= value < 2**31:
        late = LateError(-1)
        late.pending = OverflowError("Python int too large to convert to C long")
        return late
    return int(value) or UNINITIALISED


def _symbol(value: Any) -> str:
    if not isinstance(value, str) or utf16_units(value) > FACTS.limits["symbol_utf16_units_max"]:
        raise BadArgumentError("Invalid arguments")
    return str(value)


def _counted(args: Args, wanted: int) -> None:
    if len(args) != wanted:
        raise BadArgumentError("Invalid arguments")
