"""What a fake terminal knows: the value of each call that only reads, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.support.fake_metatrader5.terminal import FakeTerminal

__all__ = ["FailedError", "value_of"]

Args = dict[str, Any]
Value = Callable[["FakeTerminal", Args], Any]


class FailedError(Exception):
    """The terminal answers with this error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def value_of(terminal: FakeTerminal, name: str, args: Args) -> Any:
    """Return what a call is answered.

    Raises:
        FailedError: with an error code.
    """
    return _VALUES[name](terminal, args)


def _terminal_info(terminal: FakeTerminal, _: Args) -> Any:
    return terminal.info()


def _account_info(terminal: FakeTerminal, _: Args) -> Any:
    return terminal.account()


def _found(value: Any, code: int = -4) -> Any:
    if value is None:
        raise FailedError(code)
    return value


def _single(read: Callable[[FakeTerminal, str], Any]) -> Value:
    return lambda terminal, args: _found(read(terminal, args["symbol"]))


def _live(read: Callable[[FakeTerminal], Any]) -> Value:
    def value(terminal: FakeTerminal, args: Args) -> Any:
        rows = list(read(terminal))
        for key in ("ticket", "symbol"):
            if key in args:
                return [row for row in rows if row[key] == args[key]]
        return rows

    return value


def _history_orders(terminal: FakeTerminal, args: Args) -> Any:
    broker = terminal.broker
    if "ticket" in args:
        one = broker.history_order(args["ticket"])
        return [] if one is None else [one]
    if "position" in args:
        return list(broker.history_orders_of(args["position"]))
    return list(broker.history_orders(args["from_s"], args["to_s"]))


def _history_deals(terminal: FakeTerminal, args: Args) -> Any:
    broker = terminal.broker
    if "ticket" in args:  # a deal's ticket: at most one record
        one = broker.history_deal(args["ticket"])
        return [] if one is None else [one]
    if "position" in args:
        return list(broker.history_deals_of(args["position"]))
    return list(broker.history_deals(args["from_s"], args["to_s"]))


def _select(terminal: FakeTerminal, args: Args) -> Any:
    if not terminal.broker.select(args["symbol"], args["on"]):
        raise FailedError(-4)
    return True


def _margin(terminal: FakeTerminal, args: Args) -> Any:
    wanted = (args["action"], args["symbol"], args["volume"], args["price"])
    return _found(terminal.broker.calc_margin(*wanted), -1)


def _profit(terminal: FakeTerminal, args: Args) -> Any:
    wanted = (args["action"], args["symbol"], args["volume"])
    prices = (args["price_open"], args["price_close"])
    return _found(terminal.broker.calc_profit(*wanted, *prices), -1)


def _check(terminal: FakeTerminal, args: Args) -> Any:
    return dict(terminal.broker.check(args)) | {"request": args}


def _book(terminal: FakeTerminal, args: Args) -> Any:
    return list(terminal.depth.get(args["symbol"], ()))


def _known(terminal: FakeTerminal, args: Args) -> Any:
    if terminal.broker.symbol(args["symbol"]) is None:
        raise FailedError(-4)
    return True


def _copied(terminal: FakeTerminal, args: Args) -> Any:
    """Return bars or ticks that a test put there, by time; the newest `count` of "from_pos"."""
    _known(terminal, args)
    kept = terminal.bars if "timeframe" in args else terminal.ticks
    rows = sorted(kept.get(args["symbol"], ()))
    if "start" in args:
        rows = rows[: len(rows) - args["start"]][-args["count"] :]
    elif "to_s" in args:
        rows = [row for row in rows if args["from_s"] <= row[0] <= args["to_s"]]
    elif "timeframe" in args:
        rows = [row for row in rows if row[0] <= args["from_s"]][-args["count"] :]
    else:
        rows = [row for row in rows if row[0] >= args["from_s"]][: args["count"]]
    return rows


_VALUES: Final[dict[str, Value]] = {
    "version": lambda terminal, _: [500, terminal.build, terminal.released],
    "terminal_info": _terminal_info,
    "account_info": _account_info,
    "symbols_total": lambda terminal, _: len(terminal.broker.symbols()),
    "symbols_get": lambda terminal, _: list(terminal.broker.symbols()),
    "symbol_info": _single(lambda terminal, name: terminal.broker.symbol(name)),
    "symbol_info_tick": _single(lambda terminal, name: terminal.broker.tick(name)),
    "symbol_select": _select,
    "market_book_add": _known,
    "market_book_release": _known,
    "market_book_get": _book,
    "positions_total": lambda terminal, _: len(terminal.broker.positions()),
    "positions_get": _live(lambda terminal: terminal.broker.positions()),
    "orders_total": lambda terminal, _: len(terminal.broker.orders()),
    "orders_get": _live(lambda terminal: terminal.broker.orders()),
    "history_orders_total": lambda terminal, args: len(_history_orders(terminal, args)),
    "history_orders_get": _history_orders,
    "history_deals_total": lambda terminal, args: len(_history_deals(terminal, args)),
    "history_deals_get": _history_deals,
    "order_check": _check,
    "order_calc_margin": _margin,
    "order_calc_profit": _profit,
    "copy_rates_from": _copied,
    "copy_rates_from_pos": _copied,
    "copy_rates_range": _copied,
    "copy_ticks_from": _copied,
    "copy_ticks_range": _copied,
}
