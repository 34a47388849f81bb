"""The contract under many more cases than a short run has time for."""

from __future__ import annotations

import os
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_core.protocol.messages import Request, decode_body, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import parse_ea_record, parse_event, parse_reply, parse_request
from tests.support import independent
from tests.support.strategies import BODIES, bodies, request_tokens
from tests.vectors import examples
from tests.vectors.make import build

pytestmark = pytest.mark.long

TOKENS = [
    case["token"].encode()
    for name in ("requests.json", "replies.json", "events.json")
    for case in msgspec.json.decode(build()[name])["cases"]
]
# Of each body; the fuzzers go through the same readers.
EXAMPLES = 50_000 if os.environ.get("ZTB_SOAK") else 400
PARSERS = (parse_request, parse_reply, parse_event, parse_ea_record)


def _mutated(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[at:at] = bytes([rng.randrange(256)])
            case 1:
                del changed[at : at + rng.randint(1, 4)]
            case 2:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case _:
                changed[at:at] = changed[rng.randrange(len(changed) + 1) :][:8]
        if not changed:
            return b""
    return bytes(changed)


def test_of_three_hundred_thousand_mutated_tokens_none_is_read_otherwise_than_written() -> None:
    rng = random.Random(5)
    for _ in range(300_000):
        raw = _mutated(rng.choice(TOKENS), rng)
        for parse in PARSERS:
            parts = parse(raw)
            if parts is not None:
                tail = list(parts) if parse is parse_ea_record else None
                text = raw.decode("ascii")
                assert [str(part) for part in tail or parts] == (
                    text.split(":")[2:] if parse is not parse_request
                    else [text.split(":")[0], *text.split(":")[2:]]
                )  # fmt: skip
        assert (parse_request(raw) is None) == (independent.request_parts(raw) is None)


def test_of_a_hundred_thousand_mutated_bodies_both_readers_accept_the_same_form() -> None:
    rng = random.Random(7)
    for n in range(100_000):
        op = list(Op)[n % len(Op)]
        kind = OPERATIONS[op].body
        raw = _mutated(encode_body(examples.BODIES[op]), rng)
        decoded = decode_body(kind, raw)
        if decoded is not None:
            names = [field.encode_name for field in msgspec.structs.fields(kind)]
            fields = independent.legal_json(raw, names)
            assert fields is not None
            assert list(fields.values()) == list(msgspec.structs.astuple(decoded))


def test_of_a_million_rids_no_magic_is_0_or_out_of_a_terminals_range() -> None:
    rng = random.Random(11)
    for _ in range(1_000_000):
        tag = make_tag("demo", f"{rng.getrandbits(128):032x}")
        assert tag.usable
        assert 0 < tag.mt4_magic < 2**31
        assert 0 < tag.mt5_magic(4095) < 2**53


@pytest.mark.parametrize("kind", BODIES)
def test_every_body_is_read_back_as_it_was(kind: type[Request]) -> None:
    @settings(max_examples=EXAMPLES)
    @given(bodies(kind))
    def run(body: Request) -> None:
        assert decode_body(kind, encode_body(body)) == body

    run()


@given(request_tokens, st.data())
def test_both_token_readers_agree_on_generated_tokens(
    token: tuple[str, ...], data: st.DataObject
) -> None:
    raw = bytearray(":".join(map(str, (token[0], "5", *token[1:]))).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert (parse_request(bytes(raw)) is None) == (independent.request_parts(bytes(raw)) is None)
