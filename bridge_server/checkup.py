"""What a check of `ztb-server doctor` is: a stable id, a state, a finding, one concrete fix."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Finding", "fail", "good", "skip", "warn"]


class Finding(Struct, frozen=True):
    """One check: ok, warn, fail or skip; the fix is one command or edit."""

    id: str
    state: str
    finding: str
    fix: str = ""


def good(name: str, finding: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", finding)


def warn(name: str, finding: str, fix: str) -> Finding:
    """It works, and will not for ever."""
    return Finding(name, "warn", finding, fix)


def fail(name: str, finding: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(name, "fail", finding, fix)


def skip(name: str, finding: str, fix: str = "") -> Finding:
    """Not looked at, and why."""
    return Finding(name, "skip", finding, fix)
