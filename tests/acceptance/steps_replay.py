"""Steps that repeat, race and exhaust: copies, threads, floods, journals that went back in time."""

from __future__ import annotations

import secrets
import shutil
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from bridge_core.host.sqlite import open_database
from bridge_core.protocol.chain import GENESIS, link
from bridge_core.protocol.limits import FRAME_TAG
from bridge_core.protocol.messages import Fence, GetRange, GetStatus, Hello, Query, Request
from bridge_core.protocol.operations import Op
from bridge_core.protocol.token import parse_request
from bridge_server.core.replay import ReplayMemory
from tests.acceptance.house import House, StageClient
from tests.acceptance.language import says
from tests.acceptance.steps_bytes import COUNT, all_dropped, times
from tests.acceptance.steps_orders import NAME
from tests.acceptance.world import World
from tests.support.raw_client import Answer, open_body
from tests.support.running import wait_until

_BATCH: Final = 40


# --- races -----------------------------------------------------------------------------------


def _race(racers: list[Callable[[], Answer]]) -> list[Answer]:
    ready = threading.Barrier(len(racers))

    def run(racer: Callable[[], Answer]) -> Answer:
        ready.wait(30)
        return racer()

    with ThreadPoolExecutor(len(racers)) as pool:
        return [one.result(60) for one in [pool.submit(run, racer) for racer in racers]]


def _ended(client: StageClient, answer: Answer) -> str:
    # On a crowded machine an outcome may take longer than the reply wait (protocol.md 9).
    if answer.status == "PENDING":
        wait_until(lambda: client.status(answer.token.rid).subject().final, 30)
        view = client.status(answer.token.rid).subject()
        return f"{view.status} {view.code}"
    return f"{answer.status} {answer.code}"


@says(rf"two threads send the same order at the same moment, {COUNT} times")
def race_copies(world: World, count: str, soak: str = "") -> str:
    """Each order from two sockets at once: one submission, and both are told of it."""
    first, second = world.client(), world.house.extra_client()
    broker = world.house.broker
    number = times(count, soak)
    for _ in range(number):
        frames = first.sign(Op.OPEN, open_body())
        answers = _race([partial(first.ask, frames), partial(second.ask, frames)])
        told = {_ended(first, one) for one in answers}
        begun = broker.begun(answers[0].token.rid)
        if begun != 1 or told != {"FILLED -"}:
            return f"{begun} submissions, told {sorted(told)}"
        _make_room(world, begun=len(broker.ledger))
    return f"one submission each ({number} orders)"


@says(rf"two threads send one client_order_id under two request ids, {COUNT} times")
def race_ids(world: World, count: str, soak: str = "") -> str:
    """The strategy's own id is one order, whoever is faster."""
    first, second = world.client(), world.house.extra_client()
    broker = world.house.broker
    number = times(count, soak)
    for _ in range(number):
        wanted, before = secrets.token_hex(8), len(broker.ledger)
        racers = [partial(one.open, client_order_id=wanted) for one in (first, second)]
        codes = sorted(_ended(first, one) for one in _race([*racers]))
        if len(broker.ledger) != before + 1 or codes != ["DENIED DUPLICATE_ID", "FILLED -"]:
            return f"{len(broker.ledger) - before} submissions, told {codes}"
        _make_room(world, begun=len(broker.ledger))
    return f"one submission each ({number} orders)"


@says(rf"a fence races its order, {COUNT} times")
def race_fence(world: World, count: str, soak: str = "") -> str:
    """Either it is dead and never ran, or its true outcome is known and it ran once."""
    sender, fencer = world.client(), world.house.extra_client()
    broker = world.house.broker
    number, dead = times(count, soak), 0
    for turn in range(number):
        frames = sender.sign(Op.OPEN, open_body())
        token = parse_request(frames.token)
        assert token is not None
        tomb = Fence(rid=token.rid, inc=token.inc, iat=token.iat, symbol="EURUSD")
        racers: list[Callable[[], Answer]] = [
            partial(sender.ask, frames), partial(fencer.do, Op.FENCE, tomb),
        ]  # fmt: skip
        _race(racers if turn % 2 else racers[::-1])
        truth = fencer.do(Op.FENCE, tomb).subject()
        begun = broker.begun(token.rid)
        if (truth.status, begun) not in (("DENIED", 0), ("FILLED", 1)):
            return f"{begun} submissions, and it is {truth.status}"
        dead += truth.status == "DENIED"
        _make_room(world, begun=len(broker.ledger))
    return f"one truth each ({number} orders, {dead} of them dead)"


def _make_room(world: World, *, begun: int) -> None:
    # max_positions is 1000 here: a long race must not end at a limit instead of at its claim.
    if begun % 500 == 0:
        world.house.broker.positions = {}


# --- what was asked once -------------------------------------------------------------------------


def _question(op: Op, world: World) -> Request:
    hello = Hello(client="raw", version="1", sent=world.house.clock.true_ms())
    if op in (Op.HELLO, Op.PING, Op.HEALTH):
        return hello
    if op is Op.GET_STATUS:
        return GetStatus(rid=secrets.token_hex(16), client_order_id="")
    if op in (Op.GET_JOURNAL, Op.GET_LOG):
        return GetRange(since=0, first=0, count=1)
    if op is Op.CHECK:
        return open_body()
    return Query(symbol="", since=0, until=0, first=0, count=0)


@says(rf"ask (?P<op>[A-Z_]+) as (?P<name>{NAME})")
def ask(world: World, op: str, name: str) -> str:
    """Ask a question of replay class memory."""
    return world.ask(world.sign(name, Op(op), _question(Op(op), world)))


# --- floods ----------------------------------------------------------------------------------


@says(r"the server remembers only (?P<count>\d+) request ids")
def small_memory(world: World, count: str) -> None:
    """Give a running server a smaller replay memory, so that a short run can fill it."""
    running = world.house.running
    assert running is not None
    running.server.service._memory = ReplayMemory(int(count))
    world.house.tampered = True  # the next scenario gets another house


@says(rf"ask {COUNT} different questions")
def many_questions(world: World, count: str, soak: str = "") -> str:
    """Ask PING under so many request ids; say how the first and the last were answered."""
    client = world.client()
    codes: list[str] = []
    left = times(count, soak)
    while left:
        batch = [client.sign(Op.PING, _question(Op.PING, world)) for _ in range(min(_BATCH, left))]
        left -= len(batch)
        for frames in batch:
            client.send(frames)
        for _ in batch:
            reply = client.receive()
            assert reply is not None
            status, code = reply.token.split(b":")[6:8]
            codes.append(f"{status.decode()} {code.decode()}".removesuffix(" -"))
    return f"{codes[0]}, at the end {codes[-1]}"


@says(rf"send {COUNT} messages that nobody signed")
def flood_unsigned(world: World, count: str, soak: str = "") -> str:
    """Send requests of the right grammar with fresh request ids and wrong MACs."""
    client = world.client()
    genuine = client.sign(Op.PING, _question(Op.PING, world))
    fields = genuine.token.split(b":")

    def copies() -> list[list[bytes]]:
        made = []
        for _ in range(times(count, soak)):
            fields[5] = secrets.token_hex(16).encode()
            made.append([b"", FRAME_TAG, b":".join(fields), genuine.body])
        return made

    return all_dropped(world, copies())


# --- journals that went back in time -------------------------------------------------------------


def _files(house: House) -> list[Path]:
    return sorted(house.account.state.glob("journal.db*"))


@says(r"the journal is (?P<how>backed up|restored from its backup)")
def backup(world: World, how: str) -> None:
    """Copy the journal of a stopped server, or put an old copy in its place."""
    house = world.house
    house.stop()
    place = house.account.folder / "backup"
    if how == "backed up":
        place.mkdir()
        for path in _files(house):
            shutil.copy2(path, place)
        return
    for path in _files(house):
        path.unlink()
    for path in place.iterdir():
        shutil.copy2(path, house.account.state)
    house.forget_history()


@says(r"the journal is rewritten from its record (?P<first>\d+) on")
def rewrite(world: World, first: str) -> None:
    """Change one record and recompute every hash after it, as its owner could."""
    house = world.house
    house.stop()
    path = house.account.state / "journal.db"
    with closing(open_database(path, exclusive=True)) as db:
        rows = db.execute("SELECT n, record FROM log ORDER BY n").fetchall()
        previous = GENESIS
        for n, record in rows:
            changed = record.replace(b'"ts":1', b'"ts":2', 1) if n == int(first) else record
            previous = link(previous, changed)
            db.execute("UPDATE log SET record = ?, hash = ? WHERE n = ?", (changed, previous, n))
    house.forget_history()


@says(r"the middle of its write-ahead log is damaged")
def damage_wal(world: World) -> None:
    """Flip one bit among the pages that a killed server had committed."""
    wal = world.house.account.state / "journal.db-wal"
    raw = bytearray(wal.read_bytes())
    assert len(raw) > 4096, "nothing was left in the write-ahead log"
    raw[len(raw) // 2] ^= 1
    wal.write_bytes(raw)
    world.house.forget_history()


# --- a recorded connection ------------------------------------------------------------------------


class Recording:
    """A TCP relay that keeps what the client said."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.said = bytearray()
        self._sockets: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            near, _ = self._server.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", self._target))
        self._sockets += [near, far]
        threading.Thread(target=self._pump, args=(near, far, self.said), daemon=True).start()
        self._pump(far, near, bytearray())

    def _pump(self, source: socket.socket, sink: socket.socket, keep: bytearray) -> None:
        try:
            while data := source.recv(65_536):
                keep += data
                sink.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        """End it; both sides see the connection go."""
        for one in self._sockets:
            one.close()


@says(rf"send (?P<which>{NAME}) over a connection that is recorded")
def send_recorded(world: World, which: str) -> str:
    """Send it through a relay that keeps every byte."""
    house = world.house
    world.client()
    recording = Recording(house.account.port)
    world.at_end(recording.close)
    bundle = house.bundle("connector")
    client = StageClient(bundle, f"tcp://127.0.0.1:{recording.port}", house)
    world.at_end(client.close)
    client.inc = house.client().inc
    world.notes["recording"] = recording
    return world.ask(world.get(which), client)


@says(r"the recording is played to the server again")
def play_again(world: World) -> str:
    """Send the recorded bytes from a new TCP connection; say how the server ends it."""
    recording = world.notes["recording"]
    assert isinstance(recording, Recording)
    assert len(recording.said) > 500, "nothing was recorded"
    with socket.create_connection(("127.0.0.1", world.house.account.port)) as raw:
        raw.settimeout(3)
        raw.sendall(bytes(recording.said))
        heard = 0
        try:
            while data := raw.recv(65_536):
                heard += len(data)
        except TimeoutError:
            return "the connection stays"
        except ConnectionError:
            pass
    return "the connection is dropped"
