"""RiskMonitor: the connector's own judgement, in front of signing.

What passes here is signed; the server judges again with its own limits. The checks are one
ordered tuple of pure functions; if two would refuse, the one listed first does. A new policy is a
new function and its place in the tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Final

from msgspec import Struct

from bridge_client.numbers import EIGHT_DIGITS, fits_wire, nearest_two, on_grid, snap
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.operations import Op

__all__ = ["CHECKS", "Check", "Grid", "Intent", "RiskFacts", "RiskMonitor", "SymbolLimits"]

ZERO: Final = Decimal(0)


class SymbolLimits(Struct, frozen=True, kw_only=True):
    """The static limits of one symbol: lots, and open positions."""

    max_volume: Decimal
    max_positions: int


class Grid(Struct, frozen=True, kw_only=True):
    """A symbol's grids as the broker has them: quote currency and lots."""

    point: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal


class Intent(Struct, frozen=True, kw_only=True):
    """What the strategy wants, in the broker's symbol name; 0 means none.

    `type` is an order type, for OPEN and CHECK. `side_price` is the price that stops are compared
    with: a pending order's own price, or the reference of a market order (0: unknown).
    """

    op: Op
    symbol: str
    type: str = ""
    volume: Decimal = ZERO
    price: Decimal = ZERO
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    deviation: int = 0

    @property
    def entry(self) -> bool:
        """Whether it may add exposure."""
        return self.op in (Op.OPEN, Op.CHECK)


class RiskFacts(Struct, frozen=True, kw_only=True):
    """What the judgement may look at.

    `positions` counts the symbol's open positions and our own market orders of it whose outcome
    is open, at their worst; None while nobody has asked.
    """

    allowed_symbols: frozenset[str]
    limits: Mapping[str, SymbolLimits]
    max_deviation: int
    grid: Grid | None = None
    positions: int | None = None


Check = Callable[[Intent, RiskFacts], Refusal | None]


def symbol_allowed(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """Entries only in the symbols that the configuration names."""
    if intent.entry and intent.symbol not in facts.allowed_symbols:
        return Refusal(ReasonCode.SYMBOL_NOT_ALLOWED, value=intent.symbol)
    return None


def limit_set(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """No entry without both limits of its symbol."""
    if intent.entry and intent.symbol not in facts.limits:
        return Refusal(ReasonCode.NO_LIMIT, value=intent.symbol)
    return None


def volume_grid(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """The volume lies on the symbol's grid; an entry's is not zero."""
    volume, grid = intent.volume, facts.grid
    if not volume and not intent.entry:  # CLOSE: all of it
        return None
    step = grid.volume_step if grid else EIGHT_DIGITS
    # What is left of a position after a partial close may lie below volume_min.
    least = (grid.volume_min if grid else step) if intent.entry else step
    if volume >= least and on_grid(volume, step, least) and fits_wire(volume):
        return None
    return _off(ReasonCode.VOLUME_GRID, volume, step, least)


def max_volume(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """One order's volume stays within the symbol's max_volume."""
    if not intent.entry:
        return None
    limit = facts.limits[intent.symbol].max_volume
    if facts.grid is not None:
        limit = min(limit, facts.grid.volume_max)
    if intent.volume > limit:
        return Refusal(ReasonCode.MAX_VOLUME, format(limit, "f"), format(intent.volume, "f"))
    return None


def max_positions(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """A market entry needs a free place among the symbol's positions."""
    if not intent.entry or facts.positions is None:
        return None
    limit = facts.limits[intent.symbol].max_positions
    if facts.positions >= limit:
        return Refusal(ReasonCode.MAX_POSITIONS, str(limit), str(facts.positions + 1), "0")
    return None


def max_deviation(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """The deviation stays within the configured cap (points)."""
    if intent.deviation > facts.max_deviation:
        return Refusal(ReasonCode.MAX_DEVIATION, str(facts.max_deviation), str(intent.deviation))
    return None


def price_grid(intent: Intent, facts: RiskFacts) -> Refusal | None:
    """Every price lies on the symbol's grid."""
    step = facts.grid.point if facts.grid else EIGHT_DIGITS
    for price in (intent.price, intent.sl, intent.tp):
        if not on_grid(price, step) or not fits_wire(price):
            return _off(ReasonCode.PRICE_GRID, price, step, ZERO)
    return None


def stops_side(intent: Intent, _facts: RiskFacts) -> Refusal | None:
    """The sl loses and the tp wins: compared with the price, or else with each other."""
    if not intent.entry:
        return None
    sign = 1 if intent.type.startswith("BUY") else -1
    levels = [level for level in (intent.sl, intent.price, intent.tp) if level]
    if any(sign * (above - below) <= 0 for below, above in pairwise(levels)):
        return Refusal(
            ReasonCode.STOPS_SIDE,
            value=f"sl={intent.sl:f},price={intent.price:f},tp={intent.tp:f}",
        )
    return None


def _off(code: ReasonCode, value: Decimal, step: Decimal, base: Decimal) -> Refusal:
    text = format(value, "f")
    if value and not fits_wire(snap(value, EIGHT_DIGITS, "down")):
        return Refusal(code, value=text[:48])
    return Refusal(
        code, limit=format(step, "f"), value=text[:48], nearest=nearest_two(value, step, base)
    )


CHECKS: Final[tuple[Check, ...]] = (
    symbol_allowed,
    limit_set,
    volume_grid,
    max_volume,
    max_positions,
    max_deviation,
    price_grid,
    stops_side,
)


class RiskMonitor:
    """Judges an intent by an ordered list of checks; pure, so one object serves every thread."""

    def __init__(self, checks: tuple[Check, ...] = CHECKS) -> None:
        """Take the checks in order of precedence."""
        self._checks = checks

    def judge(self, intent: Intent, facts: RiskFacts) -> Refusal | None:
        """Return the first refusal, or None: then, and only then, it may be signed."""
        for check in self._checks:
            refusal = check(intent, facts)
            if refusal is not None:
                return refusal
        return None
