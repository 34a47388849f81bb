"""MACs: injective input, every byte covered, no key or purpose stands in for another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.signing import (
    NO_ORDER_HASH,
    Frames,
    RequestKeys,
    ea_record_mac,
    ea_record_mac_holds,
    event_mac_holds,
    mac_input,
    order_hash,
    reply_mac_holds,
    request_hash,
    request_mac_ea_holds,
    request_mac_holds,
    sign_event,
    sign_reply,
    sign_request,
)
from bridge_core.protocol.token import (
    EventToken,
    ReplyToken,
    RequestToken,
    parse_event,
    parse_reply,
    parse_request,
)
from tests.support import independent
from tests.support.strategies import event_tokens, reply_tokens, request_tokens

ROOT = bytes(range(32))
RID = "0123456789abcdef0123456789abcdef"
INC = "00112233445566ff"
BODY = (
    b'{"client_order_id":"a-1","client":"atlas","ticket":7,"symbol":"EURUSD","volume":"0.10",'
    b'"deviation":20}'
)


def key(purpose: Purpose, *, mode: Mode = Mode.PAPER, acct: str = "demo", kid: str = "k1") -> bytes:
    return derive(ROOT, mode=mode, acct=acct, kid=kid, purpose=purpose)


KEYS = RequestKeys(key(Purpose.ORDER_SRV), Purpose.ORDER_SRV)
EA_KEYS = RequestKeys(
    key(Purpose.ORDER_SRV), Purpose.ORDER_SRV, key(Purpose.ORDER_EA), Purpose.ORDER_EA
)
TOKEN = RequestToken("RISK_PASS", "k1", "demo", "CLOSE", RID, 1767225600000, 5000, INC)
SIGNED = sign_request(TOKEN, BODY, EA_KEYS)


def holds(frames: Frames, secret: bytes | None, purpose: Purpose = Purpose.ORDER_SRV) -> bool:
    """Do what a server does: grammar first, then the MAC."""
    parts = parse_request(frames.token)
    return parts is not None and request_mac_holds(frames, parts, secret, purpose) is not None


# --- the input -------------------------------------------------------------------------------

parts_of_p = st.tuples(
    st.sampled_from([*map(str, Purpose), "req", "order"]),
    st.binary(max_size=40),
    st.binary(max_size=40),
)


@given(parts_of_p, parts_of_p)
def test_the_mac_input_is_injective(
    one: tuple[str, bytes, bytes], other: tuple[str, bytes, bytes]
) -> None:
    assert (mac_input(*one) == mac_input(*other)) == (one == other)
    assert mac_input(*one) == independent.p(*one)


def test_moving_a_byte_over_a_border_gives_another_input() -> None:
    head, body = SIGNED.token, SIGNED.body
    inputs = {
        mac_input("order>srv", (head + body)[:cut], (head + body)[cut:])
        for cut in range(len(head + body) + 1)
    }
    assert len(inputs) == len(head + body) + 1


def test_the_mac_input_starts_with_the_documented_bytes() -> None:
    assert mac_input("req", b"H", b"BB") == (
        b"ztbridge\x00mac\x00v5\x00\x03req\x00\x01H\x00\x00\x00\x02BB"
    )


# --- requests --------------------------------------------------------------------------------


@given(request_tokens, st.binary(max_size=200), st.booleans())
def test_a_signed_request_is_accepted_end_to_end(
    token: RequestToken, body: bytes, ea: bool
) -> None:
    frames = sign_request(token, body, EA_KEYS if ea else KEYS)
    parts = parse_request(frames.token)
    assert parts is not None
    assert request_mac_holds(frames, parts, KEYS.srv, Purpose.ORDER_SRV) == body
    by_ea = request_mac_ea_holds(frames, parts, EA_KEYS.ea, Purpose.ORDER_EA)
    assert by_ea == (body if ea else None)
    assert parts.mac_srv == independent.mac(KEYS.srv, "order>srv", frames.token[:-64], frames.body)
    assert request_hash(frames) == independent.digest("req", *frames)
    assert order_hash(frames, parts) == independent.digest("order", token.head(), body)


@pytest.mark.parametrize("frame", [0, 1])
def test_a_flip_of_any_bit_of_token_or_body_is_caught(frame: int) -> None:
    assert holds(SIGNED, KEYS.srv)
    for at, bit in itertools.product(range(len(SIGNED[frame])), range(8)):
        raw = bytearray(SIGNED[frame])
        raw[at] ^= 1 << bit
        frames = SIGNED._replace(**{("token", "body")[frame]: bytes(raw)})
        assert not holds(frames, KEYS.srv), (at, bit)


def test_any_other_value_of_any_byte_of_the_token_is_caught() -> None:
    for at in range(len(SIGNED.token)):
        raw = bytearray(SIGNED.token)
        for value in range(256):
            raw[at] = value
            changed = bytes(raw) != SIGNED.token
            assert holds(Frames(bytes(raw), BODY), KEYS.srv) is not changed


def test_the_executors_own_mac_covers_every_byte_but_the_servers_part() -> None:
    parts = parse_request(SIGNED.token)
    assert parts is not None
    covered = len(parts.head())
    for frame, size in ((0, covered + 64), (1, len(BODY))):
        for at in range(size):
            raw = bytearray(SIGNED[frame])
            raw[at] ^= 1
            frames = SIGNED._replace(**{("token", "body")[frame]: bytes(raw)})
            changed = parse_request(frames.token)
            if changed is not None:
                held = request_mac_ea_holds(frames, changed, EA_KEYS.ea, Purpose.ORDER_EA)
                assert held is None, (frame, at)


def test_a_relay_that_alters_the_volume_and_signs_anew_does_not_deceive_the_executor() -> None:
    body = BODY.replace(b"0.10", b"0.11")
    head = SIGNED.token[:-64]
    forged = independent.mac(KEYS.srv, "order>srv", head, body).encode()
    frames = Frames(head + forged, body)
    parts = parse_request(frames.token)
    assert parts is not None
    assert holds(frames, KEYS.srv)  # the server's key was the relay's own
    assert request_mac_ea_holds(frames, parts, EA_KEYS.ea, Purpose.ORDER_EA) is None


def test_taking_the_executors_mac_away_breaks_the_servers_mac() -> None:
    mac_ea = SIGNED.token.split(b":")[9]
    assert not holds(Frames(SIGNED.token.replace(mac_ea, b"-"), BODY), KEYS.srv)


OTHERS = [
    key(Purpose.QUERY_SRV), key(Purpose.ADMIN_SRV), key(Purpose.REPLY_SRV), key(Purpose.ORDER_EA),
    key(Purpose.EVENT_SRV), key(Purpose.ORDER_SRV, mode=Mode.LIVE),
    key(Purpose.ORDER_SRV, acct="demo2"), key(Purpose.ORDER_SRV, kid="k2"), ROOT, bytes(32),
    hashlib.sha256(KEYS.srv).digest(),
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_a_key_of_another_purpose_mode_account_or_kid_does_not_verify(other: bytes) -> None:
    assert not holds(SIGNED, other)
    parts = parse_request(SIGNED.token)
    assert parts is not None
    if other != EA_KEYS.ea:
        assert request_mac_ea_holds(SIGNED, parts, other, Purpose.ORDER_EA) is None


@pytest.mark.parametrize("purpose", [p for p in Purpose if p is not Purpose.ORDER_SRV])
def test_the_right_key_under_another_purpose_does_not_verify(purpose: Purpose) -> None:
    assert not holds(SIGNED, KEYS.srv, purpose)


def test_an_unknown_kid_is_refused_even_when_signed_with_the_dummy_key() -> None:
    frames = sign_request(TOKEN, BODY, RequestKeys(bytes(32), Purpose.ORDER_SRV))
    assert holds(frames, bytes(32))
    assert not holds(frames, None)
    assert not holds(SIGNED, None)


COVERED = mac_input("order>srv", SIGNED.token[:-64], BODY)


@pytest.mark.parametrize(
    "tag",
    [
        hashlib.sha256(COVERED).hexdigest(),
        hmac.new(KEYS.srv, SIGNED.token[:-64] + BODY, hashlib.sha256).hexdigest(),
        hmac.new(KEYS.srv, BODY, hashlib.sha256).hexdigest(),
        hmac.new(KEYS.srv, COVERED, "sha3_256").hexdigest(),
        hmac.new(KEYS.srv, COVERED, "sha1").hexdigest(),
        SIGNED.token[-64:].decode().upper(),
        base64.b64encode(bytes.fromhex(SIGNED.token[-64:].decode())).decode(),
        "0" * 64,
        "-",
        "",
        *[SIGNED.token[-64:].decode()[:n] for n in (0, 1, 8, 32, 63)],
        *[(SIGNED.token[-64:].decode() * 2)[:n] for n in (65, 128)],
    ],
)
def test_another_hash_another_spelling_or_another_length_is_no_mac(tag: str) -> None:
    assert not holds(Frames(SIGNED.token[:-64] + tag.encode(), BODY), KEYS.srv)


def test_a_request_is_no_reply_and_no_event() -> None:
    assert parse_reply(SIGNED.token) is None
    assert parse_event(SIGNED.token) is None


# --- replies and events ----------------------------------------------------------------------

REPLY = ReplyToken(
    "k1", "demo", RID, 1767225600001, "FILLED", "-", request_hash(SIGNED), INC, 3, "cd" * 32
)
REPLY_KEY = key(Purpose.REPLY_SRV)


@given(reply_tokens, st.binary(max_size=100))
def test_a_signed_reply_is_accepted_and_carries_the_executors_mac_unchanged(
    token: ReplyToken, body: bytes
) -> None:
    frames = sign_reply(token, body, REPLY_KEY)
    parts = parse_reply(frames.token)
    assert parts is not None
    assert parts == token._replace(mac_srv=parts.mac_srv)
    assert reply_mac_holds(frames, parts, REPLY_KEY) == body
    assert reply_mac_holds(frames, parts, None) is None
    assert reply_mac_holds(frames, parts, KEYS.srv) is None
    assert parts.mac_srv == independent.mac(REPLY_KEY, "reply<srv", frames.token[:-64], body)


@pytest.mark.parametrize("frame", [0, 1])
def test_a_flip_of_any_bit_of_a_reply_is_caught(frame: int) -> None:
    signed = sign_reply(REPLY, b'{"rid":"x"}', REPLY_KEY)
    for at, bit in itertools.product(range(len(signed[frame])), range(8)):
        raw = bytearray(signed[frame])
        raw[at] ^= 1 << bit
        frames = signed._replace(**{("token", "body")[frame]: bytes(raw)})
        parts = parse_reply(frames.token)
        assert parts is None or reply_mac_holds(frames, parts, REPLY_KEY) is None, (at, bit)


@given(event_tokens, st.binary(max_size=100))
def test_a_signed_event_is_accepted_under_its_own_purpose_only(
    token: EventToken, body: bytes
) -> None:
    secret = key(Purpose.EVENT_SRV)
    frames = sign_event(token, body, secret)
    parts = parse_event(frames.token)
    assert parts is not None
    assert event_mac_holds(frames, parts, secret) == body
    assert event_mac_holds(frames, parts, secret, Purpose.EVENT_EA) is None
    assert event_mac_holds(frames, parts, None) is None
    assert event_mac_holds(frames._replace(body=body + b" "), parts, secret) is None
    assert parts.mac == independent.mac(secret, "event<srv", frames.token[:-64], body)


def test_the_executors_record_holds_only_with_its_own_key_bytes_and_mac() -> None:
    secret = key(Purpose.REPLY_EA)
    record = f"EA_REC:5:k1:demo:{RID}:OPEN:{NO_ORDER_HASH}:DENIED:FENCED:0:0:0:0:0:1767225600000"
    attested = ea_record_mac(secret, record.encode())
    assert attested == independent.mac(secret, "reply<ea", record.encode(), b"")
    assert ea_record_mac_holds(secret, record.encode(), attested)
    assert not ea_record_mac_holds(secret, record.replace("DENIED", "FILLED").encode(), attested)
    assert not ea_record_mac_holds(REPLY_KEY, record.encode(), attested)
    assert not ea_record_mac_holds(None, record.encode(), attested)
    assert not ea_record_mac_holds(secret, record.encode(), "-")


def test_frames_say_which_is_which() -> None:
    assert Frames(b"t", b"b") == (b"t", b"b")
