"""A fake Expert Advisor: the link of protocol.md 14 in Python, on a broker of its own.

It verifies `mac-ea` with real keys, keeps a file journal, acts at most once, signs its records and
its events, and can be told to be slow, silent, dishonest or dead. A test:

    broker = Broker(folder / "broker")
    broker.price("EURUSD", "1.08500", "1.08512")
    with FakeEa(read_ea_keys(folder / "ea/bridge.key"), folder / "ea-1", broker) as ea:
        ea.faults.die("after_call")           # it dies once the broker has answered
        ...                                   # an order
        ea.wait_dead(); ea.restart()          # a new instance on the same journal and broker
    judge_mt4(broker.lines(), signed, acct)   # S1 S2 S3 S5 on the broker's ledger

A strategy author runs one beside a server that `ztb init … --backend ea` made:

    python -m tests.support.fake_ea --account ./demo --price EURUSD 1.08500 1.08512
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import zmq

from bridge_core.host.clock import Clock, SystemClock
from bridge_core.host.sockets import Context
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import encode_reply, text_of
from bridge_core.protocol.signing import Frames, sign_event
from bridge_core.protocol.token import EventToken, parse_ea_record
from bridge_core.protocol.views import StreamPoint
from tests.support.ea_keys import EaKeys
from tests.support.fake_ea_broker import Broker
from tests.support.fake_ea_checks import EaInputs
from tests.support.fake_ea_desk import Desk, State
from tests.support.fake_ea_faults import Died, Faults, Word
from tests.support.fake_ea_link import Ask, Link
from tests.support.fake_ea_queries import query

__all__ = ["FakeEa"]

_POLL_MS: Final = 10
_BUILD: Final = 1470


class FakeEa:
    """One EA on one chart. `start` begins an instance, `restart` another on the same files."""

    def __init__(
        self,
        keys: EaKeys,
        folder: Path,
        broker: Broker,
        *,
        inputs: EaInputs | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.keys = keys
        self.broker = broker
        self.inputs = inputs or EaInputs()
        self.faults = Faults()
        self.silent = False
        self.beat_s = 1.0
        self.died_at = ""
        self.instance = ""
        self._folder = folder
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._welcomed = threading.Event()
        self._hang_up = threading.Event()
        self._thread: threading.Thread | None = None
        self._seq = 0
        self._outbox: deque[Frames] = deque()

    # --- for a test ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new instance."""
        assert self._thread is None or not self._thread.is_alive(), "it runs already"
        self.instance = secrets.token_hex(8)
        self.died_at, self._seq, self._begun_ms = "", 0, self._clock.wall_ms()
        self.desk = Desk(self.keys, self._folder, self.broker, self._clock)
        self.desk.inputs, self.desk.faults = self.inputs, self.faults
        for event in (self._stopping, self._welcomed, self._hang_up):
            event.clear()
        self._bye = True
        self._thread = threading.Thread(target=self._run, name="fake-ea", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End as OnDeinit does: BYE, then the socket."""
        self._end()

    def kill(self) -> None:
        """End as SIGKILL does: without a word."""
        self._bye = False
        self._end()

    def _end(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def restart(self) -> None:
        """Kill what runs and begin a new instance on the same journal and broker."""
        self.kill()
        self.start()

    def hang_up(self) -> None:
        """Drop the connection and make another; the instance stays."""
        self._hang_up.set()

    def wait_welcome(self, seconds: float = 5.0) -> None:
        """Wait for the server's WELCOME."""
        assert self._welcomed.wait(seconds), "the server never said WELCOME"

    def wait_dead(self, seconds: float = 5.0) -> str:
        """Wait until it has died at a point that a test asked for; return which."""
        assert self._thread is not None
        self._thread.join(seconds)
        assert self.died_at, "it is alive"
        return self.died_at

    @property
    def stream(self) -> str:
        """Return the name of this instance's event stream."""
        return f"ea-{self.instance}"

    def sign_event(self, seq: int, body: EventBody, *, key: bytes | None = None) -> Frames:
        """Return an event of this instance's stream; with another `key` it is a forgery."""
        token = EventToken(
            self.keys.event_kid, self.keys.acct, self.stream, seq, self._clock.wall_ms()
        )
        return sign_event(token, encode_reply(body), key or self.keys.event_key, Purpose.EVENT_EA)

    def next_event(self, body: EventBody) -> Frames:
        """Return the next event of the stream, signed; its number is used up, nothing is sent."""
        self._seq += 1
        return self.sign_event(self._seq, body)

    def post(self, frames: Frames) -> None:
        """Send the frames of an event as they are, true or forged."""
        self._outbox.append(frames)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    # --- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        context: Context = zmq.Context()
        self._link = Link(context, self.keys, self.faults)
        try:
            self._loop()
            if self._bye:
                self._link.say(f"BYE:{self.instance}")
                time.sleep(0.05)  # LINGER is 0: let the I/O thread have it
        except Died as death:
            self.died_at = str(death)
        finally:
            self._link.close()
            context.term()

    def _loop(self) -> None:
        beat_due, shown = 0.0, {}  # type: ignore[var-annotated]
        while not self._stopping.is_set():
            if self._hang_up.is_set():
                self._hang_up.clear()
                self._link.reconnect()
            if self._link.connected_anew():
                self._welcomed.clear()
                beat_due = 0.0
            ask = self._link.receive(_POLL_MS)
            if ask is not None:
                self._answer(ask)
            self._link.flush()
            if self.silent:
                continue
            if time.monotonic() >= beat_due:
                beat_due = time.monotonic() + self.beat_s
                self._beat()
            if self._welcomed.is_set():
                self._tell_events()
                shown = self._tell_ticks(shown)
            self.desk.turn()

    def _beat(self) -> None:
        word = "BEAT" if self._welcomed.is_set() else "HELLO"
        self._link.say(f"{word}:{self.instance}", self.beat())
        if self._welcomed.is_set():
            points = [StreamPoint(stream=self.stream, seq=self._seq)]
            state = self.desk.state.state
            body = EventBody(type="heartbeat", state=state, streams=points)
            self._link.say("EVENT", None, self.sign_event(self._seq, body))

    def _tell_events(self) -> None:
        while self._outbox:
            self._link.say("EVENT", None, self._outbox.popleft())
        while self.broker.happened:
            body = self.broker.happened.popleft()
            self._seq += 1
            event = msgspec.convert(body | {"server_time": self._clock.wall_ms()}, EventBody)
            self._link.say("EVENT", None, self.sign_event(self._seq, event))

    def _tell_ticks(self, shown: dict[str, Any]) -> dict[str, Any]:
        quotes = dict(self.broker.market.quotes)
        for symbol, quote in quotes.items():
            if symbol in self.inputs.symbols and shown.get(symbol) != quote:
                bid, ask, ms = quote
                self._link.say(f"TICK:{symbol}:{text_of(bid)}:{text_of(ask)}:{ms}")
        return quotes

    # --- answers ---------------------------------------------------------------------------------

    def _answer(self, ask: Ask) -> None:
        if ask.word == "WELCOME":
            self._welcomed.set()
            return
        number = int(ask.parts[0])
        body = self._body(ask, number)
        if body is None or self.silent:
            return
        self.faults.reach("before_reply")
        self._link.say(f"ANSWER:{number}", body)
        self.faults.reach("after_reply")

    def _body(self, ask: Ask, number: int) -> Any:
        desk, parts = self.desk, ask.parts
        word: Word | State | None
        match ask.word:
            case "EXEC":
                assert ask.frames is not None
                word = desk.execute(ask.frames, int(parts[1]), self._busy(number))
            case "FORWARD":
                assert ask.frames is not None
                word = desk.forward(ask.frames)
            case "STATUS":
                word = desk.status(parts[1])
            case "TOMBSTONE":
                word = desk.tombstone(parts[1], parts[2])
            case _:
                with self.broker.lock:
                    return query(self.broker, self.beat, ask)
        return self._told(word) if isinstance(word, dict) else word

    def _busy(self, number: int) -> Any:
        return lambda rid: self._link.say(f"BUSY:{number}:{rid}")

    def _told(self, word: Word) -> Word:
        record = parse_ea_record(word["record"].encode("ascii"))
        if not self.faults.lies:
            return word
        kid = record.kid if record else next(k for k, s in self.keys.sets.items() if s.reply)
        return self.faults.told(word, self.desk.tools(kid))

    def beat(self) -> dict[str, Any]:
        """Return the Beat."""
        terms, desk = self.broker.terms, self.desk
        zone = {} if terms.zone_ms is None else {"zone_ms": terms.zone_ms}
        return zone | {
            "instance": self.instance, "clock": self._clock.wall_ms(), "started": self._begun_ms,
            "build": _BUILD, "version": "fake", "dll": zmq.zmq_version(),
            "account": terms.account, "server": terms.server, "kind": terms.kind,
            "currency": terms.currency, "leverage": terms.leverage,
            "connected": self.broker.connected, "trade_allowed": self.broker.trade_allowed,
            "busy": False, "state": desk.state.state, "cause": desk.state.cause,
            "kids": list(self.keys.sets), "symbols": list(self.inputs.symbols),
            "max_lots": self.inputs.max_lots, "max_positions": self.inputs.max_positions,
            "journal": "OK", "book": self.broker.market.book,
            "market_ms": self.broker.market_ms(), "seq": self._seq, "dropped": 0, "note": "",
        }  # fmt: skip


if __name__ == "__main__":
    from tests.support.fake_ea_command import main

    sys.exit(main(sys.argv[1:]))
