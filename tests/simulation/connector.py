"""The real session, desk, driver and journal of a connector, driven by planned events.

The desk's own code claims an id, judges, signs and journals; the driver carries schedules out; the
two shells that wait (the caller's and the resolver's threads) are one `tick` here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, cast

from bridge_client.admission import Admission
from bridge_client.book import Book
from bridge_client.desk import Desk
from bridge_client.drafts import Draft
from bridge_client.journal import ConnectorJournal
from bridge_client.judging import Judge
from bridge_client.link import Link
from bridge_client.mailbox import Mailbox
from bridge_client.order import Driver, Order, rid_of
from bridge_client.recall import resumed
from bridge_client.risk import RiskMonitor
from bridge_client.risk_keeper import RiskKeeper
from bridge_client.session import Answer, Exchange, Identity, Session
from bridge_client.transport import Transport
from bridge_client.witness import Now
from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import Refusal, Status
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.messages import GetRange, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import LogPage, OrderView, decode_reply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_reply
from bridge_core.risk.policy import AccountLimits, Policy
from bridge_core.risk.rates import Rates
from tests.simulation.house import ACCT, key_sets
from tests.simulation.network import Link as Cable
from tests.simulation.network import Port
from tests.simulation.world import Machine, World

__all__ = ["SimConnector", "SimLink"]

_HELLO_AGAIN_MS: Final = 500
_IDLE_MS: Final = 1000
_AGAIN_MS: Final = 200
_LOG_MS: Final = 60_000
_LOG_AGAIN_MS: Final = 1_000


class SimLink(Link):
    """The real link over a simulated port; request ids come from the seed."""

    def __init__(self, machine: Machine, port: Port, kid: str) -> None:
        self.transport = cast(Transport, port)
        self.session = Session(Identity(keys=key_sets()[kid], ea=False))
        self.clocks = lambda: Now(machine.clock.wall_ms(), machine.clock.mono_ms())
        self.client = kid
        self._guard = threading.Lock()
        self._greeting = threading.Lock()
        self._greeted_epoch = -1
        self.state, self._why = "", ""
        self.on_hello = lambda: None
        self.shown = (0, "")
        self._draws = machine.world.stream(f"rids of {kid} {machine.life}")

    def _draw(self) -> str:
        return f"{self._draws.getrandbits(128):032x}"

    def new_rid(self) -> str:
        """Return a request id with a usable tag."""
        while True:
            rid = self._draw()
            if make_tag(ACCT, rid).usable:
                return rid

    def sign(self, op: Op, body: Request, rid: str = "", iat: int = 0) -> Exchange:
        """Return a request signed now."""
        return super().sign(op, body, rid or self._draw(), iat)

    def accept(self, frames: Frames, exchange: Exchange) -> Answer | None:
        """Return the verified answer; remember the head that it carried."""
        answer = super().accept(frames, exchange)
        token = parse_reply(frames.token) if answer is not None else None
        if token is not None and token.log_size > self.shown[0]:
            self.shown = (token.log_size, token.log_head)
        return answer

    def greeted_with(self, exchange: Exchange, frames: Frames, epoch: int) -> bool:
        """Take in a reply to HELLO."""
        answer = self.accept(frames, exchange)
        if answer is None or answer.status != Status.OK:
            return False
        try:
            hello = self.session.greeted(answer, exchange, self.clocks())
        except RemoteProtocolError:
            return False
        self._greeted_epoch, self.state = epoch, hello.state
        return True


class _SimDesk(Desk):
    """The desk without its thread."""

    def __init__(self, link: SimLink, journal: ConnectorJournal) -> None:
        self._link, self._journal, self._book = link, journal, Book()
        policy = Policy(allowed_symbols=frozenset(), symbols={}, account=AccountLimits())
        self._keeper = RiskKeeper(policy)
        # Drafts of the simulation carry no proposal: its connectors judge the link alone.
        judge = Judge(link, self._book, policy, self._keeper, RiskMonitor())
        self._admission = Admission(link, judge, Rates(), self._live)
        self._lock = threading.Lock()
        self._signing = threading.Lock()
        self._orders = {}
        self._modified = {}
        self._journal_dead = ""
        self._driver = Driver(link)
        link.restore(journal.pairs())
        self._admission.fork = journal.latches().get("LOG_FORK", "")
        link.session.fork_latched = bool(self._admission.fork)

    def claim(self, draft: Draft) -> tuple[Order, bool]:
        """Return the order that has the draft's id, and whether it is new."""
        return self._claim(draft)

    def drop(self, order: Order) -> None:
        """Give an id up that was never signed for."""
        self._drop(order)

    def judge(self, draft: Draft, order: Order) -> Refusal | None:
        """Return why nothing is signed."""
        return self._admission.judge(draft, order)

    def blocked(self) -> bool:
        """Whether every entry is refused, whatever it is: clocks apart, or a forked record."""
        forked = self._admission.fork or self._link.session.fork is not None
        return bool(forked) or self._link.skew() is not None

    def signed(self, draft: Draft, order: Order) -> Refusal | None:
        """Sign and journal."""
        return self._sign(draft, order)

    def latched(self, why: str) -> None:
        """Remember a fork."""
        self._admission.fork = self._admission.fork or why


class SimConnector(Machine):
    """One client after another under one name, on one journal."""

    def __init__(self, world: World, kid: str, cable: Cable) -> None:
        super().__init__(world, kid)
        self.cable = cable
        self.path = world.folder / f"{kid}.db"
        self.orders: dict[str, Order] = {}
        self.wanted: dict[str, Draft] = {}
        self._refused: dict[str, int] = {}
        self.on_signed: Callable[[str, Order], None] = lambda _id, _order: None
        self.on_told: Callable[[str, OrderView], None] = lambda _id, _view: None
        self._box = Mailbox(link=True)
        self._hello: tuple[Exchange, int] | None = None
        self._hello_at_ms = self._log_due_ms = 0
        self._log_asked: Exchange | None = None
        self._kept: Head | None = None
        self._planned_ms = -1

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process: take over what the last one left open."""
        if self.up:
            return
        self.up = True
        self.world.note(f"{self.name} starts")
        self.cable.hang_up()
        self.cable.on_reply = self.wake
        self.cable.before_send = self.step
        self._box, self._hello, self._planned_ms = Mailbox(link=True), None, -1
        self._log_asked = self._kept = None
        self._refused = {}
        self.orders = {}
        self.link = SimLink(self, self.cable.port, self.name)
        self.journal = ConnectorJournal(self.path, ACCT, "paper")
        self.desk = _SimDesk(self.link, self.journal)
        self.driver = Driver(self.link)
        for row in self.journal.unfinished():
            order = resumed(row, self.link)
            self.desk._orders[row.client_order_id] = order
            self.driver.route(order, self._box)
            self.orders[row.client_order_id] = order
        self.wake()

    def lose(self) -> None:
        """Let go of the file."""
        self.cable.on_reply = lambda: None
        self.cable.hang_up()
        if hasattr(self, "journal"):
            self.journal.close()

    def lose_disk(self) -> None:
        """Lose the journal as well; only while the process is down."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    # --- work --------------------------------------------------------------------------------

    def want(self, client_order_id: str, draft: Draft) -> None:
        """Let the strategy ask for an order; it asks again after its own restart."""
        self.wanted[client_order_id] = draft
        self.wake()

    def wake(self) -> None:
        """Plan a tick."""
        self._plan(0)

    def _plan(self, delay_ms: int) -> None:
        at = self.world.now_ms + delay_ms
        if self._planned_ms < 0 or at < self._planned_ms:
            self._planned_ms = at
            self.after(delay_ms, lambda: self._tick(at))

    def _tick(self, at_ms: int) -> None:
        if self._planned_ms != at_ms:
            return
        self._planned_ms = -1
        self._greet()
        while (frames := self._box.take()) is not None:
            self._take_in(frames)
        if self.link.greeted:
            blocked = self.desk.blocked()
            for client_order_id, draft in list(self.wanted.items()):
                again_ms = self._refused.get(client_order_id)
                # The same verdict as a moment ago; a third of a run went into asking for it.
                if again_ms is None or (
                    self.world.now_ms >= again_ms and not (blocked and draft.entry)
                ):
                    self._submit(client_order_id, draft)
        self._look_at_record()
        due = self._drive()
        self._plan(max(1, min(self._idle_ms(), due)))

    def _idle_ms(self) -> int:
        # Whoever wants nothing is woken by what arrives, and by the minute of the record.
        if self.orders or self.wanted or self.cable.port.connected != self.link.greeted:
            return _IDLE_MS
        if not self.link.greeted or self.link.session.fork is not None:
            return _LOG_MS
        return self._log_due_ms - self.world.now_ms

    def _greet(self) -> None:
        now_ms = self.world.now_ms
        if self.link.greeted or not self.cable.port.connected or now_ms < self._hello_at_ms:
            return
        exchange = self.link.sign(Op.HELLO, self.link.hello_body())
        self._hello = (exchange, self.cable.port.epoch)
        self._hello_at_ms = now_ms + _HELLO_AGAIN_MS
        self.cable.port.route(exchange.rid, self._box)
        self.cable.port.send(exchange.frames)
        self._plan(_HELLO_AGAIN_MS)

    def _take_in(self, frames: Frames) -> None:
        if self._hello is not None and not self.link.greeted:
            exchange, epoch = self._hello
            if self.link.greeted_with(exchange, frames, epoch):
                self._hello_at_ms = self._log_due_ms = 0
                self._keep_heads()
                return
        if self._log_asked is not None and rid_of(frames) == self._log_asked.rid:
            answer = self.link.accept(frames, self._log_asked)
            if answer is not None:
                self._take_page(answer)
                return
        rid = rid_of(frames)
        for order in list(self.orders.values()):
            assert order.exchange is not None
            if rid == order.exchange.rid or rid in order.questions:
                self.driver.deliver(order, frames)
                self._settle(order)

    def _look_at_record(self) -> None:
        # As the resolver does: after a HELLO to a new run, then each minute.
        session, now_ms = self.link.session, self.world.now_ms
        if not self.link.greeted or session.fork is not None or now_ms < self._log_due_ms:
            return
        shown = session.proven_inc == session.inc
        self._log_due_ms = now_ms + (_LOG_MS if shown else _LOG_AGAIN_MS)
        first = session.witness.proven.size + 1
        self._log_asked = self.ask(Op.GET_LOG, GetRange(since=0, first=first, count=0))

    def _take_page(self, answer: Answer) -> None:
        self._log_asked = None
        if answer.status == Status.OK:
            self.link.check_page(decode_reply(LogPage, answer.body))
            self._keep_heads()

    def _keep_heads(self) -> None:
        fork = self.link.session.fork
        now_ms = self.clock.wall_ms()
        if fork is not None:
            self.desk.latched(fork.why)
            self.journal.latch("LOG_FORK", fork.why, now_ms)
        elif self._kept != self.link.session.witness.top:
            self._kept = self.link.session.witness.top
            self.journal.keep_pair(self._kept, now_ms)

    # --- orders -------------------------------------------------------------------------------

    def _submit(self, client_order_id: str, draft: Draft) -> None:
        order, ours = self.desk.claim(draft)
        if not ours:
            del self.wanted[client_order_id]
            if order.view.final:
                self.on_told(client_order_id, order.view)
            return
        if self.desk.judge(draft, order) is not None:
            self.desk.drop(order)  # it asks again as long as it wants the order
            self._refused[client_order_id] = self.world.now_ms + _AGAIN_MS
            return
        self._refused.pop(client_order_id, None)
        self.step("before intent")
        refusal = self.desk.signed(draft, order)
        assert refusal is None, refusal
        del self.wanted[client_order_id]
        self.on_signed(client_order_id, order)
        self.orders[client_order_id] = order
        self.driver.route(order, self._box)
        self.step("after intent")

    def _drive(self) -> int:
        ahead = _LOG_MS
        for order in list(self.orders.values()):
            due = self.driver.advance(order)
            self._settle(order)
            if due is not None:
                ahead = min(ahead, int(due * 1000) - self.clock.mono_ms())
        return ahead

    def _settle(self, order: Order) -> None:
        view = order.view
        told = (view.status, order.over)
        if not view.final or order.told == told:
            return
        order.told = told
        self.world.note(f"{self.name} told {order.client_order_id} {view.status} {view.code}")
        self.on_told(order.client_order_id, view)
        self.step("before outcome")
        pair = None if self.link.session.fork else self.link.session.witness.top
        self.journal.outcomes([(view, order.over)], self.clock.wall_ms(), pair)
        self._kept = pair or self._kept
        self.step("after outcome")
        self._keep_heads()
        if order.over:
            self.orders.pop(order.client_order_id, None)
            self.desk._orders.pop(order.client_order_id, None)
            self.driver.release(order)

    def fence(self, client_order_id: str) -> None:
        """Let the strategy end an order rather than wait for it."""
        order = self.orders.get(client_order_id)
        if order is not None and order.life is not None:
            order.life.fence(self.link.clocks())
            self.wake()

    # --- what is no order -----------------------------------------------------------------------

    def ask(
        self, op: Op, body: Request, sending: Callable[[str], None] = lambda _rid: None
    ) -> Exchange | None:
        """Send one request that is no order, once; None without a connection."""
        if not self.up or not self.link.greeted:
            return None
        exchange = self.link.sign(op, body)
        sending(exchange.rid)
        self.cable.port.route(exchange.rid, self._box)
        self.cable.port.send(exchange.frames)
        return exchange
