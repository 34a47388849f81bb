"""The simulated broker's terms, and the commands that tell the terminal about them."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BrokerTerms", "SymbolTerms"]


@dataclass(frozen=True, kw_only=True)
class SymbolTerms:
    """One symbol: sizes in lots, levels in points, commission per lot in account currency.

    `ecn` is market execution: stops at the entry are refused (130), prices are ignored.
    """

    name: str
    digits: int = 5
    bid: str = "1.08500"
    ask: str = "1.08512"
    contract_size: float = 100_000
    min_lot: float = 0.01
    max_lot: float = 100
    lot_step: float = 0.01
    stop_level: int = 0
    freeze_level: int = 0
    base: str = "EUR"
    profit: str = "USD"
    commission: float = 0
    ecn: bool = False

    def command(self) -> tuple[str, ...]:
        """The `symbol` command."""
        return (
            "symbol", self.name, str(self.digits), repr(self.contract_size), repr(self.min_lot),
            repr(self.max_lot), repr(self.lot_step), str(self.stop_level),
            str(self.freeze_level), self.base, self.profit, repr(self.commission),
            "1" if self.ecn else "0",
        )  # fmt: skip


def _symbols() -> tuple[SymbolTerms, ...]:
    return (
        SymbolTerms(name="EURUSD"),
        SymbolTerms(
            name="USDJPY", digits=3, bid="150.100", ask="150.112", base="USD", profit="JPY"
        ),
    )


@dataclass(frozen=True, kw_only=True)
class BrokerTerms:
    """The account and what it trades; the first symbol is the chart's.

    `zone_hours` is the broker's time zone: its clock is UTC plus it.
    """

    account: int = 12345678
    server: str = "Broker-Demo"
    kind: str = "demo"
    currency: str = "USD"
    leverage: int = 100
    balance: float = 10_000
    zone_hours: float = 2
    symbols: tuple[SymbolTerms, ...] = field(default_factory=_symbols)

    def command(self) -> tuple[str, ...]:
        """The `terms` command."""
        return (
            "terms", str(self.account), self.server, self.kind, self.currency,
            str(self.leverage), str(self.zone_ms // 1000),
        )  # fmt: skip

    @property
    def zone_ms(self) -> int:
        """The broker's clock less UTC."""
        return round(self.zone_hours * 3_600_000)
