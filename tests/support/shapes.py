"""Types, bounds and defaults of the wire's structs as text, for the tables of protocol.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import msgspec

from bridge_core.protocol.messages import DECIMAL_PATTERN

__all__ = ["bound", "code", "default", "fields", "shape", "table"]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                     for row in lines)  # fmt: skip


def code(text: object) -> str:
    """Return a text in backticks, nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def bound(kind: msgspec.inspect.Type) -> tuple[str, str]:
    """Return (JSON type, bound) of a request field."""
    match kind:
        case msgspec.inspect.StrType(pattern=str(pattern)) if pattern == DECIMAL_PATTERN:
            return "string", "decimal (5.1)"
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return "string", code(pattern.removeprefix(r"\A").removesuffix(r"\Z"))
        case msgspec.inspect.IntType(ge=int(low), le=int(high)):
            return "integer", f"{low} to {high}"
        case msgspec.inspect.LiteralType(values=values):
            return "string", " ".join(f"`{value}`" for value in values)
    raise AssertionError(f"a request field without a bound: {kind}")


def fields(kind: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    """Return the fields of a struct in wire order."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


_PLAIN: Final[dict[type, str]] = {
    msgspec.inspect.IntType: "integer",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.NoneType: "null",
}
# Texts that are decimals in replies and events; all other strings are words.
_MONEY: Final = frozenset({"lots", "quote currency", "account currency", "base currency"})


def shape(kind: msgspec.inspect.Type, unit: str) -> str:
    """Return the JSON type of a reply's field."""
    match kind:
        case msgspec.inspect.StrType():
            return "decimal" if unit in _MONEY else "string"
        case msgspec.inspect.StructType(cls=cls):
            return cls.__name__
        case msgspec.inspect.ListType(item_type=item):
            return f"list of {shape(item, unit)}"
        case msgspec.inspect.DictType(value_type=value):
            return f"object, values {shape(value, unit)}"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(shape(one, unit) for one in types)
    return _PLAIN[type(kind)]


def default(field: msgspec.inspect.Field) -> str:
    """Return what an absent field means."""
    if field.required:
        return "always there"
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    value = field.default
    return "empty" if value == "" else code(json.dumps(value))
