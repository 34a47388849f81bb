"""What a scenario's steps act on: the house, named signed requests, and what was said.

A house (account, server, clients) is kept from scenario to scenario as long as it is as good as
new; a scenario that needs one of its own, or spoils it, gets or leaves a fresh one.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from bridge_core.protocol.limits import FRAME_TAG
from bridge_core.protocol.messages import Hello, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView, StateReply, decode_reply
from bridge_core.protocol.signing import Frames, request_hash
from bridge_core.protocol.token import RequestToken, parse_reply, parse_request
from tests.acceptance.house import House, StageClient
from tests.support.oracles import Broken, Evidence, broken_promises
from tests.support.raw_client import Answer
from tests.support.running import wait_until

__all__ = ["Signed", "Stage", "World", "is_drop", "said_of", "words_of"]

_BARRIER_MS: Final = 5_000
_SETTLE_S: Final = 15.0


@dataclass
class Signed:
    """A request as signed, who signed it, and the answers to it, oldest first."""

    frames: Frames
    token: RequestToken
    who: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def rid(self) -> str:
        """Its request id."""
        return self.token.rid

    @property
    def parts(self) -> list[bytes]:
        """What goes into the socket."""
        return [b"", FRAME_TAG, self.frames.token, self.frames.body]

    @property
    def view(self) -> OrderView:
        """The order as the last answer showed it."""
        assert self.answers, "nothing was answered"
        return self.answers[-1].order()


def said_of(view: OrderView) -> str:
    """Return an order in the vocabulary of expectations: `DENIED FENCED by server ticket=0`."""
    words = [view.status, view.code if view.code != "-" else "", f"by {view.by}" if view.by else ""]
    facts = [
        f"{name}={getattr(view, name)}"
        for name in ("limit", "value", "evidence", "life", "ticket", "volume", "price")
        if getattr(view, name) not in ("", "0", 0)
    ]
    return " ".join([one for one in words if one] + facts)


def words_of(request: RequestToken, answer: Answer) -> str:
    """Return an answer in the vocabulary of expectations.

    GET_STATUS and FENCE that were decided are said in the words of their subject.
    """
    if request.op in (Op.GET_STATUS, Op.FENCE) and answer.status == "OK":
        return said_of(answer.subject())
    body = answer.refusal()
    words = [
        answer.status,
        answer.code if answer.code != "-" else "",
        f"by {body.by}" if body.by else "",
        f"limit={body.limit}" if body.limit else "",
        f"value={body.value}" if body.value else "",
    ]
    return " ".join(one for one in words if one)


def _dropped(before: StateReply, after: StateReply) -> str:
    for name, count in after.counters.items():
        if is_drop(name) and count > before.counters.get(name, 0):
            return name.removeprefix("dropped_")
    return ""


def is_drop(counter: str) -> bool:
    """Return whether a counter of HEALTH counts messages that got no answer."""
    return counter.startswith("dropped_") or counter == "malformed"


class Stage:
    """Owns the folder of a run and the house that scenarios share."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ztb-acceptance-"))
        self._house: House | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def place(self) -> Path:
        """Return a new folder."""
        self._count += 1
        place = self.folder / str(self._count)
        place.mkdir()
        return place

    def house(self) -> House:
        """Return the shared house, in order."""
        if self._house is None:
            self._house = House(self.place())
            self._house.ready()
        return self._house

    def give_back(self, house: House) -> None:
        """Keep a house for the next scenario if it is as good as new, else pull it down."""
        if house is self._house:
            if house.fit_to_reuse():
                house.tidy()
                return
            self._house = None
            house.stop()
            house.audit()
        house.stop()
        shutil.rmtree(house.account.folder.parent, ignore_errors=True)

    def close(self) -> None:
        """End everything."""
        try:
            if self._house is not None:
                self._house.stop()
                self._house.audit()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


class World:
    """One scenario's world. `notes` belongs to the steps."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.signed: dict[str, Signed] = {}
        self.notes: dict[str, object] = {}
        self._house: House | None = None
        # Further sides of the scenario that the oracles judge, besides the house.
        self.more_evidence: list[Callable[[], Evidence]] = []
        # What has to be written down before the oracles may read.
        self.before_oracles: list[Callable[[], None]] = []
        self._ends: list[Callable[[], None]] = []
        self._since_ms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the house -----------------------------------------------------------------------------

    @property
    def house(self) -> House:
        """The scenario's house; the shared one unless it asked for one of its own."""
        if self._house is None:
            self._house = self.stage.house()
            self._since_ms = self._house.clock.wall_ms() - 1
        return self._house

    def fresh(self, *, extra: str = "", paper: bool = False) -> House:
        """Give the scenario a house of its own, not started; `extra` goes into server.toml."""
        assert self._house is None, "a fresh server comes first"
        self._house = House(self.stage.place(), extra=extra, paper=paper)
        return self._house

    def client(self, who: str = "connector") -> StageClient:
        """Return a bundle's client, of a server that takes entries."""
        if not self.house.alive:
            self.house.ready()
        return self.house.client(who)

    def at_end(self, call: Callable[[], None]) -> None:
        """Have something ended with the scenario."""
        self._ends.append(call)

    def close(self) -> None:
        """End what the scenario began; its house goes back to the stage."""
        for call in reversed(self._ends):
            call()
        self._ends.clear()
        house, self._house = self._house, None
        if house is not None:
            house.broker.let_go()
            house.clock.go()
            self.stage.give_back(house)

    # --- requests ------------------------------------------------------------------------------

    def sign(
        self, name: str, op: Op, body: Request | bytes, who: str = "connector", **changes: object
    ) -> Signed:
        """Sign a request with a bundle's keys and keep it under a name."""
        return self.keep(name, self.client(who).sign(op, body, **changes), who)

    def keep(self, name: str, frames: Frames, who: str = "connector") -> Signed:
        """Keep frames under a name; `last` is always the latest."""
        token = parse_request(frames.token)
        assert token is not None, f"{name} is no request token"
        one = Signed(frames, token, who)
        self.signed[name] = self.signed["last"] = one
        return one

    def get(self, name: str) -> Signed:
        """Return the request of a name."""
        assert name in self.signed, f"no step made {name!r}"
        return self.signed[name]

    def ask(self, one: Signed, client: StageClient | None = None) -> str:
        """Send a signed request; return the answer's words, or `nothing, dropped as WHY`."""
        if one.answers:  # or an answer given anew has the same millisecond in it, and every byte
            time.sleep(0.002)
        return self.deliver(one.parts, client or self.client(one.who), one)

    def deliver(self, parts: list[bytes], client: StageClient, one: Signed | None = None) -> str:
        """Send exactly these parts; return what came of them.

        A HEALTH on the same socket follows them: when its answer arrives and nothing came before
        it, and the server counted one dropped message more, they met silence.
        """
        before = self._health(client)
        client.send_parts(*parts)
        hashed = request_hash(Frames(parts[2], parts[3])) if len(parts) == 4 else ""
        if client.mute:
            return self._silence(client, before)
        answer, after = self._until_barrier(client, hashed, one)
        if answer is not None:
            return self._heard(answer, one)
        dropped = _dropped(before, after)
        if dropped:
            return f"nothing, dropped as {dropped}"
        assert one is not None, "neither answered nor counted as dropped"
        return self.receive(one, client)

    def _silence(self, client: StageClient, before: StateReply) -> str:
        until = time.monotonic() + _BARRIER_MS / 1000
        while time.monotonic() < until:
            if client.receive(2) is not None:
                return "an answer"
            dropped = _dropped(before, self._health(client))
            if dropped and client.receive(20) is None:
                return f"nothing, dropped as {dropped}"
        return "nothing"

    def receive(self, one: Signed, client: StageClient | None = None) -> str:
        """Wait for the next answer to a request that was sent; return its words, or `nothing`."""
        client = client or self.client(one.who)
        while (reply := client.receive(_BARRIER_MS)) is not None:
            token = parse_reply(reply.token)
            if token is not None and token.req_hash == request_hash(one.frames):
                return self._heard(client.check(one.frames, reply), one)
        return "nothing"

    def _heard(self, answer: Answer, one: Signed | None) -> str:
        request = one.token if one is not None else None
        if one is None or request is None:
            return f"{answer.status} {answer.code}"
        same = bool(one.answers) and one.answers[-1].frames == answer.frames
        one.answers.append(answer)
        words = words_of(request, answer)
        return f"the same reply: {words}" if same else words

    def _health(self, client: StageClient) -> StateReply:
        client = self.house.client() if client.mute else client
        sent = Hello(client="raw", version="1", sent=self.house.clock.true_ms())
        answer = client.ask(client.sign(Op.HEALTH, sent, iat=self.house.clock.wall_ms()))
        return decode_reply(StateReply, answer.body)

    def _until_barrier(
        self, client: StageClient, hashed: str, one: Signed | None
    ) -> tuple[Answer | None, StateReply]:
        sent = Hello(client="raw", version="1", sent=self.house.clock.true_ms())
        barrier = client.sign(Op.HEALTH, sent, iat=self.house.clock.wall_ms())
        client.send(barrier)
        answer: Answer | None = None
        while True:
            reply = client.receive(_BARRIER_MS)
            assert reply is not None, "the server is silent to everybody"
            token = parse_reply(reply.token)
            assert token is not None, "an answer that is no reply token"
            if token.req_hash == request_hash(barrier):
                return answer, decode_reply(StateReply, client.check(barrier, reply).body)
            if token.req_hash == hashed and one is not None:
                answer = client.check(one.frames, reply)

    # --- the promises --------------------------------------------------------------------------

    def check_promises(self) -> None:
        """Fail unless S1 to S7 hold of everything that happened in this scenario."""
        broken = self.broken()
        assert not broken, "\n".join(f"{p} broken by {who}: {why}" for p, who, why in broken)

    def broken(self) -> list[Broken]:
        """Return the promises that do not hold now, once nothing is on its way."""
        for call in self.before_oracles:
            call()
        found = [one for make in self.more_evidence for one in broken_promises(make())]
        house = self._house
        if house is None:
            return found
        house.broker.let_go()
        house.clock.go()
        if house.alive:
            wait_until(house.settled, _SETTLE_S)
        elif not (house.account.state / "journal.db").exists():
            return found
        return [*found, *broken_promises(house.evidence(self._since_ms))]
