"""The backend contract's world on an EA: real signed frames through the server's `ea` backend.

`EaWorld` needs an EA that is attached already: the fake one, or the real source in the harness.
What a backend answers is remembered with its record, so that a test can verify every word.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Protocol

from msgspec.structs import replace

from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Request
from bridge_core.protocol.operations import Purpose, Scope
from bridge_core.protocol.replies import decode_reply
from bridge_core.protocol.signing import ea_record_mac_holds, event_mac_holds
from bridge_core.protocol.token import EaRecord, parse_ea_record, parse_event
from bridge_server.backends.ea import EaBackend, Served
from bridge_server.backends.ea_link import HopSpec
from bridge_server.backends.ea_session import Pins
from bridge_server.core.executor import Relayed
from bridge_server.core.ports import Executed, NotBegun, Outcome, Rejected, Submission
from tests.support.clock import SlidingClock
from tests.support.fake_ea_relay import ACCT, House
from tests.support.paper import World
from tests.support.running import wait_until

__all__ = ["EaWorld", "Mover", "ea_backend"]

_SILENCE_S = 0.05


class Mover(Protocol):
    """Whoever moves the market: the fake broker, or the harness's terminal."""

    def price(self, symbol: str, bid: str, ask: str) -> object:
        """Set bid and ask."""


def ea_backend(
    house: House, port: int, clock: SlidingClock, pins: Pins, symbols: tuple[str, ...] = ("EURUSD",)
) -> EaBackend:
    """Return the server's backend that listens for this house's EA."""
    spec = HopSpec(
        port=port, keys=house.server, ea_public=house.ea_curve.public,
        incarnation=secrets.token_hex(8), pins=pins, trading=True,
    )  # fmt: skip
    return EaBackend(spec, Served(acct=ACCT, symbols=symbols), clock, lambda: None)


class EaWorld(World):
    """`move` lets the market move; `wait_s` is the most that anything here waits for the EA."""

    tags_closes = False

    def __init__(
        self,
        backend: EaBackend,
        clock: SlidingClock,
        house: House,
        move: Mover,
        wait_s: float = 5.0,
    ) -> None:
        super().__init__(backend, clock)
        self.ea = backend
        self.house = house
        self._move = move
        self._wait_s = wait_s
        self._ticks = 0
        wait_until(self._ready, wait_s)

    def _ready(self) -> bool:
        self.backend.pump()
        shot = self.backend.snapshot()
        return self.symbol in shot.quotes and self.symbol in shot.symbols

    def submission(self, body: Request, *, ttl_ms: int = 5000, rid: str = "") -> Submission:
        """Return the body as the server hands it over, with the frames that a connector signed."""
        made = super().submission(body, ttl_ms=ttl_ms, rid=rid or secrets.token_hex(16))
        frames = self.house.signers[Scope.TRADE].sign(
            made.op, body, rid=made.rid, iat=self.signed[made.rid].iat, ttl=ttl_ms
        )
        return replace(made, frames=frames, magic=made.tag.mt4_magic)

    def do(self, body: Request) -> Outcome:
        """Execute a body; whatever final outcome it has must bear the EA's word, if it asked."""
        submission = self.submission(body)
        outcome = self.backend.execute(submission)
        if isinstance(outcome, Executed | Rejected) or (
            isinstance(outcome, NotBegun) and outcome.record
        ):
            self.record(outcome, submission.rid)
        return outcome

    def record(self, outcome: Outcome, rid: str) -> EaRecord:
        """Return the outcome's record once it holds under the key of the kid that signed."""
        assert isinstance(outcome, Executed | Rejected | NotBegun)
        parts = parse_ea_record(outcome.record)
        assert parts is not None, outcome
        key = self.house.reply_keys()[parts.kid]
        assert ea_record_mac_holds(key, outcome.record, outcome.record_mac)
        assert parts.rid == rid
        return parts

    def advance(self, ms: int, *, wall: int | None = None) -> None:
        """Let time pass, and wait until the EA is heard at the new time."""
        super().advance(ms, wall=wall)
        self._heard_anew()

    def _heard_anew(self) -> None:
        before = self.ea.link.status.heard_mono
        wait_until(lambda: self.ea.link.status.heard_mono > before, self._wait_s)

    def next_prices(self, times: int = 1) -> list[Any]:
        """Let the market move and return ticks and the EA's own events, verified."""
        events: list[Any] = []
        for _ in range(times):
            self._ticks += 1
            ask = f"1.0851{2 + self._ticks % 7}"
            self._move.price(self.symbol, "1.08500", ask)
            events += self._until_told(ask)
        return events

    def _until_told(self, ask: str) -> list[Any]:
        got: list[Any] = []
        end = time.monotonic() + self._wait_s
        while not any(event.ask == ask for event in got):
            assert time.monotonic() < end, "the market does not move"
            got += self.backend.pump()
            got += self.own_events()
            time.sleep(_SILENCE_S / 10)
        time.sleep(_SILENCE_S)
        return [*got, *self.backend.pump(), *self.own_events()]

    def own_events(self) -> list[EventBody]:
        """Return what the EA signed since the last call; each must hold under its event key."""
        key = self.house.bundles[Scope.TRADE].event_keys()[Purpose.EVENT_EA]
        found = []
        for post in self.ea.take():
            if not isinstance(post, Relayed):
                continue
            token = parse_event(post.frames.token)
            assert token is not None
            body = event_mac_holds(post.frames, token, key, Purpose.EVENT_EA)
            assert body is not None
            found.append(decode_reply(EventBody, body))
        return found
