"""Steps about replies and events that lie: a server with true keys says what it likes.

The lie is always the same: that the order was DENIED. Had it any effect, the strategy would be
told so; what it is told instead is what really happened.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final

from bridge_client import Alert, EventFeed, Resync, Tick
from bridge_client.facts import Fact
from bridge_client.link import read_clocks
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.events import EventBody, event_topic, tick_topic
from bridge_core.protocol.keys import derive
from bridge_core.protocol.limits import CLIENT_FRAME_BYTES_MAX, MAC_HEX
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.replies import OrderView, encode_reply
from bridge_core.protocol.signing import Frames, mac, sign_event, sign_reply
from bridge_core.protocol.token import EventToken, ReplyToken, RequestToken, parse_reply
from tests.acceptance.connectors import connect, connector_of
from tests.acceptance.language import says
from tests.acceptance.liar import Liar
from tests.acceptance.steps_bytes import COUNT, times
from tests.acceptance.world import World
from tests.support.fake_server import ACCT, Drop, FakeServer, Instead
from tests.support.running import wait_until

_HEAR_S: Final = 0.25


# --- the liar and its connector ------------------------------------------------------------------


@says(r"a lying server and its connector(?: with (?P<more>.+))?")
def lying_server(world: World, more: str = "") -> str:
    """Real sockets, true keys, and a strategy that is connected to it."""
    liar = Liar(world.stage.place(), more=more)
    liar.start()
    world.at_end(liar.stop)
    world.notes["liar"] = liar
    made = connect(world, liar.kit.config, read_clocks)
    world.more_evidence.append(liar.evidence)
    return repr(made)


def liar_of(world: World) -> Liar:
    """Return the scenario's liar."""
    liar = world.notes.get("liar")
    assert isinstance(liar, Liar), "no step made a lying server"
    return liar


# --- forged replies ------------------------------------------------------------------------------

Forge = Callable[[FakeServer, RequestToken, Frames], list[Frames]]


def _request(server: FakeServer) -> Frames:
    return server.seen[-1][1]


def _lie(server: FakeServer, token: RequestToken) -> Frames:
    body = OrderView(
        rid=token.rid, op=token.op, status="DENIED", code="MAX_VOLUME", final=True, by="server"
    )
    return server.sign(token, _request(server), "DENIED", "MAX_VOLUME", body)


def _resigned(server: FakeServer, lie: Frames, key: bytes | None = None, **change: str) -> Frames:
    parts = parse_reply(lie.token)
    assert parts is not None
    changed: ReplyToken = parts._replace(**change)  # type: ignore[arg-type]
    return sign_reply(changed, lie.body, key or server.keys.keys[Purpose.REPLY_SRV])


def _other_account_key(server: FakeServer) -> bytes:
    bundle = server.kit.bundle
    root = bytes.fromhex(bundle.root)
    return derive(root, mode=bundle.mode, acct="other", kid=bundle.kid, purpose=Purpose.REPLY_SRV)


def _other_purpose(server: FakeServer, lie: Frames) -> Frames:
    head = lie.token[:-MAC_HEX]
    key = server.keys.keys[Purpose.ORDER_SRV]
    return Frames(head + mac(key, Purpose.ORDER_SRV, head, lie.body).hex().encode(), lie.body)


def _flips(frames: Frames) -> Iterator[Frames]:
    for at in range(8 * len(frames.token)):
        yield Frames(_flip(frames.token, at), frames.body)
    for at in range(8 * len(frames.body)):
        yield Frames(frames.token, _flip(frames.body, at))


def _flip(raw: bytes, bit: int) -> bytes:
    bent = bytearray(raw)
    bent[bit // 8] ^= 1 << (bit % 8)
    return bytes(bent)


def _older(server: FakeServer) -> Frames:
    assert len(server.stored) > 1, "no earlier order was answered"
    return list(server.stored.values())[-2]


_FORGED: Final[dict[str, Forge]] = {
    "a denial without a MAC": lambda s, t, r: [
        Frames(_lie(s, t).token[:-MAC_HEX], _lie(s, t).body),
        Frames(_lie(s, t).token[:-MAC_HEX] + b"-", _lie(s, t).body),
        Frames(_lie(s, t).token[: -MAC_HEX - 1], _lie(s, t).body),
    ],
    "a denial under a MAC of zeros": lambda s, t, r: [
        Frames(_lie(s, t).token[:-MAC_HEX] + b"0" * MAC_HEX, _lie(s, t).body)
    ],
    "a denial under the true reply's MAC": lambda s, t, r: [
        Frames(_lie(s, t).token[:-MAC_HEX] + r.token[-MAC_HEX:], _lie(s, t).body)
    ],
    "a denial under a random key": lambda s, t, r: [_resigned(s, _lie(s, t), random_key())],
    "a denial under the order>srv key": lambda s, t, r: [_other_purpose(s, _lie(s, t))],
    "a denial under the key of account other": lambda s, t, r: [
        _resigned(s, _lie(s, t), _other_account_key(s))
    ],
    "a denial that names account other": lambda s, t, r: [_resigned(s, _lie(s, t), acct="other")],
    "a denial that names another key id": lambda s, t, r: [_resigned(s, _lie(s, t), kid="c2")],
    "a denial of other request bytes": lambda s, t, r: [
        _resigned(s, _lie(s, t), req_hash=secrets.token_hex(32))
    ],
    "a denial of another request id": lambda s, t, r: [
        _resigned(s, _lie(s, t), rid=secrets.token_hex(16))
    ],
    "its own request back": lambda s, t, r: [_request(s)],
    "the reply to an earlier order": lambda s, t, r: [_older(s)],
    "the reply to an earlier order under its own request id": lambda s, t, r: [
        _resigned(s, _older(s), rid=t.rid)
    ],
    "the true body under the denial's token": lambda s, t, r: [Frames(_lie(s, t).token, r.body)],
    "a denial's body under the true token": lambda s, t, r: [Frames(r.token, _lie(s, t).body)],
    "the true reply, each bit flipped once": lambda s, t, r: list(_flips(r)),
    "an empty reply": lambda s, t, r: [Frames(b"", b""), Frames(r.token, b""), Frames(b"", r.body)],
}  # fmt: skip

_OPS: Final = r"(?P<op>[A-Z_]+)"


@says(rf"before its true reply to the next {_OPS} it sends (?P<what>{'|'.join(_FORGED)})")
def lie_first(world: World, op: str, what: str) -> None:
    """Let a forgery arrive, then the truth."""
    forge = _FORGED[what]
    liar_of(world).fault(Op(op), Instead(lambda s, t, r: [*forge(s, t, r), r]))


@says(rf"instead of its reply to the next {_OPS} it sends (?P<what>{'|'.join(_FORGED)})")
def lie_instead(world: World, op: str, what: str) -> None:
    """Let a forgery arrive, and the truth get lost."""
    liar_of(world).fault(Op(op), Instead(_FORGED[what]))


@says(rf"it answers the next OPEN with {COUNT} forged denials and loses every true reply")
def flood_of_denials(world: World, count: str, soak: str = "") -> None:
    """Forge so many, and lose the replies to all copies."""
    number = times(count, soak)

    def forge(server: FakeServer, token: RequestToken, _: Frames) -> list[Frames]:
        lie = _lie(server, token)
        return [_resigned(server, lie, random_key()) for _ in range(number)]

    liar_of(world).fault(Op.OPEN, Instead(forge), Drop(), Drop(), Drop(), Drop())


@says(rf"its reply to the next {_OPS} names another incarnation")
def other_incarnation(world: World, op: str) -> None:
    """Sign a true reply as another run of the server would."""
    liar_of(world).fault(Op(op), Instead(lambda s, t, r: [_resigned(s, r, inc="ab" * 8)]))


@says(rf"its reply to the next {_OPS} is larger than any reply may be")
def too_large(world: World, op: str) -> None:
    """Sign a true reply with a body beyond the bound."""

    def forge(server: FakeServer, token: RequestToken, reply: Frames) -> list[Frames]:
        parts = parse_reply(reply.token)
        assert parts is not None
        body = reply.body[:-1] + b" " * CLIENT_FRAME_BYTES_MAX + b"}"
        return [sign_reply(parts, body, server.keys.keys[Purpose.REPLY_SRV])]

    liar_of(world).fault(Op(op), Instead(forge))


@says(rf"it tells the time (?P<count>\d+) s wrong in a forged reply to the next {_OPS}")
def false_time(world: World, count: str, op: str) -> None:
    """Answer with a time that nobody signed, before the true reply."""
    ahead = int(count) * 1000

    def forge(server: FakeServer, token: RequestToken, reply: Frames) -> list[Frames]:
        parts = parse_reply(reply.token)
        assert parts is not None
        lie = parts._replace(time=parts.time + ahead)
        return [sign_reply(lie, reply.body, random_key()), reply]

    liar_of(world).fault(Op(op), Instead(forge))


@says(rf"it was asked {_OPS}")
def asked(world: World, op: str) -> str:
    """How often a request of this kind arrived."""
    count = liar_of(world).count(Op(op))
    return ("never", "once", "twice")[count] if count < 3 else f"{count} times"


@says(rf"it was asked {_OPS} before the next (?P<then>[A-Z_]+)")
def asked_before(world: World, op: str, then: str) -> str:
    """Whether a question stands between the last two requests of a kind."""
    ops = [one for one, _ in liar_of(world).seen]
    places = [n for n, one in enumerate(ops) if one == Op(then)]
    return "yes" if Op(op) in ops[places[-2] : places[-1]] else "no"


@says(r"it executed")
def executed(world: World) -> str:
    """How many orders it really carried out."""
    count = len(liar_of(world).executed)
    return ("nothing", "one", "two")[count] if count < 3 else f"{count}"


@says(r"the connector's view of the server's clock")
def offset(world: World) -> str:
    """Return how far the connector believes the server's clock to be off."""
    bridge = connector_of(world)
    bridge.ping()
    found = bridge._link.offset()
    assert found is not None
    return "right" if abs(found.offset_ms) < 1000 else f"{found.offset_ms} ms off"


# --- events ----------------------------------------------------------------------------------


@says(r"its strategy listens")
def listens(world: World) -> str:
    """Subscribe to the account's events and EURUSD's ticks."""
    feed = connector_of(world).events("EURUSD", timeout=_HEAR_S)
    world.at_end(feed.end)
    world.notes["feed"] = feed
    assert feed.ready()
    return "ready"


def feed_of(world: World) -> EventFeed:
    """Return the strategy's feed."""
    feed = world.notes.get("feed")
    assert isinstance(feed, EventFeed), "nobody listens"
    return feed


def _name(fact: Fact) -> str:
    match fact:
        case Tick():
            return f"tick {fact.exact['bid']}" + (f" after {fact.missed}" if fact.missed else "")
        case Alert():
            return f"{fact.code or 'alert'} {fact.message}".strip()
        case Resync():
            return "resync"
        case _:
            return type(fact).__name__


@says(r"the strategy hears")
def hears(world: World) -> str:
    """Return every event until none comes for a while: `one; two`, or `nothing`."""
    feed = feed_of(world)
    heard: list[str] = []
    while (fact := next(feed)) is not None:
        heard.append(_name(fact))
    return "; ".join(heard) or "nothing"


def _alert(text: str) -> EventBody:
    return EventBody(type="alert", level="info", code="NOTE", message=text)


def _stream(liar: Liar) -> str:
    return f"srv-{liar.inc}"


def _publish(liar: Liar, token: EventToken, body: EventBody, **how: bytes | Purpose) -> None:
    key, purpose = how.get("key", liar.kit.event_key), how.get("purpose", Purpose.EVENT_SRV)
    assert isinstance(key, bytes)
    assert isinstance(purpose, Purpose)
    frames = sign_event(token, encode_reply(body), key, purpose)
    liar._tell.append((event_topic(ACCT), frames))


@says(r"it publishes (?P<texts>[a-z]+(?: and [a-z]+)*)")
def publishes(world: World, texts: str) -> None:
    """Publish events by their words, in order."""
    for text in texts.split(" and "):
        liar_of(world).event(_alert(text))


@says(r"it loses (?P<texts>[a-z]+(?: and [a-z]+)*) on the way")
def loses(world: World, texts: str) -> None:
    """Number events and never send them."""
    for text in texts.split(" and "):
        liar_of(world).event(_alert(text), lose=True)


_FORGED_EVENTS: Final = (
    "under a random key", "under the reply key", "of account other", "of another key id",
    "of the EA's stream", "with a bit of its token flipped", "with a bit of its body flipped",
    "without a MAC",
)  # fmt: skip


@says(rf"it publishes a forgery (?P<how>{'|'.join(_FORGED_EVENTS)})")
def forges_event(world: World, how: str) -> None:
    """Publish an event with the next number that is not what it says."""
    liar = liar_of(world)
    stream, seq = _stream(liar), liar.seqs[_stream(liar)] + 1
    token = EventToken("ev1", ACCT, stream, seq, liar.now_ms())
    true = sign_event(token, encode_reply(_alert("forged")), liar.kit.event_key)
    match how:
        case "under a random key":
            _publish(liar, token, _alert("forged"), key=random_key())
        case "under the reply key":
            _publish(liar, token, _alert("forged"), key=liar.keys.keys[Purpose.REPLY_SRV])
        case "of account other":
            _publish(liar, token._replace(acct="other"), _alert("forged"))
        case "of another key id":
            _publish(liar, token._replace(kid="ev2"), _alert("forged"))
        case "of the EA's stream":
            _publish(liar, token._replace(stream="ea-1", seq=1), _alert("forged"))
        case _:
            liar._tell.append((event_topic(ACCT), _bent(true, how)))


def _bent(true: Frames, how: str) -> Frames:
    if how == "without a MAC":
        return Frames(true.token[:-MAC_HEX] + b"-", true.body)
    if "token" in how:
        return Frames(_flip(true.token, 8 * 30), true.body)
    return Frames(true.token, _flip(true.body, 8 * 40))


@says(r"it publishes (?P<text>[a-z]+) (?P<count>\d+) times over")
def repeats(world: World, text: str, count: str) -> None:
    """Publish the same bytes several times."""
    liar = liar_of(world)
    liar.event(_alert(text))
    liar._tell += [liar._tell[-1]] * (int(count) - 1) if liar._tell else []


@says(r"it publishes number (?P<ahead>\d+) as (?P<text>[a-z]+)")
def numbered(world: World, ahead: str, text: str) -> None:
    """Publish under a number, counted from where the stream stood when the strategy came in."""
    liar = liar_of(world)
    start = world.notes.setdefault("start", liar.seqs[_stream(liar)])
    assert isinstance(start, int)
    seq = start + int(ahead)
    liar.seqs[_stream(liar)] = max(seq, liar.seqs[_stream(liar)])
    _publish(liar, EventToken("ev1", ACCT, _stream(liar), seq, liar.now_ms()), _alert(text))


@says(r"it falls silent")
def silent(world: World) -> None:
    """Publish nothing any more, not even heartbeats."""
    liar_of(world).heartbeats = False


@says(r"it is heard again")
def heard_again(world: World) -> None:
    """Publish heartbeats again."""
    liar_of(world).heartbeats = True


@says(r"within (?P<count>[0-9.]+) s the strategy hears (?P<text>[A-Z_]+)")
def hears_within(world: World, count: str, text: str) -> str:
    """Whether something is heard in time."""
    feed, until = feed_of(world), time.monotonic() + float(count)
    while time.monotonic() < until:
        fact = next(feed)
        if fact is not None and _name(fact).startswith(text):
            return "in time"
    return "not in time"


@says(rf"it floods the strategy with {COUNT} ticks")
def tick_flood(world: World, count: str, soak: str = "") -> None:
    """Publish as fast as it can; nobody reads meanwhile."""
    liar = liar_of(world)
    number = times(count, soak)
    stream = f"tick-{liar.inc}-EURUSD"
    made = []
    for seq in range(1, number + 1):
        body = EventBody(type="tick", symbol="EURUSD", bid=f"1.{seq:06d}", ask="2", time=seq)
        token = EventToken("ev1", ACCT, stream, seq, liar.now_ms())
        frames = sign_event(token, encode_reply(body), liar.kit.event_key)
        made.append((tick_topic(ACCT, "EURUSD"), frames))
    liar.seqs[stream] = number
    world.notes["flood"] = number
    liar._tell += made


@says(r"every tick is heard or counted as missed")
def flood_heard(world: World) -> str:
    """Read what is left of the flood after it ended; the gaps must add up."""
    liar, feed = liar_of(world), feed_of(world)
    number = world.notes["flood"]
    assert isinstance(number, int)
    wait_until(lambda: not liar._tell, 60)
    body = EventBody(type="tick", symbol="EURUSD", bid="9.000000", ask="9.1", time=number + 1)
    heard, missed, last = 0, 0, ""
    while (fact := next(feed)) is not None:
        if isinstance(fact, Tick):
            heard, missed, last = heard + 1, missed + fact.missed, fact.exact["bid"]
    liar.event(body)
    while last != "9.000000" and (fact := next(feed)) is not None:
        if isinstance(fact, Tick):
            heard, missed, last = heard + 1, missed + fact.missed, fact.exact["bid"]
    total = heard + missed
    return "yes" if total == number + 1 else f"{heard} heard, {missed} missed of {number + 1}"
