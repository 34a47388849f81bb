"""The `group` filter as the package applies it, in the client, after everything was fetched."""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ["in_group"]


def in_group(group: str, symbol: str) -> bool:
    """Return whether a symbol passes comma-separated patterns, applied in order.

    `*` matches any run, `!` takes away, case matters, and a pattern without `*` matches the whole
    name: `!EUR` takes away only a symbol of that name (measured in wheel 5.0.6231).
    """
    kept = False
    for part in group.split(","):
        pattern = part.strip()
        away = pattern.startswith("!")
        if _matches(pattern[1:] if away else pattern, symbol):
            kept = not away
    return kept


def _matches(pattern: str, symbol: str) -> bool:
    # Only * is special; fnmatch's own other wildcards are taken literally.
    literal = "".join(f"[{char}]" if char in "?[" else char for char in pattern)
    return fnmatchcase(symbol, literal)
