"""What is held and what may come, at its worst: volumes, values, legs of currencies.

Positions are there for certain. Resting orders and orders in flight may be carried out or not,
each for itself; a limit must hold however that goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

from bridge_core.risk.exact import EXACT, divided, finite
from bridge_core.risk.facts import Pending
from bridge_core.risk.money import entry_value, pair_of, position_value
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture

__all__ = [
    "Leg", "Measure", "bundles", "currencies", "gross", "gross_taken", "held_legs", "is_netting",
    "kin_of", "legs_of", "margin_after", "net", "side_taken", "value_of", "volume_of", "weighed",
    "weights_of",
]  # fmt: skip

ZERO: Final = Decimal(0)


class Leg(NamedTuple):
    """Something held, or that may come unless `sure`: +1 buys, -1 sells.

    Volume in lots, value in account currency, never below 0; a value of None: nobody knows it.
    """

    symbol: str
    side: int
    volume: Decimal
    value: Decimal | None
    sure: bool


def _leg(entry: Flying | Pending, picture: Picture, *, sure: bool = False) -> Leg:
    if isinstance(entry, Pending):
        entry = Flying(
            symbol=entry.symbol, type=entry.type, volume=entry.volume, price=entry.price
        )  # fmt: skip
    side = 1 if entry.type.startswith("BUY") else -1
    return Leg(entry.symbol, side, entry.volume, entry_value(entry, picture), sure)


def is_netting(picture: Picture) -> bool:
    """Return whether the account holds one position of a symbol at most."""
    return picture.identity is not None and picture.identity.margin_mode == "netting"


def held_legs(picture: Picture, *, without: int = 0) -> list[Leg]:
    """Return every position, resting order and order in flight, but for one resting ticket."""
    memo, key = picture.memo, ("legs", without)
    if memo is not None and key in memo:
        return list(memo[key])
    legs = [
        Leg(
            one.symbol, 1 if one.type == "BUY" else -1, one.volume,
            position_value(one, picture), sure=True,
        )
        for one in picture.positions.values()
    ]  # fmt: skip
    legs += [_leg(one, picture) for one in picture.orders.values() if one.ticket != without]
    legs += [_leg(one, picture) for one in picture.flying]
    if memo is not None:
        memo[key] = tuple(legs)
    return legs


def legs_of(order: Proposal, entry: Flying, picture: Picture) -> list[Leg]:
    """Return what would be there once the order is carried out: its own entry, last, is sure."""
    moved = order.ticket if order.kind == "MODIFY" else 0
    return [*held_legs(picture, without=moved), _leg(entry, picture, sure=True)]


Measure = Callable[[Leg], Decimal]


def net(legs: Iterable[Leg], signed: Measure) -> Decimal:
    """Return the largest sum there may be, of what a leg counts for, below 0 too."""
    with localcontext(EXACT):
        sure = up = down = ZERO
        for leg in legs:
            size = signed(leg)
            if leg.sure:
                sure += size
            elif size > 0:
                up += size
            else:
                down += size
        return max(abs(sure + up), abs(sure + down))


def gross(legs: Iterable[Leg], picture: Picture, size: Measure) -> Decimal:
    """Return the largest sum there may be of every size; a netting account holds only the net."""
    by_symbol: dict[str, list[Leg]] = {}
    for leg in legs:
        by_symbol.setdefault(leg.symbol, []).append(leg)
    with localcontext(EXACT):
        if is_netting(picture):
            return sum(
                (net(own, lambda leg: leg.side * size(leg)) for own in by_symbol.values()), ZERO
            )
        return sum((size(leg) for own in by_symbol.values() for leg in own), ZERO)


def weights_of(symbol: str, picture: Picture) -> dict[str, int]:
    """Return what buying a symbol holds: +1 of its base, -1 of what pays for it.

    What is no pair of currencies, an index say, is a thing of its own, under its symbol.
    """
    spec = picture.symbols.get(symbol)
    pair = pair_of(spec) if spec is not None else None
    return {symbol: 1} if pair is None else {pair[0]: 1, pair[1]: -1}


def kin_of(symbol: str, picture: Picture) -> dict[str, int]:
    """Return which symbols a table of correlations counts with this one, by the sign of rho."""
    kin = {symbol: 1}
    least = picture.policy.account.correlation_from
    for (one, other), rho in picture.policy.correlations.items():
        if symbol in (one, other) and one != other and abs(rho) >= least:
            kin[other if one == symbol else one] = 1 if rho > 0 else -1
    return kin


def side_taken(legs: Iterable[Leg], signed: Measure, side: int) -> Decimal:
    """Return what is already taken of a net limit on one side, whatever else is carried out."""
    with localcontext(EXACT):
        taken = ZERO
        for leg in legs:
            size = side * signed(leg)
            if leg.sure or size > 0:
                taken += size
        return taken


def gross_taken(legs: Iterable[Leg], picture: Picture, size: Measure, new: Leg) -> Decimal:
    """Return what is already taken of a gross limit where a new leg is to be added."""
    legs = list(legs)
    if not is_netting(picture):
        return gross(legs, picture, size)
    others = [leg for leg in legs if leg.symbol != new.symbol]
    own = [leg for leg in legs if leg.symbol == new.symbol]
    with localcontext(EXACT):
        taken = side_taken(own, lambda leg: leg.side * size(leg), new.side)
        return gross(others, picture, size) + taken


def bundles(symbol: str, legs: Iterable[Leg], picture: Picture) -> list[dict[str, int]]:
    """Return what moves together with a symbol: bundles of symbols, each with its sign.

    With a table of correlations those of every symbol that is there, as far as this one is in
    them; else one for each currency, or thing, it consists of.
    """
    names = list(dict.fromkeys([symbol, *(leg.symbol for leg in legs)]))
    if picture.policy.account.correlation_file is not None:
        families = [kin_of(name, picture) for name in names]
        return [kin for kin in families if symbol in kin]
    return _by_thing(symbol, names, picture)


def _by_thing(symbol: str, names: Iterable[str], picture: Picture) -> list[dict[str, int]]:
    held = {name: weights_of(name, picture) for name in names}
    return [
        {other: weights[thing] for other, weights in held.items() if thing in weights}
        for thing in held[symbol]
    ]


def currencies(symbol: str, legs: Iterable[Leg], picture: Picture) -> list[dict[str, int]]:
    """Return a bundle for each currency that a symbol exchanges; none where it exchanges none."""
    spec = picture.symbols.get(symbol)
    if spec is None or pair_of(spec) is None:
        return []
    return _by_thing(symbol, dict.fromkeys([symbol, *(leg.symbol for leg in legs)]), picture)


def weighed(bundle: Mapping[str, int]) -> Measure:
    """Return how much a leg counts in a bundle: its value, by its side and sign."""
    return lambda leg: leg.side * bundle.get(leg.symbol, 0) * value_of(leg)


def value_of(leg: Leg) -> Decimal:
    """Return a leg's value; an unknown one was refused before anything is summed."""
    return leg.value if leg.value is not None else ZERO


def volume_of(leg: Leg) -> Decimal:
    """Return a leg's volume."""
    return leg.volume


def margin_after(legs: Iterable[Leg], picture: Picture) -> Decimal | None:
    """Return the margin once all is carried out: what is bound now, and what would come on top.

    By the account's leverage; None if that or the account is not known. Symbols with a margin of
    their own (indices, metals) bind more: the broker has the last word.
    """
    account, identity = picture.account, picture.identity
    if account is None or identity is None or identity.leverage <= 0 or not finite(account.margin):
        return None
    now = [leg for leg in held_legs(picture) if leg.sure]
    with localcontext(EXACT):
        more = gross(legs, picture, value_of) - gross(now, picture, value_of)
        return account.margin + divided(max(ZERO, more), Decimal(identity.leverage))
