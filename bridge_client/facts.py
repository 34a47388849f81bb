"""How a wire view becomes a public value: floats and aware UTC times, the signed texts kept.

A public type declares its fields; their types say how the view's field of the same name is read:
`float` from decimal text, `datetime` from UTC milliseconds, `symbol` through the user's mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.replies import dec

__all__ = ["Fact", "Symbols", "moment", "number", "read"]

Symbols = Callable[[str], str]
_F = TypeVar("_F", bound="Fact")


class Fact(Struct, frozen=True, kw_only=True):
    """A public value: `exact` maps the name of each decimal field to its text as signed."""

    exact: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Show the fields that say something; `exact` would say it twice."""
        parts = []
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if field.name != "exact" and value not in (None, "", 0, ()):
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __hash__(self) -> int:
        """Hash by value, so that facts can be kept in sets."""
        return hash((type(self), tuple(sorted(self.exact.items()))))


def moment(ms: int) -> datetime | None:
    """Return an aware UTC datetime, None for 0 (which the wire uses for "none").

    Raises:
        RemoteProtocolError: no time that a calendar has.
    """
    try:
        return datetime.fromtimestamp(ms / 1000, UTC) if ms else None
    except (ValueError, OverflowError, OSError) as error:
        raise RemoteProtocolError("TIME", "why='beyond the calendar'") from error


def number(text: str) -> float | None:
    """Return the float behind a decimal text, None for the empty text.

    Raises:
        RemoteProtocolError: not a decimal of protocol.md 5.
    """
    if not text:
        return None
    dec(text)
    return float(text)


_Row = tuple[str, str, str]
_plans: Final[dict[tuple[type[Fact], type[Struct]], tuple[_Row, ...]]] = {}
_KINDS: Final[dict[Any, str]] = {
    float: "number",
    float | None: "number?",
    datetime | None: "moment",
    tuple[str, ...]: "tuple",
}


def _plan(kind: type[Fact], source: type[Struct], rename: Mapping[str, str]) -> tuple[_Row, ...]:
    hints = get_type_hints(kind)
    offered = {field.name for field in msgspec.structs.fields(source)}
    rows = []
    for field in msgspec.structs.fields(kind):
        name = rename.get(field.name, field.name)
        if name in offered and field.name != "exact":
            how = "symbol" if field.name == "symbol" else _KINDS.get(hints[field.name], "as is")
            rows.append((field.name, name, how))
    return tuple(rows)


_NO_RENAME: Final[Mapping[str, str]] = {}


def read(
    kind: type[_F],
    view: Struct,
    symbols: Symbols,
    rename: Mapping[str, str] = _NO_RENAME,
    **more: object,
) -> _F:
    """Return the public value of a view; `symbols` turns the broker's name into the user's.

    Raises:
        RemoteProtocolError: a decimal field does not hold a decimal.
    """
    key = (kind, type(view))
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = _plan(kind, type(view), rename)
    exact: dict[str, str] = {}
    values: dict[str, Any] = {"exact": exact}
    for name, source, how in plan:
        value = getattr(view, source)
        if how in ("number", "number?"):
            exact[name] = value
            value = number(value)
            if value is None and how == "number":
                value = 0.0
        elif how == "moment":
            value = moment(value)
        elif how == "symbol":
            value = symbols(value) if value else value
        elif how == "tuple":
            value = tuple(value)
        values[name] = value
    values.update(more)
    return kind(**values)
