"""The rehearsal: a terminal's symbols, prices and sessions, and the paper broker's fills.

`mode = "paper"` on the `ea` backend. The link cannot send what trades (`HopSpec.trading`), the
keys are paper keys, and the EA holds none that could verify an order: no trade call is made by
anybody (protocol.md 14.6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Close, Open
from bridge_server.backends.ea import Served
from bridge_server.backends.ea_hop import FromEa
from bridge_server.backends.ea_link import EaLink
from bridge_server.backends.ea_reader import Reader, blank
from bridge_server.backends.ea_session import EaStatus
from bridge_server.backends.ea_side import about
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
)

__all__ = ["Place", "Rehearsal"]

_TICKS_MAX: Final = 4_096
_AWAY: Final = "the terminal has not shown its symbols yet"


class Place(Struct, frozen=True):
    """Where the paper account's files are: the state folder and server.toml's."""

    folder: Path
    base: Path


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

    name = "ea"
    settle_ms = 0
    attests = False
    pump_interval_ms = 20
    comment_chars = PaperBackend.comment_chars

    def __init__(
        self,
        link: EaLink,
        served: Served,
        settings: PaperSettings,
        place: Place,
        clock: Clock,
    ) -> None:
        self.link = link
        link.on_message = self._hear
        self._served = served
        self._settings = settings
        self._place = place
        self._clock = clock
        self._reader = Reader(link, served.symbols, clock)
        self._ticks = _Ticks()
        self._heard_mono: dict[str, int] = {}
        self._paper: _FedPaper | None = None
        self._shot = blank(identity_of(settings))

    # --- life --------------------------------------------------------------------------------

    def start(self) -> Identity:
        """Listen, wait a moment for the EA, and begin if it is there.

        Raises:
            ConfigError: the port is in use, or the paper account's file does not fit.
        """
        self.link.start()
        if self.link.wait_for_ea(self._served.wait_s):
            self._begin()
        return identity_of(self._settings)

    def _begin(self) -> None:
        status = self.link.status
        self._reader.learn_symbols(status.instance)
        if set(self._reader.specs) != set(self._served.symbols):
            return
        specs = {name: self._completed(spec) for name, spec in self._reader.specs.items()}
        paper = _FedPaper(self._settings, specs, self._ticks, self._place, self._clock)
        paper.start()
        self._paper = paper
        for quote in self._reader.learn_quotes({}).values():
            time_ms = _market_ms(status, quote.time_ms)
            self._ticks.add(quote.symbol, quote.bid, quote.ask, time_ms)

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
        """Let go of the port and the files."""
        self.link.close()
        if self._paper is not None:
            self._paper.close()

    def _hear(self, message: FromEa, status: EaStatus) -> None:
        """Take a tick; in the link's thread. Its own events are not for a rehearsal."""
        if message.verb != "TICK":
            return
        symbol, bid, ask, time_ms = message.tick
        if symbol in self._served.symbols:
            self._heard_mono[symbol] = self._clock.mono_ms()
            self._ticks.add(symbol, bid, ask, _market_ms(status, time_ms))

    # --- orders ----------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Carry an order out on paper, while the terminal shows a market."""
        paper = self._paper
        if paper is None or not self._linked():
            return NotBegun(refusal=Refusal(ReasonCode.BROKER_DOWN, limit="EA", value=_AWAY))
        symbol = self._symbol_of(submission, paper.snapshot())
        heard = self._heard_mono.get(symbol)
        mono = self._clock.mono_ms()
        if heard is None or mono - heard >= limits.EA_SESSION_SILENCE_MS:
            comment = "the terminal shows no tick of it: its session is closed"
            facts = Facts(symbol=symbol, comment=comment)
            return Rejected(code=ReasonCode.MARKET_CLOSED, facts=facts)
        return paper.execute(submission)

    def _symbol_of(self, submission: Submission, shot: Snapshot) -> str:
        body = submission.body
        if isinstance(body, Open | Close):
            return body.symbol
        ticket = getattr(body, "ticket", 0)
        held = shot.positions.get(ticket) or shot.orders.get(ticket)
        return held.symbol if held is not None else next(iter(self._heard_mono), "")

    def _linked(self) -> bool:
        beat = self.link.status.beat
        return beat is not None and beat.connected and self.link.alive()

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN on the paper account."""
        if self._paper is None:
            return Refusal(ReasonCode.BROKER_DOWN, limit="EA")
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
        if self._paper is None:
            if self.link.alive():
                self._begin()
            return []
        return self._paper.pump()

    def snapshot(self) -> Snapshot:
        """Return the paper account as it stands."""
        if self._paper is None:
            return self._shot
        shot = self._paper.snapshot()
        return structs.replace(
            shot, connected=shot.connected and self._linked(), note=f"rehearsal; {shot.note}"
        )

    def self_test(self) -> bool:
        """Return whether an unknown key is refused on the EA's port."""
        return self.link.self_test()

    def about(self) -> ExecutorState:
        """Return how the EA stands."""
        return about(self.link, self._clock.mono_ms())


def _market_ms(status: EaStatus, time_ms: int) -> int:
    # While the EA does not know the broker's zone its times are not UTC, and market time never goes
    # back: the price counts, and market time stands still.
    return time_ms if status.beat is not None and status.beat.zone_ms is not None else 0
