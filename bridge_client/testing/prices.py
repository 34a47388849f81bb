"""What a strategy's author may give as prices, as rows of bid and ask.

A number is a mid price; a pair is (bid, ask); a triple is (time, bid, ask). A pandas Series or
DataFrame is known by what it can do, so that pandas stays the author's choice. Numbers are put
on the symbol's grid; times are market time, UTC.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

from bridge_client.numbers import exact
from bridge_core.host.prices import iter_rows, path
from bridge_core.host.settings import nearest
from bridge_core.protocol.errors import BridgeError, ConfigError

__all__ = ["Prices", "Row", "Ruler", "row_of", "rows_of", "split_symbols"]

# A file, one of the iterables below, a mapping from symbol to one of them; None: one price.
Prices = str | os.PathLike[str] | Iterable[object] | Mapping[str, object] | None

_BAR_STEP_MS: Final = 1_000  # between the prices of one bar, which is a minute at least
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MIDS: Final = ("mid", "price", "close")
_COARSE: Final = Decimal("0.001")


@runtime_checkable
class _Series(Protocol):
    """A pandas Series, or what behaves like one."""

    index: object

    def items(self) -> Iterable[tuple[object, object]]: ...


@runtime_checkable
class _Frame(Protocol):
    """A pandas DataFrame, or what behaves like one; a row begins with its index."""

    columns: Iterable[object]

    def itertuples(self) -> Iterable[Sequence[object]]: ...


class Row(NamedTuple):
    """One price; `time_ms` (UTC) None: the market's clock decides. `ask` None: bid and spread."""

    time_ms: int | None
    bid: Decimal
    ask: Decimal | None


class Ruler(NamedTuple):
    """A symbol's grid, and the spread (points) that a price without an ask gets."""

    point: Decimal
    spread: int

    def on_grid(self, price: Decimal) -> Decimal:
        """Return the nearest price on the grid."""
        return (price / self.point).quantize(Decimal(1)) * self.point

    def around(self, mid: Decimal, time_ms: int | None = None) -> Row:
        """Return the bid below a mid price; an odd point of spread goes to the ask."""
        return Row(time_ms, self.on_grid(mid) - self.spread // 2 * self.point, None)


def split_symbols(prices: object, symbol: str) -> dict[str, object]:
    """Return prices by symbol: a mapping as it is, anything else for one symbol.

    Raises:
        ConfigError: PRICES: a mapping without a symbol.
    """
    if not isinstance(prices, Mapping):
        return {symbol: prices}
    if not prices:
        raise ConfigError("PRICES", "prices={} names no symbol: give at least one")
    return {str(name): given for name, given in prices.items()}


def rows_of(prices: object, ruler: Ruler) -> Iterator[Row]:
    """Yield the rows of anything that `paper_bridge(prices=…)` takes, one when it is asked for.

    Raises:
        ConfigError: PRICES: it is none of them, or a row does not hold; names the row.
    """
    if prices is None:
        yield ruler.around(Decimal(150) if ruler.point >= _COARSE else Decimal("1.1"))
        return
    if isinstance(prices, str | os.PathLike):
        yield from _of_file(Path(prices), ruler)
        return
    for number, item in enumerate(_items(prices), start=1):
        try:
            yield row_of(item, ruler)
        except (BridgeError, ValueError, ArithmeticError) as error:
            why = error.detail if isinstance(error, BridgeError) else str(error)
            raise ConfigError("PRICES", f"price {number} is {item!r}: {why}") from error


def _items(prices: object) -> Iterable[object]:
    if isinstance(prices, _Frame):
        return _of_frame(prices)
    if isinstance(prices, _Series):
        return (_timed(at, (value,)) for at, value in prices.items())
    if isinstance(prices, Iterable):
        return prices
    raise ConfigError(
        "PRICES",
        f"prices={prices!r}: give a file, an iterable of numbers, (bid, ask) or (time, bid, ask), "
        "a Series, or a DataFrame with bid and ask",
    )


def _of_frame(frame: _Frame) -> Iterator[object]:
    names = {str(name).lower(): number for number, name in enumerate(frame.columns, start=1)}
    when = names.get("time", 0)  # 0 is the index
    wanted = [names[name] for name in ("bid", "ask") if name in names]
    if len(wanted) < 2:
        wanted = [names[name] for name in _MIDS if name in names][:1]
    if not wanted:
        near = nearest("bid", names) or nearest("close", names)
        hint = f": did you mean {near}?" if near else ""
        raise ConfigError(
            "PRICES",
            f"a DataFrame needs the columns bid and ask, or one of {', '.join(_MIDS)}; it has "
            f"{', '.join(names) or 'none'}{hint}",
        )
    for row in frame.itertuples():
        yield _timed(row[when], tuple(row[number] for number in wanted))


def _timed(at: object, values: tuple[object, ...]) -> object:
    return (at, *values) if isinstance(at, datetime) else values


def row_of(item: object, ruler: Ruler) -> Row:
    """Return one price, pair or triple as a row.

    Raises:
        LocalProtocolError: no number.
        ValueError: not one of them, or an ask below the bid.
    """
    given: tuple[object, ...] = (item,)
    if isinstance(item, Iterable) and not isinstance(item, str | bytes):
        given = tuple(item)
    timed = len(given) == 3 or (len(given) == 2 and isinstance(given[0], datetime))
    time_ms = _to_ms(given[0]) if timed else None
    values = [exact(value, "price") for value in (given[1:] if timed else given)]
    if not 1 <= len(values) <= 2 or min(values) <= 0:
        raise ValueError("a price, (bid, ask) or (time, bid, ask), each price above 0")
    if len(values) == 1:
        return ruler.around(values[0], time_ms)
    bid, ask = (ruler.on_grid(value) for value in values)
    if ask < bid:
        raise ValueError(f"the ask {ask} is below the bid {bid}")
    return Row(time_ms, bid, ask)


def _to_ms(when: object) -> int:
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if isinstance(when, datetime):
        since = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)) - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if isinstance(when, int) and not isinstance(when, bool):
        return when
    raise ValueError(f"{when!r} is no time: a datetime, ISO 8601 text or UTC milliseconds")


def _of_file(file: Path, ruler: Ruler) -> Iterator[Row]:
    """Yield a file's rows; a bar is its path of prices, a second apart."""
    for row in iter_rows(file):
        if row.ask is not None:
            yield Row(row.time_ms, row.open, row.ask)
            continue
        spread = None if row.spread_points is None else row.spread_points * ruler.point
        for step, bid in enumerate(path(row)):
            ask = None if spread is None else bid + spread
            yield Row(row.time_ms + step * _BAR_STEP_MS, bid, ask)
