"""The account that every schedule uses: key sets, settings, identities."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Final

from msgspec.structs import replace

from bridge_core.protocol.keys import KeySet, Mode, derive_set, purposes
from bridge_core.protocol.operations import Scope
from bridge_core.risk.policy import AccountLimits, SymbolLimits
from bridge_core.risk.rates import Rates
from bridge_server.backends.paper_settings import PaperSettings
from bridge_server.settings import ServerSettings

__all__ = ["ACCT", "CLIENTS", "EVENT_KEY", "OPERATOR", "SYMBOLS", "key_sets", "settings"]

ACCT: Final = "sim"
SYMBOLS: Final = ("EURUSD", "GBPUSD")
CLIENTS: Final = ("atlas", "boreas", "castor")
OPERATOR: Final = "operator"
EVENT_KEY: Final = ("sim-events", bytes(range(32)))
# The account is looked at each second all the same; no promise hangs on how often a price moves.
_PACE_MS: Final = 4_000


@cache
def key_sets() -> dict[str, KeySet]:
    """Return one trade set for each client and one operator set, by kid."""
    made = {}
    for number, kid in enumerate((*CLIENTS, OPERATOR), start=1):
        scope = Scope.OPERATOR if kid == OPERATOR else Scope.TRADE
        base = KeySet(
            kid=kid,
            acct=ACCT,
            mode=Mode.PAPER,
            scope=scope,
            curve_public=kid.ljust(40, "x"),
            keys={},
        )
        made[kid] = derive_set(bytes([number]) * 32, base, purposes(scope, ea=False))
    return made


@cache
def settings(*, tight: bool = False) -> ServerSettings:
    """Return the server's settings: wide limits, so that faults and not limits end orders.

    `tight`: limits that bind after a few orders.
    """
    limits = SymbolLimits(max_volume=Decimal(1), max_positions=60)
    risk = AccountLimits(max_daily_loss="50%", require_sl=False)
    if tight:
        limits = SymbolLimits(
            max_volume=Decimal("0.10"), max_positions=3, max_orders=1,
            max_gross_volume=Decimal("0.13"), max_net_volume=Decimal("0.12"),
        )  # fmt: skip
        risk = replace(risk, max_open_orders=4, max_trades_per_day=8)
    return ServerSettings(
        account=ACCT,
        mode=Mode.PAPER,
        backend="paper",
        allowed_symbols=list(SYMBOLS),
        limits=dict.fromkeys(SYMBOLS, limits),
        risk=risk,
        signature_ttl_s=10,
        rates=Rates(entry_per_s=1000, reduce_per_s=1000, settle_per_s=1000),
        exclusive=True,
        paper=PaperSettings(pace_ms=_PACE_MS, balance=Decimal(1_000_000)),
    )


def stranger(kid: str) -> KeySet:
    """Return a set with the right names and keys of nobody's."""
    honest = key_sets()[kid]
    return replace(honest, keys=dict.fromkeys(honest.keys, b"Z" * 32))
