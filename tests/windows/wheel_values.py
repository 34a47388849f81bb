"""A good trade request, and what is put in the place of each argument (wheel_cases.py)."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
from typing import Final

__all__ = ["REQUEST", "values"]

UNITS_29: Final = "x" * 29


class Colour(enum.IntEnum):
    """An int that is not exactly an int."""

    RED = 1


class Whole(int):
    """A subclass of int."""


class Text(str):
    """A subclass of str."""

    __slots__ = ()


class Real(float):
    """A subclass of float."""


# Every key of a trade request with a value of the type it takes.
REQUEST: Final[dict[str, object]] = {
    "action": 1,
    "magic": 7,
    "order": 0,
    "symbol": "EURUSD",
    "volume": 0.1,
    "price": 1.1,
    "stoplimit": 0.0,
    "sl": 0.0,
    "tp": 0.0,
    "deviation": 10,
    "type": 0,
    "type_filling": 1,
    "type_time": 0,
    "expiration": 0,
    "comment": "c",
    "position": 0,
    "position_by": 0,
}
WHEN: Final = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


def values() -> dict[str, object]:
    """What is put in the place of an argument, under the name it has in a label."""
    return {
        "None": None,
        "True": True,
        "0": 0,
        "1": 1,
        "-1": -1,
        "2**31": 2**31,
        "-2**31-1": -(2**31) - 1,
        "2**32-1": 2**32 - 1,
        "2**32": 2**32,
        "2**63-1": 2**63 - 1,
        "2**63": 2**63,
        "-2**63": -(2**63),
        "-2**63-1": -(2**63) - 1,
        "2**64-1": 2**64 - 1,
        "2**64": 2**64,
        "1.0": 1.0,
        "1.5": 1.5,
        "nan": math.nan,
        "inf": math.inf,
        "-1.5": -1.5,
        "'1'": "1",
        "''": "",
        "29 letters": UNITS_29,
        "30 letters": UNITS_29 + "x",
        "28 units in pairs": "\U0001f4c8" * 14,
        "30 units in pairs": "\U0001f4c8" * 15,
        "29 letters beyond ASCII": "\u00e9" * 29,
        "30 letters beyond ASCII": "\u00e9" * 30,
        "a zero inside": "a\0b",
        "half a pair": "\ud83d",
        "253 letters": "x" * 253,
        "254 letters": "x" * 254,
        "1997 letters": "x" * 1997,
        "1998 letters": "x" * 1998,
        "bytes": b"x",
        "bytearray": bytearray(b"x"),
        "list": [1],
        "tuple": (1,),
        "dict": {"x": 1},
        "object": Colour,
        "Decimal": decimal.Decimal("1.5"),
        "complex": 1j,
        "IntEnum": Colour.RED,
        "int subclass": Whole(1),
        "str subclass": Text("x"),
        "float subclass": Real(1.5),
        "datetime": WHEN,
        "naive datetime": WHEN.replace(tzinfo=None),
        "datetime of 2100": WHEN.replace(year=2100),
        "date": WHEN.date(),
        **numpys(),
    }


def numpys() -> dict[str, object]:
    """The scalars of numpy that users pass by accident and all its versions treat alike."""
    import numpy as np  # the wheel needs it, most of our tests do not

    return {
        "np.int64": np.int64(1),
        "np.float64": np.float64(1.5),
        "np.float32": np.float32(1.5),
        "np.str_": np.str_("x"),
    }
