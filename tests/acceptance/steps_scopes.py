"""Who may ask what: every operation under every key, names that are none, latches, limits."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

import msgspec

from bridge_core.protocol.messages import (
    Cancel,
    Close,
    Fence,
    Flatten,
    GetRange,
    GetStatus,
    Heartbeat,
    Hello,
    Modify,
    Open,
    Query,
    Request,
    Resume,
    Settle,
    Stop,
    encode_body,
)
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose
from bridge_core.protocol.signing import Frames, RequestKeys, mac_input, sign_request
from bridge_server.core import gate
from tests.acceptance.house import StageClient
from tests.acceptance.language import PROTOCOL_MD, says
from tests.acceptance.world import World, words_of
from tests.support.raw_client import close_body, open_body

__all__ = ["body_of", "silent_count"]

WHO: Final = "connector|operator|query|reduce|trade"
_ROW: Final = re.compile(r"^\| ([A-Z_]+) \| `(?:RISK|AUTH)_PASS` \|", re.MULTILINE)
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"


def body_of(op: Op, client: StageClient, world: World) -> Request:
    """Return a legal body of an operation; what it names need not exist."""
    rid, now_ms = secrets.token_hex(16), world.house.clock.true_ms()
    shared: dict[str, object] = {"client_order_id": rid, "client": "raw", "ticket": 1}
    stops = dict.fromkeys(("price", "sl", "tp", "old_sl", "old_tp"), "0")
    pages = {"symbol": "", "from": 0, "to": 0, "first": 0, "count": 0}
    kinds: dict[type[Request], Request] = {
        Hello: Hello(client="raw", version="1", sent=now_ms),
        Query: msgspec.convert(pages, Query),
        GetStatus: GetStatus(rid=rid, client_order_id=""),
        GetRange: GetRange(since=0, first=0, count=1),
        Fence: Fence(rid=rid, inc=client.inc, iat=now_ms, symbol="EURUSD"),
        Stop: Stop(reason="scenario"),
        Heartbeat: Heartbeat(sequence=now_ms),
        Resume: Resume(cause="OPERATOR", reason="scenario"),
        Settle: Settle(rid=rid, status="DENIED", ticket=0, reason="scenario"),
        Modify: msgspec.convert({**shared, **stops, "expiration": 0}, Modify),
        Cancel: msgspec.convert(shared, Cancel),
        Flatten: Flatten(
            client_order_id=rid, client="raw", scope="ALL", symbol="", reason="scenario"
        ),
        Open: open_body(),
        Close: close_body(1),
    }
    return kinds[OPERATIONS[op].body]


def _answered(world: World, who: str, op: Op, body: Request, **changes: object) -> str:
    words = world.ask(world.sign("last", op, body, who, **changes))
    return words if words.startswith("nothing") or "SCOPE" in words else f"answered {words}"


# --- 254, 257, 262: every operation, every scope -----------------------------------------------


@says(rf"the (?P<who>{WHO}) key asks (?P<op>[A-Z_]+)(?: of account (?P<acct>\S+))?")
def asks(world: World, who: str, op: str, acct: str = "") -> str:
    """Ask one operation with a legal body, signed with what this key set has for it."""
    body = body_of(Op(op), world.client(who), world)
    return _answered(world, who, Op(op), body, **({"acct": acct} if acct else {}))


@says(rf"the (?P<who>{WHO}) key asks (?P<op>[A-Z_]+) under the wrong prefix")
def asks_wrong_prefix(world: World, who: str, op: str) -> str:
    """Sign truly, with AUTH_PASS where RISK_PASS belongs, or the other way round."""
    other = {"RISK_PASS": "AUTH_PASS", "AUTH_PASS": "RISK_PASS"}[OPERATIONS[Op(op)].prefix]
    body = body_of(Op(op), world.client(who), world)
    return _answered(world, who, Op(op), body, prefix=other)


@says(rf"the (?P<who>{WHO}) key asks (?P<op>[A-Z_]+) signed with its order key")
def asks_with_order_key(world: World, who: str, op: str) -> str:
    """Sign an operator's operation with the strongest key of a trade set."""
    client = world.client(who)
    parts = client.token(Op(op))
    key = RequestKeys(client.keys.keys[Purpose.ORDER_SRV], Purpose.ORDER_SRV)
    frames = sign_request(parts, encode_body(body_of(Op(op), client, world)), key)
    return world.ask(world.keep("last", frames, who))


# --- 255: names that are none ------------------------------------------------------------------


def _named(client: StageClient, name: bytes, body: bytes) -> Frames:
    # By hand: the product's own signer would not write such a token.
    head = client.token(Op.OPEN).head().replace(b":OPEN:", b":" + name + b":") + b"-:"
    key = client.keys.keys[Purpose.ORDER_SRV]
    mac = hmac.digest(key, mac_input(Purpose.ORDER_SRV, head, body), "sha256")
    return Frames(head + mac.hex().encode("ascii"), body)


def _raw(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


@says(rf"the (?P<who>{WHO}) key asks for an operation named (?P<name>\S+)")
def asks_named(world: World, who: str, name: str) -> str:
    """Ask for an operation by any name at all, under a true MAC."""
    client = world.client(who)
    frames = _named(client, _raw(name), encode_body(open_body()))
    return world.deliver([b"", b"ZTB5", frames.token, frames.body], client)


def silent_count(world: World, client: StageClient, requests: list[Frames], why: str) -> str:
    """Send many requests; return how many of them were dropped for a reason, and not answered."""
    before = client.health().counters.get(f"dropped_{why}", 0)
    for frames in requests:
        client.send(frames)
    # Answered in order: the first reply is HEALTH's, or one of these was answered.
    health = client.health()
    dropped = health.counters.get(f"dropped_{why}", 0) - before
    assert client.receive(0) is None, "one of them was answered"
    return f"{dropped} dropped as {why}"


@says(rf"the (?P<who>{WHO}) key asks for (?P<count>\d+) invented operations")
def asks_invented(world: World, who: str, count: str) -> str:
    """Ask for operations of random names that are none of protocol.md's."""
    client, known = world.client(who), {op.value for op in Op}
    body = encode_body(open_body())
    names: set[str] = set()
    while len(names) < int(count):
        length = 1 + secrets.randbelow(16)
        names.add("".join(secrets.choice(_LETTERS) for _ in range(length)))
        names -= known
    return silent_count(world, client, [_named(client, n.encode(), body) for n in names], "token")


# --- 256: what can be reached ------------------------------------------------------------------


def _listed() -> set[str]:
    return set(_ROW.findall(PROTOCOL_MD.read_text("utf-8")))


def _compared(found: set[str]) -> str:
    odd = found ^ _listed()
    return f"differs in {sorted(odd)}" if odd else "exactly those that protocol.md lists"


@says(r"the operations that the server carries out")
def carried_out(world: World) -> str:
    """Read off the server's own table of names."""
    del world
    assert len(_listed()) > 20, "the table of protocol.md was not found"
    return _compared(set(gate._OPS))


@says(r"the operations that get past the key")
def past_the_key(world: World) -> str:
    """Ask for every name in the server's code, and every attribute of its parts, as an operation.

    Whoever dispatches by name opens each of these; only those of protocol.md may answer.
    """
    running = world.house.running
    client = world.client("trade")
    assert running is not None
    service = running.server.service
    parts = (
        service, service.admin, service.orders, service.settlement, service._answers,
        running.server.context,
    )  # fmt: skip
    inner = {name for part in parts for name in dir(part)}
    names = {word for name in inner for word in (name, name.upper(), name.strip("_").upper())}
    names -= {op.value for op in Op}
    body = encode_body(open_body())
    asked = [_named(client, name.encode(), body) for name in sorted(names) if name]
    silent = silent_count(world, client, asked, "token")
    assert silent == f"{len(asked)} dropped as token", silent
    return _compared({op.value for op in Op if _reaches(world, op)})


def _reaches(world: World, op: Op) -> bool:
    who = "operator" if op in (Op.RESUME, Op.SETTLE) else "trade"
    return _answered(world, who, op, body_of(op, world.client(who), world)).startswith("answered")


# --- 258: latches ------------------------------------------------------------------------------


@says(rf"the (?P<who>{WHO}) key asks to resume (?P<cause>[A-Z_]+)")
def asks_to_resume(world: World, who: str, cause: str) -> str:
    """RESUME, signed with whatever this key set has."""
    return world.ask(world.sign("last", Op.RESUME, Resume(cause=cause, reason="please"), who))


@says(r"the operator resumes (?P<cause>[A-Z_]+)")
def resumes(world: World, cause: str) -> str:
    """RESUME by the operator; HELLO first, as on every connect."""
    operator = world.client("operator")
    operator.hello()
    body = Resume(cause=cause, reason="looked into it")
    answer = operator.do(Op.RESUME, body)
    return words_of(operator.token(Op.RESUME), answer)


@says(rf"the (?P<who>{WHO}) halts the account")
def halts(world: World, who: str) -> str:
    """HALT."""
    return world.ask(world.sign("last", Op.HALT, Stop(reason="scenario"), who))


# --- 259: limits -------------------------------------------------------------------------------


@says(r"sign an order of (?P<volume>\S+) lots whose body also says (?P<field>\S+) = (?P<value>\S+)")
def order_with_more(world: World, volume: str, field: str, value: str) -> str:
    """Add a field to an order's body, under a true MAC."""
    raw = encode_body(open_body(volume=volume))
    more = raw[:-1] + f',"{field}":"{value}"}}'.encode()
    return world.ask(world.sign("last", Op.OPEN, more))


@says(r"the operator edits (?P<key>\S+) from (?P<old>\S+) to (?P<new>\S+)")
def edits(world: World, key: str, old: str, new: str) -> str:
    """Change one value in server.toml."""
    path = world.house.account.config
    text = path.read_text("utf-8")
    changed = re.sub(rf"\b{key} = {re.escape(old)}", f"{key} = {new}", text)
    assert changed != text, f"{key} = {old} is not in {path}"
    path.write_text(changed, "utf-8")
    return "edited"
