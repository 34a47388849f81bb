"""A broker that does what a test says: hang, fail, answer late, answer anything, or just trade.

It keeps a ledger of every submission that was begun, and the positions and orders that followed.
Each call of `execute` takes the next step of `plan`; without one it trades. A step is called in
the worker's thread and returns what `execute` returns (or raises).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import structs

from bridge_core.host.clock import Clock, SystemClock
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Cancel, Close, Modify, Open
from bridge_core.protocol.operations import Op
from bridge_server.core.ports import (
    Account,
    Deal,
    EndedOrder,
    Executed,
    Facts,
    Identity,
    Lost,
    MarginEstimate,
    NotBegun,
    Outcome,
    Pending,
    Position,
    Quote,
    Rejected,
    Scan,
    Snapshot,
    Submission,
    SymbolSpec,
)

__all__ = [
    "Begun", "Hang", "ScriptedBackend", "Step", "answers", "late", "loses", "not_begun", "raises",
    "rejects", "trades",
]  # fmt: skip

ZERO = Decimal(0)
BID, ASK = Decimal("1.10000"), Decimal("1.10010")


class Begun(NamedTuple):
    """One submission that reached the broker."""

    rid: str
    op: Op
    magic: int
    comment: str
    wall_ms: int


Step = Callable[["ScriptedBackend", Submission], Any]


def trades(backend: ScriptedBackend, submission: Submission) -> Outcome:
    """Do what was asked."""
    return backend.trade(submission)


def rejects(code: ReasonCode = ReasonCode.NO_MONEY) -> Step:
    """The broker says no."""

    def step(backend: ScriptedBackend, submission: Submission) -> Outcome:
        backend.begin(submission)
        return Rejected(code=code, facts=Facts(retcode=10019))

    return step


def not_begun(code: ReasonCode = ReasonCode.ACCOUNT_MISMATCH) -> Step:
    """The executor proves that it asked nobody."""
    return lambda backend, submission: NotBegun(refusal=Refusal(code))


def loses(*, executed: bool) -> Step:
    """The answer never comes, whether or not the broker did it."""

    def step(backend: ScriptedBackend, submission: Submission) -> Outcome:
        if executed:
            backend.trade(submission)
        else:
            backend.begin(submission)
        return Lost(cause="no answer")

    return step


def late(after_s: float) -> Step:
    """No answer; the broker does it a little later."""

    def step(backend: ScriptedBackend, submission: Submission) -> Outcome:
        backend.later(after_s, submission)
        return Lost(cause="no answer")

    return step


def raises(error: Exception, *, executed: bool) -> Step:
    """The call ends in an exception nobody listed."""

    def step(backend: ScriptedBackend, submission: Submission) -> Outcome:
        if executed:
            backend.trade(submission)
        else:
            backend.begin(submission)
        raise error

    return step


def answers(value: object) -> Step:
    """The call is made, and the answer is something nobody listed."""

    def step(backend: ScriptedBackend, submission: Submission) -> Any:
        backend.begin(submission)
        return value

    return step


class Hang:
    """The call stands still until `release`, then goes on as `then` says."""

    def __init__(self, then: Step = trades) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        self._then = then

    def __call__(self, backend: ScriptedBackend, submission: Submission) -> Any:
        self.entered.set()
        self.released.wait(30)
        return self._then(backend, submission)

    def wait_entered(self) -> None:
        """Wait until the call stands still."""
        assert self.entered.wait(5), "the order never reached the backend"

    def release(self) -> None:
        """Let it go on."""
        self.released.set()


# --- the broker ----------------------------------------------------------------------------


class ScriptedBackend:
    """`ports.Backend` with an in-memory book; `settle_ms` and `plan` belong to the test."""

    name = "scripted"
    attests = False
    comment_chars = 31

    def __init__(self, clock: Clock | None = None, symbols: tuple[str, ...] = ("EURUSD",)) -> None:
        self.clock = clock or SystemClock()
        self.settle_ms = 0
        self.pump_interval_ms = 20
        self.connected = True
        self.plan: deque[Step] = deque()
        self.ledger: list[Begun] = []
        self.events: deque[EventBody] = deque()
        self.scans: list[int] = []
        self.scan_complete = True
        self.broken_pump = False
        self.broken_snapshot = False
        self._specs = {name: _spec(name) for name in symbols}
        self._lock = threading.Lock()
        self._ticket = 1000
        self._timers: list[threading.Timer] = []
        self._hanging: list[Hang] = []
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Pending] = {}
        self.deals: list[tuple[int, Deal]] = []
        self.ended: list[EndedOrder] = []

    # --- for the test ------------------------------------------------------------------------

    def begun(self, rid: str) -> int:
        """Return how often a submission of this request id was begun."""
        return sum(one.rid == rid for one in self.ledger)

    def hang(self, then: Step = trades) -> Hang:
        """Make the next call hang."""
        step = Hang(then)
        self._hanging.append(step)
        self.plan.append(step)
        return step

    def let_go(self) -> None:
        """Release every call that hangs, at the end of a test."""
        for step in self._hanging:
            step.release()

    def put_position(self, **fields: Any) -> Position:
        """Open a position that nobody of us ordered."""
        given: dict[str, Any] = {
            "symbol": "EURUSD", "type": "BUY", "volume": Decimal("0.01"), "open_price": ASK,
            "current_price": BID, "opened_ms": self.clock.wall_ms(), **fields,
        }  # fmt: skip
        one = Position(ticket=self._next(), **given)
        self.positions = {**self.positions, one.ticket: one}
        return one

    def begin(self, submission: Submission) -> None:
        """Write that the broker was asked."""
        self.ledger.append(
            Begun(
                submission.rid, submission.op, submission.magic, submission.comment,
                self.clock.wall_ms(),
            )
        )  # fmt: skip

    def later(self, after_s: float, submission: Submission) -> None:
        """Trade in a while, as a slow broker does."""
        timer = threading.Timer(after_s, self.trade, (submission,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def trade(self, submission: Submission) -> Outcome:
        """Do what was asked, for the ledger and the book."""
        self.begin(submission)
        with self._lock:
            match submission.body:
                case Open() as body:
                    return self._open(body, submission)
                case Close() as body:
                    return self._close(body, submission)
                case Modify() as body:
                    return self._modify(body)
                case Cancel() as body:
                    return self._cancel(body)
        raise AssertionError("no order")

    # --- ports.Backend -----------------------------------------------------------------------

    def start(self) -> Identity:
        return _IDENTITY

    def execute(self, submission: Submission) -> Outcome:
        step = self.plan.popleft() if self.plan else trades
        if step is trades and submission.deadline.passed(
            self.clock.wall_ms(), self.clock.mono_ms()
        ):
            return NotBegun(refusal=Refusal(ReasonCode.EXPIRED))
        outcome: Outcome = step(self, submission)
        return outcome

    def check(self, order: Open) -> MarginEstimate | Refusal:
        return MarginEstimate(margin=Decimal(11), free_margin=Decimal(9000), price=ASK)

    def scan(self, since_wall_ms: int) -> Scan:
        self.scans.append(since_wall_ms)
        return Scan(
            since_wall_ms=since_wall_ms,
            taken_wall_ms=self.clock.wall_ms(),
            complete=self.scan_complete,
            positions=tuple(self.positions.values()),
            orders=tuple(self.orders.values()),
            deals=tuple(deal for at_ms, deal in self.deals if at_ms >= since_wall_ms),
            ended=tuple(self.ended),
        )

    def history(self, since_ms: int, until_ms: int) -> tuple[Deal, ...]:
        return tuple(deal for _, deal in self.deals)

    def pump(self) -> list[EventBody]:
        if self.broken_pump:
            raise OSError("the terminal went away")
        found: list[EventBody] = []
        while self.events:
            found.append(self.events.popleft())
        return found

    def snapshot(self) -> Snapshot:
        if self.broken_snapshot:
            raise OSError("the terminal went away")
        now_ms = self.clock.wall_ms()
        quote = {
            name: Quote(symbol=name, bid=BID, ask=ASK, time_ms=now_ms, asked_wall_ms=now_ms)
            for name in self._specs
        }
        return Snapshot(
            taken_wall_ms=now_ms,
            market_ms=now_ms,
            connected=self.connected,
            identity=_IDENTITY,
            account=_ACCOUNT,
            positions=self.positions,
            orders=self.orders,
            quotes=quote,
            symbols=self._specs,
        )

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()

    # --- the book ----------------------------------------------------------------------------

    def _next(self) -> int:
        self._ticket += 1
        return self._ticket

    def _open(self, body: Open, submission: Submission) -> Outcome:
        ticket, now_ms = self._next(), self.clock.wall_ms()
        tag: dict[str, Any] = {"magic": submission.magic, "comment": submission.comment}
        shape: dict[str, Any] = {
            "symbol": body.symbol, "type": body.type, "volume": Decimal(body.volume),
            "sl": Decimal(body.sl), "tp": Decimal(body.tp),
        }  # fmt: skip
        if body.type not in ("BUY", "SELL"):
            price = Decimal(body.price)
            resting = Pending(ticket=ticket, price=price, placed_ms=now_ms, **shape, **tag)
            self.orders = {**self.orders, ticket: resting}
            facts = Facts(ticket=ticket, order=ticket, price=price, **shape)
            return Executed(status=Status.WORKING, facts=facts)
        held = Position(
            ticket=ticket, open_price=ASK, current_price=BID, opened_ms=now_ms, **shape, **tag
        )
        self.positions = {**self.positions, ticket: held}
        deal = self._deal(held, "IN", tag)
        facts = Facts(ticket=ticket, deal=deal.deal, order=ticket, price=ASK, **shape)
        return Executed(status=Status.FILLED, facts=facts)

    def _close(self, body: Close, submission: Submission) -> Outcome:
        held = self.positions.get(body.ticket)
        if held is None:
            return Rejected(code=ReasonCode.INVALID_TICKET)
        self.positions = {k: v for k, v in self.positions.items() if k != body.ticket}
        tag = {"magic": submission.magic, "comment": submission.comment}
        deal = self._deal(held, "OUT", tag)
        facts = Facts(
            symbol=held.symbol, ticket=held.ticket, deal=deal.deal, volume=held.volume,
            close_price=BID,
        )  # fmt: skip
        return Executed(status=Status.FILLED, facts=facts)

    def _deal(self, held: Position, entry: str, tag: dict[str, Any]) -> Deal:
        number, now_ms = self._next(), self.clock.wall_ms()
        price = ASK if entry == "IN" else BID
        deal = Deal(
            deal=number, ticket=held.ticket, order=held.ticket, symbol=held.symbol, type=held.type,
            entry=entry, volume=held.volume, price=price, time_ms=now_ms, **tag,
        )  # fmt: skip
        self.deals.append((now_ms, deal))
        return deal

    def _modify(self, body: Modify) -> Outcome:
        stops: dict[str, Any] = {"sl": Decimal(body.sl), "tp": Decimal(body.tp)}
        held = self.positions.get(body.ticket)
        if held is None:
            return Rejected(code=ReasonCode.INVALID_TICKET)
        if (held.sl, held.tp) != (Decimal(body.old_sl), Decimal(body.old_tp)):
            return NotBegun(refusal=Refusal(ReasonCode.CHANGED))
        self.positions = {**self.positions, held.ticket: structs.replace(held, **stops)}
        facts = Facts(symbol=held.symbol, ticket=held.ticket, **stops)
        return Executed(status=Status.DONE, facts=facts)

    def _cancel(self, body: Cancel) -> Outcome:
        held = self.orders.get(body.ticket)
        if held is None:
            return Rejected(code=ReasonCode.INVALID_TICKET)
        self.orders = {k: v for k, v in self.orders.items() if k != body.ticket}
        self.ended.append(
            EndedOrder(
                ticket=held.ticket, symbol=held.symbol, life="CANCELLED", magic=held.magic,
                time_ms=self.clock.wall_ms(),
            )
        )  # fmt: skip
        return Executed(status=Status.DONE, facts=Facts(symbol=held.symbol, ticket=held.ticket))


_IDENTITY = Identity(
    login=7, server="scripted", kind="demo", currency="USD", margin_mode="hedging", leverage=100
)
_ACCOUNT = Account(
    balance=Decimal(10_000), equity=Decimal(10_000), margin=ZERO, free_margin=Decimal(10_000),
    profit=ZERO,
)  # fmt: skip


def _spec(name: str) -> SymbolSpec:
    return SymbolSpec(
        symbol=name, digits=5, point=Decimal("0.00001"), volume_min=Decimal("0.01"),
        volume_max=Decimal(100), volume_step=Decimal("0.01"), contract_size=Decimal(100_000),
        currency_base=name[:3], currency_profit=name[3:6],
    )  # fmt: skip
