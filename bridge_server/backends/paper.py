"""The paper backend: a small honest broker behind the same door as a real one.

Prices come from a seeded walk or from files (`paper_feed`), and only they move market time. An
order acts between two rows, never inside one: the current quote is what it meets. Wall time is
used for deadlines, for `scan` and in the ledger, and nowhere else.

An act is decided in memory on a copy of the books, made durable by one commit, and only then
adopted, answered and published. If a commit fails the outcome is Lost, the copy is dropped and
the broker starts again from its file, which alone says what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bridge_core.host.clock import Clock
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError, ConfigError, LocalProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.paper_book import PAPER_MARK, Book, Turn
from bridge_server.backends.paper_feed import Market, MergedFeed, make_feed
from bridge_server.backends.paper_ledger import Ledger
from bridge_server.backends.paper_market import apply_step, tick_event
from bridge_server.backends.paper_money import Money
from bridge_server.backends.paper_orders import (
    Label,
    cancel,
    close,
    estimate,
    modify,
    open_order,
    preflight,
)
from bridge_server.backends.paper_settings import (
    PaperSettings,
    SymbolTerms,
    make_sources,
    make_specs,
)
from bridge_server.backends.paper_store import PaperStore, Terms
from bridge_server.backends.paper_view import (
    describe,
    identity_of,
    make_snapshot,
    said_of_fill,
)
from bridge_server.core.ports import (
    Deal,
    Executed,
    Identity,
    Lost,
    MarginEstimate,
    NotBegun,
    Outcome,
    Rejected,
    Scan,
    Snapshot,
    Submission,
    SymbolSpec,
)

__all__ = ["PaperBackend", "PaperSettings", "SymbolTerms"]

_FOLLOW_PUMP_MS: Final = 10
_PUMP_MS_MIN: Final = 10
_PUMP_MS_MAX: Final = 250
_RECOVER_MS: Final = 1_000
# A deal shows the order's comment and then that it is paper; both together stay within the 31
# characters that MetaTrader 5 gives a comment, so a strategy sees here what it will see there.
_BROKER_COMMENT_CHARS: Final = 31


class PaperBackend:
    """The broker of one paper account; `ports.Backend`.

    `folder` is the server's state folder (paper.db, ledger.jsonl), `base` the folder that price
    files are relative to. Construction touches no file; `start` does.
    """

    name = "paper"
    settle_ms = 0
    attests = False
    _floating = False
    comment_chars = _BROKER_COMMENT_CHARS - len(PAPER_MARK)

    def __init__(
        self,
        settings: PaperSettings,
        *,
        symbols: tuple[str, ...],
        folder: Path,
        base: Path,
        clock: Clock,
    ) -> None:
        pace = min(max(settings.pace_ms, _PUMP_MS_MIN), _PUMP_MS_MAX)
        self.pump_interval_ms = _FOLLOW_PUMP_MS if settings.follow else pace
        self._settings = settings
        self._symbols = symbols
        self._folder = folder
        self._base = base
        self._clock = clock
        self._book = Book(balance=settings.balance)
        self._queue: list[EventBody] = []
        self._held = ExitStack()
        self._broken = ""
        self._feed_error = ""
        self._due_mono_ms = 0

    # --- start and stop --------------------------------------------------------------------

    def start(self) -> Identity:
        """Open the account's file and its prices.

        Raises:
            ConfigError: the settings, the price file or the account's file do not fit.
            BridgeError: the file cannot be opened (see `host.sqlite`).
        """
        settings = self._settings
        specs = self._make_specs()
        sources = self._make_sources()
        self._money = Money(settings.currency, settings.leverage, specs)
        self._sources = sources
        self._described = describe(settings, sources)
        terms = Terms(
            login=settings.login,
            server=settings.broker_server,
            currency=settings.currency,
            sources=sources,
            specs=dict(specs),
            floating=self._floating,
        )
        with ExitStack() as undo:  # whatever fails below, what was opened before it is closed
            self._store = PaperStore(self._folder / "paper.db")
            undo.callback(self._store.close)
            stored = self._store.load(terms, settings.balance)
            self._book = stored.book
            self._feed = self._open_feed(specs, stored.marks, undo)
            self._ledger = Ledger(self._folder / "ledger.jsonl")
            undo.callback(self._ledger.close)
            self._say_start()
            self._held = undo.pop_all()
        return identity_of(self._settings)

    def _say_start(self) -> None:
        self._announce = True
        self._feed_error = self._broken = ""
        said: dict[str, str | int] = {
            "comment_chars": self.comment_chars,
            "source": self._described,
        }
        self._ledger.start(self._clock.wall_ms(), self._book.market_ms, said)

    # Where a broker of another kind differs: `rehearsal` has a terminal's symbols and prices.

    def _make_specs(self) -> Mapping[str, SymbolSpec]:
        return make_specs(self._settings, self._symbols)

    def _make_sources(self) -> dict[str, str]:
        return make_sources(self._settings, self._symbols)

    def _open_feed(
        self, specs: Mapping[str, SymbolSpec], marks: dict[str, str], undo: ExitStack
    ) -> Market:
        feeds = []
        for symbol in self._symbols:
            mark = marks.get(symbol, "")
            feed = make_feed(self._settings, specs[symbol], self._sources[symbol], self._base, mark)
            undo.callback(feed.close)
            # A symbol that joins later begins where the market is.
            while (row := feed.peek()) is not None and row.step.time_ms < self._book.market_ms:
                feed.take()
            feeds.append(feed)
        return MergedFeed(tuple(feeds))

    def close(self) -> None:
        """Let go of the files; nothing is half done between two calls."""
        self._held.close()

    # --- orders ----------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Carry out OPEN, CLOSE, MODIFY or CANCEL, once.

        Raises:
            LocalProtocolError: another operation; nothing was done.
        """
        body = submission.body
        if not isinstance(body, Open | Close | Modify | Cancel):
            raise LocalProtocolError("BODY", f"op={submission.op} why='no order'")
        if self._broken:
            return NotBegun(refusal=Refusal(ReasonCode.BROKER_DOWN))
        wall = self._clock.wall_ms()
        deadline = submission.deadline
        if deadline.passed(wall, self._clock.mono_ms()):
            late = Refusal(ReasonCode.EXPIRED, limit=str(deadline.wall_ms), value=str(wall))
            return NotBegun(refusal=late)
        turn = Turn(self._money, self._book)
        refusal = preflight(turn, body)
        if refusal is not None:
            return NotBegun(refusal=refusal)
        try:
            begun = self._ledger.begin(submission, wall, self._book.market_ms)
        except OSError as error:
            self._fail(f"ledger.jsonl cannot be written: {error.strerror}")
            return NotBegun(refusal=Refusal(ReasonCode.BROKER_DOWN))
        outcome = self._commit(turn, self._act(turn, body, self._label(submission, body)))
        try:
            self._ledger.end(begun, self._clock.wall_ms(), outcome)
        except OSError as error:
            self._fail(f"ledger.jsonl cannot be written: {error.strerror}")
        return outcome

    def _act(
        self, turn: Turn, body: Open | Close | Modify | Cancel, label: Label
    ) -> Executed | Rejected:
        """Decide an order on the turn's copy of the books; nothing is durable yet."""
        match body:
            case Open():
                return open_order(turn, body, label)
            case Close():
                return close(turn, body, label)
            case Modify():
                return modify(turn, body, label)
            case Cancel():
                return cancel(turn, body, label)

    def _commit(self, turn: Turn, outcome: Executed | Rejected) -> Outcome:
        if isinstance(outcome, Rejected):
            return outcome  # nothing changed: nothing to keep
        turn.tell_account()
        try:
            self._store.commit(turn, self._clock.wall_ms())
        except (BridgeError, OSError) as error:
            self._fail(f"paper.db: {error}")
            return Lost(cause=f"the paper broker's file failed: {error}")
        self._book = turn.book
        self._queue += turn.events
        return outcome

    def _label(self, submission: Submission, body: Open | Close | Modify | Cancel) -> Label:
        turn = Turn(self._money, self._book)
        symbol = body.symbol if isinstance(body, Open | Close) else ""
        if isinstance(body, Modify | Cancel):
            held = self._book.positions.get(body.ticket) or self._book.orders.get(body.ticket)
            symbol = held.symbol if held else ""
        said = said_of_fill(turn, self._sources, symbol)
        return Label(submission.magic, submission.comment, said)

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN, or return the refusal it would get; nothing is sent."""
        if self._broken:
            return Refusal(ReasonCode.BROKER_DOWN)
        return estimate(Turn(self._money, self._book), order)

    # --- prices ----------------------------------------------------------------------------

    def pump(self) -> list[EventBody]:
        """Publish what orders did, then take the next row if it is due.

        The first call after a start publishes the quotes as they stood, and takes no row.
        """
        if self._broken:
            self._recover()
        events, self._queue = self._queue, []
        if self._announce and self._book.quotes:
            turn = Turn(self._money, self._book)
            events += [tick_event(turn, each) for each in self._symbols if each in turn.book.quotes]
        elif not self._broken and not self._feed_error:
            events += self._rows()
        self._announce = False
        return events

    def _rows(self) -> list[EventBody]:
        """Take the next row, and those of other symbols with the same market time."""
        if not self._settings.follow:
            now, pace = self._clock.mono_ms(), self._settings.pace_ms
            late = now - self._due_mono_ms
            if late < 0:
                return []
            # Keep the beat of the pace; after a pause of more than one, begin a new beat.
            self._due_mono_ms += pace if late < pace else late + pace
        events: list[EventBody] = []
        time_ms = None
        try:
            while (row := self._feed.peek()) is not None:
                if time_ms not in (None, row.step.time_ms):
                    break
                time_ms = row.step.time_ms
                turn = Turn(self._money, self._book)
                apply_step(turn, row.step)
                self._store.commit(turn, self._clock.wall_ms(), row.mark)
                self._feed.take()
                self._book = turn.book
                events += turn.events
        except ConfigError as error:
            self._feed_error = error.detail
            events.append(self._alert("PRICES", error.detail))
        except (BridgeError, OSError) as error:
            self._fail(f"paper.db: {error}")
        return events

    def _alert(self, code: str, message: str) -> EventBody:
        return EventBody(
            type="alert", level="error", code=code, message=message, time=self._book.market_ms
        )

    # --- trouble ---------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        self._broken = why
        self._queue.append(self._alert("BROKER_DOWN", why))
        self._retry_mono_ms = self._clock.mono_ms() + _RECOVER_MS

    def _recover(self) -> None:
        """Start again from the file, which alone says what happened; tried once a second."""
        now = self._clock.mono_ms()
        if now < self._retry_mono_ms:
            return
        self._retry_mono_ms = now + _RECOVER_MS
        self.close()
        try:
            self.start()
        except (BridgeError, OSError) as error:
            self._broken = f"cannot start again: {error}"

    # --- reading ---------------------------------------------------------------------------

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the broker's records from a wall time (UTC ms) on."""
        wall = self._clock.wall_ms()
        if self._broken:
            return Scan(since_wall_ms=since_wall_ms, taken_wall_ms=wall, complete=False)
        turn = Turn(self._money, self._book)
        return Scan(
            since_wall_ms=since_wall_ms,
            taken_wall_ms=wall,
            complete=True,
            positions=tuple(turn.valued(each) for each in turn.book.positions.values()),
            orders=tuple(turn.book.orders.values()),
            deals=self._store.deals_since(since_wall_ms),
            ended=self._store.ended_since(since_wall_ms),
        )

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time, both ends included (until 0: now).

        Raises:
            BridgeError: the account's file is away for the moment.
        """
        if self._broken:
            raise BridgeError("BROKER_DOWN", self._broken)
        return self._store.history(since_ms, until_ms)

    def snapshot(self) -> Snapshot:
        """Return the account now; `note` says what is simulated and how."""
        return make_snapshot(
            Turn(self._money, self._book),
            identity_of(self._settings),
            self._clock.wall_ms(),
            connected=not self._broken and not self._feed_error,
            note=self._note(),
        )

    def _note(self) -> str:
        trouble = self._broken or self._feed_error
        if trouble:
            return f"{self._described}; STOPPED: {trouble}"
        if self._feed.ended:
            return f"{self._described}; the price file has ended: the last quote stands"
        return self._described
