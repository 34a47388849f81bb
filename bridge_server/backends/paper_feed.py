"""Where the paper broker's prices come from: a seeded walk, or a price file that may grow.

Each source gives whole rows, one after the other, and a mark (text) of where it stands after a
row; started again with its mark it goes on exactly there. Nothing here reads a clock: market time
comes with the prices.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from bridge_core.host.prices import (
    Layout,
    PriceRow,
    decode_line,
    is_blank,
    iter_rows,
    parse_header,
    parse_row,
    path,
)
from bridge_core.protocol.errors import ConfigError
from bridge_server.backends.paper_market import Step
from bridge_server.backends.paper_settings import SYNTHETIC, PaperSettings
from bridge_server.backends.paper_store import FeedMark
from bridge_server.core.ports import SymbolSpec

__all__ = [
    "Feed",
    "FileFeed",
    "Market",
    "MergedFeed",
    "Next",
    "SpreadModel",
    "SyntheticFeed",
    "make_feed",
]

SYNTHETIC_START_MS: Final = 1_704_153_600_000  # 2024-01-02T00:00:00Z, a Tuesday
SYNTHETIC_STEP_MS: Final = 1_000
_REACH_POINTS: Final = 10
_START: Final = {"JPY": Decimal("150.000")}
_START_ELSE: Final = Decimal("1.10000")


class Next(NamedTuple):
    """The next row, and the mark that says it was taken."""

    step: Step
    mark: FeedMark


class Feed(Protocol):
    """One symbol's source."""

    symbol: str

    def peek(self) -> Next | None:
        """Return the next row without taking it; None: there is none now.

        Raises:
            ConfigError: PRICES: the next row does not hold.
        """

    def take(self) -> None:
        """Go past the row that `peek` returned."""

    @property
    def ended(self) -> bool:
        """Whether no row will ever come again."""

    @property
    def last_ms(self) -> int:
        """Market time of the last row taken, UTC ms (0: none); the next one is later."""

    def close(self) -> None:
        """Let go of the source."""


class Market(Protocol):
    """Every symbol's source as one: rows in the order of market time."""

    def peek(self) -> Next | None:
        """Return the next row without taking it; None: there is none now.

        Raises:
            ConfigError: PRICES: the next row does not hold.
        """

    def take(self) -> None:
        """Go past the row that `peek` returned."""

    @property
    def ended(self) -> bool:
        """Whether no row will ever come again."""


class SpreadModel(NamedTuple):
    """ask = bid + points x point; a bar's own <SPREAD> only if `from_file`."""

    points: int
    from_file: bool


class _WalkMark(Struct, frozen=True):
    n: int
    bid_points: int


class SyntheticFeed:
    """A seeded walk: each step -10..10 points, turned back at half and twice its start.

    Price number n depends on seed, symbol and n alone; one second of market time lies between
    two prices, whatever the pace.
    """

    def __init__(self, spec: SymbolSpec, settings: PaperSettings, mark: str = "") -> None:
        self.symbol = spec.symbol
        self._spec = spec
        self._seed = settings.seed
        terms = settings.symbols.get(spec.symbol)
        start = terms.start_price if terms and terms.start_price else None
        if start is None:
            start = _START.get(spec.currency_profit, _START_ELSE)
        self._start = max(2, int(start / spec.point))
        self._spread = spread_model(settings, spec.symbol).points * spec.point
        self._mark = (
            msgspec.json.decode(mark, type=_WalkMark) if mark else _WalkMark(0, self._start)
        )
        self._next: Next | None = None

    @property
    def ended(self) -> bool:
        """Never."""
        return False

    @property
    def last_ms(self) -> int:
        """Market time of the last price taken, UTC ms."""
        return SYNTHETIC_START_MS + self._mark.n * SYNTHETIC_STEP_MS if self._mark.n else 0

    def _after(self) -> _WalkMark:
        n = self._mark.n + 1
        digest = hashlib.sha256(f"{self._seed}/{self.symbol}/{n}".encode()).digest()
        move = int.from_bytes(digest[:4], "big") % (2 * _REACH_POINTS + 1) - _REACH_POINTS
        points = self._mark.bid_points + move
        if not self._start // 2 < points < self._start * 2:
            points = self._mark.bid_points - move
        return _WalkMark(n, max(1, points))

    def peek(self) -> Next:
        """Return the next price."""
        if self._next is None:
            after = self._after()
            step = Step(
                symbol=self.symbol,
                time_ms=SYNTHETIC_START_MS + after.n * SYNTHETIC_STEP_MS,
                bids=(after.bid_points * self._spec.point,),
                spread=self._spread,
            )
            mark = FeedMark(self.symbol, msgspec.json.encode(after).decode())
            self._next = Next(step, mark)
        return self._next

    def take(self) -> None:
        """Go past it."""
        self._mark, self._next = self._after(), None

    def close(self) -> None:
        """Nothing to let go of."""


class _FileMark(Struct, frozen=True):
    """Bytes and lines gone past; the last line's digest, so that another file is noticed."""

    offset: int
    line: int
    time_ms: int
    digest: str


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw.rstrip(b"\r\n")).hexdigest()[:16]


class FileFeed:
    """A price file. With `follow` it may grow, and a last line without its end is no row yet.

    A file that is not followed is read through once at its first start, so that a bad row stops
    the start and not the day; in a followed one it stops the market when its turn comes.

    Raises:
        ConfigError: PRICES: not readable, a bad row, or not the file of the mark.
    """

    def __init__(
        self, file: Path, spec: SymbolSpec, settings: PaperSettings, mark: str = ""
    ) -> None:
        self.symbol = spec.symbol
        self._file = file
        self._spec = spec
        self._follow = settings.follow
        self._spread = spread_model(settings, spec.symbol)
        self._layout: Layout | None = None
        self._at = _FileMark(0, 0, 0, "")
        self._next: tuple[Next, _FileMark] | None = None
        self._ended = False
        if not mark and not settings.follow:
            for row in iter_rows(file):
                self._step(row, 0)
        try:
            self._stream: BinaryIO = file.open("rb")
        except OSError as error:
            raise ConfigError(
                "PRICES", f"{file}: {error.strerror}: name a readable file in [paper] prices"
            ) from error
        try:
            if mark:
                self._resume(msgspec.json.decode(mark, type=_FileMark))
        except BaseException:
            self._stream.close()
            raise

    def _resume(self, mark: _FileMark) -> None:
        number, raw = 0, b""
        while self._stream.tell() < mark.offset:
            raw = self._stream.readline()
            if not raw:
                break
            number += 1
            if self._layout is None:
                line = decode_line(raw, self._file.name, number)
                if not is_blank(line):
                    self._layout = parse_header(line, self._file.name)
        found = (self._stream.tell(), number, _digest(raw))
        if found != (mark.offset, mark.line, mark.digest):
            raise ConfigError(
                "PRICES",
                f"{self._file} line {mark.line}: no longer the row this account went past: put the "
                "file back, or move paper.db away to begin a new paper account",
            )
        self._at = mark

    @property
    def ended(self) -> bool:
        """Whether the whole file was taken; a followed file never ends."""
        return self._ended

    @property
    def last_ms(self) -> int:
        """Market time of the last row taken, UTC ms."""
        return self._at.time_ms

    def peek(self) -> Next | None:
        """Return the next complete row.

        Raises:
            ConfigError: PRICES: the row does not hold, or the file became shorter.
        """
        while self._next is None and not self._ended:
            self._stream.seek(self._at.offset)
            raw = self._stream.readline()
            if not raw.endswith(b"\n"):
                if self._follow:
                    self._must_not_shrink()
                    return None
                if not raw:
                    self._ended = True
                    return None
            self._read(raw)
        return self._next[0] if self._next else None

    def _must_not_shrink(self) -> None:
        if self._file.stat().st_size < self._at.offset:
            raise ConfigError(
                "PRICES", f"{self._file}: shorter than it was: only append to a followed file"
            )

    def _read(self, raw: bytes) -> None:
        number = self._at.line + 1
        line = decode_line(raw, self._file.name, number)
        after = _FileMark(self._at.offset + len(raw), number, self._at.time_ms, _digest(raw))
        if is_blank(line):
            self._at = after
            return
        if self._layout is None:
            self._layout = parse_header(line, self._file.name)
            if self._layout.header:
                self._at = after
                return
        row = parse_row(self._layout, line, number, self._at.time_ms)
        after = msgspec.structs.replace(after, time_ms=row.time_ms)
        mark = FeedMark(self.symbol, msgspec.json.encode(after).decode())
        self._next = (Next(self._step(row, number), mark), after)

    def _step(self, row: PriceRow, number: int) -> Step:
        """Return the row as a step; `number` 0: unknown line (it is only checked)."""
        point = self._spec.point
        if row.ask is not None:
            spread = row.ask - row.open
        elif self._spread.from_file:
            if row.spread_points is None:
                raise ConfigError(
                    "PRICES", f"{self._file}: no column <SPREAD>: set spread_from_file = false"
                )
            spread = row.spread_points * point
        else:
            spread = self._spread.points * point
        bids = path(row)
        for price in (*bids, spread):
            if price % point:
                where = f"line {number}" if number else f"the row of {row.time_ms} ms"
                raise ConfigError(
                    "PRICES",
                    f"{self._file} {where}: {price} has more than {self._spec.digits} digits: set "
                    f"digits in [paper.symbols.{self.symbol}]",
                )
        return Step(symbol=self.symbol, time_ms=row.time_ms, bids=bids, spread=spread)

    def take(self) -> None:
        """Go past the row that `peek` returned."""
        if self._next is not None:
            self._at = self._next[1]
            self._next = None

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class MergedFeed:
    """Several symbols' sources as one market: always the earliest row, symbols in order.

    While one source has no row yet and may still get an earlier one, the others wait: the order
    of rows is decided by market time alone, never by which file grew first.
    """

    def __init__(self, feeds: tuple[Feed, ...]) -> None:
        self._feeds = feeds
        self._turn: Feed | None = None

    @property
    def ended(self) -> bool:
        """Whether every source has ended."""
        return all(feed.ended for feed in self._feeds)

    def peek(self) -> Next | None:
        """Return the next row of the market.

        Raises:
            ConfigError: PRICES, as its source.
        """
        best: Next | None = None
        behind = None  # the earliest time that a source without a row has come to
        for feed in self._feeds:
            found = feed.peek()
            if found is None:
                if not feed.ended:
                    behind = feed.last_ms if behind is None else min(behind, feed.last_ms)
            elif best is None or found.step.time_ms < best.step.time_ms:
                best, self._turn = found, feed
        # Whatever that source still gets is later than what it has come to.
        if best is not None and behind is not None and best.step.time_ms > behind:
            return None
        return best

    def take(self) -> None:
        """Go past the row that `peek` returned."""
        if self._turn is not None:
            self._turn.take()


def spread_model(settings: PaperSettings, symbol: str) -> SpreadModel:
    """Return a symbol's spread: its own setting, else the account's."""
    terms = settings.symbols.get(symbol)
    points = settings.spread_points
    if terms is not None and terms.spread_points is not None:
        points = terms.spread_points
    return SpreadModel(points, settings.spread_from_file)


def make_feed(
    settings: PaperSettings, spec: SymbolSpec, source: str, base: Path, mark: str
) -> Feed:
    """Return one symbol's source; files are relative to `base`.

    Raises:
        ConfigError: PRICES, as `FileFeed`.
    """
    if source == SYNTHETIC:
        return SyntheticFeed(spec, settings, mark)
    return FileFeed(base / source, spec, settings, mark)
