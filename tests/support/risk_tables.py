"""The controls and the limits of both configurations, as tables for protocol.md 6.2."""

from __future__ import annotations

from typing import Final

import msgspec

from bridge_core.risk.controls import CONTROLS
from bridge_core.risk.policy import AccountLimits, StrategyLimits, SymbolLimits
from tests.support.glossary import Note
from tests.support.risk_glossary import ACCOUNT_LIMITS, STRATEGY_LIMITS, SYMBOL_LIMITS
from tests.support.shapes import code, fields, table

__all__ = ["controls", "settings"]

_SAID: Final = {"require_sl": "as needed", "margin_mode": "any", "strategies": ""}
_SIDES: Final = {"C": "connector", "S": "server", "CS": "both"}


def controls() -> str:
    """The pre-trade controls: those with a check in the order in which they are asked."""
    rows = [
        (str(one.number), one.name, code(one.code) if one.sides else "",
         _SIDES.get(one.sides, ""), one.where)
        for one in CONTROLS
    ]  # fmt: skip
    return table(("no.", "control", "code", "checked by", "where else it lives"), rows)


def settings() -> str:
    """The limits in the configuration of both sides."""
    groups: tuple[tuple[str, type[msgspec.Struct], dict[str, Note]], ...] = (
        ("[limits.SYMBOL]", SymbolLimits, SYMBOL_LIMITS),
        ("[risk]", AccountLimits, ACCOUNT_LIMITS),
        ("[risk.strategies.NUMBER]", StrategyLimits, STRATEGY_LIMITS),
    )
    parts = []
    for title, kind, notes in groups:
        own = fields(kind)
        assert [one.name for one in own] == list(notes), title
        rows = [
            (code(f.name), notes[f.name].unit, _unset(f, notes[f.name]), notes[f.name].means)
            for f in own
        ]
        parts.append(f"**`{title}`**\n\n" + table(("limit", "unit", "unsaid", "meaning"), rows))
    return "\n\n".join(parts)


def _unset(field: msgspec.inspect.Field, note: Note) -> str:
    value = field.default
    if "**required**" in note.means:
        return "no entry"
    if field.name in _SAID:
        return _SAID[field.name]
    if value is None:
        return "all" if field.name.startswith("allowed") else "off"
    return code(value)
