"""The fake EA's judgement: what it verifies, in which order, and the one broker call it makes.

The order of the checks is protocol.md 14: shape, token, key, scope, mac-ea, and from there on
every answer is signed: known rid, boot fence, time, body, account, state, caps, the operation's
own, intent, time again, BUSY, call, result. None from a method means dropped and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.messages import (
    Cancel,
    Close,
    Fence,
    Flatten,
    Modify,
    Open,
    Request,
    decode_body,
)  # fmt: skip
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope, granted
from bridge_core.protocol.signing import (
    Frames,
    ea_record_mac,
    order_hash,
    request_mac_ea_holds,
)  # fmt: skip
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_core.protocol.token import EaRecord, RequestToken, parse_request
from tests.support.ea_keys import EaKeys
from tests.support.fake_ea_broker import Act, Broker, CallLost, Done, Refused
from tests.support.fake_ea_checks import Checks, Denial, EaInputs
from tests.support.fake_ea_faults import Died, Faults, Tools, Word
from tests.support.fake_ea_journal import EaJournal, Row
from tests.support.fake_ea_words import blank_word, closed_word, done_word, trade_word

__all__ = ["Desk", "State"]

_NO_HASH: Final = "0" * 64
_RUNS: Final = frozenset({Op.OPEN, Op.CLOSE, Op.MODIFY, Op.CANCEL, Op.FLATTEN, Op.RESUME})
_STATES: Final = {"ACTIVE": 0, "REDUCE_ONLY": 1, "HALTED": 2}
_FORWARDED: Final = frozenset({Op.FENCE, Op.HALT, Op.REDUCE_ONLY, Op.HEARTBEAT})


class State(Struct, kw_only=True):
    """The EA's own trading state; kept in a file of its own."""

    state: str = "ACTIVE"
    cause: str = ""


class _Order(Struct, frozen=True, kw_only=True):
    """An authentic request; for a FLATTEN's child: its rid, its own body, the parent's hash."""

    token: RequestToken
    rid: str
    op: Op
    hash: str
    raw: bytes
    ticket: int = 0


class Desk:
    """Owned by the EA's thread; `begun_ms` (UTC) is when this instance started."""

    def __init__(self, keys: EaKeys, folder: Path, broker: Broker, clock: Clock) -> None:
        self.keys = keys
        self.broker = broker
        self.clock = clock
        self.inputs = EaInputs()
        self.faults = Faults()
        self.counters: Counter[str] = Counter()
        self.begun_ms = clock.wall_ms()
        self.journal = EaJournal(folder, self.begun_ms)
        self._state_file = folder / "state.json"
        self.state = State()
        if self._state_file.exists():
            self.state = msgspec.json.decode(self._state_file.read_bytes(), type=State)
        self.checks = Checks(self)

    # --- what the link asks ------------------------------------------------------------------

    def execute(self, frames: Frames, ticket: int, busy: Callable[[str], None]) -> Word | None:
        """EXEC: carry out a signed order, or one child of a FLATTEN, at most once."""
        order = self._verified(frames, _RUNS)
        if order is None:
            return None
        if ticket and order.op is not Op.FLATTEN:
            self._drop("shape")
            return None
        known = self.journal.rows.get(order.rid if not ticket else child_rid(order.rid, ticket))
        if known is not None and known.order_hash not in ("", order.hash):
            return self._signed_denial(order, ReasonCode.CONFLICT, store=False)
        if known is not None:
            return self._word_of(known)
        return self._first_time(order, ticket, busy)

    def forward(self, frames: Frames) -> Word | State | None:
        """FORWARD: a FENCE answers the Word of its subject, a stop or heartbeat the state."""
        order = self._verified(frames, _FORWARDED)
        if order is None:
            return None
        if order.op in (Op.HALT, Op.REDUCE_ONLY):
            wanted = "HALTED" if order.op is Op.HALT else "REDUCE_ONLY"
            if _STATES[wanted] > _STATES[self.state.state]:
                self._set_state(wanted, "OPERATOR")
            return self.state
        if order.op is Op.HEARTBEAT:
            return self.state
        body = decode_body(Fence, order.raw)
        if body is None:
            self._drop("body")
            return None
        return self.tombstone(body.rid, order.token.kid)

    def status(self, rid: str) -> Word:
        """STATUS: what is known of a rid."""
        row = self.journal.rows.get(rid)
        return blank_word(rid, "NOT_SEEN") if row is None else self._word_of(row)

    def tombstone(self, rid: str, kid: str) -> Word | None:
        """TOMBSTONE: from now on it never runs; its outcome if it did."""
        row = self.journal.rows.get(rid)
        if row is not None:
            return self._word_of(row)
        if kid not in self.keys.sets or self.keys.sets[kid].reply is None:
            self._drop("kid")
            return None
        if not self._never_ran(rid):
            return blank_word(rid, Status.UNKNOWN, ReasonCode.RECONCILING)
        dead = blank_word(rid, Status.DENIED, ReasonCode.FENCED)
        word = self._sign(dead, Row(rid=rid, kid=kid, op="FENCE"), _NO_HASH)
        self.journal.put(Row(rid=rid, kid=kid, op="FENCE", word=word))
        return word

    def turn(self) -> None:
        """Look for the outcome of what was begun."""
        for row in self.journal.begun():
            self._word_of(row)

    # --- verifying ---------------------------------------------------------------------------

    def _drop(self, why: str) -> None:
        self.counters[f"dropped_{why}"] += 1

    def _verified(self, frames: Frames, ops: frozenset[Op]) -> _Order | None:
        found = self._verify(frames, ops)
        if isinstance(found, _Order):
            return found
        self._drop(found)
        return None

    def _verify(self, frames: Frames, ops: frozenset[Op]) -> _Order | str:
        token = parse_request(frames.token)
        if token is None or len(frames.body) > limits.BODY_BYTES_MAX:
            return "token"
        held = self.keys.sets.get(token.kid)
        if held is None or token.acct != self.keys.acct:
            return "kid"
        op = Op(token.op) if token.op in Op.__members__ else None
        if op is None or op not in ops or OPERATIONS[op].prefix != token.prefix:
            return "op"
        if op not in granted(held.scope):
            return "scope"
        signs = Purpose.ADMIN_EA if held.scope is Scope.OPERATOR else Purpose.ORDER_EA
        if request_mac_ea_holds(frames, token, held.order, signs) is None:
            return "mac"
        digest = order_hash(frames, token)
        return _Order(token=token, rid=token.rid, op=op, hash=digest, raw=frames.body)

    # --- running -----------------------------------------------------------------------------

    def _first_time(self, order: _Order, ticket: int, busy: Callable[[str], None]) -> Word | None:
        seen = order.rid in self.journal.scopes  # a FLATTEN goes on, also after a restart
        if not seen and order.token.iat <= self.begun_ms + self.inputs.boot_fence_ms:
            if not self._never_ran(order.rid):
                return blank_word(order.rid, Status.UNKNOWN, ReasonCode.RECONCILING)
            return self._signed_denial(order, ReasonCode.FENCED)
        late = self._late(order, child=seen or bool(ticket))
        if late is not None:
            return self._signed_denial(order, late)
        body = decode_body(OPERATIONS[order.op].body, order.raw)
        if body is None:
            return self._signed_denial(order, ReasonCode.BODY)
        if order.op is Op.RESUME:
            return self._resume(order)
        if isinstance(body, Flatten):
            return self._flatten(order, body, ticket, busy)
        return self._run(order, body, busy)

    def _late(self, order: _Order, *, child: bool) -> ReasonCode | None:
        now, token = self.clock.wall_ms(), order.token
        if token.iat > now + limits.CLOCK_SKEW_MS_MAX:
            return ReasonCode.NOT_YET_VALID
        window = limits.FLATTEN_WINDOW_MS if child else 0
        return None if now < token.deadline_ms + window else ReasonCode.EXPIRED

    def _resume(self, order: _Order) -> Word:
        self._set_state("ACTIVE", "")
        return self._finish(order, blank_word(order.rid, Status.DONE))

    def _flatten(
        self, order: _Order, body: Flatten, ticket: int, busy: Callable[[str], None]
    ) -> Word | None:
        if order.rid not in self.journal.scopes:
            with self.broker.lock:
                self.journal.put_scope(order.rid, self.checks.in_scope(body))
        market, scope = self.broker.market, self.journal.scopes[order.rid]
        if not ticket:
            left = [t for t in scope if t in market.open or t in market.pending]
            status = Status.PARTIAL if left else Status.DONE
            code = ReasonCode.CHILD_FAILED if left else ReasonCode.NONE
            return self._finish(order, blank_word(order.rid, status, code))
        rid = child_rid(order.rid, ticket)
        pending = ticket in market.pending
        trade = market.pending.get(ticket) or market.open.get(ticket)
        child = _Order(
            token=order.token, rid=rid, op=Op.CANCEL if pending else Op.CLOSE, hash=order.hash,
            raw=order.raw, ticket=ticket,
        )  # fmt: skip
        if ticket not in scope or trade is None:
            return self._signed_denial(child, ReasonCode.TICKET_UNKNOWN)
        part: Request
        if pending:
            part = Cancel(client_order_id=rid, client="flatten", ticket=ticket)
        else:
            part = Close(
                client_order_id=rid, client="flatten", ticket=ticket, symbol=trade.symbol,
                volume="0", deviation=limits.DEVIATION_POINTS_MAX,
            )  # fmt: skip
        return self._run(child, part, busy)

    def _run(self, order: _Order, body: Request, busy: Callable[[str], None]) -> Word:
        with self.broker.lock:
            denial = self.checks.refuse(order.op, body, order.token.iat)
        if denial is not None:
            return self._signed_denial(order, denial)
        self.faults.reach("before_intent")
        row = Row(
            rid=order.rid, kid=order.token.kid, op=order.op, order_hash=order.hash,
            iat=order.token.iat, body=msgspec.json.encode(body).decode("ascii"),
            begun_ms=self.clock.wall_ms(),
        )  # fmt: skip
        self.journal.put(row)
        self.faults.reach("after_intent")
        late = self._late(order, child=bool(order.ticket))
        if late is not None:
            return self._signed_denial(order, late)
        busy(order.rid)
        self.faults.reach("call_before")
        inside = self.faults.wants_death("call_after")
        try:
            done = self.broker.submit(self._act(order, body), dies_inside=inside)
        except CallLost:
            if inside:
                raise Died("call_after") from None
            return blank_word(order.rid, Status.UNKNOWN, ReasonCode.NO_ANSWER)
        self.faults.reach("after_call")
        if isinstance(body, Modify) and isinstance(done, Done):
            self.journal.put_applied(body.ticket, order.token.iat)
        return self._finish(order, self._outcome(order, done))

    def _act(self, order: _Order, body: Request) -> Act:
        tag = make_tag(self.keys.acct, order.rid)
        comment = body.comment if isinstance(body, Open) else ""
        window = limits.FLATTEN_WINDOW_MS if order.ticket else 0
        return Act(
            op=order.op, fields=self.checks.fields(body), magic=tag.mt4_magic,
            comment=tag.broker_comment(comment, self.broker.terms.comment_chars),
            deadline_ms=order.token.deadline_ms + window,
        )  # fmt: skip

    def _outcome(self, order: _Order, done: Done | Refused) -> Word:
        if isinstance(done, Refused):
            return blank_word(order.rid, Status.REJECTED, done.code) | {"retcode": done.retcode}
        return done_word(order.rid, order.op, done)

    # --- words -------------------------------------------------------------------------------

    def _finish(self, order: _Order, word: Word) -> Word:
        known = self.journal.rows.get(order.rid)
        row = Row(
            rid=order.rid, kid=order.token.kid, op=order.op, order_hash=order.hash,
            iat=order.token.iat, body=known.body if known else "",
            begun_ms=known.begun_ms if known else 0,
        )  # fmt: skip
        row.word = self._sign(word, row, order.hash)
        self.journal.put(row)
        self.faults.reach("after_result")
        return row.word

    def _signed_denial(
        self, order: _Order, denial: Denial | ReasonCode, *, store: bool = True
    ) -> Word:
        if isinstance(denial, ReasonCode):
            denial = Denial(code=denial)
        word = blank_word(order.rid, Status.DENIED, denial.code)
        word |= {"limit": denial.limit, "value": denial.value}
        if store:
            return self._finish(order, word)
        row = Row(rid=order.rid, kid=order.token.kid, op=order.op)
        return self._sign(word, row, order.hash)

    def tools(self, kid: str) -> Tools:
        """Return what a liar may use who sits in the EA's own process."""
        key = self.keys.sets[kid].reply
        assert key is not None
        return Tools(sign=lambda record: ea_record_mac(key, record))

    def _sign(self, word: Word, row: Row, digest: str) -> Word:
        record = EaRecord(
            kid=row.kid, acct=self.keys.acct, rid=row.rid, op=row.op, order_hash=digest,
            status=word["status"], code=word["code"], ticket=word["ticket"],
            volume=word["volume"], price=word["price"], sl=word["sl"], tp=word["tp"],
            time=self.clock.wall_ms(),
        ).text()  # fmt: skip
        return word | {
            "record": record.decode("ascii"), "mac": self.tools(row.kid).sign(record),
        }  # fmt: skip

    def _word_of(self, row: Row) -> Word:
        if row.word is None:
            found = self._evidence(row)
            if found is None:
                return blank_word(row.rid, Status.UNKNOWN, ReasonCode.RECONCILING)
            row.word = self._sign(found, row, row.order_hash)
            self.journal.put(row)
        return row.word

    # --- evidence ----------------------------------------------------------------------------

    def _settled(self, since_ms: int) -> bool:
        return self.clock.wall_ms() >= since_ms + self.inputs.settle_s * 1000

    def _never_ran(self, rid: str) -> bool:
        # Zero-hash words only once the journal is old enough to have known it.
        magic = make_tag(self.keys.acct, rid).mt4_magic
        market = self.broker.market
        with self.broker.lock:
            rows = (*market.open.values(), *market.pending.values(), *market.closed)
        return all(t.magic != magic for t in rows) and self._settled(self.journal.born_ms)

    def _evidence(self, row: Row) -> Word | None:
        with self.broker.lock:
            found = self._opened(row) if row.op == Op.OPEN else self._changed(row)
        if found is not None:
            return found
        absent = self.broker.connected and self._settled(row.begun_ms)
        return blank_word(row.rid, Status.DENIED, ReasonCode.ABSENT) if absent else None

    def _opened(self, row: Row) -> Word | None:
        magic, market = make_tag(self.keys.acct, row.rid).mt4_magic, self.broker.market
        rows = (*market.open.values(), *market.pending.values(), *market.closed)
        trade = next((t for t in rows if t.magic == magic and not t.from_ticket), None)
        if trade is None:
            return None
        working = trade.ticket in market.pending or trade.reason in ("CANCELLED", "EXPIRED")
        return trade_word(row.rid, Status.WORKING if working else Status.FILLED, trade)

    def _changed(self, row: Row) -> Word | None:
        # MT4 marks no CLOSE: the ticket itself is the evidence.
        body: dict[str, Any] = msgspec.json.decode(row.body)
        market, ticket = self.broker.market, body["ticket"]
        closed = market.find_closed(ticket)
        if row.op == Op.MODIFY:
            trade = market.open.get(ticket) or market.pending.get(ticket)
            wanted = (Decimal(body["sl"]), Decimal(body["tp"]))
            if trade is not None and (trade.sl, trade.tp) == wanted:
                self.journal.put_applied(ticket, row.iat)
                return trade_word(row.rid, Status.DONE, trade)
        elif closed is not None and closed.reason in ("OURS", "MANUAL", "CANCELLED"):
            return closed_word(row.rid, row.op, closed, market.remainder(ticket))
        if closed is not None or (row.op == Op.CANCEL and ticket in market.open):
            return blank_word(row.rid, Status.REJECTED, ReasonCode.INVALID_TICKET)
        return None

    # --- state -------------------------------------------------------------------------------

    def _set_state(self, state: str, cause: str) -> None:
        self.state = State(state=state, cause=cause)
        self._state_file.write_bytes(msgspec.json.encode(self.state))
