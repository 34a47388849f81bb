"""Decimal arithmetic without rounding; where a division has to round, it rounds against us."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from typing import Final

__all__ = ["EXACT", "divided", "finite", "fits_wire", "money_text", "plain", "positive"]

# Products of numbers of 15 + 8 digits and of a quotient below fit many times over.
EXACT: Final = Context(prec=600)
_QUOTIENT_DIGITS: Final = 40
_UP: Final = Context(prec=_QUOTIENT_DIGITS, rounding=ROUND_CEILING)
_DOWN: Final = Context(prec=_QUOTIENT_DIGITS, rounding=ROUND_FLOOR)
_CENT: Final = Decimal("0.01")
_FINEST: Final = Decimal("0.00000001")
_WIRE_END: Final = Decimal(1_000_000_000)


def finite(*values: Decimal) -> bool:
    """Return whether all are numbers. To compare NaN is an error, so this comes first."""
    return all(value.is_finite() for value in values)


def positive(*values: Decimal) -> bool:
    """Return whether all are numbers above 0."""
    return all(value.is_finite() and value > 0 for value in values)


def fits_wire(value: Decimal) -> bool:
    """Return whether a value of at least 0 has a text of at most 9 + 8 digits (protocol.md 5)."""
    with localcontext(EXACT):
        return value < _WIRE_END and not value % _FINEST


def divided(value: Decimal, by: Decimal, *, up: bool = True) -> Decimal:
    """Return a quotient to 40 digits, never too low, or never too high unless `up`."""
    return (_UP if up else _DOWN).divide(value, by)


def plain(value: Decimal) -> str:
    """Return the text of a number: no exponent, no negative zero."""
    return format(value or abs(value), "f")


def money_text(value: Decimal, *, up: bool = True) -> str:
    """Return money to the cent, below 1 to eight digits: a value rounds up, a headroom down."""
    step = _CENT if abs(value) >= 1 else _FINEST
    shown = value.quantize(step, ROUND_CEILING if up else ROUND_FLOOR, EXACT)
    return plain(shown if step is _CENT else shown.normalize(EXACT))
