"""The connector's heartbeat: what keeps the dead-man's switch of server and EA from firing.

`auto` proves that this process lives. `loop` proves that the strategy's own loop does: a beat is
sent only for a call of `beat()`, and is dated by that call. Nobody ever waits for it.
"""

from __future__ import annotations

import threading
import time
from typing import Final, Literal

from bridge_client.link import Link
from bridge_client.mailbox import Mailbox
from bridge_client.session import Answer
from bridge_client.witness import Now
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import BridgeError, RemoteProtocolError
from bridge_core.protocol.messages import Heartbeat
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import RefusalReply, StateReply, decode_reply

__all__ = ["Heart", "Mode"]

Mode = Literal["off", "auto", "loop"]
_PATIENCE_S: Final = 3.0
_TRIES: Final = 2
_JOIN_S: Final = 2.0
# Both say that a beat signed anew may pass: the server began anew, or the clock was measured anew.
_AGAIN: Final = (ReasonCode.STALE_INCARNATION, ReasonCode.EXPIRED, ReasonCode.NOT_YET_VALID)


class Heart:
    """Sends one HEARTBEAT each `period_s` seconds at most, from a thread of its own."""

    def __init__(self, link: Link, mode: Mode, period_s: float) -> None:
        """`mode` off sends nothing; `start` begins."""
        self._link = link
        self.mode: Mode = mode
        self._period_s = period_s
        self._mark: Now | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._sequence = 0
        self.answered_s = 0.0  # monotonic; 0: never
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to send."""
        if self.mode != "off":
            self._thread.start()

    def close(self) -> None:
        """Send no more. There is no goodbye: what is left open is unattended."""
        self._closed.set()
        self._wake.set()

    def join(self) -> None:
        """Wait for the thread's end, once the link is closed and lets go of it."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def beat(self) -> None:
        """Note that the strategy's loop is alive; returns at once."""
        self._mark = self._link.clocks()
        if self.mode == "loop":
            self._wake.set()

    # --- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            mark = self._take()
            if mark is None:
                return
            due = time.monotonic() + self._period_s
            try:
                self._send(mark)
            except BridgeError:
                continue  # no connection now, or closed: the next one says it anew

    def _take(self) -> Now | None:
        """Return when the life to be proven was seen: now, or at the last call of `beat()`."""
        if self.mode == "auto":
            return self._link.clocks()
        self._wake.wait()
        self._wake.clear()
        return None if self._closed.is_set() else self._mark

    def _send(self, mark: Now) -> None:
        until = time.monotonic() + min(_PATIENCE_S, self._period_s)
        for _ in range(_TRIES):
            if not self._link.ready(until):
                return
            answer = self._ask(mark, until)
            if answer is None:
                return
            self.answered_s = time.monotonic()
            if answer.status == Status.OK:
                self._link.state = _state(answer) or self._link.state
                return
            if answer.code == ReasonCode.SEQUENCE:
                # Another connector of this key has just beaten: what this one would have said.
                self._sequence = max(self._sequence, _last(answer))
                return
            if answer.code not in _AGAIN:
                return

    def _ask(self, mark: Now, until: float) -> Answer | None:
        # One copy: a lost beat is made good by the next. The server's time, so that connectors
        # that share a key need not agree on a number, and a restart goes on above the last one.
        self._sequence = max(self._sequence + 1, self._link.server_ms(self._link.clocks()))
        body = Heartbeat(sequence=self._sequence)
        exchange = self._link.sign(Op.HEARTBEAT, body, iat=self._link.server_ms(mark))
        mailbox = Mailbox(link=True)
        transport, epoch = self._link.transport, self._link.transport.epoch
        transport.route(exchange.rid, mailbox)
        try:
            if not transport.send(exchange.frames):
                return None
            while time.monotonic() < until and transport.epoch == epoch:
                transport.wait(mailbox, until)
                while (frames := mailbox.take()) is not None:
                    answer = self._link.accept(frames, exchange)
                    if answer is not None:
                        self._link.measure_anew(exchange, answer)
                        return answer
            return None
        finally:
            transport.forget(exchange.rid)


def _state(answer: Answer) -> str:
    try:
        return decode_reply(StateReply, answer.body).state
    except RemoteProtocolError:
        return ""


def _last(answer: Answer) -> int:
    try:
        text = decode_reply(RefusalReply, answer.body).limit
    except RemoteProtocolError:
        return 0
    return int(text) if text.isdecimal() and len(text) < 19 else 0
