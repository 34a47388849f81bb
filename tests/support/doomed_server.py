"""A server on the paper broker that meets its end at a named place (see doom.py).

Places, about the order with the comment `subject`, or an id that begins with `subject-`, unless
they name another:
STAGE begins, STAGE commits, STAGE committed: before a change of state is written, before its
COMMIT, after it. The stages are j1, j2 (of a joined commit both), j3, unknown, fence, child (the
J3 of a FLATTEN's child), parent (its J1), done (its J3), start (this run's first record).
call, act, did, answered: before the broker has it, before and after its commit, before J3.
replied: the final reply has been handed to ZeroMQ. scan: the broker's records are read.
opened: the journal is open; listening; ready: it takes entries.

An OPEN with the comment `first` holds the broker until `hold` is true of the subject, so that the
subject has to queue: accepted, expired, halted, never. The subject itself may be held too.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from bridge_core.host.clock import Clock
from bridge_core.host.logs import redact
from bridge_core.protocol.chain import Record
from bridge_core.protocol.messages import Open
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from bridge_server import wiring
from bridge_server.answers import package_version
from bridge_server.backends.paper import PaperBackend
from bridge_server.core.orders import FINAL_STATES, OrderState
from bridge_server.core.ports import Backend, Outcome, Scan, Submission
from bridge_server.guard import HALTED_FILE
from bridge_server.journal import Change, Journal, OrderRow
from bridge_server.settings import Overrides, ServerSettings, load_settings
from bridge_server.wiring import BackendMaker, Hop, Server
from tests.support.doom import SUBJECT, Doom
from tests.support.zygote import Channel

__all__ = ["Fate", "arm_later", "rehearse", "run", "serve"]

_HOLD_S = 10.0


class Fate:
    """What this one process is about; every hook looks here."""

    doom: Doom
    server: Server
    hold: dict[str, str]
    accepted_until_ms = 0
    rid = ""


def _is_subject(row: OrderRow) -> bool:
    named = (row.client_order_id or "").startswith(f"{SUBJECT}-")
    return named or (row.op == "OPEN" and f'"{SUBJECT}"'.encode() in row.body)


class DoomedJournal(Journal):
    """Knows what the transaction that is open is about."""

    _stages: list[str]

    def __init__(self, path: Path) -> None:
        self._stages = []
        super().__init__(path)
        Fate.doom.at("opened")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._stages = []
        with super().transaction():
            yield
            stages = self._stages
            for stage in stages:
                Fate.doom.at(f"{stage} commits")
        for stage in stages:
            Fate.doom.at(f"{stage} committed")

    def _begin(self, *stages: str) -> None:
        for stage in stages:
            Fate.doom.at(f"{stage} begins")
        self._stages += stages

    def append(self, record: Record) -> None:
        if record.kind == "START":
            self._begin("start")
        super().append(record)

    def insert(self, row: OrderRow, kind: str, data: dict[str, str] | None = None) -> None:
        if kind == "FENCE":
            self._begin("fence")
        elif row.op == "FLATTEN":
            self._begin("parent")
        elif _is_subject(row):
            Fate.rid = row.rid
            both = row.state is OrderState.DISPATCHING
            self._begin("j1", *(["j2"] if both else []))
        super().insert(row, kind, data)
        if _is_subject(row):
            Fate.accepted_until_ms = row.deadline_ms

    def change(
        self, row: OrderRow, to: Change, reply: Callable[[OrderView], Frames] | None = None
    ) -> OrderRow:
        if to.state is OrderState.UNKNOWN:
            self._begin("unknown")
        elif to.state in FINAL_STATES and (row.parent or row.op == "FLATTEN"):
            self._begin("child" if row.parent else "done")
        elif _is_subject(row):
            self._begin("j3" if to.state in FINAL_STATES else "j2")
        return super().change(row, to, reply)


class DoomedPaper(PaperBackend):
    """Dies before, during or after the act."""

    def execute(self, submission: Submission) -> Outcome:
        said = submission.body.comment if isinstance(submission.body, Open) else ""
        if said == SUBJECT:
            Fate.doom.at("call")
        if said in Fate.hold:
            _hold(Fate.hold[said])
        self._ours = said == SUBJECT
        outcome = super().execute(submission)
        if self._ours:
            Fate.doom.at("answered")
        return outcome

    def _commit(self, *given: Any) -> Outcome:
        if self._ours:
            Fate.doom.at("act")
        outcome = super()._commit(*given)
        if self._ours:
            Fate.doom.at("did")
        return outcome

    def scan(self, since_wall_ms: int) -> Scan:
        Fate.doom.at("scan")
        return super().scan(since_wall_ms)


def _hold(until: str) -> None:
    end = time.monotonic() + _HOLD_S
    while until == "never" or (not _holds(until) and time.monotonic() < end):
        time.sleep(0.002)


def _holds(until: str) -> bool:
    if until == "accepted":
        return Fate.accepted_until_ms > 0
    if until == "expired":
        late_ms = time.time_ns() // 1_000_000 - 50
        return 0 < Fate.accepted_until_ms < late_ms
    return Fate.server.context.journal.path.with_name(HALTED_FILE).exists()


def _watch(server: Server) -> None:
    """Say when it takes entries, and meet the place after the final reply."""
    service, transport = server.service, server.context.transport
    turn, send = service.turn, transport.send
    said: list[bool] = []

    def watched_turn(timeout_ms: int) -> None:
        turn(timeout_ms)
        shot = server.context.snapshot
        if not said and not service.settlement._recovering and shot is not None and shot.quotes:
            said.append(True)
            Fate.doom.at("ready")
            Fate.doom.channel.say(word="ready")

    def watched_send(route: bytes, reply: Frames) -> None:
        send(route, reply)
        if Fate.rid and Fate.rid.encode() in reply.token and b":FILLED:" in reply.token:
            time.sleep(0.01)  # ZeroMQ's own thread may have it on the wire by now
            Fate.doom.at("replied")

    service.turn = watched_turn  # type: ignore[method-assign]
    transport.send = watched_send  # type: ignore[method-assign]


def run(given: dict[str, Any], channel: Channel) -> int:
    """Serve until the end; `given` is the plan, with `config` and perhaps `hold`."""

    def paper(settings: ServerSettings, base: Path, clock: Clock, _hop: Hop) -> Backend:
        return DoomedPaper(
            settings.paper, symbols=tuple(settings.allowed_symbols),
            folder=base / settings.state, base=base, clock=clock,
        )  # fmt: skip

    return serve(given, channel, paper)


def arm_later(plan: Path, channel: Channel) -> None:
    """Let a plan come later: it is in the file at SIGUSR1, and `armed` is the answer."""

    def arm(*_: object) -> None:
        Fate.doom.arm(json.loads(plan.read_text("ascii")))
        channel.say(word="armed")

    signal.signal(signal.SIGUSR1, arm)


def rehearse(given: dict[str, Any]) -> None:
    """Do once what each server would do at its start, of an account with the same keys: half of
    the processor's time of a start. Nothing is opened that a child must not have.
    """
    config = Path(given["config"])
    settings = load_settings(config, Overrides())
    wiring._load_keys(settings, config.parent, time.time_ns() // 1_000_000)
    redact("the expression of all secrets is made")
    package_version()
    for kind in _heirs(msgspec.Struct):
        # What msgspec knows of a type is made at its first use, and kept.
        with suppress(TypeError):  # not a type that is ever read
            msgspec.json.Decoder(kind)


def _heirs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for heir in kind.__subclasses__():
        yield heir
        yield from _heirs(heir)


def serve(given: dict[str, Any], channel: Channel, make_backend: BackendMaker) -> int:
    """Serve with any backend until the end; its own places are its maker's affair."""
    Fate.doom = Doom(given, channel)
    Fate.hold = given.get("hold", {})
    config = Path(given["config"])
    settings = load_settings(config, Overrides())
    # mypy: the name is the module's own import, not its export; the hook is the tests' alone.
    vars(wiring)["Journal"] = DoomedJournal
    server = wiring.build_server(settings, config.parent, make_backend=make_backend)
    Fate.server = server
    signal.signal(signal.SIGTERM, lambda *_: server.service.ask_stop())
    _watch(server)
    Fate.doom.at("listening")
    channel.say(word="listening")
    return server.run()
