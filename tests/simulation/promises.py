"""S1 to S7, asked at each step at which one of them could be broken, and once more at the end.

Everything is judged from what only the outside knows: what was signed, what the broker was asked
and did, what was told, and what the record on disk says.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Final

from bridge_core.host.ledger import LedgerLine, SignedOrder, judge, read_ledger
from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.messages import Flatten, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import child_rid
from bridge_core.protocol.token import parse_reply, parse_request
from bridge_server.core.ports import Executed, Pending, Position, Submission
from bridge_server.core.trading_state import Cause
from bridge_server.journal import OrderRow
from bridge_server.record import verify_file
from tests.simulation.broker import Ground, SimBroker
from tests.simulation.connector import SimConnector
from tests.simulation.house import ACCT
from tests.simulation.server import SimServer

__all__ = ["Broken", "Promises"]

_SHAPE: Final = "SHAPE"
_NO_TAG: Final = frozenset({Op.MODIFY, Op.CANCEL, Op.FLATTEN})
_RESUME_MS: Final = 15_000
_DID: Final = frozenset({"FILLED", "PARTIAL", "WORKING", "DONE"})
_ZERO: Final = Decimal(0)
_CHARS: Final = SimBroker.comment_chars
_FINAL: Final = frozenset(str(one) for one in FINAL)


class Broken(BaseException):
    """A promise is broken: `promise` names it, `why` says how."""

    def __init__(self, promise: str, why: str) -> None:
        super().__init__(f"{promise}: {why}")
        self.promise = promise
        self.why = why


class Promises:
    """Watches one schedule."""

    def __init__(self, server: SimServer, ground: Ground) -> None:
        self._server = server
        self._ground = ground
        self.signed: dict[str, SignedOrder] = {}
        self._frames: dict[str, Frames] = {}
        self._seen: dict[str, int] = {}
        self.told: dict[str, OrderView] = {}
        self._owner: dict[str, str] = {}
        self._did: dict[str, str] = {}
        self._halts: set[str] = set()
        self._halted, self._at_broker, self._resume_ends_ms = False, "", 0
        self.heads: dict[int, str] = {}
        self.rolled_back = False
        self._excused: set[str] = set()
        self._opened = 0
        ground.on_begin = self._on_begin
        ground.on_executed = self._on_executed
        server.on_reply = self._on_reply
        server.on_turn = self._on_turn

    # --- what comes in ---------------------------------------------------------------------------

    def on_signed(self, client_order_id: str, frames: Frames) -> None:
        """A connector journaled an order under its strategy's id."""
        token = parse_request(frames.token)
        assert token is not None
        op = Op(token.op)
        body = decode_body(OPERATIONS[op].body, frames.body)
        assert body is not None
        self.signed[token.rid] = SignedOrder(op, token.iat, token.ttl, body)
        self._owner[token.rid] = client_order_id
        self._frames[token.rid] = frames

    def on_arrival(self, frames: Frames) -> None:
        """Some copy reaches a living server: from here on its monotonic clock counts."""
        token = parse_request(frames.token)
        if token is None or token.rid in self._seen:
            return
        if self._frames.get(token.rid) == frames:
            left = self.signed[token.rid].iat + self.signed[token.rid].ttl
            clock = self._server.clock
            self._seen[token.rid] = clock.mono_ms() + left - clock.wall_ms()

    def _owner_of(self, submission: Submission) -> tuple[str, SignedOrder | None, bool]:
        order = self.signed.get(submission.rid)
        if order is not None:
            return submission.rid, order, False
        ticket = getattr(submission.body, "ticket", 0)
        for rid, parent in self.signed.items():
            if parent.op is Op.FLATTEN and child_rid(rid, ticket) == submission.rid:
                return rid, parent, True
        return submission.rid, None, False

    # --- at the broker ---------------------------------------------------------------------------

    def _on_begin(self, submission: Submission, line: LedgerLine) -> None:
        rid, order, child = self._owner_of(submission)
        if order is None:
            raise Broken("S5", f"nobody signed {submission.rid}")
        self._ground.begun[submission.rid] = self._ground.begun.get(submission.rid, 0) + 1
        # Of a record set back a FLATTEN may go on once more: to close what is closed is no entry,
        # the broker says so, and so does the child.
        if self._ground.begun[submission.rid] > 1 and not (child and self.rolled_back):
            raise Broken("S1", f"{submission.rid} began twice")
        start = LedgerLine(phase="start", n=0, wall_ms=0, result={"comment_chars": _CHARS})
        verdict = judge([start, line], {rid: order}, ACCT)
        for name, held in verdict.promises.items():
            if not held.kept:
                raise Broken(name, f"{rid} at the broker: {line}")
        mono = self._server.clock.mono_ms()
        if not child and rid in self._seen and mono >= self._seen[rid]:
            raise Broken("S2", f"{rid} began {mono - self._seen[rid]} ms late (monotonic)")
        if order.op is Op.OPEN and self._halted and rid != self._at_broker:
            raise Broken("HALT", f"{rid} began while the account was halted")
        self._not_denied(submission.rid, "began")

    def _not_denied(self, rid: str, what: str) -> None:
        view = self.told.get(rid)
        if view is not None and view.status == Status.DENIED:
            raise Broken("S6", f"{rid} {what} after it was told {view.status} {view.code}")

    def _on_executed(self, submission: Submission, outcome: Executed) -> None:
        self._ground.executed[submission.rid] = outcome
        owner = self._owner.get(submission.rid)
        if owner is not None:
            other = self._did.setdefault(owner, submission.rid)
            if other != submission.rid:
                raise Broken("S1", f"{owner} was executed as {other} and as {submission.rid}")
        if submission.op is Op.OPEN and not self.rolled_back:  # its counts went with the record
            self._opened += 1
            self._within_limits(submission.rid)

    def _within_limits(self, rid: str) -> None:
        """Reckon the limits anew, from the broker's own book: what it shows and what it hides."""
        book, risk = self._server.broker_book, self._server.settings.risk
        held: list[Position | Pending] = [*book.positions.values(), *book.orders.values()]
        for symbol, limits in self._server.settings.limits.items():
            own = [one for one in held if one.symbol == symbol]
            signed = [one.volume if one.type.startswith("BUY") else -one.volume for one in own]
            longs, shorts = (sum((v for v in signed if sign * v > 0), _ZERO) for sign in (1, -1))
            self._hold(rid, "max_positions", limits.max_positions, len(own))
            resting = sum(one.symbol == symbol for one in book.orders.values())
            self._hold(rid, "max_orders", limits.max_orders, resting)
            self._hold(rid, "max_gross_volume", limits.max_gross_volume, longs - shorts)
            self._hold(rid, "max_net_volume", limits.max_net_volume, abs(longs + shorts))
        self._hold(rid, "max_open_orders", risk.max_open_orders, len(held))
        self._hold(rid, "max_trades_per_day", risk.max_trades_per_day, self._opened)

    def _hold(self, rid: str, name: str, limit: Decimal | int | None, value: Decimal | int) -> None:
        if limit is not None and value > limit:
            raise Broken("LIMIT", f"{rid} was carried out, {name} {limit} became {value}")

    def _on_turn(self) -> None:
        # Everything here was ordered, and only once, so the independent counter has to be quiet:
        # what it stopped never began. A record set back knows less than the broker shows.
        context = self._server.context
        found = context.guard.causes.get(Cause.COUNTER) if context is not None else None
        if found is not None and not self.rolled_back:
            raise Broken("COUNTER", found.reason)

    # --- on the way back -------------------------------------------------------------------------

    def _on_reply(self, frames: Frames) -> None:
        token = parse_reply(frames.token)
        assert token is not None
        known = self.heads.setdefault(token.log_size, token.log_head)
        if known != token.log_head and not self.rolled_back:
            raise Broken("S7", f"two heads of size {token.log_size}")
        if token.rid in self._halts and token.status == Status.OK:
            self._halt_answered()
        order = self.signed.get(token.rid)
        # A refusal at admission may be written in the next commit; an outcome may not (J3).
        if order is None or token.status not in _FINAL or token.status == Status.DENIED:
            return
        context = self._server.context
        assert context is not None
        row = context.journal.get(token.rid)
        if context.journal._db.in_transaction or row is None or row.state != token.status:
            raise Broken("S4", f"{token.rid} was answered {token.status} before it was durable")

    def on_told(self, client: SimConnector, view: OrderView) -> None:
        """A strategy is told that an order is final."""
        rid = view.rid
        if self._unseen_loss(client, view):
            self._excused.add(rid)
        if view.code == ReasonCode.DUPLICATE_ID:
            self.told.setdefault(rid, view)
            return
        before = self.told.get(rid)
        if before is not None and before.status != view.status and not self._retold(view):
            raise Broken("S6", f"{rid} was {before.status}, then {view.status}")
        self.told[rid] = view
        order = self.signed.get(rid)
        if order is not None and isinstance(order.body, Flatten):
            for child in view.children:
                given = OrderView(rid=child.rid, status=child.status, ticket=child.ticket)
                self.told[child.rid] = given
                self._judge(child.rid, given, child=True)
            return
        self._judge(rid, view, child=False)

    def _unseen_loss(self, client: SimConnector, view: OrderView) -> bool:
        # The honest limit of S7: what nobody saw of a record can be taken out of it unnoticed, and
        # what leaves no tag at the broker is then found nowhere.
        context = self._server.context
        order = self.signed.get(view.rid)
        if not self.rolled_back or context is None or order is None:
            return False
        size, head = client.link.shown
        untouched = context.journal.hash_at(size).hex() == head
        return view.evidence == "ABSENT" and order.op in _NO_TAG and untouched

    def _judge(self, rid: str, view: OrderView, *, child: bool) -> None:
        done = self._ground.executed.get(rid)
        if view.status in _DID:
            if done is None and not self._shaped(rid, view):
                raise Broken("S6", f"{rid} was told {view.status}, the broker did nothing")
            if done is not None and not child:
                self._compare(rid, view, done)
        elif done is not None and not (child and self.rolled_back) and rid not in self._excused:
            raise Broken("S6", f"{rid} was told {view.status} {view.code}, the broker did it")

    def _shaped(self, rid: str, view: OrderView) -> bool:
        # A CANCEL or MODIFY leaves no tag: that its ticket is as it wanted is marked as SHAPE. A
        # FLATTEN shows no evidence of its children; their rows do.
        context = self._server.context
        row = context.journal.get(rid) if context is not None else None
        return _SHAPE in (view.evidence, row.evidence if row is not None else "")

    def _retold(self, view: OrderView) -> bool:
        # With the record set back the question is asked anew, and an order without a tag answered
        # by what its ticket looks like now.
        return self.rolled_back and view.evidence == _SHAPE

    def _compare(self, rid: str, view: OrderView, done: Executed) -> None:
        order = self.signed[rid]
        facts = done.facts
        if order.op is Op.OPEN and view.ticket != facts.ticket:
            raise Broken("S6", f"{rid} has ticket {facts.ticket}, told {view.ticket}")
        volume = Decimal(view.volume)
        if view.status in ("FILLED", "PARTIAL") and volume != facts.volume:
            raise Broken("S6", f"{rid} filled {facts.volume}, told {volume}")
        wanted = Decimal(getattr(order.body, "volume", "0"))
        if order.op is Op.OPEN and view.status == "FILLED" and facts.volume != wanted:
            raise Broken("S6", f"{rid} filled {facts.volume} of {wanted}, told FILLED")

    # --- stops -----------------------------------------------------------------------------------

    def halting(self, rid: str) -> None:
        """Somebody presses the kill switch."""
        self._halts.add(rid)

    def resuming(self) -> None:
        """An operator asks for RESUME: while a copy of that may be alive, it may be resumed."""
        self._halted = False
        self._resume_ends_ms = self._server.world.now_ms + _RESUME_MS

    def _halt_answered(self) -> None:
        # What is at the broker already completes: at most one submission after the switch.
        service = self._server.service
        if service is not None and self._server.world.now_ms >= self._resume_ends_ms:
            self._halted, self._at_broker = True, service.orders.calling

    # --- at the end ------------------------------------------------------------------------------

    def at_rest(self, open_orders: Iterable[tuple[str, OrderView]]) -> None:
        """Judge a healed world: nothing is in the air without an alarm."""
        context = self._server.context
        assert context is not None
        open_now = list(open_orders)
        for rid in self.signed.keys() - self.told.keys() - {view.rid for _, view in open_now}:
            raise Broken("S4", f"{self._owner[rid]} {rid} was signed and forgotten")
        for client_order_id, view in open_now:
            if view.code == ReasonCode.LOG_FORK:
                continue  # the latch is its alarm; an operator who accepts the record ends it
            row = context.journal.get(view.rid)
            self._alarmed(client_order_id, view.rid, row)
        for row in context.journal.unfinished():
            self._alarmed("a row", row.rid, row)
        for rid, view in self.told.items():
            row = context.journal.get(rid)
            if row is None or not row.final or self.rolled_back:
                pass  # a record set back is asked anew; what it lost was told on evidence
            elif row.state != view.status:
                raise Broken("S6", f"{rid} was told {view.status}, the record says {row.state}")
            order = self.signed.get(rid)
            if order is None or order.op is not Op.FLATTEN:
                self._judge(rid, view, child=order is None)

    def _alarmed(self, name: str, rid: str, row: OrderRow | None) -> None:
        context = self._server.context
        assert context is not None
        causes = {one.cause.value for one in context.guard.causes}
        # A MODIFY leaves no mark at any broker: once its ticket is gone only an operator can tell.
        state = row.state.value if row is not None else "nowhere"
        if row is None or state != "UNKNOWN" or "UNKNOWN" not in causes:
            raise Broken("S4", f"{name} {rid} never ended: {state} causes={causes}")
        if row.op not in (Op.MODIFY, Op.FLATTEN):
            raise Broken("S4", f"{name} {rid} ({row.op}) is UNKNOWN in a healthy world")

    def forks(self, clients: Iterable[SimConnector]) -> None:
        """Judge what the connectors made of a record that was set back behind their eyes."""
        context = self._server.context
        assert context is not None
        for client in clients:
            size, head = client.link.shown
            kept = context.journal.hash_at(size).hex()
            if size and kept != head and client.link.greeted and not client.desk.fork:
                raise Broken(
                    "S7", f"{client.name} saw {size} {head[:8]}, the record has {kept[:8]}"
                )

    def of_files(self, state: Path) -> None:
        """Judge the files that are left: the broker's ledger as a whole, and the record."""
        lines = read_ledger(state / "ledger.jsonl")
        verdict = judge(lines, self.signed, ACCT)
        for name, held in verdict.promises.items():
            # Of a record set back a FLATTEN may go on once more, as at the broker.
            again = name == "S1" and self.rolled_back and held.offender not in self.signed
            if not held.kept and not again:
                raise Broken(name, f"{held.offender} in the ledger")
        whole = verify_file(state / "journal.db")
        if not isinstance(whole, Head):
            raise Broken("S7", f"the record does not chain: {whole}")
