"""The backend of an account whose Expert Advisor verifies and attests for itself (protocol.md 14).

An order's frames are passed on unchanged, once, on the intent edge. What could not be handed to
the EA's connection was not begun; what was handed over and got no answer is unknown, and only the
EA's own word, asked for by STATUS or TOMBSTONE, ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError, LocalProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Modify, Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import text_of
from bridge_core.protocol.signing import Frames, order_hash
from bridge_core.protocol.token import parse_request
from bridge_core.protocol.views import StreamPoint
from bridge_server.backends.ea_books import deals_of, margin_of
from bridge_server.backends.ea_hop import Failure, FromEa, Margin, make_head, read_body
from bridge_server.backends.ea_link import Call, EaLink, HopSpec, Reply
from bridge_server.backends.ea_reader import Reader
from bridge_server.backends.ea_session import EaStatus, Pins
from bridge_server.backends.ea_side import EaSide
from bridge_server.core import ports
from bridge_server.core.attested import Lie, NotSeen, Wanted, Word, judge_word
from bridge_server.core.executor import ExecutorPost, ExecutorState, Inquiry
from bridge_server.core.ports import (
    Deal,
    Executed,
    Identity,
    Lost,
    MarginEstimate,
    NotBegun,
    Outcome,
    Scan,
    Snapshot,
    Submission,
    blank,
)

__all__ = ["EaBackend", "Served"]

_PUMP_MS: Final = 20
_READ_MS: Final = 1_000
_MARGIN_MS: Final = 1_000
_TICKS_MAX: Final = 4_096


class Served(Struct, frozen=True, kw_only=True):
    """The account's alias, its symbols, and how long a start waits for the EA (seconds)."""

    acct: str
    symbols: tuple[str, ...]
    wait_s: float = 5.0


class EaBackend:
    """`ports.Backend` and `core.executor.Attestor` of one live account."""

    name = "ea"
    settle_ms = 60_000  # MetaTrader 4 may show an order so late
    attests = True
    pump_interval_ms = _PUMP_MS
    comment_chars = 31

    def __init__(
        self, spec: HopSpec, served: Served, clock: Clock, ring: Callable[[], None]
    ) -> None:
        assert spec.pins is not None
        assert spec.trading
        self._acct = served.acct
        self._clock = clock
        self._symbols = served.symbols
        self._pins: Pins = spec.pins
        self._wait_s = served.wait_s
        self.link = EaLink(spec, clock)
        self._side = EaSide(self.link, served.acct, clock, ring)
        self.link.on_message = self._hear
        self._reader = Reader(self.link, served.symbols, clock)
        self._ticks: deque[tuple[str, Decimal, Decimal, int]] = deque(maxlen=_TICKS_MAX)
        self._hint = False
        self._read_mono = 0
        self._instance = ""
        self._book = -1
        self._shot = blank(self._pinned())

    def _pinned(self) -> Identity:
        return Identity(
            login=self._pins.login,
            server=self._pins.server,
            kind=self._pins.kind,
            currency="",
            margin_mode="hedging",
            leverage=0,
        )

    # --- life --------------------------------------------------------------------------------

    def start(self) -> Identity:
        """Listen, and wait a moment for the EA; without one the pinned identity stands.

        Raises:
            ConfigError: the port is in use, or strangers are not refused.
        """
        self.link.start()
        if self.link.wait_for_ea(self._wait_s):
            self._refresh()
        beat = self.link.status.beat
        pinned = self._pinned()
        if beat is None:
            return pinned
        return structs.replace(pinned, currency=beat.currency, leverage=beat.leverage)

    def close(self) -> None:
        """Let go of the port; what was under way is unknown."""
        self.link.close()

    # --- orders ----------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Hand one order over; at most once, for the caller asks once per row.

        Raises:
            LocalProtocolError: the frames are no request; nothing was sent.
        """
        token = parse_request(submission.frames.token)
        if token is None:
            raise LocalProtocolError("TOKEN", f"rid={submission.rid}")
        refusal = self._refusal(submission, token.kid)
        if refusal is not None:
            return NotBegun(refusal=refusal)
        wanted = Wanted(
            acct=self._acct,
            rid=submission.rid,
            kid=token.kid,
            op=submission.op.value,
            order_hash=order_hash(submission.frames, token),
        )
        child = token.op == Op.FLATTEN and submission.op is not Op.FLATTEN
        ticket = getattr(submission.body, "ticket", 0) if child else 0
        outcome = self._outcome(self._exec(submission, ticket), wanted)
        if isinstance(outcome, Executed):
            self._refresh()  # before anybody is told: the next check must count it
        return outcome

    def _refusal(self, submission: Submission, kid: str) -> Refusal | None:
        body = submission.body
        entry = isinstance(body, Open) or (isinstance(body, Modify) and bool(Decimal(body.price)))
        refusal = self._side.refuses(kid, entry=entry)
        wall, deadline = self._clock.wall_ms(), submission.deadline
        # A FLATTEN's own word trades nothing: it may come after the window of its children.
        trades = submission.op is not Op.FLATTEN
        if refusal is None and trades and deadline.passed(wall, self._clock.mono_ms()):
            return Refusal(ReasonCode.EXPIRED, limit=str(deadline.wall_ms), value=str(wall))
        return refusal

    def _exec(self, submission: Submission, ticket: int) -> Reply:
        left_ms = submission.deadline.remaining_ms(self._clock.wall_ms(), self._clock.mono_ms())
        call = Call(lambda n: make_head("EXEC", n, ticket), submission.frames, left_ms + _MARGIN_MS)
        call.executes = True
        return self.link.hand_over(call, "EXEC").wait()

    def _outcome(self, reply: Reply, wanted: Wanted) -> Outcome:
        if not reply.sent:
            return NotBegun(refusal=Refusal(ReasonCode.BROKER_DOWN, limit="EA", value=reply.why))
        if reply.body is None:
            return Lost(cause=reply.why)
        word = read_body(Word, reply.body)
        verdict = judge_word(word, wanted) if word is not None else Lie("no word")
        if isinstance(verdict, Lie):
            self._side.lied(wanted.rid, verdict)
            return Lost(cause=f"the EA's word does not fit: {verdict.why}")
        if isinstance(verdict, NotSeen):
            return Lost(cause="the EA says that it never saw the order it was given")
        return verdict

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN; nothing is sent to the broker.

        Raises:
            BridgeError: the EA does not answer.
        """
        reply = self.link.query("CHECK", order.type, order.volume, order.symbol).wait()
        if reply.body is None:
            raise BridgeError("BROKER_DOWN", reply.why)
        found = read_body(Margin, reply.body)
        if found is not None:
            return margin_of(found)
        failure = read_body(Failure, reply.body)
        known = failure is not None and failure.error in ReasonCode.__members__
        code = ReasonCode(failure.error) if failure is not None and known else None
        return Refusal(code or ReasonCode.BROKER_REJECTED, value=order.symbol)

    # --- reading ---------------------------------------------------------------------------

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the broker's records from a wall time (UTC ms) on.

        Raises:
            BridgeError: the EA does not answer.
        """
        beat = self.link.status.beat
        scan = self._reader.scan(since_wall_ms, beat) if beat and self.link.alive() else None
        if scan is None:
            raise BridgeError("BROKER_DOWN", "the EA does not answer")
        return scan

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time (until 0: now).

        Raises:
            BridgeError: the EA does not answer.
        """
        past = self._reader.closed(since_ms, until_ms)
        if past is None:
            raise BridgeError("BROKER_DOWN", "the EA does not answer")
        end = until_ms or 2**63
        return tuple(one for one in deals_of(past[0], ()) if since_ms <= one.time_ms <= end)

    def snapshot(self) -> Snapshot:
        """Return the account as last read."""
        return self._shot

    # --- what happens by itself ------------------------------------------------------------

    def _hear(self, message: FromEa, status: EaStatus) -> None:
        """Take what the EA says by itself; in the link's thread."""
        if message.verb == "TICK":
            self._ticks.append(message.tick)
            return
        self._hint = self._hint or message.verb == "EVENT"
        self._side.hear(message, status)

    def pump(self) -> list[EventBody]:
        """Read the account when something changed, each second at the latest; return ticks.

        What else happens is told by the EA's own signed events.
        """
        status, mono = self.link.status, self._clock.mono_ms()
        if not status.alive(mono):
            if self._shot.connected:
                self._shot = structs.replace(self._shot, connected=False, note="")
            return []
        changed = self._hint or status.instance != self._instance
        changed = changed or (status.beat is not None and status.beat.book != self._book)
        if changed or mono - self._read_mono >= _READ_MS:
            self._refresh()
        return self._take_ticks()

    def _refresh(self) -> None:
        status = self.link.status
        beat = status.beat
        if beat is None:
            return
        if status.wrong_account:  # another account's money and positions are none of ours
            self._shot = structs.replace(self._shot, connected=False)
            return
        self._hint, self._read_mono = False, self._clock.mono_ms()
        anew = status.instance != self._instance
        self._instance, self._book = status.instance, beat.book
        self._reader.learn_symbols(status.instance)
        seen = [StreamPoint(stream=name, seq=n) for name, n in self._side.event_seq.items()]
        asked = self._clock.wall_ms()
        shot = self._reader.read(beat, seen)
        if shot is None:  # asked again when it is due
            return
        # The EA sends each tick at once: what it answers now says that no newer one came before.
        quotes = {
            name: structs.replace(one, asked_wall_ms=max(asked, one.asked_wall_ms))
            for name, one in self._shot.quotes.items()
        }
        quotes |= self._reader.learn_quotes({} if anew else _without_quietest(quotes))
        note = self._side.about().note
        self._shot = structs.replace(shot, quotes=quotes, note=note)

    def _take_ticks(self) -> list[EventBody]:
        events: list[EventBody] = []
        quotes = dict(self._shot.quotes)
        wall = self._clock.wall_ms()
        while self._ticks:
            symbol, bid, ask, time_ms = self._ticks.popleft()
            if symbol not in self._symbols:
                continue
            quotes[symbol] = ports.Quote(
                symbol=symbol, bid=bid, ask=ask, time_ms=time_ms, asked_wall_ms=wall
            )
            events.append(
                EventBody(
                    type="tick", symbol=symbol, bid=text_of(bid), ask=text_of(ask), time=time_ms
                )
            )
        if events:
            self._shot = structs.replace(self._shot, quotes=quotes)
        return events

    # --- the side door -----------------------------------------------------------------------

    def self_test(self) -> bool:
        """Return whether an unknown key is refused on the EA's port."""
        return self.link.self_test()

    def about(self) -> ExecutorState:
        """Return how the EA stands."""
        return self._side.about()

    def refuses(self, kid: str, *, entry: bool) -> Refusal | None:
        """Return why an order of this kid could not run at the EA now."""
        return self._side.refuses(kid, entry=entry)

    def ask(self, inquiry: Inquiry) -> None:
        """Ask about a row."""
        self._side.ask(inquiry)

    def forward(self, op: Op, frames: Frames) -> None:
        """Pass a HEARTBEAT on."""
        self._side.forward(op, frames)

    def hold(self, op: Op, frames: Frames) -> None:
        """Pass a stop on until it is acknowledged."""
        self._side.hold(op, frames)

    def release(self) -> None:
        """Forget stops that are not acknowledged."""
        self._side.release()

    def take(self) -> list[ExecutorPost]:
        """Return what the EA's side has posted."""
        return self._side.take()


def _without_quietest(quotes: Mapping[str, ports.Quote]) -> dict[str, ports.Quote]:
    # A tick that changes no price is not sent, so the oldest quote may be younger than it looks.
    quietest = min(quotes.values(), key=lambda one: one.time_ms, default=None)
    return {name: one for name, one in quotes.items() if one is not quietest}
