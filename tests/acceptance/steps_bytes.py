"""Steps that bend bytes: frames, tokens, MACs, keys, bodies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from bridge_core.host.bundles import load_bundle
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.keys import derive, request_purpose
from bridge_core.protocol.limits import FRAME_TAG, MAC_HEX
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.replies import StateReply
from bridge_core.protocol.signing import Frames, mac, mac_input
from tests.acceptance.language import says
from tests.acceptance.steps_orders import NAME, WHO
from tests.acceptance.world import Signed, World, is_drop

COUNT: Final = r"(?P<count>\d+)(?: \((?P<soak>\d+) in soak\))?"
_BATCH: Final = 100


def times(count: str, soak: str = "") -> int:
    """Return how often: the first number, or the second when ZTB_SOAK is set."""
    return int(soak) if soak and os.environ.get("ZTB_SOAK") else int(count)


# --- many copies, each of which must meet silence ----------------------------------------------


def all_dropped(world: World, copies: Iterable[list[bytes]]) -> str:
    """Send every copy; return `nothing each time (N copies)` if each was dropped and counted."""
    client = world.client()
    before, sent = _drops(client.health()), 0
    for parts in copies:
        client.send_parts(*parts)
        sent += 1
        if sent % _BATCH == 0 and (found := _drops(client.health()) - before) != sent:
            return f"{sent - found} of {sent} not dropped"
    found = _drops(client.health()) - before
    return f"nothing each time ({sent} copies)" if found == sent else f"{found} of {sent} dropped"


def _drops(state: StateReply) -> int:
    return sum(n for name, n in state.counters.items() if is_drop(name))


_FRAMES: Final = {"tag": 1, "token": 2, "body": 3}


@says(rf"flip every bit of (?P<which>{NAME})'s (?P<frame>tag|token|body), one at a time")
def flip_bits(world: World, which: str, frame: str) -> str:
    """Send a copy for every bit of a frame, with that bit changed."""
    parts = world.get(which).parts
    at = _FRAMES[frame]

    def copies() -> Iterable[list[bytes]]:
        for bit in range(8 * len(parts[at])):
            bent = bytearray(parts[at])
            bent[bit // 8] ^= 1 << (bit % 8)
            yield [*parts[:at], bytes(bent), *parts[at + 1 :]]

    return all_dropped(world, copies())


@says(rf"replace a random byte of (?P<which>{NAME})'s token, {COUNT} times")
def replace_bytes(world: World, which: str, count: str, soak: str = "") -> str:
    """Send copies with one byte of the token replaced by another value."""
    parts = world.get(which).parts
    dice = random.Random(2)

    def copies() -> Iterable[list[bytes]]:
        for _ in range(times(count, soak)):
            bent = bytearray(parts[2])
            at = dice.randrange(len(bent))
            bent[at] = (bent[at] + dice.randrange(1, 256)) % 256
            yield [*parts[:2], bytes(bent), parts[3]]

    return all_dropped(world, copies())


# --- the frames ------------------------------------------------------------------------------

_SHAPES: Final[dict[str, Callable[[list[bytes]], list[bytes]]]] = {
    "with an empty token": lambda p: [*p[:2], b"", p[3]],
    "with an empty body": lambda p: [*p[:3], b""],
    "without its body": lambda p: p[:3],
    "without its token": lambda p: [*p[:2], p[3]],
    "without its tag": lambda p: [b"", *p[2:]],
    "without the delimiter": lambda p: p[1:],
    "with its body split over two frames": lambda p: [*p[:3], p[3][:40], p[3][40:]],
    "with a further frame": lambda p: [*p, b"more"],
    "with an empty further frame": lambda p: [*p, b""],
    "with a second delimiter": lambda p: [b"", *p],
    "with its token's last byte moved to its body": lambda p: [
        *p[:2], p[2][:-1], p[2][-1:] + p[3],
    ],
    "with its body's first byte moved to its token": lambda p: [
        *p[:2], p[2] + p[3][:1], p[3][1:],
    ],
    "with token and body exchanged": lambda p: [*p[:2], p[3], p[2]],
    "with its token in upper case": lambda p: [*p[:2], p[2].upper(), p[3]],
    "with its token followed by a line end": lambda p: [*p[:2], p[2] + b"\n", p[3]],
    "with its token followed by a NUL": lambda p: [*p[:2], p[2] + b"\0", p[3]],
}  # fmt: skip


@says(rf"send (?P<which>{NAME}) (?P<shape>{'|'.join(_SHAPES)})")
def send_shape(world: World, which: str, shape: str) -> str:
    """Send frames of another shape than the protocol's."""
    one = world.get(which)
    return world.deliver(_SHAPES[shape](one.parts), world.client())


@says(rf"send (?P<which>{NAME}) under the tag (?P<tag>\S+)")
def send_tag(world: World, which: str, tag: str) -> str:
    """Send with another F0."""
    parts = world.get(which).parts
    return world.deliver([b"", tag.encode(), *parts[2:]], world.client())


@says(rf"send (?P<which>{NAME})'s reply as a request")
def reply_as_request(world: World, which: str) -> str:
    """Send back what the server said."""
    one = world.get(which)
    reply = one.answers[-1].frames
    return world.deliver([b"", FRAME_TAG, reply.token, reply.body], world.client())


@says(r'send the token "(?P<token>[^"]*)" with body "(?P<body>[^"]*)"')
def send_text(world: World, token: str, body: str) -> str:
    """Send any text in place of token and body."""
    parts = [b"", FRAME_TAG, token.encode(), body.encode()]
    return world.deliver(parts, world.client())


# --- MACs ------------------------------------------------------------------------------------

_MACS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "in upper case": bytes.upper,
    "in base64": lambda m: base64.b64encode(bytes.fromhex(m.decode())),
    "as raw bytes": lambda m: bytes.fromhex(m.decode()),
    "of zeros only": lambda m: b"0" * len(m),
    "of a hyphen": lambda m: b"-",
    "with a prefix 0x": lambda m: b"0x" + m,
    "with a space before it": lambda m: b" " + m,
    "backwards": lambda m: m[::-1],
}


@says(rf"send (?P<which>{NAME}) with its MAC (?P<how>(?:of \d+ digits|{'|'.join(_MACS)}))")
def send_mac(world: World, which: str, how: str) -> str:
    """Send the right MAC in another form; `of N digits` cuts it, or goes on with its start."""
    one = world.get(which)
    head, right = one.frames.token[:-MAC_HEX], one.frames.token[-MAC_HEX:]
    if how.endswith("digits"):
        wanted = int(how.split()[1])
        bent = (right * 2)[:wanted]
    else:
        bent = _MACS[how](right)
    return world.deliver([b"", FRAME_TAG, head + bent, one.frames.body], world.client())


def _hashes(key: bytes, purpose: str, head: bytes, body: bytes) -> dict[str, str]:
    covered = mac_input(purpose, head, body)
    return {
        "SHA-256 without a key": hashlib.sha256(covered).hexdigest(),
        "SHA-256 of the key and the message": hashlib.sha256(key + covered).hexdigest(),
        "HMAC-SHA1": hmac.digest(key, covered, "sha1").hex(),
        "HMAC-SHA1 filled up to 64 digits": hmac.digest(key, covered, "sha1").hex().ljust(64, "0"),
        "HMAC-SHA512 cut to 64 digits": hmac.digest(key, covered, "sha512").hex()[:64],
        "HMAC-SHA256 cut to 32 digits": hmac.digest(key, covered, "sha256").hex()[:32],
        "HMAC-SHA256 of the body alone": hmac.digest(key, body, "sha256").hex(),
        "HMAC-SHA256 without lengths": hmac.digest(key, head + body, "sha256").hex(),
        "HMAC-SHA256 under another purpose": mac(key, Purpose.QUERY_SRV, head, body).hex(),
    }


_HASH_NAMES: Final = "|".join(_hashes(bytes(32), "x", b"", b""))


@says(rf"send (?P<which>{NAME}) with (?P<how>{_HASH_NAMES}) in place of its MAC")
def send_hash(world: World, which: str, how: str) -> str:
    """Send something else than HMAC-SHA256 over P, made with the right key."""
    one = world.get(which)
    keys = world.client(one.who).keys
    purpose = request_purpose(Op(one.token.op), keys.scope)[0]
    head = one.frames.token[:-MAC_HEX]
    bent = _hashes(keys.keys[purpose], purpose, head, one.frames.body)[how]
    return world.deliver([b"", FRAME_TAG, head + bent.encode(), one.frames.body], world.client())


def _wrong_key(world: World, how: str, purpose: Purpose) -> bytes:
    client = world.client()
    root = bytes.fromhex(client.bundle.root)
    base: dict[str, Any] = {
        "mode": client.bundle.mode, "acct": client.bundle.acct, "kid": client.bundle.kid,
        "purpose": purpose,
    }  # fmt: skip
    if how == "a random key":
        return random_key()
    if how == "the root itself":
        return root
    if how == "the event key":
        return client.bundle.event_keys()[Purpose.EVENT_SRV]
    changes: dict[str, dict[str, Any]] = {
        "the key of account other": {"acct": "other"},
        "the key of another key id": {"kid": "other-1"},
        "the live key": {"mode": "live"},
        "the query>srv key": {"purpose": Purpose.QUERY_SRV},
        "the reply<srv key": {"purpose": Purpose.REPLY_SRV},
        "the order>ea key": {"purpose": Purpose.ORDER_EA},
        "the admin>srv key": {"purpose": Purpose.ADMIN_SRV},
    }
    return derive(root, **{**base, **changes[how]})


_WRONG_KEYS: Final = (
    "a random key|the root itself|the event key|the key of account other|the key of another key id"
    "|the live key|the query>srv key|the reply<srv key|the order>ea key|the admin>srv key"
)


@says(rf"send (?P<which>{NAME}) signed with (?P<how>{_WRONG_KEYS})")
def send_signed_with(world: World, which: str, how: str) -> str:
    """Send a right MAC of a wrong key."""
    one = world.get(which)
    purpose = request_purpose(Op(one.token.op), world.client().keys.scope)[0]
    head = one.frames.token[:-MAC_HEX]
    made = mac(_wrong_key(world, how, purpose), purpose, head, one.frames.body).hex().encode()
    return world.deliver([b"", FRAME_TAG, head + made, one.frames.body], world.client())


def signed_anew(world: World, one: Signed, head: bytes, body: bytes) -> Frames:
    """Return frames under a true MAC of the right key over these bytes."""
    keys = world.client(one.who).keys
    purpose = request_purpose(Op(one.token.op), keys.scope)[0]
    return Frames(head + mac(keys.keys[purpose], purpose, head, body).hex().encode(), body)


@says(rf'send (?P<which>{NAME}) with "(?P<old>[^"]+)" become "(?P<new>[^"]*)" in its token, '
      r"signed anew")  # fmt: skip
def send_token_anew(world: World, which: str, old: str, new: str) -> str:
    """Change the token's text and sign the result with the right key."""
    one = world.get(which)
    head = one.frames.token[:-MAC_HEX]
    assert head.count(old.encode()) >= 1, f"the token has no {old!r}"
    bent = head.replace(old.encode(), new.encode("utf-8"), 1)
    frames = signed_anew(world, one, bent, one.frames.body)
    return world.deliver([b"", FRAME_TAG, *frames], world.client())


@says(rf"send (?P<which>{NAME}) with its (?P<field>kid|acct|op|rid|iat|ttl|inc|mac-ea) "
      r"(?P<value>.*), signed anew")  # fmt: skip
def send_field_anew(world: World, which: str, field: str, value: str) -> str:
    """Write any text into a field of the token and sign the result with the right key."""
    one = world.get(which)
    fields = one.frames.token.split(b":")
    at = ("", "", "kid", "acct", "op", "rid", "iat", "ttl", "inc", "mac-ea").index(field)
    fields[at] = text_of(value, fields[at])
    head = b":".join(fields[:-1]) + b":"
    frames = signed_anew(world, one, head, one.frames.body)
    return world.deliver([b"", FRAME_TAG, *frames], world.client())


_FULL_WIDTH: Final = {ord(str(n)): chr(0xFF10 + n) for n in range(10)}


def text_of(words: str, right: bytes) -> bytes:
    """Return bytes said in words: `"text"`, or a form of the right value."""
    if words.startswith('"'):
        return words.strip('"').encode()
    forms: dict[str, bytes] = {
        "without its last digit": right[:-1],
        "with one digit more": right + b"0",
        "with a leading zero": b"0" + right[1:],
        "with a plus sign": b"+" + right[1:],
        "with a minus sign": b"-" + right,
        "with a space before it": b" " + right,
        "with a space after it": right + b" ",
        "with an underscore": right[:4] + b"_" + right[4:],
        "in full-width digits": right.decode().translate(_FULL_WIDTH).encode(),
        "in hexadecimal": hex(int(right)).encode() if right.isdigit() else b"0x",
        "as a decimal fraction": right + b".0",
        "in upper case": right.upper(),
        "of zeros": b"0" * len(right),
        "empty": b"",
    }
    return forms[words]


# --- keys ------------------------------------------------------------------------------------


def _server_key_file(world: World, who: str) -> Path:
    kid = world.house.bundle(who).kid
    return world.house.account.config.parent / "keys" / f"{kid}.key"


@says(rf"the server's key file of (?P<who>{WHO}) says (?P<state>active|revoked|retiring)"
      r"(?: until (?P<count>\d+) s from now)?")  # fmt: skip
def key_state(world: World, who: str, state: str, count: str = "") -> str:
    """Edit a key set's state, as `ztb keys` does, and restart the server with it."""
    house = world.house
    path = _server_key_file(world, who)
    kid = house.bundle(who).kid
    house.stop()
    held = json.loads(path.read_text())
    until = house.clock.wall_ms() + int(count) * 1000 if count else 0
    held.update(state=state, not_after_ms=until)
    path.write_text(json.dumps(held))
    if state == "revoked":
        house.revoked.add(kid)
    return house.restart().hello().state


@says(rf"the (?P<who>{WHO}) key is no longer answered")
def key_is_mute(world: World, who: str) -> None:
    """Say that this key gets no answer any more, so silence is judged by the server's counters."""
    house = world.house
    house.revoked.add(house.bundle(who).kid)
    world.client(who).mute = True


_RANDOM: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a09"
_KEYS: Final[dict[str, str]] = {
    "empty": "",
    "of 31 bytes": _RANDOM[:62],
    "of 33 bytes": _RANDOM + "5e",
    "of 64 bytes": _RANDOM * 2,
    "with a trailing NUL": _RANDOM + "\0",
    "with a trailing newline": _RANDOM + "\n",
    "with a leading space": " " + _RANDOM[:63],
    "in upper case": _RANDOM.upper(),
    "in base64": base64.b64encode(bytes.fromhex(_RANDOM)).decode(),
    "of zeros": "00" * 32,
    "of one byte repeated": "a7" * 32,
    "of four bytes repeated": "a7b1c3d5" * 8,
    "of a published test vector": bytes(range(32)).hex(),
    "of another published test vector": bytes(range(0x40, 0x60)).hex(),
    "of a pass phrase": b"correct horse battery staple 123".hex(),
    "of the hash of changeme": hashlib.sha256(b"changeme").hexdigest(),
}


@says(rf"the (?P<side>server|connector) starts with a key (?P<how>{'|'.join(_KEYS)})")
def start_with_key(world: World, side: str, how: str) -> str:
    """Put a bad key into a key file and start the side that holds it."""
    house = world.house
    if side == "server":
        path, field = _server_key_file(world, "trade"), Purpose.ORDER_SRV.value
        held = json.loads(path.read_text())
        held["keys"][field] = _KEYS[how]
    else:
        path = house.account.bundle() / "keys" / "connector.key"
        held = json.loads(path.read_text())
        held["root"] = _KEYS[how]
    path.write_text(json.dumps(held))
    try:
        if side == "server":
            house.start()
        else:
            load_bundle(path)
    except BridgeError as error:
        shown = _KEYS[how].strip()
        leak = "showing the key: " if len(shown) > 16 and shown in str(error) else ""
        return f"refuses to start: {leak}{error.code} {error.detail}"
    return "starts"


@says(r"a fresh account, not started")
def not_started(world: World) -> None:
    """Make an account's folder without starting its server."""
    world.fresh()


def other_rid() -> str:
    """Return a request id that nobody has used."""
    return secrets.token_hex(16)
