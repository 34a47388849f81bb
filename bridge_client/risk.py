"""RiskMonitor: the connector's own judgement, in front of signing.

What passes here is signed; the server judges again with its own limits. The checks are those that
both sides share (bridge_core.risk), behind two of our own: a number that no bytes can carry is
refused with its neighbours before anything is reckoned with it. If two would refuse, the one
listed first does. A new policy is a new function and its place in the tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from bridge_client.numbers import EIGHT_DIGITS, fits_wire, nearest_two, snap
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.controls import checks_of
from bridge_core.risk.facts import SymbolSpec
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture

__all__ = ["CHECKS", "Check", "RiskMonitor"]

ZERO: Final = Decimal(0)
_TEXT_CHARS: Final = 48

Check = Callable[[Proposal, Picture], Refusal | None]


def volume_fits_wire(order: Proposal, picture: Picture) -> Refusal | None:
    """The volume can be written: at most 9 digits before the point and 8 behind it."""
    spec = picture.symbols.get(order.symbol)
    return _off(ReasonCode.VOLUME_GRID, order.volume, *_volume_grid(order, spec))


def prices_fit_wire(order: Proposal, picture: Picture) -> Refusal | None:
    """Every price can be written: at most 9 digits before the point and 8 behind it."""
    spec = picture.symbols.get(order.symbol)
    step = EIGHT_DIGITS if spec is None else spec.tick_size or spec.point
    for price in (order.price, order.sl, order.tp):
        refusal = _off(ReasonCode.PRICE_GRID, price, step, ZERO)
        if refusal is not None:
            return refusal
    return None


def _volume_grid(order: Proposal, spec: SymbolSpec | None) -> tuple[Decimal, Decimal]:
    if spec is None:
        return EIGHT_DIGITS, EIGHT_DIGITS
    # What is left of a position after a partial close may lie below volume_min.
    least = spec.volume_min if order.kind == "OPEN" else spec.volume_step
    return spec.volume_step, least


def _off(code: ReasonCode, value: Decimal, step: Decimal, base: Decimal) -> Refusal | None:
    if fits_wire(value):
        return None
    text = format(value, "f")[:_TEXT_CHARS]
    if not fits_wire(snap(value, EIGHT_DIGITS, "down")):
        return Refusal(code, value=text)
    return Refusal(
        code, limit=format(step, "f"), value=text, nearest=nearest_two(value, step, base)
    )


CHECKS: Final[tuple[Check, ...]] = (volume_fits_wire, prices_fit_wire, *checks_of("C"))


class RiskMonitor:
    """Judges an order by an ordered list of checks; pure, so one object serves every thread."""

    def __init__(self, checks: tuple[Check, ...] = CHECKS) -> None:
        """Take the checks in order of precedence."""
        self._checks = checks

    def judge(self, order: Proposal, picture: Picture) -> Refusal | None:
        """Return the first refusal, or None: then, and only then, it may be signed."""
        for check in self._checks:
            refusal = check(order, picture)
            if refusal is not None:
                return refusal
        return None
