"""A trade request as the broker takes it: exact decimals, and what a test planned for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from tests.support.fake_metatrader5.books import OrderRow

__all__ = ["Accepted", "Answer", "Ask", "Plan", "Refused", "exact"]

Answer = dict[str, Any]
_PLACES: Final = 8


class Plan(Struct, kw_only=True):
    """What a test has in store for one request.

    retcode/executed  the answer's code, and whether the broker acts all the same
    parts             volumes in which it is filled, one deal each, `gap_ms` apart
    then              "fill", "reject" or "cancel": first 10008, and this after `after_ms`
    prices            bid and ask that jump in between the check and the execution
    """

    retcode: int = 0
    executed: bool = False
    parts: tuple[Decimal, ...] = ()
    gap_ms: int = 0
    then: str = ""
    after_ms: int | None = 0
    prices: tuple[Decimal, Decimal] | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """The 17 fields of a request."""

    action: int = 0
    magic: int = 0
    order: int = 0
    symbol: str = ""
    volume: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    stoplimit: Decimal = Decimal(0)
    sl: Decimal = Decimal(0)
    tp: Decimal = Decimal(0)
    deviation: int = 0
    type: int = 0
    type_filling: int = 0
    type_time: int = 0
    expiration: int = 0
    comment: str = ""
    position: int = 0
    position_by: int = 0
    mad: str = ""  # the field that is no number (NaN or infinite), if one is

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Ask:
        """Return a request's fields; absent ones are zero, unknown ones are ignored."""
        given = {name: request[name] for name in cls.__struct_fields__ if name in request}
        mad = ""
        for name in ("volume", "price", "stoplimit", "sl", "tp"):
            value = float(given.get(name, 0.0))
            if not math.isfinite(value):
                mad, value = mad or name, 0.0
            given[name] = exact(value)
        return cls(**given | {"mad": mad})


class Accepted(Struct, frozen=True, kw_only=True):
    """The broker has it, under this number; nothing has happened yet."""

    n: int
    ask: Ask
    plan: Plan
    seen: OrderRow | None = None  # the order it is about, as it was


class Refused(Struct, frozen=True, kw_only=True):
    """The broker said no: the retcode and the whole answer."""

    n: int
    retcode: int
    answer: Answer


def exact(value: float) -> Decimal:
    """Return the decimal that a double stands for: its shortest text, to 8 places."""
    return round(Decimal(repr(float(value))), _PLACES).normalize() + 0
