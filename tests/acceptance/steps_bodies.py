"""Steps about bodies: what is no body although its MAC is true, and what no caller can say."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import Final

import pytest

from bridge_client import link
from bridge_client.session import Identity, Session
from bridge_core.protocol.messages import Open, decode_body, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.tag import Tag, make_tag
from bridge_core.protocol.token import parse_reply
from bridge_server.core.gate import Admitted, authenticate
from tests.acceptance.language import says
from tests.acceptance.steps_bytes import COUNT, signed_anew, times
from tests.acceptance.steps_orders import NAME
from tests.acceptance.world import Signed, World
from tests.support.raw_client import open_body

_HANG_MS: Final = 10.0


# --- one body ----------------------------------------------------------------------------------

# What ASCII cannot show, by name.
_NAMED: Final = {
    "[EMPTY]": b"", "[SPACE]": b" ",
    "[NUL]": b"\0", "[CR]": b"\r", "[LF]": b"\n", "[TAB]": b"\t", "[ESC]": b"\x1b",
    "[DEL]": b"\x7f", "[BOM]": b"\xef\xbb\xbf", "[RLO]": "\u202e".encode(),
    "[ZWJ]": "\u200d".encode(), "[NBSP]": "\u00a0".encode(), "[FULL-E]": "\uff25".encode(),
    "[CYRILLIC-E]": "\u0415".encode(), "[FULL-0]": "\uff10".encode(), "[CUT]": b"\xe2\x82",
    "[OVERLONG]": b"\xc0\xae", "[SURROGATE]": b"\xed\xa0\x80", "[FF]": b"\xff",
}  # fmt: skip


def _bytes(text: str) -> bytes:
    raw = text.encode()
    for name, meant in _NAMED.items():
        raw = raw.replace(name.encode(), meant)
    return raw


def send_body(world: World, one: Signed, body: bytes) -> str:
    """Send a request's token with another body under a true MAC and a request id of its own."""
    fields = one.frames.token.split(b":")
    fields[5] = secrets.token_hex(16).encode()
    frames = signed_anew(world, one, b":".join(fields[:-1]) + b":", body)
    return world.ask(world.keep("bent", frames, one.who))


@says(rf"send (?P<which>{NAME}) with '(?P<old>[^']+)' become '(?P<new>[^']*)' in its body, "
      r"signed anew")  # fmt: skip
def send_body_anew(world: World, which: str, old: str, new: str) -> str:
    """Change the body's text and sign the result with the right key."""
    one = world.get(which)
    found, put = _bytes(old), _bytes(new)
    assert one.frames.body.count(found) == 1, f"not once in the body: {old!r}"
    return send_body(world, one, one.frames.body.replace(found, put))


def _shuffled(body: bytes) -> bytes:
    first, second, *rest = body[1:-1].split(b",")
    return b"{" + b",".join([second, first, *rest]) + b"}"


_WHOLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "with its first two keys exchanged": _shuffled,
    "with a space after each colon": lambda b: b.replace(b":", b": "),
    "with a space before it": lambda b: b" " + b,
    "with a newline after it": lambda b: b + b"\n",
    "with a BOM before it": lambda b: b"\xef\xbb\xbf" + b,
    "with a comment after it": lambda b: b + b"/**/",
    "twice over": lambda b: b + b,
    "in UTF-16": lambda b: b.decode().encode("utf-16"),
    "as a list": lambda b: b"[" + b + b"]",
    "as a string": lambda b: b'"' + b.replace(b'"', b"'") + b'"',
    "as the number 1": lambda b: b"1",
    "as null": lambda b: b"null",
    "as an empty object": lambda b: b"{}",
    "as 2000 nested lists": lambda b: b"[" * 2000 + b"]" * 2000,
    "as 680 nested objects": lambda b: b'{"a":' * 680 + b"1" + b"}" * 680,
    "inside 1300 lists": lambda b: b"[" * 1300 + b + b"]" * 1300,
    "of 4097 bytes": lambda b: b.replace(b'"comment":""', b'"comment":"%s"' % (b"x" * 4097))[:4097],
}


@says(rf"send (?P<which>{NAME}) with its body (?P<how>{'|'.join(_WHOLE)}), signed anew")
def send_whole(world: World, which: str, how: str) -> str:
    """Give the body another form as a whole and sign it with the right key."""
    one = world.get(which)
    return send_body(world, one, _WHOLE[how](one.frames.body))


@says(rf"send (?P<which>{NAME}) cut at every byte of its body, signed anew each time")
def send_cut(world: World, which: str) -> str:
    """Send every beginning of the body under a true MAC."""
    one = world.get(which)
    seen = [send_body(world, one, one.frames.body[:n]) for n in range(len(one.frames.body))]
    odd = [words for words in seen if not words.startswith("DENIED BODY by server")]
    return odd[0] if odd else f"DENIED BODY by server each time ({len(seen)} copies)"


@says(r"decode a body nested (?P<depth>\d+) deep")
def decode_deep(world: World, depth: str) -> str:
    """Give the decoder itself what no request frame could carry."""
    deep = b"[" * int(depth) + b"]" * int(depth)
    begun = time.perf_counter()
    found = [decode_body(Open, deep), decode_body(Open, b'{"client_order_id":' + deep + b"}")]
    took_ms = (time.perf_counter() - begun) * 1000
    assert took_ms < 2 * _HANG_MS, f"{took_ms:.1f} ms"
    return "no body" if found == [None, None] else "a body"


# --- tags ------------------------------------------------------------------------------------


@says(rf"the tags of {COUNT} random request ids")
def many_tags(world: World, count: str, soak: str = "") -> str:
    """Derive the magics and comments of so many orders."""
    dice = random.Random(114)
    number = times(count, soak)
    for _ in range(number):
        rid = f"{dice.getrandbits(128):032x}"
        tag = make_tag("demo", rid)
        good = 0 < tag.mt5_magic(4095) < 2**53 and 0 <= tag.mt4_magic < 2**31
        if not good or tag.usable != (tag.mt4_magic != 0 and tag.mt5_hash != 0):
            return f"rid={rid} tag={tag}"
    return f"fit into a double and into 31 bits ({number} of them)"


@says(r"a request id whose tag would be zero is drawn")
def zero_tag(world: World) -> str:
    """Let the first two draws of a connector have a tag of zero."""
    drawn: list[str] = []

    def zero_at_first(acct: str, rid: str) -> Tag:
        drawn.append(rid)
        tag = make_tag(acct, rid)
        if len(drawn) == 1:
            return tag._replace(mt4_magic=0)
        return tag._replace(mt5_hash=0) if len(drawn) == 2 else tag

    class Dice(link.Link):
        """A link's dice without a link."""

        def __init__(self) -> None:
            bundle = world.house.bundle("connector")
            self.session = Session(Identity(keys=bundle.key_set(), ea=bundle.ea))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link, "make_tag", zero_at_first)
        rid = Dice().new_rid()
    return "drawn again" if rid == drawn[2] and rid not in drawn[:2] else f"used: {drawn}"


@says(rf"the broker shows (?P<which>{NAME})'s comment beginning with its tag")
def shown_comment(world: World, which: str) -> str:
    """Compare what the broker got with the tag of the request id."""
    rid = world.get(which).rid
    acct = world.client().bundle.acct
    begun = next(one for one in world.house.broker.ledger if one.rid == rid)
    tag = make_tag(acct, rid)
    own = begun.comment.startswith(tag.comment) and begun.magic & (2**40 - 1) == tag.mt5_hash
    return "always" if own else f"no: {begun.comment}"


# --- random input ------------------------------------------------------------------------------

_GRAMMAR: Final = (
    b"RISK_PASS", b"AUTH_PASS", b"RISK_ACK", b":", b":5:", b"5", b"trade-1", b"demo", b"OPEN",
    b"HELLO", b"0" * 32, b"0" * 16, b"1" * 13, b"200", b"10000", b"5000", b"-", b"a" * 64, b"\0",
    b"\n", b"=", b"%s", b"{}", b"\xff", b"9" * 20, b"::::", b"e" * 65,
)  # fmt: skip


def _random_token(dice: random.Random, genuine: bytes) -> bytes:
    kind = dice.randrange(4)
    if kind == 0:
        return dice.randbytes(dice.randrange(0, 520))
    if kind == 1:
        return b":".join(dice.choice(_GRAMMAR) for _ in range(dice.randrange(1, 14)))
    fields = genuine.split(b":")
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(fields))
        if kind == 2:
            fields[at] = dice.choice(_GRAMMAR)
        else:
            bent = bytearray(fields[at] or b"0")
            bent[dice.randrange(len(bent))] = dice.randrange(256)
            fields[at] = bytes(bent)
    return b":".join(fields)


@says(rf"give the verifier {COUNT} random requests")
def fuzz_tokens(world: World, count: str, soak: str = "") -> str:
    """Random bytes, shuffled grammar and bent genuine tokens: no crash, no hang, no accept."""
    client, dice = world.client(), random.Random(116)
    one = world.sign("genuine", Op.OPEN, open_body())
    user = client.bundle.curve_public.encode()
    sets = {client.bundle.kid: client.keys}
    slow = 0.0
    for _ in range(times(count, soak)):
        token = _random_token(dice, one.frames.token)
        if token == one.frames.token:
            continue
        begun = time.thread_time()
        found = authenticate(
            Frames(token, one.frames.body), user, sets, client.bundle.acct, one.token.iat
        )
        slow = max(slow, time.thread_time() - begun)
        if isinstance(found, Admitted):
            return f"accepted {token!r}"
        parse_reply(token)
    return _verdict(slow)


def _verdict(slow_s: float) -> str:
    return "nothing accepted" if slow_s * 1000 < _HANG_MS else f"a hang of {slow_s * 1000:.0f} ms"


_PIECES: Final = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"true", b"1e400", b"-0", b"NaN",
    b"0.1", b'"volume"', b'"volume":"0.01"', b'"symbol":"EURUSD"', b'"deviation":20', b"\\u0065",
    b"\xff", b"\0", b" ", b"9" * 30, b'"client_order_id":"x"', b'""', b'"BUY"',
)  # fmt: skip


def _random_body(dice: random.Random, genuine: bytes) -> bytes:
    kind = dice.randrange(3)
    if kind == 0:
        return b"".join(dice.choice(_PIECES) for _ in range(dice.randrange(0, 40)))
    bent = bytearray(genuine)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(bent))
        if kind == 1:
            bent[at] = dice.randrange(256)
        else:
            bent[at : at + dice.randrange(8)] = dice.choice(_PIECES)
    return bytes(bent)


@says(rf"give the decoder {COUNT} random bodies")
def fuzz_bodies(world: World, count: str, soak: str = "") -> str:
    """What is taken for a body encodes to the same bytes again; nothing crashes or hangs."""
    dice = random.Random(117)
    genuine = encode_body(open_body())
    kinds = sorted({spec.body for spec in OPERATIONS.values()}, key=lambda kind: kind.__name__)
    slow, taken = 0.0, 0
    for turn in range(times(count, soak)):
        body = _random_body(dice, genuine)
        kind = Open if turn % 2 else dice.choice(kinds)
        begun = time.thread_time()
        found = decode_body(kind, body)
        slow = max(slow, time.thread_time() - begun)
        if found is not None:
            taken += 1
            if encode_body(found) != body:
                return f"not the one encoding: {body!r}"
    assert taken, "never a legal body: the dice are too wild to prove anything"
    return _verdict(slow).replace("nothing accepted", "one encoding each")
