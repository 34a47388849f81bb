"""The link to one server: transport and session together, behind one lock.

HELLO on every new connection; questions with their patience; nothing here knows an order's life.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from bridge_client.mailbox import Mailbox
from bridge_client.session import Answer, Exchange, Identity, Session
from bridge_client.transport import HOP, Dial, Transport
from bridge_client.witness import Now, Offset, Sample
from bridge_core.protocol import limits
from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import (
    AuthenticationError,
    BridgeError,
    RemoteProtocolError,
    TransportError,
)
from bridge_core.protocol.messages import Hello, Request
from bridge_core.protocol.operations import OPERATIONS, Op, ReplayClass
from bridge_core.protocol.replies import LogPage, RefusalReply, decode_reply
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import make_tag

__all__ = ["Link", "Outcome", "read_clocks"]

VERSION: Final = "0.1.0"
_RESEND_S: Final = limits.RESEND_AFTER_MS / 1000
_UNSENT_S: Final = 0.02
_T = TypeVar("_T", bound=Struct)


def read_clocks() -> Now:
    """Return both clocks of this machine."""
    return Now(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)


class Outcome(NamedTuple):
    """What came of one question.

    The verified answer, or None; whether any copy may have left; the round trip of the copy that
    was answered (ms), and the reply's exact bytes.
    """

    answer: Answer | None
    exchange: Exchange | None
    left: bool
    ms: float = 0.0
    reply: Frames = Frames(b"", b"")


class Link:
    """One authenticated link, usable from every thread."""

    def __init__(
        self,
        identity: Identity,
        dial: Dial,
        client: str,
        clocks: Callable[[], Now] = read_clocks,
        make_transport: Callable[[Dial], Transport] = Transport,
    ) -> None:
        """Start to connect; returns at once."""
        self.transport = make_transport(dial)
        self.session = Session(identity)
        self.clocks = clocks
        self.client = client
        self._guard = threading.Lock()
        self._greeting = threading.Lock()
        self._greeted_epoch = -1
        self.state = ""
        self.on_hello: Callable[[], None] = lambda: None
        self._why = ""

    # --- signing and accepting ---------------------------------------------------------------

    def new_rid(self) -> str:
        """Return a fresh request id for an order: its broker tag must be usable."""
        while True:
            rid = secrets.token_hex(limits.RID_HEX // 2)
            if make_tag(self.session.identity.keys.acct, rid).usable:
                return rid

    def sign(self, op: Op, body: Request, rid: str = "", iat: int = 0) -> Exchange:
        """Return a request signed now."""
        with self._guard:
            fresh = rid or secrets.token_hex(limits.RID_HEX // 2)
            return self.session.sign(op, body, fresh, self.clocks(), iat)

    def accept(self, frames: Frames, exchange: Exchange) -> Answer | None:
        """Return the verified answer, after learning from it; the MAC is computed unlocked."""
        parts = self.session.verify(frames, exchange)
        if parts is None:
            self.session.rejected += 1
            return None
        with self._guard:
            return self.session.learn(*parts, exchange, self.clocks())

    def offset(self) -> Offset | None:
        """Return the server's clock minus this machine's."""
        with self._guard:
            return self.session.clock.offset(self.clocks())

    def server_ms(self, now: Now) -> int:
        """Return the server's clock (UTC ms) at a reading of ours, as last measured."""
        with self._guard:
            return self.session.clock.server_ms(now)

    def measure_anew(self, exchange: Exchange, answer: Answer) -> None:
        """Forget what was measured of the server's clock if a fresh answer contradicts it.

        Its operator may have set it; old samples would sign with the former time for a minute.
        """
        with self._guard:
            now, clock = self.clocks(), self.session.clock
            took_ms = now.mono_ms - exchange.signed.mono_ms
            if abs(clock.server_ms(now) - answer.time) > limits.CLOCK_JUMP_MS_MAX + took_ms:
                clock.restart()
                sample = Sample(exchange.signed.mono_ms, answer.time, answer.time, now.mono_ms)
                clock.add(sample)

    def skew(self) -> Offset | None:
        """Return the clock offset if it forbids signing entries."""
        with self._guard:
            return self.session.skew(self.clocks())

    def restore(self, pairs: tuple[Head, ...]) -> None:
        """Take over the log heads that the journal remembers."""
        with self._guard:
            for pair in pairs:
                self.session.fork = self.session.fork or self.session.witness.observe(pair)

    def check_page(self, page: LogPage) -> None:
        """Check a GET_LOG page against what was seen; a fork latches."""
        with self._guard:
            session = self.session
            if session.fork is None:
                session.see_fork(session.witness.check_page(page))
            if session.fork is None and session.witness.proven.size >= session.witness.top.size:
                session.proven_inc = session.inc

    def accept_fork(self) -> Head:
        """Forget the fork and start from what the server shows now; return that pair."""
        with self._guard:
            fork = self.session.fork
            pair = fork.shown if fork is not None else self.session.witness.top
            self.session.witness.accept(pair)
            self.session.fork, self.session.fork_latched = None, False
            self.session.proven_inc = self.session.inc
            return pair

    # --- HELLO -----------------------------------------------------------------------------

    @property
    def greeted(self) -> bool:
        """Whether the current connection has had its HELLO, with the run that answers now."""
        epoch = self.transport.look()
        return self.transport.connected and epoch == self._greeted_epoch and not self.session.stale

    @property
    def why(self) -> str:
        """Why there is no authenticated connection, for people."""
        return self.transport.why or self._why or "no answer to HELLO"

    def ready(self, until: float) -> bool:
        """Return whether the link is authenticated, saying HELLO if need be, until a time (s)."""
        while not self.greeted:
            left = until - time.monotonic()
            if left <= 0 or not self._greeting.acquire(timeout=left):
                return False
            try:
                if not self._greet(until):
                    return False
            finally:
                self._greeting.release()
        return True

    def _greet(self, until: float) -> bool:
        if self.greeted:  # another thread has, while we waited for our turn
            return True
        if not self._connected(until):
            return False
        epoch = self.transport.epoch
        outcome = self.exchange(Op.HELLO, self.hello_body, until)
        if outcome.answer is None or outcome.exchange is None:
            return False
        if outcome.answer.status != Status.OK:
            self._why = f"HELLO was answered {outcome.answer.status} {outcome.answer.code}"
            return False
        try:
            with self._guard:
                hello = self.session.greeted(outcome.answer, outcome.exchange, self.clocks())
        except RemoteProtocolError as error:
            self._why = str(error)
            return False
        self._greeted_epoch, self.state = epoch, hello.state
        self.on_hello()
        return True

    def _connected(self, until: float) -> bool:
        mailbox = Mailbox(link=True)
        self.transport.look()
        while not self.transport.connected:
            if time.monotonic() >= until:
                return False
            # Short naps: a change between the look and the wait must not be slept through.
            self.transport.wait(mailbox, min(until, time.monotonic() + _UNSENT_S))
            mailbox.take()
        return True

    def hello_body(self) -> Hello:
        """Return the body of HELLO, PING and HEALTH."""
        return Hello(client=self.client, version=VERSION, sent=self.clocks().wall_ms)

    # --- questions -------------------------------------------------------------------------

    def exchange(self, op: Op, body: Callable[[], Request], until: float) -> Outcome:
        """Ask until answered or out of time (s).

        A repeat of what the server remembers by rid is a new request with a new rid; a repeat of
        anything else is the identical bytes. Any valid reply to any copy counts.
        """
        again = OPERATIONS[op].replay is ReplayClass.MEMORY
        mailbox = Mailbox(link=True)
        sent: list[tuple[Exchange, float]] = []
        exchange = self.sign(op, body())
        next_send, epoch, left = 0.0, self.transport.epoch, 0
        try:
            while (now := time.monotonic()) < until:
                if now >= next_send and left <= limits.RESENDS_MAX:
                    if left and again:
                        exchange = self.sign(op, body())
                    self.transport.route(exchange.rid, mailbox)
                    sent.append((exchange, time.perf_counter()))
                    gone = self.transport.send(exchange.frames)
                    left += gone
                    next_send = now + (_RESEND_S if gone else _UNSENT_S)
                ahead = next_send if left <= limits.RESENDS_MAX else until
                self.transport.wait(mailbox, min(until, ahead))
                while (frames := mailbox.take()) is not None:
                    for one, at in sent:
                        answer = self.accept(frames, one)
                        if answer is not None:
                            ms = (time.perf_counter() - at) * 1000
                            return Outcome(answer, one, left=True, ms=ms, reply=frames)
                if self.transport.epoch != epoch:
                    epoch, next_send = self.transport.epoch, 0.0
            return Outcome(None, exchange, left=left > 0)
        finally:
            for one, _ in sent:
                self.transport.forget(one.rid)

    def ask(self, op: Op, body: Request, kind: type[_T], timeout: float) -> _T:
        """Return the body of a question's answer.

        Raises:
            TransportError: no authenticated connection, or no answer in time (s).
            AuthenticationError: our key set may not ask this.
            BridgeError: the server refused the question; `code` says why.
            RemoteProtocolError: the answer is not what was asked for.
        """
        answer = self.answer(op, body, timeout)
        if answer.status != Status.OK:
            raise refusal_of(answer)
        return decode_reply(kind, answer.body)

    def answer(self, op: Op, body: Request, timeout: float) -> Answer:
        """Return the verified answer to a question, whatever it says.

        Raises:
            TransportError: no authenticated connection, or no answer in time (s).
        """
        until = time.monotonic() + timeout
        if not self.ready(until):
            raise TransportError("NO_CONNECTION", f"hop={HOP} why={self.why!r}")
        outcome = self.exchange(op, lambda: body, until)
        if outcome.answer is None:
            raise TransportError("NO_ANSWER", f"hop={HOP} op={op} timeout_s={timeout:g}")
        return outcome.answer

    def close(self) -> None:
        """Close the connection; waiters raise TransportError."""
        self.transport.close()


def refusal_of(answer: Answer) -> BridgeError:
    """Return the error that a refused question raises."""
    try:
        body = decode_reply(RefusalReply, answer.body)
    except RemoteProtocolError:
        body = RefusalReply()
    pairs = (("op", answer.op), ("by", body.by or "server"), ("limit", body.limit),
             ("value", body.value), ("headroom", body.headroom))  # fmt: skip
    code = answer.code if answer.code != ReasonCode.NONE else answer.status
    detail = " ".join(f"{name}={text}" for name, text in pairs if text)
    kind = AuthenticationError if code == ReasonCode.SCOPE else BridgeError
    return kind(code, detail)
