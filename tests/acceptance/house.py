"""One account with its server and its clients, over real sockets, with a record of what was said.

The server runs in a thread of this process with a scripted broker and a clock of the scenario's,
or as a process of its own with the paper broker, which can be killed. Every request that a client
signs and every bound answer it gets is kept for the oracles.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import zmq

from bridge_client.evidence import signed_rows
from bridge_core.host import sockets
from bridge_core.host.bundles import Bundle, load_bundle
from bridge_core.host.ledger import LedgerLine, SignedOrder, read_ledger
from bridge_core.protocol.chain import GENESIS, ChainFault, Head, verify_range
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.messages import GetRange, Request, decode_body
from bridge_core.protocol.operations import OPERATIONS, Op, ReplayClass
from bridge_core.protocol.replies import (
    HelloReply,
    JournalPage,
    LogPage,
    OrderView,
    StatusReply,
    decode_reply,
)
from bridge_core.protocol.signing import Frames, request_hash
from bridge_core.protocol.token import ReplyToken, RequestToken, parse_request
from bridge_server.record import verify_file
from tests.acceptance.broker import LedgerBroker
from tests.acceptance.clocks import StageClock
from tests.support.oracles import Evidence, Told, journal_evidence
from tests.support.raw_client import Answer, RawClient
from tests.support.running import Account, Process, Running, make_account, wait_until

__all__ = ["House", "Recorder", "StageClient", "take_journal"]

# What a test sends in a minute, a strategy sends in a day.
FAST: Final = "\n".join(
    f"rates.{lane}_per_s = 1000000" for lane in ("entry", "account_entry", "reduce", "settle")
)
_LEDGER: Final = "ledger.jsonl"
# A server in a thread waits for its doorkeeper's turn when it ends; hundreds of them end here.
vars(sockets)["_ZAP_POLL_MS"] = 10
_PATIENCE_S: Final = 10.0
# So long a step of the clock waits for a look, and so old may it be.
_LOOK_S: Final = 1.0
_NEW_MS: Final = 500


class Recorder:
    """What was signed (the first bytes of each rid), what was told, and the heads shown."""

    def __init__(self) -> None:
        self.signed: dict[str, SignedOrder] = {}
        self.first: dict[str, str] = {}
        self.told: list[Told] = []
        self.heads: list[Head] = []

    def sign(self, frames: Frames) -> None:
        """Keep an order's signed bytes as the truth about its rid, unless it has one."""
        token = parse_request(frames.token)
        if token is None or token.rid in self.first:
            return
        spec = OPERATIONS[Op(token.op)]
        if spec.replay is not ReplayClass.JOURNAL:
            return
        self.first[token.rid] = request_hash(frames)
        body = decode_body(spec.body, frames.body)
        if body is not None:
            self.signed[token.rid] = SignedOrder(Op(token.op), token.iat, token.ttl, body)

    def hear(self, request: Frames, answer: Answer) -> None:
        """Keep what an authenticated answer says of an order, and the head it shows."""
        token = answer.token
        self.heads.append(Head(token.log_size, bytes.fromhex(token.log_head)))
        asked = parse_request(request.token)
        if asked is None:
            return
        if asked.op in (Op.GET_STATUS, Op.FENCE):
            if token.status in ("OK", "UNKNOWN"):
                order = decode_reply(StatusReply, answer.body).order
                self.told.append(Told(order.rid, order))
        elif OPERATIONS[Op(asked.op)].replay is ReplayClass.JOURNAL and self._own(token):
            self.told.append(Told(token.rid, _view(answer)))

    def _own(self, token: ReplyToken) -> bool:
        # An answer to other bytes under this rid says nothing about the order itself.
        return self.first.get(token.rid) == token.req_hash and token.code != "CONFLICT"

    def forget_history(self) -> None:
        """Begin anew: the scenario itself took the server's past away."""
        self.told.clear()
        self.heads.clear()


def _view(answer: Answer) -> OrderView:
    token = answer.token
    try:
        view = answer.order()
    except RemoteProtocolError:
        view = OrderView(rid=token.rid)
    final = token.status not in ("PENDING", "UNKNOWN")
    fields = {**{name: getattr(view, name) for name in view.__struct_fields__}}
    return OrderView(**{**fields, "status": token.status, "code": token.code, "final": final})


class StageClient(RawClient):
    """A raw client on the scenario's clock; the recorder keeps what it signs and hears."""

    def __init__(
        self, bundle: Bundle, endpoint: str, house: House, *, curve: Bundle | None = None
    ) -> None:
        super().__init__(bundle, endpoint, curve=curve)
        self._house = house
        # A key that the server no longer knows gets no answer to anything.
        self.mute = False

    def token(self, op: Op, **changes: object) -> RequestToken:
        """Return an unsigned token: entries by our own clock, the rest by the server's."""
        clock = self._house.clock
        iat = clock.true_ms() if op in (Op.OPEN, Op.CHECK) else clock.wall_ms()
        return super().token(op, **{"iat": iat, **changes})

    def sign(self, op: Op, body: Request | bytes, **changes: object) -> Frames:
        """Return signed frames, kept as what was signed under their rid."""
        frames = super().sign(op, body, **changes)
        self._house.recorder.sign(frames)
        return frames

    def send(self, frames: Frames, *, patience_s: float = _PATIENCE_S) -> None:
        """Send without waiting for an answer; a slow machine may take its time to connect."""
        super().send(frames, patience_s=patience_s)

    def send_parts(self, *parts: bytes) -> None:
        """Send exactly these parts; a connection that is not there yet is waited for."""
        for _ in range(int(_PATIENCE_S * 100)):
            try:
                super().send_parts(*parts)
            except zmq.Again:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError("no connection")

    def check(self, request: Frames, reply: Frames) -> Answer:
        """Return a reply as a bound answer, kept as what was told."""
        answer = super().check(request, reply)
        self._house.recorder.hear(request, answer)
        return answer


class House:
    """An account's folder with the server that lives in it, and its clients."""

    def __init__(self, folder: Path, *, extra: str = "", paper: bool = False) -> None:
        self.account: Account = make_account(folder, extra=f"{FAST}\n{extra}")
        self.clock = StageClock()
        self.broker = LedgerBroker(self.clock)
        self.recorder = Recorder()
        self.paper = paper
        self.process: Process | None = None
        self.running: Running | None = None
        self.tampered = False
        self.revoked: set[str] = set()
        # Journals of connectors: what they signed, and what their strategies were told.
        self.journals: list[Path] = []
        self._clients: dict[str, StageClient] = {}
        self._old: set[str] = set()
        self._seen: set[str] = set()
        self._verified = Head(0, GENESIS)
        self._hashes: dict[int, bytes] = {0: GENESIS}

    # --- the server ----------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether its server runs."""
        if self.process is not None:
            return self.process.exit_code is None
        return self.running is not None and self.running.alive

    def start(self) -> None:
        """Start the server.

        Raises:
            ConfigError: what keeps it from starting.
        """
        if self.paper:
            self.process = Process(self.account)
        else:
            self.running = Running(self.account, self.broker, self.clock)
            self.running.__enter__()

    def ready(self) -> StageClient:
        """Return the connector's client once the server takes entries; starts it if need be."""
        if not self.alive:
            self.start()
        if self.process is not None and "connector" not in self._clients:
            self.process.client().close()
        client = self.client("connector")
        wait_until(lambda: client.hello().state == "ACTIVE", 15)
        return client

    def client(self, who: str = "connector") -> StageClient:
        """Return the client of a bundle (connector, operator, query, reduce, trade)."""
        if who not in self._clients:
            self._clients[who] = self.extra_client(who)
        return self._clients[who]

    def extra_client(self, who: str = "connector", *, curve: str = "") -> StageClient:
        """Return another client of a bundle, with the CURVE identity of another if named.

        Only the first says HELLO; the others are told the incarnation, since not all may ask.
        """
        bundle = self.bundle(who)
        other = self.bundle(curve) if curve else None
        endpoint = f"tcp://127.0.0.1:{self.account.port}"
        client = StageClient(bundle, endpoint, self, curve=other)
        client.mute = bundle.kid in self.revoked
        known = self._clients.get("connector")
        if known is not None:
            client.inc = known.inc
        else:
            client.hello()
        self._clients.setdefault(f"{who} {len(self._clients)}", client)
        return client

    def bundle(self, who: str) -> Bundle:
        """Return a bundle's keys."""
        return load_bundle(self.account.bundle(who) / "keys" / "connector.key")

    def close_clients(self) -> None:
        """Close every client."""
        for client in set(self._clients.values()):
            client.close()
        self._clients.clear()

    def stop(self) -> None:
        """End the server as SIGTERM does; the folder and the broker stay."""
        self.close_clients()
        if self.running is not None:
            running, self.running = self.running, None
            running.stop()
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.finish()
            process.kill()

    def kill(self) -> None:
        """SIGKILL the server's process."""
        assert self.process is not None, "a thread cannot be killed: say `a server process`"
        self.close_clients()
        self.process.kill()
        self.process = None

    def restart(self) -> StageClient:
        """Stop, start, and return the connector's client once entries are taken again."""
        self.stop()
        self.start()
        return self.ready()

    # --- what the oracles ask ------------------------------------------------------------------

    def lines(self) -> list[LedgerLine]:
        """Return the broker's ledger."""
        if not self.paper:
            return list(self.broker.lines)
        path = self.account.state / _LEDGER
        return read_ledger(path) if path.exists() else []

    def forget_history(self) -> None:
        """Say that the scenario took the server's past away: its heads no longer bind."""
        self.tampered = True
        self.recorder.forget_history()
        self._verified, self._hashes = Head(0, GENESIS), {0: GENESIS}

    def evidence(self, since_ms: int = 0) -> Evidence:
        """Return what the oracles need: from the live server, else from the files it left."""
        rows: Mapping[str, OrderView]
        alarms: frozenset[str] = frozenset({"STOPPED"})
        log: Head | ChainFault
        if self.alive:
            client = self.client("connector")
            # A clock that was set back dates rows before the scenario's own beginning.
            since_ms = 0 if self.clock.was_set else since_ms
            rows = {one.rid: one for one in _rows(client, since_ms) if one.rid not in self._old}
            self._seen = set(rows)
            log = self._read_log(client)
            alarms = frozenset(one.cause for one in client.hello().causes)
        else:
            rows, log, self._hashes = journal_evidence(self.account.state / "journal.db")
        signed, told = dict(self.recorder.signed), list(self.recorder.told)
        for path in self.journals:
            take_journal(path, signed, told)
        return Evidence(
            acct=self.account.folder.name, signed=signed, lines=self.lines(), told=told, rows=rows,
            whole=not self.tampered, alarms=alarms, heads=self.recorder.heads, log=log,
            hashes=self._hashes,
        )  # fmt: skip

    def _read_log(self, client: StageClient) -> Head | ChainFault:
        while True:
            first = self._verified.size + 1
            answer = client.do(Op.GET_LOG, GetRange(since=0, first=first, count=0))
            page = decode_reply(LogPage, answer.body)
            rows = [(row.n, row.record.encode(), bytes.fromhex(row.hash)) for row in page.rows]
            found = verify_range(self._verified, rows)
            if isinstance(found, ChainFault):
                return found
            self._hashes.update((n, digest) for n, _, digest in rows)
            self._verified = found
            if found.size >= page.size:
                return found

    def audit(self) -> None:
        """Recompute the record of the stopped server from its file; fails if it does not hold."""
        path = self.account.state / "journal.db"
        if self.alive or self.tampered or not path.exists():
            return
        found = verify_file(path)
        assert isinstance(found, Head), f"S7 broken by record {found.n}: {found.why}"
        assert found.size >= self._verified.size, f"S7 broken: {found.size} records are left"

    def pass_time(self, ms: int = 0) -> None:
        """Let time pass on every clock; the server looks at its terminal meanwhile, as it would."""
        self.clock.advance(ms)
        until = time.monotonic() + _LOOK_S
        while self._looks() and time.monotonic() < until:
            time.sleep(0.002)

    def _looks(self) -> bool:
        """Return whether a terminal that answers is still to be looked at since the clock moved."""
        if self.running is None or not self.running.alive or not self.broker.connected:
            return False
        shot = self.running.server.context.snapshot
        age_ms = self.clock.wall_ms() - shot.taken_wall_ms if shot is not None else 0
        return not -_NEW_MS < age_ms < _NEW_MS

    def settled(self) -> bool:
        """Return whether nothing is on its way any more."""
        state = self.client("connector").health()
        return not state.open_orders

    def fit_to_reuse(self) -> bool:
        """Return whether the next scenario may begin in this house."""
        if not self.alive or self.paper or self.tampered or self.revoked or self.clock.set_ms:
            return False
        if self.broker.plan or not self.broker.connected:
            return False
        found: HelloReply = self.client("connector").hello()
        return found.state == "ACTIVE" and not found.causes

    def tidy(self) -> None:
        """Make room for the next scenario: no positions, full buckets, an empty record."""
        self.broker.positions, self.broker.orders = {}, {}
        self.broker.turn_the_page()
        self._old |= self._seen
        self.pass_time(3_000)
        self.recorder = Recorder()


def take_journal(path: Path, signed: dict[str, SignedOrder], told: list[Told]) -> None:
    """Add what a connector signed, and each final outcome that it told, from its journal."""
    for row in signed_rows(path):
        signed.setdefault(row.rid, row.order)
        if row.view.final:
            told.append(Told(row.rid, row.view))


def _rows(client: StageClient, since_ms: int) -> list[OrderView]:
    found: list[OrderView] = []
    while True:
        answer = client.do(Op.GET_JOURNAL, GetRange(since=since_ms, first=len(found), count=0))
        page = decode_reply(JournalPage, answer.body)
        found += page.orders
        if len(found) >= page.total or not page.orders:
            return found
