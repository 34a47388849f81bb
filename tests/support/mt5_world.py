"""The server's MetaTrader 5 backend on the stand-in terminal, with or without a worker process.

`InlineLink` is the link without its process: the worker's own code, called directly. It is quick,
and it can be told that its worker dies in the next trade call (`die_in_trade`), which for the
server means the same: no answer, and a new connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from bridge_core.protocol.codes import Refusal
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.messages import Request
from bridge_server.backends.mt5 import Mt5Backend, Patience
from bridge_server.backends.mt5_connect import LOST_CODES, Failure, Joined, Pace, connect, lost_why
from bridge_server.backends.mt5_link import LinkSpec, Mt5Link, Sent, _sent
from bridge_server.backends.mt5_pins import Mt5Pins, wrong_account
from bridge_server.backends.mt5_pipe import Answer, Ask, CallOf, Told, WorkerSpec, read_told
from bridge_server.backends.mt5_process import Heard
from bridge_server.backends.mt5_settings import Mt5Served, Mt5Settings
from bridge_server.backends.mt5_status import LinkStatus, StatusBook
from bridge_server.backends.mt5_worker import _Worker
from bridge_server.core.executor import ExecutorState
from bridge_server.core.ports import Executed, NotBegun, Submission
from bridge_server.core.reconcile import Absence, Finding, Suspect, find
from tests.mt5.judged import judge_mt5
from tests.support.clock import SlidingClock
from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms
from tests.support.paper import ACCT, World, open_order

__all__ = [
    "QUICK", "InlineLink", "Mt5World", "filled", "mt5_world", "netting_terms", "refused", "scanned",
    "served_of",
]  # fmt: skip

QUICK = Patience(settle_ms=300, confirm_ms=100, sync_ms=0)
_PACE = Pace(
    read_ms=2_000, trade_ms=2_000, connect_ms=4_000, beat_ms=100, stale_ms=2_000,
    retry_ms_min=20, retry_ms_max=200, refused_ms=300,
)  # fmt: skip
_ZONE_MINUTES = 120


class _Pipe:
    """Stands for the pipe to the server, which is always there."""

    def __init__(self) -> None:
        self.begun = False

    def send_bytes(self, data: bytes) -> None:
        told = read_told(data)
        self.begun = told is not None and told.begun

    def poll(self, _seconds: float) -> bool:
        return False


class InlineLink:
    """What `Mt5Link` offers, without a process of its own."""

    def __init__(self, spec: LinkSpec, clock: SlidingClock) -> None:
        self._spec = spec
        self._pipe = _Pipe()
        self._book = StatusBook(spec.pace, clock)
        self._given = WorkerSpec(
            path=spec.path, portable=spec.portable, pins=spec.pins, trading=spec.trading
        )
        self._worker = _Worker(cast("Any", self._pipe), self._given, spec.load())
        self._up = False
        self.die_in_trade = False

    @property
    def status(self) -> LinkStatus:
        return self._book.read()

    def about(self) -> ExecutorState:
        return self._book.about()

    def self_test(self) -> bool:
        return True

    def start(self) -> None:
        self.connect()

    def wait(self, _seconds: float) -> bool:
        return self._up

    def close(self) -> None:
        self._worker.call("shutdown")
        self._up = False

    def connect(self) -> None:
        """Connect as the link's own thread would."""
        spec = self._spec
        found = connect(
            lambda words, password: self._ask("CONNECT", request=words, password=password)[0],
            self._beats, spec.pins, spec.password, spec.pace,
        )  # fmt: skip
        if isinstance(found, Failure):
            self._fall(found.why)
            return
        assert isinstance(found, Joined)
        self._up = True
        self._book.joined()
        self._see(found.terminal, found.account)

    def _ask(self, verb: str, **words: Any) -> tuple[Answer, ...]:
        return self._worker.answer(Ask(number=1, verb=verb, **words)).answers

    def _beats(self) -> tuple[Answer, Answer]:
        terminal, account = self._ask("BEAT")
        return terminal, account

    def _fall(self, why: str) -> None:
        self._up = False
        self._book.waiting(why)

    def _see(self, terminal: Any, account: Any) -> None:
        wrong = wrong_account(self._spec.pins, self._spec.path, terminal, account)
        self._book.look(terminal, account, wrong)

    def beat(self) -> LinkStatus:
        if not self._up:  # the real one connects in a thread of its own, and sooner
            self.connect()
        elif not self._lost(answers := self._ask("BEAT")):
            self._book.idle(ok=True, ms=0.0)
            if all(isinstance(one.value, dict) for one in answers):
                self._see(answers[0].value, answers[1].value)
            else:
                self._fall(lost_why(next(one for one in answers if not one.ok)))
        return self.status

    def _lost(self, answers: tuple[Answer, ...]) -> bool:
        lost = next((one for one in answers if one.code in LOST_CODES), None)
        if lost is not None:
            self._fall(lost_why(lost))
        return lost is not None

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        return self.calls(CallOf(name, args, kwargs))[0]

    def calls(self, *calls: CallOf) -> list[Answer]:
        if not self._up:
            return [Answer(ok=False, text=f"connecting: {self.status.why}")] * len(calls)
        answers = self._ask("CALLS", calls=calls)
        if not self._lost(answers):
            self._book.idle(ok=any(one.ok for one in answers), ms=0.0)
        return list(answers)

    def trade(self, request: dict[str, object], deadline: Deadline) -> Sent:
        if not self._up:
            return _sent(Heard(None, begun=False, why=self.status.why))
        self._pipe.begun, died = False, self.die_in_trade
        self.die_in_trade = False
        ask = Ask(
            number=1, verb="TRADE", request=request, wall_ms=deadline.wall_ms,
            mono_ms=deadline.mono_ms,
        )  # fmt: skip
        told: Told = self._worker.answer(ask)
        if died and told.refusal is None:
            self._fall("the worker died in the call")
            return _sent(Heard(None, begun=self._pipe.begun, why="the worker died in the call"))
        if told.answers:
            self._lost(told.answers)
        return _sent(Heard(told, begun=self._pipe.begun))


class Mt5World(World):
    """A backend, its terminal and its broker."""

    def __init__(
        self, backend: Mt5Backend, clock: SlidingClock, terminal: FakeTerminal, symbol: str
    ) -> None:
        super().__init__(backend, clock, symbol)
        self.mt5 = backend
        self.terminal = terminal
        self.broker = terminal.broker

    def next_prices(self, times: int = 1) -> list[Any]:
        """Let the market move on by a point and return the events."""
        events: list[Any] = []
        for _ in range(times):
            tick = self.broker.tick(self.symbol)
            assert tick is not None
            bid, ask = (Decimal(str(tick[side])) + Decimal("0.00001") for side in ("bid", "ask"))
            self.broker.price(self.symbol, bid, ask)
            self.clock.advance(1000)
            events += self.backend.pump()
        return events


def served_of(terms: Terms, symbols: tuple[str, ...], **settings: Any) -> Mt5Served:
    """Return what the server is configured with for a stand-in account."""
    margin = "hedging" if terms.margin_mode == "hedging" else "netting"
    settings.setdefault("utc_offset_minutes", _ZONE_MINUTES)
    return Mt5Served(
        acct=ACCT, symbols=symbols, settings=Mt5Settings(poll_ms=50, **settings),
        pins=Mt5Pins(login=terms.login, server=terms.server, kind="demo", margin=margin),
    )  # fmt: skip


@contextmanager
def mt5_world(
    folder: Path,
    terms: Terms | None = None,
    *,
    patience: Patience = QUICK,
    inline: bool = True,
    near: bool = False,
    **settings: Any,
) -> Iterator[Mt5World]:
    """Run terminal, broker and backend; judge the broker's ledger at the end.

    `near`: without a socket to the terminal either; then it is used by one thread only.
    """
    clock = SlidingClock()
    terms = terms or Terms(symbols=(SymbolTerms(selected=True, streaming=True),))
    symbol = terms.symbols[0].name
    broker = Broker(terms, clock)
    broker.price(symbol, "1.08500", "1.08512")
    served = served_of(terms, (symbol,), **settings)
    with FakeTerminal(folder / "MT5", broker, scale=0.01, near=near) as terminal:
        spec = LinkSpec(
            path=terminal.path, portable=True, pins=served.pins, trading=True, load=load,
            lock=folder / "lock", pace=_PACE,
        )  # fmt: skip
        link = cast("Mt5Link", InlineLink(spec, clock)) if inline else Mt5Link(spec, clock)
        backend = Mt5Backend(link, served, clock, patience)
        world = Mt5World(backend, clock, terminal, symbol)
        try:
            backend.start()
            backend.pump()
            yield world
            verdict = judge_mt5(broker.lines(), world.signed, ACCT)
            assert verdict.kept, verdict
        finally:
            backend.close()


def netting_terms() -> Terms:
    """Return a netting account with the usual symbol."""
    symbols = (SymbolTerms(selected=True, streaming=True),)
    return Terms(margin_mode="netting", symbols=symbols)


def filled(world: Mt5World, body: Request | None = None) -> Executed:
    """Execute a body (a market order), which must do something."""
    outcome = world.do(body or open_order())
    assert isinstance(outcome, Executed), outcome
    return outcome


def refused(outcome: object, code: str) -> Refusal:
    """Return the refusal of an order that did not begin, with this code."""
    assert isinstance(outcome, NotBegun), outcome
    assert outcome.refusal.code == code
    return outcome.refusal


def scanned(world: Mt5World, submission: Submission) -> Finding | Absence:
    """Return what a scan now proves about a submission."""
    suspect = Suspect(
        rid=submission.rid, tag=submission.tag, magic=submission.magic, body=submission.body
    )
    return find(suspect, world.backend.scan(world.clock.wall_ms() - 60_000))
