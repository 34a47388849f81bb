"""The shared vectors: reproducible, and read the same by our code and by the independent reader."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from bridge_core.protocol.chain import GENESIS, ChainFault, Head, verify_range
from bridge_core.protocol.errors import RemoteProtocolError
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.messages import decode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose
from bridge_core.protocol.replies import OrderView, dec, decode_reply
from bridge_core.protocol.signing import (
    Frames,
    ea_record_mac_holds,
    event_mac_holds,
    order_hash,
    reply_mac_holds,
    request_hash,
    request_mac_ea_holds,
    request_mac_holds,
)
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_core.protocol.token import parse_ea_record, parse_event, parse_reply, parse_request
from tests.support import independent
from tests.vectors.make import FOLDER, build

FILES = {path.stem: json.loads(path.read_text(encoding="ascii")) for path in FOLDER.glob("*.json")}
KEYS = {
    (case["kid"], case["purpose"]): bytes.fromhex(case["key"])
    for case in FILES["keys"]["cases"]
    if (case["mode"], case["acct"]) == ("paper", "demo")
}
Case = dict[str, Any]


def cases(name: str, part: str = "cases") -> pytest.MarkDecorator:
    """Parametrise over one list of one file."""
    rows = FILES[name][part]
    return pytest.mark.parametrize("case", rows, ids=[str(row.get("why", n)) for n, row in
                                                      enumerate(rows)])  # fmt: skip


def frames_of(case: Case) -> Frames:
    """Return a refused message's frames."""
    return Frames(bytes.fromhex(case["token_hex"]), bytes.fromhex(case["body_hex"]))


def test_the_files_are_what_the_generator_makes() -> None:
    made = build()
    assert {f"{name}.json" for name in FILES} == set(made)
    for name, content in made.items():
        assert (FOLDER / name).read_bytes() == content, f"{name}: run python -m tests.vectors.make"


@cases("keys")
def test_derived_keys(case: Case) -> None:
    root, key = bytes.fromhex(case["root"]), bytes.fromhex(case["key"])
    names = (case["mode"], case["acct"], case["kid"], case["purpose"])
    assert independent.key(root, *names) == key
    purpose = Purpose(case["purpose"])
    ours = derive(root, mode=Mode(names[0]), acct=names[1], kid=names[2], purpose=purpose)
    assert ours == key


@cases("macs")
def test_macs(case: Case) -> None:
    head, body = bytes.fromhex(case["head"]), bytes.fromhex(case["body"])
    assert independent.p(case["purpose"], head, body).hex() == case["input"]
    assert independent.mac(bytes.fromhex(case["key"]), case["purpose"], head, body) == case["mac"]


@cases("requests")
def test_signed_requests(case: Case) -> None:
    frames = Frames(case["token"].encode(), case["body"].encode())
    parts = parse_request(frames.token)
    assert parts is not None
    assert parts._asdict() == case["parts"]
    assert independent.request_parts(frames.token) == case["token"].split(":")
    key = KEYS[parts.kid, case["purpose"]]
    assert request_mac_holds(frames, parts, key, Purpose(case["purpose"])) == frames.body
    assert independent.mac(key, case["purpose"], frames.token[:-64], frames.body) == parts.mac_srv
    assert request_hash(frames) == case["req_hash"] == independent.digest("req", *frames)
    head = frames.token[: -(len(parts.mac_ea) + 65)]
    assert order_hash(frames, parts) == case["order_hash"]
    assert independent.digest("order", head, frames.body) == case["order_hash"]
    assert (parts.mac_ea != "-") is case["ea"]
    if case["ea"]:
        purpose = case["purpose"].replace(">srv", ">ea")
        key = KEYS[parts.kid, purpose]
        assert request_mac_ea_holds(frames, parts, key, Purpose(purpose)) == frames.body
        assert independent.mac(key, purpose, head, frames.body) == parts.mac_ea


@cases("requests", "refused")
def test_refused_requests(case: Case) -> None:
    frames = frames_of(case)
    parts = parse_request(frames.token)
    assert (parts is None) == (independent.request_parts(frames.token) is None)
    if parts is not None:
        spec = OPERATIONS.get(Op.OPEN)
        assert spec is not None
        key = KEYS["trade-1", spec.purpose.value]
        assert request_mac_holds(frames, parts, key, spec.purpose) is None


def _keys_of(op: str) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(OPERATIONS[Op(op)].body)]


@cases("bodies")
def test_bodies(case: Case) -> None:
    raw = case["body"].encode()
    assert decode_body(OPERATIONS[Op(case["op"])].body, raw) is not None
    assert independent.legal_json(raw, _keys_of(case["op"])) is not None


@cases("bodies", "refused")
def test_refused_bodies(case: Case) -> None:
    assert decode_body(OPERATIONS[Op(case["op"])].body, bytes.fromhex(case["body_hex"])) is None


@cases("records")
def test_ea_records(case: Case) -> None:
    record = parse_ea_record(case["record"].encode())
    assert record is not None
    assert record._asdict() == case["parts"]
    key = bytes.fromhex(case["key"])
    assert ea_record_mac_holds(key, case["record"].encode(), case["mac_ea"])
    assert independent.mac(key, "reply<ea", case["record"].encode(), b"") == case["mac_ea"]


@cases("records", "refused")
def test_refused_ea_records(case: Case) -> None:
    raw = bytes.fromhex(case["record_hex"])
    key = KEYS["trade-1", "reply<ea"]
    assert parse_ea_record(raw) is None or not ea_record_mac_holds(key, raw, case["mac_ea"])


@cases("replies")
def test_replies(case: Case) -> None:
    frames = Frames(case["token"].encode(), case["body"].encode())
    parts = parse_reply(frames.token)
    assert parts is not None
    key = bytes.fromhex(case["key"])
    assert reply_mac_holds(frames, parts, key) == frames.body
    assert independent.mac(key, "reply<srv", frames.token[:-64], frames.body) == parts.mac_srv
    request = case["request_token"].encode(), case["request_body"].encode()
    assert parts.req_hash == independent.digest("req", *request)
    view = decode_reply(OrderView, frames.body)
    assert (view.status, view.code) == (parts.status, parts.code)


@cases("replies", "refused")
def test_refused_replies(case: Case) -> None:
    frames = frames_of(case)
    parts = parse_reply(frames.token)
    key = KEYS["trade-1", "reply<srv"]
    assert parts is None or reply_mac_holds(frames, parts, key) is None


@cases("events")
def test_events(case: Case) -> None:
    frames = Frames(case["token"].encode(), case["body"].encode())
    parts = parse_event(frames.token)
    assert parts is not None
    key = bytes.fromhex(case["key"])
    assert event_mac_holds(frames, parts, key) == frames.body
    assert independent.mac(key, "event<srv", frames.token[:-64], frames.body) == parts.mac
    assert case["topic"].startswith(f"{parts.acct}.")
    assert decode_reply(EventBody, frames.body).type


@cases("events", "refused")
def test_refused_events(case: Case) -> None:
    frames = frames_of(case)
    parts = parse_event(frames.token)
    key = bytes.fromhex(FILES["events"]["cases"][0]["key"])
    assert parts is None or event_mac_holds(frames, parts, key) is None


@cases("decimals")
def test_decimals(case: Case) -> None:
    assert str(dec(case["text"])) == case["text"]
    open_body = FILES["bodies"]["cases"][list(Op).index(Op.OPEN)]["body"]
    raw = open_body.replace('"0.10"', f'"{case["text"]}"').encode()
    assert (decode_body(OPERATIONS[Op.OPEN].body, raw) is not None) is case["request"]


@cases("decimals", "refused")
def test_refused_decimals(case: Case) -> None:
    with pytest.raises(RemoteProtocolError):
        dec(case["text"])


@cases("tags")
def test_tags(case: Case) -> None:
    tag = make_tag(case["acct"], case["rid"])
    mt5, mt4, comment = independent.tag_of(case["acct"], case["rid"])
    assert case["mt5_magic"] == str(tag.mt5_magic(case["strategy"]))
    assert case["mt5_magic"] == str(case["strategy"] * 2**40 + mt5)
    assert (case["mt4_magic"], case["comment"]) == (mt4, comment) == (tag.mt4_magic, tag.comment)
    ticket = case["child_ticket"]
    assert case["child_rid"] == child_rid(case["rid"], ticket)
    assert case["child_rid"] == independent.child(case["rid"], ticket)


def rows_of(rows: list[Case]) -> list[tuple[int, bytes, bytes]]:
    """Return rows as the verifier takes them."""
    return [(row["n"], row["record"].encode(), bytes.fromhex(row["hash"])) for row in rows]


def test_the_chain_holds() -> None:
    rows = rows_of(FILES["chain"]["cases"])
    assert verify_range(Head(0, GENESIS), rows) == Head(len(rows), rows[-1][2])
    previous = bytes(32)
    for _, record, digest in rows:
        previous = hashlib.sha256(b"\x01" + previous + record).digest()
        assert previous == digest


@cases("chain", "refused")
def test_broken_chains(case: Case) -> None:
    found = verify_range(Head(0, GENESIS), rows_of(case["rows"]))
    assert isinstance(found, ChainFault)
    assert found.n == case["first_bad"]
