"""What a row about a pre-trade check consists of, and how rows are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode
from bridge_core.risk.order import Proposal
from bridge_core.risk.picture import Picture
from tests.support.risk_world import SPECS, account, picture, quote, quotes, state

__all__ = [
    "ALONE", "NAN", "OF_ACCOUNT", "OF_MARKET", "OF_SETTING", "Case", "Pair", "blind", "in_one",
    "in_two", "spec_of", "unpriced",
]  # fmt: skip

D: Final = Decimal
NAN: Final = Decimal("NaN")
ALONE: Final = "it looks at one order alone"
OF_ACCOUNT: Final = "it looks at the account, not at orders"
OF_MARKET: Final = "it looks at the market, not at orders"
OF_SETTING: Final = "it needs nothing but the setting and the order"


class Pair(NamedTuple):
    """Two orders that each pass in a picture, and do not both."""

    first: Proposal
    second: Proposal
    at: Picture


class Case(NamedTuple):
    """`order` passes in `at`; `over` and `beyond` are the step too far, of either or of both.

    `blind` are pictures without the data that the check needs; a text says why there is none, or
    why no second order matters. `reduces` False: what only takes away is minded by it too.
    """

    number: int
    code: ReasonCode
    order: Proposal
    at: Picture
    over: Proposal
    beyond: Picture
    blind: tuple[Picture, ...] | str
    pair: Pair | str = ALONE
    reduces: bool = True


def in_one(  # both in one picture
    number: int, code: ReasonCode, at: Picture, order: Proposal, over: Proposal, **more: Any
) -> Case:
    return Case(number, code, order, at, over, at, **more)


def in_two(  # one order in two pictures
    number: int, code: ReasonCode, order: Proposal, at: Picture, beyond: Picture, **more: Any
) -> Case:
    return Case(number, code, order, at, order, beyond, **more)


def spec_of(**over: Any) -> dict[str, Any]:
    return SPECS | {"EURUSD": structs.replace(SPECS["EURUSD"], **over)}


def blind(**risk: Any) -> tuple[Picture, ...]:
    """The account, or what the day has brought, is not known."""
    return (
        picture(risk=risk, account=None),
        picture(risk=risk, account=account(equity="NaN")),
        picture(risk=risk, identity=None),
        picture(risk=risk, state=None),
        picture(risk=risk, state=state(realised=None)),
    )


def unpriced(**risk: Any) -> tuple[Picture, ...]:
    """Besides: no money can be told of the symbol."""
    nameless = spec_of(currency_profit="")
    sizeless = spec_of(contract_size=NAN)
    return (
        *blind(**risk),
        picture(risk=risk, symbols=nameless),
        picture(risk=risk, symbols=sizeless),
        picture(risk=risk, quotes=quotes(quote(ask="NaN"))),
        picture(risk=risk, quotes={}),
    )
