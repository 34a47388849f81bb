"""Steps about replies that lie: a server with true keys says what it likes.

The lie is always the same: that the order was DENIED. Had it any effect, the strategy would be
told so; what it is told instead is what really happened.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Final

from bridge_client.link import read_clocks
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.keys import derive
from bridge_core.protocol.limits import CLIENT_FRAME_BYTES_MAX, MAC_HEX
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames, mac, sign_reply
from bridge_core.protocol.token import ReplyToken, RequestToken, parse_reply
from tests.acceptance.connectors import connect, connector_of
from tests.acceptance.language import says
from tests.acceptance.liar import Liar
from tests.acceptance.steps_bytes import COUNT, times
from tests.acceptance.world import World
from tests.support.fake_server import Drop, FakeServer, Instead

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
        yield Frames(flip_bit(frames.token, at), frames.body)
    for at in range(8 * len(frames.body)):
        yield Frames(frames.token, flip_bit(frames.body, at))


def flip_bit(raw: bytes, bit: int) -> bytes:
    """Return the bytes with one bit changed."""
    bent = bytearray(raw)
    bent[bit // 8] ^= 1 << (bit % 8)
    return bytes(bent)


def _older(server: FakeServer) -> Frames:
    assert len(server.stored) > 1, "no earlier order was answered"
    return list(server.stored.values())[-2]


_FORGED: Final[dict[str, Forge]] = {
    "a denial under the true key": lambda s, t, r: [_lie(s, t)],
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


@says(rf"it got the last {_OPS}")
def got(world: World, op: str) -> str:
    """Whether the last request of a kind came once, or more than once with identical bytes."""
    copies = [frames for one, frames in liar_of(world).seen if one == Op(op)]
    rid = copies[-1].token.split(b":")[5]
    same = [frames for frames in copies if frames.token.split(b":")[5] == rid]
    if len(set(same)) > 1:
        return "with other bytes"
    return "once" if len(same) == 1 else "again with the same bytes"


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
