"""What an operator is told of the limits: their digest, and what is missing. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from bridge_core.risk.checks_basic import missing_limits
from bridge_core.risk.policy import Policy
from bridge_core.risk.rates import Rates

__all__ = ["limits_digest", "untraded"]


def limits_digest(policy: Policy, rates: Rates) -> str:
    """Return SHA-256 (hex) of the limits as canonical JSON: other limits, another digest."""
    told = {
        "allowed_symbols": sorted(policy.allowed_symbols),
        "limits": dict(policy.symbols),
        "risk": policy.account,
        "correlations": sorted((*pair, str(rho)) for pair, rho in policy.correlations.items()),
        "rates": rates,
    }
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def untraded(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Return each line that is missing, and the symbols that take no entry for want of it."""
    found: dict[str, tuple[str, ...]] = {}
    for symbol in sorted(policy.allowed_symbols):
        for line in missing_limits(policy, symbol):
            found[line] = (*found.get(line, ()), symbol)
    return found
