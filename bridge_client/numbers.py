"""From what a strategy hands in to the exact text that is signed, and the grids it must lie on.

Nothing is ever rounded behind the caller's back: a value off its grid is refused with its two
neighbours, and rounding is the caller's word (`Symbol.price`, `Symbol.volume`).
"""

from __future__ import annotations

import operator
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final, Literal, SupportsFloat, SupportsIndex

from bridge_core.protocol.errors import LocalProtocolError

__all__ = [
    "EIGHT_DIGITS", "Number", "Rounding", "exact", "fits_wire", "nearest_two", "on_grid", "snap",
    "wire_text",
]  # fmt: skip

Number = Decimal | str | int | float | SupportsFloat | SupportsIndex
Rounding = Literal["down", "up", "nearest"]

EIGHT_DIGITS: Final = Decimal("0.00000001")
_INTEGER_DIGITS: Final = 9
_FRACTION_DIGITS: Final = 8
# repr of any double, and of numpy's narrower floats.
_NUMERAL: Final = re.compile(r"\A-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?\Z")
_PLAIN: Final = re.compile(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,40})?\Z")
# Wide enough for the widest legal value over the finest grid, with room to spare.
_EXACT: Final = Context(prec=400)
_ROUNDING: Final = {"down": ROUND_FLOOR, "up": ROUND_CEILING, "nearest": ROUND_HALF_EVEN}


def _refuse(name: str, value: object, why: str) -> LocalProtocolError:
    return LocalProtocolError("NUMBER", f"field={name} value={str(value)[:48]!r} why={why!r}")


def exact(value: object, name: str) -> Decimal:
    """Return the exact decimal that a caller's number means, never negative.

    A float means its shortest decimal text, so `0.1` is one tenth. `name` is the field, for the
    message.

    Raises:
        LocalProtocolError: bool, NaN, infinity, negative, exponent text, or not a number.
    """
    number = _decimal(value, name)
    if not number.is_finite():
        raise _refuse(name, value, "not finite")
    if number < 0:
        raise _refuse(name, value, "negative")
    return abs(number)  # a float's -0.0 is 0


def _decimal(value: object, name: str) -> Decimal:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        raise _refuse(name, value, "a bool is not a number")
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str):
        if _PLAIN.match(value) is None:
            raise _refuse(name, value, "not a plain decimal text")
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(float.__repr__(value))
    if isinstance(value, SupportsIndex):
        try:
            return Decimal(operator.index(value))
        except TypeError:  # numpy scalars have __index__ only for whole kinds
            return _from_float(value, name)
    return _from_float(value, name)


def _from_float(value: object, name: str) -> Decimal:
    if not isinstance(value, SupportsFloat):
        raise _refuse(name, value, "not a number")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _refuse(name, value, "not a number") from None
    # A narrower float (numpy's float32) has a shorter text of its own; taking it is exact only
    # if it means the same float again.
    text = str(value)
    if _NUMERAL.match(text) is not None and _means(type(value), text, value):
        return Decimal(text)
    return Decimal(repr(number))


def _means(kind: type, text: str, value: object) -> bool:
    try:
        return bool(kind(float(text)) == value)
    except (TypeError, ValueError):
        return False


def fits_wire(value: Decimal) -> bool:
    """Return whether a value has a text of at most 9 + 8 digits, without losing anything."""
    return value < 10**_INTEGER_DIGITS and on_grid(value, EIGHT_DIGITS)


def wire_text(value: Decimal, name: str) -> str:
    """Return the text to sign: as many decimals as the caller wrote, at most eight.

    Raises:
        LocalProtocolError: the value does not fit; check with `fits_wire` first.
    """
    if not fits_wire(value):
        raise _refuse(name, value, "more than 9 integer or 8 fraction digits")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_FRACTION_DIGITS:
        value = value.quantize(EIGHT_DIGITS, context=_EXACT)  # only zeros go
    if not value:
        return "0"
    return format(value, "f")


def on_grid(value: Decimal, step: Decimal, base: Decimal = Decimal(0)) -> bool:
    """Return whether value = base + n x step for a whole n."""
    with localcontext(_EXACT):
        return (value - base) % step == 0


def snap(value: Decimal, step: Decimal, rounding: Rounding, base: Decimal = Decimal(0)) -> Decimal:
    """Return the value on the grid base + n x step, rounded as the caller says."""
    with localcontext(_EXACT):
        steps = ((value - base) / step).to_integral_value(rounding=_ROUNDING[rounding])
        return base + steps * step


def nearest_two(value: Decimal, step: Decimal, base: Decimal = Decimal(0)) -> tuple[str, ...]:
    """Return the texts of the grid values below and above; below the grid's base only one."""
    low, high = snap(value, step, "down", base), snap(value, step, "up", base)
    texts = dict.fromkeys(format(v, "f") for v in (low, high) if v >= base)
    return tuple(texts) or (format(base, "f"),)
