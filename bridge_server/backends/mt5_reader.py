"""The account read through the link: one trip, one picture. Owned by the backend's thread.

What cannot be read leaves the last picture standing, marked as not connected. After the broker's
link was away the terminal shows less than there is until it has synchronised: for a moment nothing
it shows replaces what was known.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_server.backends.mt5_books import (
    Kept,
    RecordError,
    Row,
    account_of,
    identity_of,
    number,
    pending_of,
    position_of,
    quote_of,
    type_name,
)
from bridge_server.backends.mt5_link import Answer, CallOf, LinkStatus
from bridge_server.backends.mt5_symbols import Mt5Symbol, symbol_of
from bridge_server.backends.mt5_zone import Zone
from bridge_server.core.ports import (
    Identity,
    Pending,
    Position,
    Quote,
    Snapshot,
    SymbolSpec,
    blank,
)

__all__ = ["Watched", "NotReadError", "Reader", "Reading", "Wants", "row_of", "rows_of"]

SYNC_MS: Final = 5_000
_AGAIN_MS: Final = 5_000
_PRICES: Final = ("bid", "ask", "open_price", "current_price", "price", "sl", "tp")
_Priced = TypeVar("_Priced", Position, Pending, Quote)
# Calls that failed with these say nothing about the symbol: no answer, no memory, no connection.
_CALL_FAILED: Final = frozenset({0, -1, -3, -10_000, -10_001, -10_002, -10_003, -10_004, -10_005})


class Wants(Protocol):
    """What is needed of the link (`mt5_link.Mt5Link`)."""

    @property
    def status(self) -> LinkStatus:
        """Return how the link stands."""

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        """Make one call."""

    def calls(self, *calls: CallOf) -> list[Answer]:
        """Make several calls with nothing in between."""

    def beat(self) -> LinkStatus:
        """Compare terminal and account with the pinned ones now."""


class NotReadError(Exception):
    """The terminal did not answer as it should; the text says how."""


class Reading(Struct, frozen=True, kw_only=True):
    """What the terminal said, as it said it. `connects` counts connections, as in the status.

    `broker_ms` is the latest tick's time on the broker's clock.
    """

    mono_ms: int
    wall_ms: int
    broker_ms: int
    connects: int
    positions: tuple[Row, ...]
    orders: tuple[Row, ...]


def rows_of(answer: Answer) -> tuple[Row, ...]:
    """Return the records of an answer.

    Raises:
        NotReadError: the call failed, or answered no list of records.
    """
    value = answer.value
    if not answer.ok or not isinstance(value, list) or not all(isinstance(e, dict) for e in value):
        raise NotReadError(answer.text or "an answer that is no list of records")
    return tuple(value)


def row_of(answer: Answer) -> Row:
    """Return the record of an answer.

    Raises:
        NotReadError: the call failed, or answered no record.
    """
    if not answer.ok or not isinstance(answer.value, dict):
        raise NotReadError(answer.text or "an answer that is no record")
    return answer.value


class Watched(Struct, frozen=True, kw_only=True):
    """What this server trades: its symbols, and the account as it is pinned.

    `sync_ms`: how long the broker's link must have stood before what the terminal shows counts
    as complete.
    """

    symbols: tuple[str, ...]
    pinned: Identity
    sync_ms: int = SYNC_MS


class Reader:
    """Asks and assembles."""

    def __init__(self, link: Wants, served: Watched, clock: Clock, zone: Zone) -> None:
        self.link = link
        self.zone = zone
        self.missing: dict[str, str] = {}
        self.reading: Reading | None = None
        self.remark = ""  # what else a person should know, shown in the snapshot's note
        self._names = served.symbols
        self._clock = clock
        self._sync_ms = served.sync_ms
        self._symbols: dict[str, Mt5Symbol] = {}
        self._quotes: dict[str, Quote] = {}
        self._ticks: dict[str, tuple[int, int]] = {}  # broker's ms of the last tick, seen when
        self._shot = blank(served.pinned)
        self._shown: Kept[Position] = Kept()
        self._learned_mono: int | None = None
        self._connects = -1
        self._was_synced = False

    # --- what others see ---------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the account as last read."""
        return self._shot

    def symbol(self, name: str) -> Mt5Symbol | None:
        """Return what the broker says of a symbol, None if it was never learned."""
        return self._symbols.get(name)

    @property
    def zone_ms(self) -> int | None:
        """Return the broker's clock minus UTC in ms, None while it is unknown."""
        return self.zone.offset_ms

    @property
    def sending_zone_ms(self) -> int | None:
        """Return the same for a time that is sent: None also while it may have changed."""
        return self.zone.to_send_ms(self._clock.mono_ms())

    @property
    def netting(self) -> bool:
        """Return whether the account holds one position per symbol."""
        return self._shot.identity.margin_mode == "netting"

    def synced(self) -> bool:
        """Return whether the broker's link has stood for long enough to show everything."""
        status = self.link.status
        if not (status.alive and status.linked and status.linked_mono) or status.wrong_account:
            return False
        return self._clock.mono_ms() - status.linked_mono >= self._sync_ms

    # --- reading -----------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read the account now; False: it could not be read, and the old picture stands."""
        status = self.link.beat()
        if status.wrong_account or not status.alive:
            return self._lost(status.wrong_account or status.why)
        if status.connects != self._connects:
            self._connects, self._learned_mono = status.connects, None
            self.zone.forget()
        synced = self.synced()
        if self._was_synced and not synced:
            return self._lost(status.why or "the terminal synchronises with its broker")
        self._was_synced = synced
        try:
            self._learn()
            self._read(status)
        except NotReadError as error:
            return self._lost(f"the terminal does not answer: {error}")
        except RecordError as error:
            return self._lost(f"the terminal shows what cannot be: {error}")
        return True

    def ask(self, *calls: CallOf) -> tuple[list[Answer], Row]:
        """Return the answers of one trip, and the account that they are of.

        Raises:
            NotReadError: no answers, or of another account than the link last compared.
        """
        answers = self.link.calls(*calls, CallOf("account_info"))
        if len(answers) != len(calls) + 1:
            raise NotReadError("too few answers")
        money = row_of(answers.pop())
        compared = self.link.status.account
        if any(money.get(name) != compared.get(name) for name in ("login", "server")):
            raise NotReadError("the account changed meanwhile")
        return answers, money

    def _lost(self, why: str) -> bool:
        if self._shot.connected or self._shot.note != why:
            self._shot = structs.replace(self._shot, connected=False, note=why)
        return False

    def _read(self, status: LinkStatus) -> None:
        names = list(self._symbols)
        asked = [
            # What becomes a position is seen as an order before it is looked for as a position.
            CallOf("orders_get"),
            CallOf("positions_get"),
            *(CallOf("symbol_info_tick", (name,)) for name in names),
        ]
        answers, money = self.ask(*asked)
        orders, positions = rows_of(answers[0]), rows_of(answers[1])
        wall, mono = self._clock.wall_ms(), self._clock.mono_ms()
        for name, answer in zip(names, answers[2:], strict=True):
            self._take_tick(name, answer, wall, mono)
        zone = self.zone_ms
        shown = self._shown.of(positions, (zone, self._learned_mono), self._position)
        resting = [self._padded(pending_of(row, zone)) for row in orders if _rests(row)]
        self._shot = Snapshot(
            taken_wall_ms=wall,
            market_ms=max((one.time_ms for one in self._quotes.values()), default=0),
            connected=status.linked,
            identity=identity_of(money),
            account=account_of(money),
            positions={one.ticket: one for one in shown},
            orders={one.ticket: one for one in resting},
            quotes=dict(self._quotes),
            symbols={name: self._spec(name, wall, mono) for name in names},
            note=self._note(),
            zone_ms=zone,
        )
        self.reading = Reading(
            mono_ms=mono,
            wall_ms=wall,
            broker_ms=max((at for at, _ in self._ticks.values()), default=0),
            connects=status.connects,
            positions=positions,
            orders=tuple(row for row in orders if _rests(row)),
        )

    def _position(self, row: Row) -> Position:
        return self._padded(position_of(row, self.zone_ms))

    def _note(self) -> str:
        return "; ".join(one for one in (*self.missing.values(), self.zone.why, self.remark) if one)

    # --- symbols and ticks -------------------------------------------------------------------

    def quote(self, symbol: str) -> Quote | None:
        """Return a fresh quote by one call, None if there is no price or no answer."""
        answer = self.link.call("symbol_info_tick", symbol)
        wall, mono = self._clock.wall_ms(), self._clock.mono_ms()
        try:
            self._take_tick(symbol, answer, wall, mono)
        except RecordError:
            return None
        found = self._quotes.get(symbol)
        return found if answer.ok and found is not None else None

    def _take_tick(self, symbol: str, answer: Answer, wall: int, mono: int) -> None:
        if not answer.ok or not isinstance(answer.value, dict):
            if answer.code not in _CALL_FAILED:  # not in Market Watch any more
                self._quotes.pop(symbol, None)
            return
        row = answer.value
        tick_ms = number(row, "time_msc")
        if self._ticks.get(symbol, (0, 0))[0] != tick_ms:
            self._ticks[symbol] = (tick_ms, mono if symbol in self._ticks else 0)
            self.zone.see(symbol, tick_ms, wall, mono)
        quote = quote_of(symbol, row, self.zone_ms, wall)
        if quote is None:
            self._quotes.pop(symbol, None)
        else:
            self._quotes[symbol] = self._padded(quote)

    def _padded(self, row: _Priced) -> _Priced:
        symbol = self._symbols.get(row.symbol)
        if symbol is None:
            return row
        prices = {name: getattr(row, name) for name in _PRICES if hasattr(row, name)}
        return structs.replace(row, **{name: symbol.padded(one) for name, one in prices.items()})

    def _spec(self, name: str, wall: int, mono: int) -> SymbolSpec:
        spec = self._symbols[name].spec
        return structs.replace(spec, session=self._session(name, wall, mono))

    def _session(self, name: str, wall: int, mono: int) -> str:
        """OPEN while ticks come. The package shows no trading hours, so this is all there is."""
        tick_ms, seen_mono = self._ticks.get(name, (0, 0))
        if not tick_ms:
            return ""
        age = mono - seen_mono
        if not seen_mono:  # the first one: only a known zone says how old it is
            if self.zone_ms is None:
                return ""
            age = wall - (tick_ms - self.zone_ms)
        return "OPEN" if age < limits.EA_SESSION_SILENCE_MS else "CLOSED"

    def _learn(self) -> None:
        """Select the symbols and read their terms: at a connection, each minute, and if missing."""
        mono = self._clock.mono_ms()
        unpriced = any(name not in self._quotes for name in self._names)
        wait = _AGAIN_MS if self.missing or unpriced else limits.SELF_TEST_PERIOD_MS
        if self._learned_mono is not None and mono - self._learned_mono < wait:
            return
        asked = [
            call
            for name in self._names
            for call in (CallOf("symbol_select", (name, True)), CallOf("symbol_info", (name,)))
        ]
        answers = self.link.calls(*asked)
        if len(answers) != len(asked):
            raise NotReadError("too few answers")
        self._learned_mono = mono
        for at, name in enumerate(self._names):
            self._take_symbol(name, answers[2 * at], answers[2 * at + 1])

    def _take_symbol(self, name: str, selected: Answer, shown: Answer) -> None:
        if not shown.ok or not isinstance(shown.value, dict):
            if shown.code not in _CALL_FAILED:
                self._drop(name, "the broker has no such symbol: write its exact name, suffix too")
            return
        try:
            found = symbol_of(shown.value)
        except RecordError as error:
            self._drop(name, f"its terms cannot be used: {error}")
            return
        self._symbols[name] = found
        self.missing.pop(name, None)
        if not selected.ok and selected.code not in _CALL_FAILED:
            self.missing[name] = f"{name}: not in Market Watch: show it there by hand"

    def _drop(self, name: str, why: str) -> None:
        self.missing[name] = f"{name}: {why}"
        self._symbols.pop(name, None)
        self._quotes.pop(name, None)


def _rests(row: Row) -> bool:
    # A market order, or a close-by, that is still on its way is no pending order.
    return type_name(number(row, "type")) not in ("BUY", "SELL", "CLOSE_BY")
