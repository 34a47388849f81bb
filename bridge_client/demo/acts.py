"""What the demo itself does to the bridge, between two prices: too much, forged, again, a kill."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec import Struct

from bridge_client.connector import Connector
from bridge_client.demo.house import ACCOUNT, House
from bridge_client.demo.options import draw
from bridge_client.demo.prices import SYMBOL
from bridge_client.demo.watching import Watched
from bridge_client.evidence import SignedRow, begun_acts, signed_rows
from bridge_client.rawwire import RawPeer
from bridge_client.result import OrderResult
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import OrderView, decode_reply
from bridge_core.protocol.signing import Frames, reply_mac_holds
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_reply

__all__ = ["ACTS", "Act", "Actor", "plan"]

_LOTS: Final = "0.01"
_SILENCE_S: Final = 0.4
_ANSWER_S: Final = 5.0
_RETURN_S: Final = 20.0
_KILL_WAIT_S: Final = 1.0
_KILL_STEP_S: Final = 0.0002
_FORGED_V43: Final = "RISK_PASS:00000000:{seconds}"


class Act(Struct, frozen=True, kw_only=True):
    """One line of the story; `ms` None where no answer was given, `held` False is a broken promise.

    `client_order_id` names the order it is about.
    """

    order: str
    outcome: str
    by: str
    ms: float | None
    what: str
    held: bool = True
    client_order_id: str = ""


class _Silence(NamedTuple):
    """What a message that must not be answered did."""

    answered: bool
    dropped: int
    begun: int


class Actor:
    """Does the acts; the strategy is paused meanwhile."""

    def __init__(self, house: House, bridge: Connector, watched: Watched, seed: int) -> None:
        self._house = house
        self._bridge = bridge
        # The same calls as the strategy's, so that they are numbered and noted as well.
        self._calls: Any = watched
        self._watched = watched
        self._seed = seed
        self.pids: tuple[int, ...] = ()
        self.story: list[Act] = []
        self.restarted = False

    def _last_ms(self) -> float:
        return self._watched.noted[-1].ms

    def _id(self, name: str) -> str:
        return f"demo-{self._seed}-{name}"

    # --- too much -------------------------------------------------------------------------------

    def too_large_here(self) -> None:
        """More than connector.toml allows: nothing is signed."""
        self._too_large("5", "connector", "nothing signed")

    def too_large_there(self) -> None:
        """More than server.toml allows, which the connector does not know."""
        self._too_large("0.5", "server", "no broker call")

    def _too_large(self, lots: str, by: str, end: str) -> None:
        name = self._id(f"large-{by}")
        result = self._calls.buy(SYMBOL, lots, client_order_id=name)
        self.story.append(
            Act(
                order=f"{lots} lots, too large",
                outcome=str(result.status),
                by=result.by,
                ms=self._last_ms(),
                what=f"{result.code} {result.limit}; {end}",
                held=(result.status, result.by) == (Status.DENIED, by),
                client_order_id=name,
            )
        )

    # --- bytes ------------------------------------------------------------------------------------

    def _probe(self, name: str) -> tuple[SignedRow, OrderResult]:
        """Trade a small order of our own and return what was signed."""
        wanted = self._id(name)
        result = self._calls.buy(SYMBOL, _LOTS, client_order_id=wanted)
        rows = signed_rows(self._house.connector_journal)
        row = next((row for row in rows if row.client_order_id == wanted), None)
        if row is None or result.status is not Status.FILLED:
            raise BridgeError("PROBE", f"order={wanted} result={str(result)!r}")
        return row, result

    def _end_probe(self, result: OrderResult, name: str) -> None:
        self._calls.close_position(result, client_order_id=self._id(f"{name}-close"))

    def _unanswered(self, token: bytes, body: bytes, counter: str) -> _Silence:
        before = self._bridge.health().counters.get(counter, 0)
        acts = begun_acts(self._house.ledger)
        with RawPeer(self._house.dial()) as peer:
            peer.send(token, body)
            answered = peer.receive(_SILENCE_S) is not None
        dropped = self._bridge.health().counters.get(counter, 0) - before
        return _Silence(answered, dropped, begun_acts(self._house.ledger) - acts)

    def _dropped(self, order: str, silence: _Silence, why: str, client_order_id: str) -> None:
        held = silence == _Silence(answered=False, dropped=1, begun=0)
        self.story.append(
            Act(
                order=order,
                outcome="ANSWERED" if silence.answered else "dropped",
                by="server",
                ms=None,
                what=f"no answer; {why} +{silence.dropped}"
                if held
                else f"{why} +{silence.dropped}, executed {silence.begun}",
                held=held,
                client_order_id=client_order_id,
            )
        )

    def one_byte(self) -> None:
        """A signed order whose volume is changed by one byte."""
        row, result = self._probe("byte")
        was, now = f'"volume":"{_LOTS}"'.encode(), b'"volume":"9.01"'
        body = row.frames.body.replace(was, now)
        silence = self._unanswered(row.frames.token, body, "dropped_mac")
        self._dropped("one byte: 0.01>9.01", silence, "dropped_mac", row.client_order_id)
        self._end_probe(result, "byte")

    def forged(self) -> None:
        """The signature that the v4.3 protocol would have taken."""
        row, result = self._probe("forged")
        token = _FORGED_V43.format(seconds=int(time.time())).encode("ascii")
        silence = self._unanswered(token, row.frames.body, "dropped_token")
        self._dropped(_FORGED_V43.partition("{")[0], silence, "dropped_token", row.client_order_id)
        self._end_probe(result, "forged")

    def again(self) -> None:
        """The very bytes of an order that has run."""
        row, result = self._probe("again")
        acts = begun_acts(self._house.ledger)
        begun = time.perf_counter()
        with RawPeer(self._house.dial()) as peer:
            peer.send(row.frames.token, row.frames.body)
            reply = peer.receive(_ANSWER_S)
            ms = (time.perf_counter() - begun) * 1000
        told = self._verified(reply)
        extra = begun_acts(self._house.ledger) - acts
        same = told is not None and (told.status, told.ticket) == (result.status, result.ticket)
        self.story.append(
            Act(
                order="same bytes again",
                outcome="no answer" if told is None else told.status,
                by="server",
                ms=ms,
                what="stored reply, executed once"
                if same and not extra
                else f"another answer, executed {extra} more",
                held=same and not extra,
                client_order_id=row.client_order_id,
            )
        )
        self._end_probe(result, "again")

    def _verified(self, reply: Frames | None) -> OrderView | None:
        token = None if reply is None else parse_reply(reply.token)
        if reply is None or token is None:
            return None
        body = reply_mac_holds(reply, token, self._house.bundle().key_set().keys[Purpose.REPLY_SRV])
        return None if body is None else decode_reply(OrderView, body)

    # --- the kill ------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill the server while an order is at the broker, start it again, wait for the truth."""
        name = self._id("kill")
        sender = threading.Thread(
            target=self._calls.buy, args=(SYMBOL, _LOTS),
            kwargs={"client_order_id": name, "wait": _KILL_WAIT_S}, name="demo-in-flight",
        )  # fmt: skip
        size = self._house.ledger.stat().st_size
        begun = time.perf_counter()
        sender.start()
        # As soon as the broker has begun, or a moment later: the seed decides how deep in its call.
        while self._house.ledger.stat().st_size == size:
            if time.perf_counter() - begun > _KILL_WAIT_S:
                break
        time.sleep(draw(self._seed, "kill", 3) * _KILL_STEP_S)
        old = self._house.kill()
        sender.join()
        known = self._watched.noted[-1].result
        new = self._house.start()
        self.pids, self.restarted = (old, new), True
        self._bridge.connect(_RETURN_S)
        result = self._bridge.wait(name, _RETURN_S)
        ms = (time.perf_counter() - begun) * 1000
        # The broker's own deals say whether the word is true, whichever it is.
        tag = make_tag(ACCOUNT, result.rid).comment
        deals = self._bridge.get_history(since=self._bridge.get_quote(SYMBOL).time)
        traded = any(deal.comment.startswith(tag) for deal in deals)
        left = ""
        if result.status is Status.FILLED:
            self._calls.close_position(result, client_order_id=self._id("kill-close"))
            left = "; closed"
        known_all = self._wait_until_quiet()
        proof = " just before it" if known.final else f", then by {result.evidence or 'server'}"
        self.story.append(
            Act(
                order="in flight at kill",
                outcome=str(result.status),
                by=result.by or "broker",
                ms=ms,
                what=f"{known.status}{proof}{left}",
                held=known_all and result.final and traded == (result.status is Status.FILLED),
                client_order_id=name,
            )
        )

    def _wait_until_quiet(self) -> bool:
        """Return whether every outcome is known and the account trades again."""
        until = time.monotonic() + _RETURN_S
        while time.monotonic() < until:
            health = self._bridge.health()
            if health.state == "ACTIVE" and not health.unfinished and not health.unknown_orders:
                return True
            time.sleep(0.1)
        return False


ACTS: Final[tuple[tuple[float, str, Callable[[Actor], None]], ...]] = (
    (0.10, "an order larger than connector.toml allows", Actor.too_large_here),
    (0.15, "an order larger than server.toml allows", Actor.too_large_there),
    (0.25, "a signed order with one byte changed", Actor.one_byte),
    (0.35, "a forged v4.3 signature", Actor.forged),
    (0.45, "the bytes of an executed order once more", Actor.again),
    (0.55, "kill -9 of the server with an order in flight", Actor.kill),
)


def plan(rows: int, seed: int) -> dict[int, list[int]]:
    """Return before which row which acts (indices of ACTS) come, for so many rows."""
    planned: dict[int, list[int]] = {}
    for index, (share, _, _) in enumerate(ACTS):
        # The first price must be there; the seed moves each act a little.
        row = int(rows * share) + draw(seed, f"act-{index}", max(1, rows // 25))
        planned.setdefault(min(max(1, row), rows - 1), []).append(index)
    return planned
