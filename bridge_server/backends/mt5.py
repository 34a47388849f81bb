"""The backend of MetaTrader 5: builds one request, sends it once, and reads back what it did.

The package lives in a process of its own (`mt5_link`). What was not handed to it was not begun;
what was, and is on neither list of definite answers, is unknown, and only the broker's records
end it. Nothing here sends twice, whatever the answer.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.errors import BridgeError, LocalProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_server.backends.mt5_answers import (
    POSITION_CLOSED,
    Accepted,
    judge_check,
    judge_sent,
)
from bridge_server.backends.mt5_books import RecordError, exact
from bridge_server.backends.mt5_desk import Desk, Order, Ready
from bridge_server.backends.mt5_link import Mt5Link
from bridge_server.backends.mt5_past import Past
from bridge_server.backends.mt5_proof import CONFIRM_MS, Proof, Sought
from bridge_server.backends.mt5_reader import SYNC_MS, NotReadError, Reader, Watched, row_of
from bridge_server.backends.mt5_requests import COMMENT_CHARS, Label, order_type
from bridge_server.backends.mt5_settings import Mt5Served
from bridge_server.backends.mt5_watch import Watch
from bridge_server.backends.mt5_zone import Zone
from bridge_server.core.executor import ExecutorState
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
)
from bridge_server.core.reconcile import Suspect

__all__ = ["Mt5Backend", "Patience"]

_PUMP_MS_MIN: Final = 10
_CHECK: Final = Label(1, "CHECK")  # of a request that is never sent


class Patience(Struct, frozen=True, kw_only=True):
    """How long what is waited for, in ms; tests are in more of a hurry.

    `settle_ms`: until absence at the broker counts. `confirm_ms`: for the records of what the
    broker took. `sync_ms`: how long the broker's link must stand before its records are whole.
    """

    settle_ms: int = 60_000
    confirm_ms: int = CONFIRM_MS
    sync_ms: int = SYNC_MS


_USUAL: Final = Patience()


class Mt5Backend:
    """`ports.Backend` and `core.executor.HasHop` of one live account.

    `served.pins` names the account; construction touches nothing, `start` starts the worker.
    """

    name = "mt5"
    attests = False
    comment_chars = COMMENT_CHARS

    def __init__(
        self, link: Mt5Link, served: Mt5Served, clock: Clock, patience: Patience = _USUAL
    ) -> None:
        assert served.pins is not None
        settings, pins = served.settings, served.pins
        self.settle_ms = patience.settle_ms
        self.pump_interval_ms = max(_PUMP_MS_MIN, settings.poll_ms // 5)
        self.link = link
        self._wait_s = served.wait_s
        self._clock = clock
        minutes = settings.utc_offset_minutes
        self._zone = Zone(minutes * 60_000 if minutes is not None else None)
        pinned = Identity(
            login=pins.login, server=pins.server, kind=pins.kind, currency="",
            margin_mode=pins.margin, leverage=0,
        )  # fmt: skip
        read = Watched(symbols=served.symbols, pinned=pinned, sync_ms=patience.sync_ms)
        self._reader = Reader(link, read, clock, self._zone)
        self._past = Past(self._reader, clock)
        self._watch = Watch(self._reader, self._past, clock, settings.poll_ms)
        self._desk = Desk(self._reader)
        self._proof = Proof(self._reader, clock, patience.confirm_ms)
        self._alerts: list[EventBody] = []

    # --- life --------------------------------------------------------------------------------

    def start(self) -> Identity:
        """Start the worker and wait a moment for the terminal; without one the pins stand.

        Raises:
            ConfigError: it can never work as configured.
        """
        self.link.start()
        if self.link.wait(self._wait_s):
            self._reader.refresh()
        return self._reader.snapshot().identity

    def close(self) -> None:
        """End the worker; what was under way is unknown."""
        self.link.close()

    # --- orders ----------------------------------------------------------------------------

    def execute(self, submission: Submission) -> Outcome:
        """Carry out OPEN, CLOSE, MODIFY or CANCEL: at most one `order_send`, no retry.

        Raises:
            LocalProtocolError: another operation; nothing was done.
        """
        body = submission.body
        if not isinstance(body, Open | Close | Modify | Cancel):
            raise LocalProtocolError("BODY", f"op={submission.op} why='no order'")
        ready = self._prepared(submission, body)
        if not isinstance(ready, Ready):
            return ready
        self._past.tags.sent(submission.magic)
        answer = judge_sent(self.link.trade(ready.request, submission.deadline))
        self._watch.hint()
        if isinstance(answer, NotBegun):
            return answer
        outcome = self._concluded(_sought(submission, ready, answer), answer)
        self._reader.refresh()  # before anybody is told: the next check must count it
        return self._told(outcome)

    def _prepared(self, submission: Submission, body: Order) -> Ready | Rejected | NotBegun:
        wall, deadline = self._clock.wall_ms(), submission.deadline
        if deadline.passed(wall, self._clock.mono_ms()):
            late = Refusal(ReasonCode.EXPIRED, limit=str(deadline.wall_ms), value=str(wall))
            return NotBegun(refusal=late)
        try:
            ready = self._desk.prepare(body, Label(submission.magic, submission.comment))
        except (NotReadError, RecordError) as error:
            down = Refusal(ReasonCode.BROKER_DOWN, limit="terminal", value=str(error))
            return NotBegun(refusal=down)
        if isinstance(ready, Refusal):
            return NotBegun(refusal=ready)
        # Only entries: a check must not keep a close from the broker.
        refused = self._checked(ready) if isinstance(body, Open) else None
        return ready if refused is None else refused

    def _checked(self, ready: Ready) -> Rejected | NotBegun | None:
        refused = judge_check(self.link.call("order_check", ready.request))
        return self._placed(refused, ready.symbol) if isinstance(refused, Rejected) else refused

    def _placed(self, refused: Rejected, symbol: str) -> Rejected:
        facts = structs.replace(
            refused.facts, symbol=symbol, market_ms=self._reader.snapshot().market_ms
        )
        return structs.replace(refused, facts=facts)

    def _concluded(self, sought: Sought, answer: Accepted | Rejected | Lost) -> Outcome:
        match answer:
            case Accepted():
                proven = self._proof.confirm(sought)
                if proven is None:
                    order = f"order {answer.order}" if answer.order else "the order"
                    return Lost(cause=f"retcode {answer.retcode}, and {order} is not on record yet")
                if not isinstance(proven, Executed):
                    return proven
                facts = structs.replace(proven.facts, retcode=answer.retcode)
                return structs.replace(proven, facts=facts)
            case Rejected():
                # A position that is closed already may have been closed by this very order.
                closed = answer.facts.retcode == POSITION_CLOSED
                closed = closed and isinstance(sought.suspect.body, Close)
                own = self._proof.look(sought) if closed else None
                return own or self._placed(answer, sought.symbol)
            case Lost():
                return answer

    def _told(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Executed) and outcome.code is ReasonCode.STOPS_NOT_SET:
            ticket = outcome.facts.ticket
            why = f"ticket {ticket} is filled and has not the stops it was sent with: set or close"
            self._alerts.append(
                EventBody(
                    type="alert", level="error", code=ReasonCode.STOPS_NOT_SET, message=why,
                    ticket=ticket, time=outcome.facts.market_ms,
                )
            )  # fmt: skip
        return outcome

    def check(self, order: Open) -> MarginEstimate | Refusal:
        """Estimate the margin of an OPEN by `order_check`; nothing is sent to the broker.

        Raises:
            BridgeError: the terminal does not answer.
        """
        try:
            ready = self._desk.prepare(order, _CHECK)
            if isinstance(ready, Refusal):
                return ready
            checked = self.link.call("order_check", ready.request)
            refused = judge_check(checked)
            if isinstance(refused, Rejected):
                return Refusal(refused.code, value=str(refused.facts.retcode))
            if refused is not None:
                return refused.refusal
            side = order_type(order.type.partition("_")[0])
            volume, price = ready.request["volume"], ready.request["price"]
            margin = self.link.call("order_calc_margin", side, order.symbol, volume, price)
            return MarginEstimate(
                margin=exact({"margin": margin.value}, "margin"),
                free_margin=exact(row_of(checked), "margin_free"),
                price=ready.price,
            )
        except (NotReadError, RecordError) as error:
            raise BridgeError("BROKER_DOWN", f"the terminal does not answer: {error}") from error

    # --- reading ---------------------------------------------------------------------------

    def scan(self, since_wall_ms: int) -> Scan:
        """Return the broker's records from a wall time (UTC ms) on.

        Raises:
            BridgeError: the terminal does not answer.
        """
        found = self._past.scan(since_wall_ms)
        self._reader.refresh()  # what it ends must be in the next picture
        return found

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        """Return the deals of a range of market time (until 0: now).

        Raises:
            BridgeError: the terminal does not answer.
        """
        return self._past.history(since_ms, until_ms)

    def snapshot(self) -> Snapshot:
        """Return the account as last read."""
        return self._reader.snapshot()

    def pump(self) -> list[EventBody]:
        """Look at the account if it is due; return what happened by itself since the last look."""
        alerts, self._alerts = self._alerts, []
        return [*alerts, *self._watch.pump()]

    # --- the hop ---------------------------------------------------------------------------

    def about(self) -> ExecutorState:
        """Return how the terminal stands, and the broker's clock."""
        state, offset = self.link.about(), self._zone.offset_ms
        minutes = f"{offset // 60_000:+d} min" if offset is not None else "unknown"
        return structs.replace(state, caps=(*state.caps, ("mt5_offset", minutes)))

    def self_test(self) -> bool:
        """Return whether the link is sound; it has no port that a stranger could reach."""
        return self.link.self_test()


def _sought(submission: Submission, ready: Ready, answer: Accepted | Rejected | Lost) -> Sought:
    order = answer.order if isinstance(answer, Accepted) else 0
    suspect = Suspect(
        rid=submission.rid,
        tag=submission.tag,
        magic=submission.magic,
        body=submission.body,
        order=order,
    )
    # A new position is known by the number of the order that opened it.
    opens = (order,) if order and isinstance(submission.body, Open) else ()
    return Sought(suspect=suspect, symbol=ready.symbol, identifiers=(*ready.identifiers, *opens))
