"""What MetaTrader 5 says of a symbol: grids, and what may be traded how. Pure.

Numbers of flags and modes: MetaTrader 5 documentation, symbol properties. The flags of
`filling_mode` (1 FOK, 2 IOC, 4 BOC) are not the numbers of ORDER_FILLING_* (0, 1, 2, 3).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from bridge_core.protocol import limits
from bridge_server.backends.mt5_books import RecordError, Row, exact, number, text
from bridge_server.core.ports import SymbolSpec

__all__ = ["FOK", "IOC", "RETURN", "Mt5Symbol", "symbol_of"]

FOK: Final = 0
IOC: Final = 1
RETURN: Final = 2

_TRADE_MODES: Final = ("DISABLED", "LONGONLY", "SHORTONLY", "CLOSEONLY", "FULL")
_EXECUTIONS: Final = ("REQUEST", "INSTANT", "MARKET", "EXCHANGE")
_FILLINGS: Final = ("FOK", "IOC", "RETURN")
_MARKET: Final = 2
_EXCHANGE: Final = 3
_FLAG_FOK: Final = 1
_FLAG_IOC: Final = 2
_ORDER_FLAGS: Final = {
    "BUY": 1, "SELL": 1, "BUY_LIMIT": 2, "SELL_LIMIT": 2, "BUY_STOP": 4, "SELL_STOP": 4,
}  # fmt: skip
# ORDER_TIME_*: GTC 0, DAY 1, SPECIFIED 2, SPECIFIED_DAY 3, and the flag of each.
_TIMES: Final = ((0, 1), (1, 2), (2, 4), (3, 8))
_ONE: Final = Decimal(1)
_ZERO: Final = Decimal(0)
_DIGITS_MAX: Final = 8  # places of a decimal of this bridge


class Mt5Symbol(Struct, frozen=True, kw_only=True):
    """A symbol as `symbol_info` shows it. `volume_limit` in lots, 0: none.

    `execution`, `trade_mode` and the flags are the numbers of the documentation.
    """

    spec: SymbolSpec
    execution: int
    filling_mode: int
    trade_mode: int
    order_mode: int
    expiration_mode: int
    tick_size: Decimal
    volume_limit: Decimal = Decimal(0)

    def padded(self, price: Decimal) -> Decimal:
        """Return a price with all the symbol's digits, as people read it; an average may have more.

        0 stays 0: it means none.
        """
        full = price.quantize(_ONE.scaleb(-self.spec.digits))
        return full if price and full == price else price

    def fillings(self) -> tuple[int, ...]:
        """Return the ORDER_FILLING_* that a market order may have, the strictest first.

        Request and instant execution take all three; market execution those of its flags and
        never RETURN; exchange execution those of its flags and RETURN. An execution mode that
        nobody listed takes none.
        """
        return _fillings(self.execution, self.filling_mode)

    def times(self) -> frozenset[int]:
        """Return the ORDER_TIME_* that a pending order may have."""
        return frozenset(kind for kind, flag in _TIMES if self.expiration_mode & flag)

    def takes(self, type_: str, *, closing: bool = False) -> bool:
        """Return whether trade and order mode let an order of this type in.

        `closing`: it only makes a position smaller, which every mode but DISABLED allows. A mode
        that nobody listed lets nothing in.
        """
        mode = _name(_TRADE_MODES, self.trade_mode)
        sides = {"FULL": ("BUY", "SELL"), "LONGONLY": ("BUY",), "SHORTONLY": ("SELL",)}
        wanted = "closing" if closing else type_.partition("_")[0]
        if mode in ("", "DISABLED") or wanted not in (*sides.get(mode, ()), "closing"):
            return False
        return bool(self.order_mode & _ORDER_FLAGS.get(type_, 0))


def _name(names: tuple[str, ...], value: int) -> str:
    return names[value] if 0 <= value < len(names) else ""


def _fillings(execution: int, flags: int) -> tuple[int, ...]:
    if execution in (0, 1):
        return (FOK, IOC, RETURN)
    if execution not in (_MARKET, _EXCHANGE):
        return ()
    found = [kind for kind, flag in ((FOK, _FLAG_FOK), (IOC, _FLAG_IOC)) if flags & flag]
    return (*found, RETURN) if execution == _EXCHANGE else tuple(found)


def _tick_value(row: Row) -> Decimal:
    # Of a gain and of a loss, the larger; what is no such number is not said.
    found = [_ZERO]
    for name in ("trade_tick_value_loss", "trade_tick_value_profit"):
        try:
            found.append(exact(row, name))
        except RecordError:
            continue
    return max(found)


def symbol_of(row: Row) -> Mt5Symbol:
    """Return a symbol's terms.

    Raises:
        RecordError: the record cannot be believed, or a grid is 0, or its prices need more
            places than this bridge's decimals have.
    """
    digits, point = number(row, "digits"), exact(row, "point")
    step, least, most = (
        exact(row, "volume_step"),
        exact(row, "volume_min"),
        exact(row, "volume_max"),
    )
    if not 0 <= digits <= _DIGITS_MAX or min(point, step, least, most) <= 0:
        raise RecordError(f"a grid of {text(row, 'name')} is 0, or has more than 8 digits")
    if len(text(row, "name")) > limits.SYMBOL_CHARS_MAX:
        raise RecordError(f"{text(row, 'name')} is a longer name than this bridge's")
    trade_mode, execution = number(row, "trade_mode"), number(row, "trade_exemode")
    filling_mode = number(row, "filling_mode")
    tick_size = exact(row, "trade_tick_size")
    spec = SymbolSpec(
        symbol=text(row, "name"),
        digits=digits,
        point=point,
        volume_min=least,
        volume_max=most,
        volume_step=step,
        contract_size=exact(row, "trade_contract_size"),
        stops_level=max(0, number(row, "trade_stops_level")),
        freeze_level=max(0, number(row, "trade_freeze_level")),
        currency_base=text(row, "currency_base"),
        currency_profit=text(row, "currency_profit"),
        tick_size=tick_size if tick_size > 0 else point,
        tick_value=_tick_value(row),
        trade_mode=_name(_TRADE_MODES, trade_mode),
        execution=_name(_EXECUTIONS, execution),
        filling=" ".join(_FILLINGS[one] for one in _fillings(execution, filling_mode)),
    )
    return Mt5Symbol(
        spec=spec,
        execution=execution,
        filling_mode=filling_mode,
        trade_mode=trade_mode,
        order_mode=number(row, "order_mode"),
        expiration_mode=number(row, "expiration_mode"),
        tick_size=spec.tick_size,
        volume_limit=exact(row, "volume_limit"),
    )
