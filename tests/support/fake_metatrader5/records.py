"""The records of the package: C struct sequences, made by the same call of CPython.

They are tuples with attributes and `_asdict()`, without `_fields` and `_replace`. They call
themselves members of `builtins`, where pickle does not find their class: none can cross to
another process.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Mapping
from typing import Any, Final

from tests.support.fake_metatrader5.facts import FACTS

__all__ = ["RECORDS", "ZERO_REQUEST", "fields_of", "record"]

_ZERO: Final = {"float": 0.0, "str": "", "bool": False}


def fields_of(name: str) -> tuple[str, ...]:
    """Return the fields of a record in their order."""
    return tuple(field for field, _ in FACTS.records[name])


class _Field(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("doc", ctypes.c_char_p))


class _Description(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("doc", ctypes.c_char_p),
        ("fields", ctypes.POINTER(_Field)), ("count", ctypes.c_int),
    )  # fmt: skip


_new_type: Final = ctypes.pythonapi.PyStructSequence_NewType
_new_type.restype = ctypes.py_object
_new_type.argtypes = [ctypes.POINTER(_Description)]
_kept: Final[list[ctypes.Structure]] = []  # the classes point into these for as long as they live


def _class_of(name: str) -> Any:
    names = [field.encode() for field in fields_of(name)]
    fields = (_Field * (len(names) + 1))(*[_Field(each, None) for each in names], _Field())
    description = _Description(name.encode(), None, fields, len(names))
    _kept.append(description)
    with warnings.catch_warnings():
        # "builtin type Tick has no __module__ attribute": neither has the real one.
        warnings.simplefilter("ignore", DeprecationWarning)
        made = _new_type(description)
    made.__module__ = "builtins"
    made._asdict = _asdict
    return made


def _asdict(self: Any) -> dict[str, Any]:
    return dict(zip(type(self).__match_args__, self, strict=True))


RECORDS: Final[dict[str, Any]] = {name: _class_of(name) for name in FACTS.records}
ZERO_REQUEST: Final[dict[str, Any]] = {
    field: _ZERO.get(kind, 0) for field, kind in FACTS.records["TradeRequest"]
}
"""A request in which nothing was set, as the terminal gets it."""


_NAMES: Final = {name: frozenset(fields_of(name)) for name in FACTS.records}


def record(name: str, values: Mapping[str, Any]) -> Any:
    """Return a record of a dictionary that has exactly its fields, of exactly its C types.

    Raises:
        AssertionError: a field is missing, unknown, or of a type that the C struct cannot hold.
    """
    known = FACTS.records[name]
    extra = values.keys() ^ _NAMES[name]
    assert not extra, f"{name}: {sorted(extra)}"
    return RECORDS[name]([_held(name, field, kind, values[field]) for field, kind in known])


_BOUNDS: Final = {
    "uint32": (0, 2**32 - 1), "int32": (-(2**31), 2**31 - 1),
    "uint64": (0, 2**64 - 1), "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip
_TYPES: Final = {"float": float, "bool": bool, "str": str} | dict.fromkeys(_BOUNDS, int)


def _held(name: str, field: str, kind: str, value: Any) -> Any:
    if kind in FACTS.records:
        return record(kind, value)
    fits = type(value) is _TYPES[kind]
    if fits and kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        fits = low <= value <= high
    assert fits, f"{name}.{field} = {value!r}, it is {kind}"
    return value
