"""Too much of everything: frames, messages, questions, orders, log lines; and what it costs."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import zmq

from bridge_core.host.sockets import ClientSocketSpec, client_socket
from bridge_core.protocol import limits
from bridge_core.protocol.messages import Hello
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames, request_hash
from bridge_core.protocol.token import parse_reply
from tests.acceptance.house import StageClient
from tests.acceptance.language import says
from tests.acceptance.middle import Middle, greeting, long_header
from tests.acceptance.world import World
from tests.support.raw_client import open_body
from tests.support.running import wait_until

__all__ = ["answers_to", "memory_bytes"]

WHO: Final = "connector|operator|query|reduce|trade"
_MB: Final = 1024 * 1024
_QUIET_MS: Final = 150


# --- memory --------------------------------------------------------------------------------------


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    statm = Path(f"/proc/{pid}/status")
    if statm.exists():
        found = re.search(r"VmRSS:\s+(\d+) kB", statm.read_text("ascii"))
        assert found is not None
        return int(found[1]) * 1024
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024


def _pid(world: World) -> int:
    process = world.house.process
    assert process is not None, "say `a server process`"
    return process._process.pid


@says(r"the server's memory is noted")
def note_memory(world: World) -> None:
    """Remember how large the server is, once it has served a little."""
    client = world.client()
    for _ in range(20):
        client.ping()
    world.notes["memory"] = memory_bytes(_pid(world))


@says(r"the server's memory stays within (?P<bound>\d+) MB of that")
def memory_within(world: World, bound: str) -> str:
    """Compare with what was noted."""
    before = world.notes["memory"]
    assert isinstance(before, int)
    grown = memory_bytes(_pid(world)) - before
    return "yes" if grown < int(bound) * _MB else f"no: {grown / _MB:.1f} MB more"


# --- 117, 118: frames ----------------------------------------------------------------------------


def _put(client: StageClient, parts: list[bytes]) -> None:
    for _ in range(300):
        try:
            client.send_parts(*parts)
        except zmq.Again:
            time.sleep(0.01)
        else:
            return
    raise TimeoutError("no connection")


@says(r"a client sends (?P<count>\d+) frames of (?P<size>\d+) bytes")
def sends_frames(world: World, count: str, size: str) -> str:
    """Send messages whose body is too large, each over a connection of its own."""
    body, ended, answered = b"x" * int(size), 0, False
    for _ in range(int(count)):
        client = world.house.extra_client()
        monitor = client._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        _put(client, [b"", limits.FRAME_TAG, b"token", body])
        ended += bool(monitor.poll(3_000) and monitor.recv_multipart())
        answered = answered or client.receive(20) is not None
        client._socket.disable_monitor()
        monitor.close(0)
    return f"{'an' if answered else 'not one'} answer, {ended} connections ended"


@says(r"a stranger announces a frame of (?P<size>\d+) bytes")
def announces(world: World, size: str) -> str:
    """Greet properly, then promise more than anybody may send."""
    with socket.create_connection(("127.0.0.1", world.house.account.port)) as peer:
        peer.sendall(greeting())
        peer.settimeout(3)
        with contextlib.suppress(ConnectionError):
            got = b""
            while len(got) < 64:
                got += peer.recv(64 - len(got))
            peer.sendall(long_header(int(size), command=True) + b"x" * 100)
            while peer.recv(4096):
                pass
    return "cut off"


@says(r"somebody on the wire announces one of (?P<size>\d+) bytes inside a client's connection")
def injects(world: World, size: str) -> str:
    """Put the header of a huge frame into a connection that CURVE has opened."""
    house = world.house
    with Middle(house.account.port) as middle:
        client = StageClient(house.bundle("connector"), f"tcp://127.0.0.1:{middle.port}", house)
        try:
            client.hello()
            middle.inject(long_header(int(size)) + b"x" * 100)
            wait_until(lambda: middle.ended > 0, 12)
        finally:
            client.close()
    return "cut off"


@says(rf"the (?P<who>{WHO}) key sends a token of (?P<token>\d+) and a body of (?P<body>\d+) bytes")
def sends_sizes(world: World, who: str, token: str, body: str) -> str:
    """Send the largest frames that are read."""
    parts = [b"", limits.FRAME_TAG, b"x" * int(token), b"y" * int(body)]
    return world.deliver(parts, world.client(who))


_FILLING: Final = {"empty": b"", "one-byte": b"x", "hundred-byte": b"x" * 100}


@says(r"a client sends a message of (?P<count>\d+) (?P<filling>[a-z-]+) frames")
def sends_many_frames(world: World, count: str, filling: str) -> str:
    """Send one message of very many parts."""
    client = world.house.extra_client()
    _put(client, [_FILLING[filling]] * int(count))
    assert client.ping().status == "OK"
    return "no answer" if client.receive(20) is None else "an answer"


# --- 122, 123: who does not read -----------------------------------------------------------------


def _hello(world: World) -> Hello:
    return Hello(client="raw", version="1", sent=world.house.clock.true_ms())


@says(r"a slow client asks (?P<count>\d+) questions and takes (?P<rate>\d+) bytes? a second")
def slow_client(world: World, count: str, rate: str) -> None:
    """Ask through a relay that hands replies over very slowly."""
    house = world.house
    house.ready()
    middle = Middle(house.account.port)
    world.at_end(middle.close)
    client = StageClient(house.bundle("connector"), f"tcp://127.0.0.1:{middle.port}", house)
    world.at_end(client.close)
    client.hello()
    middle.slow = int(rate)
    for _ in range(int(count)):
        client.send(client.sign(Op.HELLO, _hello(world)))


@says(r"every other client's order is answered")
def others_answered(world: World) -> str:
    """Trade with another client."""
    client = world.client("trade")
    done = [client.open().status for _ in range(20)]
    return f"{done.count('FILLED')} FILLED"


@says(r"a client that never reads asks (?P<count>\d+) questions and buys EURUSD 0\.01 as unread")
def never_reads(world: World, count: str) -> None:
    """Ask much, read nothing."""
    client = world.house.extra_client()
    for number in range(int(count)):
        with contextlib.suppress(TimeoutError):
            client.send(client.sign(Op.HELLO, _hello(world)), patience_s=1.0)
        if number == int(count) // 2:
            frames = client.sign(Op.OPEN, open_body())
            client.send(frames)
            world.keep("unread", frames)


# --- 126: too fast -------------------------------------------------------------------------------


@says(r"a fresh server that takes (?P<count>\d+) (?P<lane>entries|questions) a second")
def fresh_with_rate(world: World, count: str, lane: str) -> str:
    """Start a server with a rate of its own."""
    house = world.fresh()
    key = {"entries": "entry", "questions": "settle"}[lane]
    path = house.account.config
    wanted = f"rates.{key}_per_s = {count}\n"
    text, changed = re.subn(rf"rates\.{key}_per_s = \d+\n", wanted, path.read_text("utf-8"))
    assert changed == 1, "the house sets its rates in another way"
    path.write_text(text, "utf-8")
    return house.ready().hello().state


def answers_to(client: StageClient, asked: list[Frames]) -> list[str]:
    """Send requests as fast as the socket takes them; return each bound answer's words."""
    waiting = {request_hash(one): one for one in asked}
    found: list[str] = []

    def take(timeout_ms: int) -> None:
        reply = client.receive(timeout_ms)
        while reply is not None:
            token = parse_reply(reply.token)
            assert token is not None
            request = waiting.pop(token.req_hash, None)
            if request is not None:
                answer = client.check(request, reply)
                found.append(f"{answer.status} {answer.code}".removesuffix(" -"))
            reply = client.receive(0)

    for one in asked:
        client.send(one)
        take(0)
    until = time.monotonic() + 15
    while waiting and time.monotonic() < until:
        take(200)
    assert not waiting, f"{len(waiting)} were never answered"
    return found


def _mostly(found: list[str]) -> str:
    common = max(set(found), key=found.count)
    assert found.count(common) > len(found) * 0.9, {one: found.count(one) for one in set(found)}
    return common


@says(r"the connector sends (?P<count>\d+) buys of EURUSD 0\.01 within a second")
def sends_buys(world: World, count: str) -> str:
    """Send orders far beyond the rate; say what most of them were told."""
    client = world.client()
    asked = [client.sign(Op.OPEN, open_body()) for _ in range(int(count))]
    return _mostly(answers_to(client, asked))


@says(r"the connector asks (?P<count>\d+) questions within a second")
def asks_questions(world: World, count: str) -> str:
    """Ask far beyond the rate; say what most of it was told."""
    client = world.client()
    asked = [client.sign(Op.HEALTH, _hello(world)) for _ in range(int(count))]
    return _mostly(answers_to(client, asked))


@says(r"the broker began fewer than (?P<count>\d+) entries")
def began_fewer(world: World, count: str) -> str:
    """Count what reached the broker."""
    begun = sum(one.phase == "begin" and one.op == "OPEN" for one in world.house.lines())
    return "yes" if begun < int(count) else f"no: {begun}"


# --- 131, 132: routing ids -----------------------------------------------------------------------


def _with_routing_id(world: World, who: str, name: str) -> StageClient:
    house = world.house
    endpoint = f"tcp://127.0.0.1:{house.account.port}"
    client = StageClient(house.bundle(who), endpoint, house)
    client._socket.close(0)
    spec = ClientSocketSpec(
        keys=client.bundle.curve(), server_public=client.bundle.server_public.encode("ascii"),
        max_frame_bytes=limits.CLIENT_FRAME_BYTES_MAX,
    )  # fmt: skip
    client._socket = client_socket(client._context, zmq.DEALER, spec)
    client._socket.setsockopt(zmq.ROUTING_ID, name.encode("ascii"))
    client._socket.connect(endpoint)
    world.at_end(client.close)
    return client


@says(rf"the connector and then the (?P<who>{WHO}) take the routing id `(?P<name>\w+)`")
def take_routing_id(world: World, who: str, name: str) -> None:
    """Let a second client, allowed but not the same, claim the first one's way back."""
    world.client()
    first = _with_routing_id(world, "connector", name)
    first.hello()
    world.notes["first"], world.notes["second"] = first, _with_routing_id(world, who, name)


@says(r"the (?P<which>first|second) sends HEALTH under that routing id")
def sends_health(world: World, which: str) -> str:
    """Ask, and listen for a moment."""
    client = world.notes[which]
    assert isinstance(client, StageClient)
    frames = client.sign(Op.HEALTH, _hello(world))
    try:
        client.send(frames, patience_s=0.3)
    except TimeoutError:
        return "no answer, no connection"
    reply = client.receive(300 if which == "second" else 5_000)
    return "no answer" if reply is None else f"answered {client.check(frames, reply).status}"


@says(r"a client buys EURUSD 0\.01 as orphan while the broker hangs, and is gone before the answer")
def orphan(world: World) -> None:
    """Leave while the order is at the broker."""
    house = world.house
    hang = house.broker.hang()
    client = house.extra_client("trade")
    frames = client.sign(Op.OPEN, open_body())
    client.send(frames)
    hang.wait_entered()
    client.close()
    world.keep("orphan", frames, "trade")
    time.sleep(0.2)
    hang.release()
    rid = world.get("orphan").rid
    wait_until(lambda: house.client().status(rid=rid).subject().final)


@says(r"replies that could not be delivered")
def undelivered(world: World) -> str:
    """Read the server's counter."""
    return str(world.client().health().counters.get("undelivered", 0))
