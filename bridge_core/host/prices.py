"""Price files: MetaTrader's bar export, or plain `time,bid,ask` rows, one line at a time.

MetaTrader's export is tab-separated with a header line; its prices are BID prices (MetaTrader's
convention), and its times are taken as UTC, as they stand. A row stands for a path of prices:
open, nearer extreme, farther extreme, close. Plain rows carry their own ask; each is one price.

Both sides read these files (the paper broker, and the demo that feeds it), so the rules live once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_core.protocol.errors import ConfigError

__all__ = [
    "Layout", "PriceRow", "decode_line", "is_blank", "iter_rows", "parse_header", "parse_row",
    "path",
]  # fmt: skip

_PLAIN: Final = ("time", "bid", "ask")
_BAR_NEEDS: Final = ("<DATE>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>")
_BAR_KNOWS: Final = (*_BAR_NEEDS, "<TIME>", "<TICKVOL>", "<VOL>", "<SPREAD>")
_PRICE: Final = re.compile(r"\A(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?\Z")
_COUNT: Final = re.compile(r"\A[0-9]{1,9}\Z")
_DATE: Final = re.compile(r"\A([0-9]{4})\.([0-9]{2})\.([0-9]{2})\Z")
_CLOCK: Final = re.compile(r"\A([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?\Z")
_EPOCH: Final = re.compile(r"\A[1-9][0-9]{11,12}\Z")
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS_PER_S: Final = 1000
_SHOWN_CHARS_MAX: Final = 40
_BOM: Final = "\ufeff"


class Layout(Struct, frozen=True, kw_only=True):
    """How the lines of one file read. `header` says whether the line it came from is one."""

    file: str
    columns: tuple[str, ...]
    bars: bool
    header: bool


class PriceRow(Struct, frozen=True, kw_only=True):
    """One row, normalised. `time_ms` is market time (a bar's opening time), UTC ms.

    A bar has bid prices and, if the export has <SPREAD>, its spread in points; `ask` is None. A
    plain row has open = high = low = close = bid, and its own `ask`.
    """

    time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    ask: Decimal | None = None
    spread_points: int | None = None


def _shown(text: str) -> str:
    """Return a cell as a message may show it: short, and nothing that moves a cursor."""
    short = text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "..."
    return short if short.isprintable() else repr(short)


def _bad(layout: Layout, number: int, column: str, why: str) -> ConfigError:
    return ConfigError("PRICES", f"{layout.file} line {number} column {column}: {why}")


def decode_line(raw: bytes, file: str, number: int) -> str:
    """Return one line as text, without its line end.

    Raises:
        ConfigError: not UTF-8 text (MetaTrader may save UTF-16: save the file as UTF-8).
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        raise ConfigError(
            "PRICES", f"{file} line {number}: not UTF-8 text: save the export as UTF-8"
        )
    if number == 1:
        text = text.removeprefix(_BOM)
    return text.rstrip("\r\n")


def is_blank(line: str) -> bool:
    """Return whether a line holds nothing; blank lines count but are no rows."""
    return not line.strip()


def parse_header(line: str, file: str) -> Layout:
    """Return the layout that a file's first line shows.

    Raises:
        ConfigError: PRICES, with the column that is missing or unknown and the fix.
    """
    if line.lstrip().startswith("<"):
        columns = tuple(cell.strip().upper() for cell in line.split("\t"))
        for column in columns:
            if column not in _BAR_KNOWS or columns.count(column) > 1:
                raise ConfigError(
                    "PRICES",
                    f"{file} line 1 column {_shown(column)}: not a column of MetaTrader's bar "
                    "export, or twice: export bars again, tab-separated",
                )
        for column in _BAR_NEEDS:
            if column not in columns:
                raise ConfigError(
                    "PRICES", f"{file} line 1 column {column}: missing: export bars again"
                )
        return Layout(file=file, columns=columns, bars=True, header=True)
    cells = tuple(cell.strip().lower() for cell in line.split(","))
    if cells == _PLAIN:
        return Layout(file=file, columns=_PLAIN, bars=False, header=True)
    if len(cells) == len(_PLAIN) and cells[0][:1].isdigit():
        return Layout(file=file, columns=_PLAIN, bars=False, header=False)
    raise ConfigError(
        "PRICES",
        f"{file} line 1 column 1: neither MetaTrader's header (<DATE> <TIME> <OPEN> ...) nor "
        "time,bid,ask: export bars from MetaTrader, or write time,bid,ask rows",
    )


def parse_row(layout: Layout, line: str, number: int, after_ms: int = 0) -> PriceRow:
    """Return the row that line `number` (1-based) holds.

    `after_ms` is the time of the row before; this one must be later.

    Raises:
        ConfigError: PRICES, naming file, line and column, what is wrong and the fix.
    """
    cells = line.split("\t" if layout.bars else ",")
    if len(cells) != len(layout.columns):
        column = layout.columns[min(len(cells), len(layout.columns) - 1)]
        raise _bad(
            layout, number, column, f"{len(cells)} cells, not {len(layout.columns)}: mend the row"
        )
    values = {name: cell.strip() for name, cell in zip(layout.columns, cells, strict=True)}
    return (_bar if layout.bars else _plain)(layout, values, number, after_ms)


def path(row: PriceRow) -> tuple[Decimal, ...]:
    """Return the bid prices that a row stands for, in order; equal neighbours count once.

    Open, the extreme nearer to the open, the other extreme, the close. Extremes equally far: the
    low comes first in a bar that closes at or above its open, else the high. A row is as many
    ticks as this has prices.
    """
    up, down = row.high - row.open, row.open - row.low
    low_first = down < up or (down == up and row.close >= row.open)
    extremes = (row.low, row.high) if low_first else (row.high, row.low)
    points = [row.open]
    for price in (*extremes, row.close):
        if price != points[-1]:
            points.append(price)
    return tuple(points)


def iter_rows(file: Path) -> Iterator[PriceRow]:
    """Yield every row of a complete file.

    Raises:
        ConfigError: PRICES, at the first row that does not hold, or if the file cannot be read.
    """
    name, layout, last_ms = file.name, None, 0
    try:
        with file.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                line = decode_line(raw, name, number)
                if is_blank(line):
                    continue
                if layout is None:
                    layout = parse_header(line, name)
                    if layout.header:
                        continue
                row = parse_row(layout, line, number, last_ms)
                last_ms = row.time_ms
                yield row
    except OSError as error:
        raise ConfigError("PRICES", f"{file}: {error.strerror}: name a readable file") from error


def _bar(layout: Layout, values: dict[str, str], number: int, after_ms: int) -> PriceRow:
    when, column = _bar_time(layout, values, number)
    _must_increase(layout, number, column, (when, after_ms))
    prices = {
        name: _price(layout, number, name, values[name])
        for name in ("<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>")
    }
    spread = values.get("<SPREAD>")
    if spread is not None and _COUNT.match(spread) is None:
        raise _bad(
            layout, number, "<SPREAD>", f"{_shown(spread)!r} is no number of points: mend the row"
        )
    row = PriceRow(
        time_ms=when,
        open=prices["<OPEN>"],
        high=prices["<HIGH>"],
        low=prices["<LOW>"],
        close=prices["<CLOSE>"],
        spread_points=None if spread is None else int(spread),
    )
    if row.high < max(row.open, row.low, row.close):
        raise _bad(layout, number, "<HIGH>", f"{row.high} is not the highest: mend the row")
    if row.low > min(row.open, row.close):
        raise _bad(layout, number, "<LOW>", f"{row.low} is not the lowest: mend the row")
    return row


def _plain(layout: Layout, values: dict[str, str], number: int, after_ms: int) -> PriceRow:
    when = _plain_time(layout, number, values["time"])
    _must_increase(layout, number, "time", (when, after_ms))
    bid = _price(layout, number, "bid", values["bid"])
    ask = _price(layout, number, "ask", values["ask"])
    if ask < bid:
        raise _bad(layout, number, "ask", f"{ask} is below the bid {bid}: mend the row")
    return PriceRow(time_ms=when, open=bid, high=bid, low=bid, close=bid, ask=ask)


def _must_increase(layout: Layout, number: int, column: str, times: tuple[int, int]) -> None:
    when, after = times
    if when <= after:
        raise _bad(
            layout, number, column, "not later than the row before: sort the rows, drop repeats"
        )


def _price(layout: Layout, number: int, column: str, text: str) -> Decimal:
    if _PRICE.match(text) is None:
        raise _bad(
            layout,
            number,
            column,
            f"{_shown(text)!r} is no price: up to 9 digits, a dot, up to 8 decimals",
        )
    price = Decimal(text)
    if price <= 0:
        raise _bad(layout, number, column, "a price is above 0: mend the row")
    return price


def _bar_time(layout: Layout, values: dict[str, str], number: int) -> tuple[int, str]:
    date = _DATE.match(values["<DATE>"])
    if date is None:
        raise _bad(layout, number, "<DATE>", f"{_shown(values['<DATE>'])!r} is not like 2024.01.31")
    clock = None
    if "<TIME>" in values:
        clock = _CLOCK.match(values["<TIME>"])
        if clock is None:
            raise _bad(
                layout, number, "<TIME>", f"{_shown(values['<TIME>'])!r} is not like 13:05:00"
            )
    hour, minute, second = (int(part or 0) for part in clock.groups()) if clock else (0, 0, 0)
    year, month, day = (int(part) for part in date.groups())
    try:
        when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise _bad(layout, number, "<DATE>", f"no such time ({error}): mend the row") from error
    return _to_ms(when), "<TIME>" if clock else "<DATE>"


def _plain_time(layout: Layout, number: int, text: str) -> int:
    if _EPOCH.match(text):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(
            layout,
            number,
            "time",
            f"{_shown(text)!r} is neither ISO 8601 UTC nor epoch ms: mend the row",
        ) from error
    if when.utcoffset() is None:
        when = when.replace(tzinfo=UTC)
    if when.utcoffset() != UTC.utcoffset(None):
        raise _bad(layout, number, "time", f"{text!r} is not UTC: write it as ...Z")
    return _to_ms(when)


def _to_ms(when: datetime) -> int:
    # Integer arithmetic: a float timestamp would round some milliseconds.
    since = when - _EPOCH_START
    return (since.days * 86_400 + since.seconds) * _MS_PER_S + since.microseconds // _MS_PER_S
