"""The rehearsal: a terminal's symbols, prices and sessions, and the paper broker's fills.

`mode = "paper"` on the `ea` or `mt5` backend. The feed's link cannot send what trades
(`HopSpec.trading`, `LinkSpec.trading`), the keys are paper keys, and an EA holds none that could
verify an order: no trade call is made by anybody (protocol.md 14.6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Close, Open
from bridge_server.backends.paper import PaperBackend
from bridge_server.backends.paper_feed import Market, Next
from bridge_server.backends.paper_market import Step
from bridge_server.backends.paper_settings import TERMINAL, PaperSettings, make_specs
from bridge_server.backends.paper_store import FeedMark
from bridge_server.backends.paper_view import identity_of
from bridge_server.core.executor import ExecutorState
from bridge_server.core.ports import (
    Deal,
    Facts,
    Identity,
    MarginEstimate,
    NotBegun,
    Outcome,
    Rejected,
    Scan,
    Snapshot,
    Submission,
    SymbolSpec,
    blank,
)

__all__ = ["Place", "Price", "Rehearsal", "TerminalFeed"]

_TICKS_MAX: Final = 4_096
_AWAY: Final = "the terminal has not shown its symbols yet"
# What a trade mode leaves of the sides that may be entered; what nobody listed leaves none.
_ENTRIES: Final = {"": "BUY SELL", "FULL": "BUY SELL", "LONGONLY": "BUY", "SHORTONLY": "SELL"}


class Place(Struct, frozen=True):
    """Where the paper account's files are: the state folder and server.toml's."""

    folder: Path
    base: Path


class Price(NamedTuple):
    """A price of the terminal; `time_ms` is market time (UTC ms), 0 while that is unknown.

    `live`: it has just changed, so the symbol's session is open.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int
    live: bool


class TerminalFeed(Protocol):
    """A terminal that shows symbols and prices. `word` names it in refusals.

    `on_price` is called with every price, in any thread.
    """

    name: str
    word: str
    symbols: tuple[str, ...]
    on_price: Callable[[Price], None]

    def start(self) -> None:
        """Connect, and wait a moment for the terminal.

        Raises:
            ConfigError: it can never work as configured.
        """

    def close(self) -> None:
        """Let go of the terminal."""

    def alive(self) -> bool:
        """Return whether the terminal answers."""

    def linked(self) -> bool:
        """Return whether the terminal answers and has its broker."""

    def specs(self) -> Mapping[str, SymbolSpec]:
        """Return the terms of the symbols that the terminal shows."""

    def quotes(self) -> Iterable[Price]:
        """Return the present prices, to begin with."""

    def pump(self) -> None:
        """Look at the terminal, if it must be looked at."""

    def about(self) -> ExecutorState:
        """Return how the terminal stands."""

    def self_test(self) -> bool:
        """Return whether the hop refuses strangers."""


class _Ticks:
    """The terminal's ticks as the paper broker's market; market time never goes back."""

    def __init__(self) -> None:
        self._ticks: deque[Step] = deque(maxlen=_TICKS_MAX)
        self.last_ms = 0

    def add(self, symbol: str, bid: Decimal, ask: Decimal, time_ms: int) -> None:
        if bid > 0 and ask >= bid:
            self._ticks.append(Step(symbol, time_ms, (bid,), ask - bid))

    def peek(self) -> Next | None:
        if not self._ticks:
            return None
        step = self._ticks[0]
        step = step._replace(time_ms=max(step.time_ms, self.last_ms))
        return Next(step, FeedMark(step.symbol, ""))

    def take(self) -> None:
        self.last_ms = max(self.last_ms, self._ticks.popleft().time_ms)

    @property
    def ended(self) -> bool:
        return False


class _FedPaper(PaperBackend):
    """The paper broker on a terminal's symbols and ticks."""

    _floating = True

    def __init__(
        self,
        settings: PaperSettings,
        specs: Mapping[str, SymbolSpec],
        ticks: _Ticks,
        place: Place,
        clock: Clock,
    ) -> None:
        super().__init__(
            structs.replace(settings, follow=True), symbols=tuple(specs), folder=place.folder,
            base=place.base, clock=clock,
        )  # fmt: skip
        self._given = specs
        self._ticks_in = ticks

    def _make_specs(self) -> Mapping[str, SymbolSpec]:
        return self._given

    def _make_sources(self) -> dict[str, str]:
        return dict.fromkeys(self._given, TERMINAL)

    def _open_feed(
        self, specs: Mapping[str, SymbolSpec], marks: dict[str, str], undo: ExitStack
    ) -> Market:
        del specs, marks, undo
        self._ticks_in.last_ms = self._book.market_ms
        return self._ticks_in


class Rehearsal:
    """`ports.Backend` and `core.executor.HasHop` of a paper account beside a terminal."""

    settle_ms = 0
    attests = False
    pump_interval_ms = 20
    comment_chars = PaperBackend.comment_chars

    def __init__(
        self, feed: TerminalFeed, settings: PaperSettings, place: Place, clock: Clock
    ) -> None:
        self.name = feed.name
        self.feed = feed
        feed.on_price = self._hear
        self._settings = settings
        self._place = place
        self._clock = clock
        self._ticks = _Ticks()
        self._heard_mono: dict[str, int] = {}
        self._paper: _FedPaper | None = None
        self._shot = blank(identity_of(settings))

    # --- life --------------------------------------------------------------------------------

    def start(self) -> Identity:
        """Connect, wait a moment for the terminal, and begin if it is there.

        Raises:
            ConfigError: the port is in use, or the paper account's file does not fit.
        """
        self.feed.start()
        if self.feed.alive():
            self._begin()
        return identity_of(self._settings)

    def _begin(self) -> None:
        shown = self.feed.specs()
        if set(shown) != set(self.feed.symbols):
            return
        specs = {name: self._completed(spec) for name, spec in shown.items()}
        paper = _FedPaper(self._settings, specs, self._ticks, self._place, self._clock)
        paper.start()
        self._paper = paper
        for price in self.feed.quotes():
            self._hear(price)

    def _completed(self, spec: SymbolSpec) -> SymbolSpec:
        # Some brokers leave the currencies out; the name then says them, as for any paper symbol.
        if spec.currency_base and spec.currency_profit:
            return spec
        named = make_specs(structs.replace(self._settings, symbols={}), (spec.symbol,))
        return structs.replace(
            spec,
            currency_base=named[spec.symbol].currency_base,
            currency_profit=named[spec.symbol].currency_profit,
        )

    def close(self) -> None:
        """Let go of the terminal and the files."""
        self.feed.close()
        if self._paper is not None:
            self._paper.close()

    def _hear(self, price: Price) -> None:
        """Take a price; in any thread."""
        if price.live:
            self._heard_mono[price.symbol] = self._clock.mono_ms()
        self._ticks.add(price.symbol, price.bid, price.ask, price.time_ms)

    # --- orders ----------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Carry an order out on paper, while the terminal shows a market."""
        paper = self._paper
        if paper is None or not self.feed.linked():
            down = Refusal(ReasonCode.BROKER_DOWN, limit=self.feed.word, value=_AWAY)
            return NotBegun(refusal=down)
        shot = paper.snapshot()
        symbol = self._symbol_of(submission, shot)
        told, heard = self.feed.specs().get(symbol), self._heard_mono.get(symbol)
        mono = self._clock.mono_ms()
        silent = heard is None or mono - heard >= limits.EA_SESSION_SILENCE_MS
        if silent and not (told is not None and told.session == "OPEN"):
            comment = "the terminal shows no tick of it: its session is closed"
            facts = Facts(symbol=symbol, comment=comment)
            return Rejected(code=ReasonCode.MARKET_CLOSED, facts=facts)
        if isinstance(submission.body, Open) and not self._lets_in(submission.body):
            return Rejected(code=ReasonCode.TRADE_DISABLED, facts=Facts(symbol=symbol))
        return paper.execute(submission)

    def _lets_in(self, body: Open) -> bool:
        spec = self.feed.specs().get(body.symbol)
        sides = _ENTRIES.get(spec.trade_mode, "") if spec is not None else ""
        return body.type.partition("_")[0] in sides.split()

    def _symbol_of(self, submission: Submission, shot: Snapshot) -> str:
        body = submission.body
        if isinstance(body, Open | Close):
            return body.symbol
        ticket = getattr(body, "ticket", 0)
        held = shot.positions.get(ticket) or shot.orders.get(ticket)
        return held.symbol if held is not None else next(iter(self._heard_mono), "")

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN on the paper account."""
        if self._paper is None:
            return Refusal(ReasonCode.BROKER_DOWN, limit=self.feed.word)
        return self._paper.check(order)

    # --- reading ---------------------------------------------------------------------------

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the paper broker's records from a wall time (UTC ms) on.

        Raises:
            BridgeError: its account is not open yet.
        """
        return self._open_paper().scan(since_wall_ms)

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time (until 0: now).

        Raises:
            BridgeError: the account is not open yet.
        """
        return self._open_paper().history(since_ms, until_ms)

    def _open_paper(self) -> _FedPaper:
        if self._paper is None:
            raise BridgeError("BROKER_DOWN", _AWAY)
        return self._paper

    def pump(self) -> list[EventBody]:
        """Begin once the terminal has shown its symbols; then let its ticks happen."""
        self.feed.pump()
        if self._paper is None:
            if self.feed.alive():
                self._begin()
            return []
        return self._paper.pump()

    def snapshot(self) -> Snapshot:
        """Return the paper account as it stands."""
        if self._paper is None:
            return self._shot
        shot = self._paper.snapshot()
        return structs.replace(
            shot,
            connected=shot.connected and self.feed.linked(),
            note=f"rehearsal; {shot.note}",
            symbols={name: self._in_session(spec) for name, spec in shot.symbols.items()},
        )

    def _in_session(self, spec: SymbolSpec) -> SymbolSpec:
        """Return a symbol with its session as the terminal shows it now."""
        told = self.feed.specs().get(spec.symbol)
        if told is None or told.session == spec.session:
            return spec
        return structs.replace(spec, session=told.session)

    def self_test(self) -> bool:
        """Return whether the hop refuses strangers."""
        return self.feed.self_test()

    def about(self) -> ExecutorState:
        """Return how the terminal stands."""
        return self.feed.about()
