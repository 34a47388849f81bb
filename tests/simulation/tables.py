"""Rows that the tests of this folder add to the table at the end of a run."""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS", "add_row"]

ROWS: Final[list[tuple[str, str]]] = []


def add_row(name: str, what: str) -> None:
    """Add a row."""
    ROWS.append((name, what))
