"""The Advisor and the other side agree on every shared vector, byte for byte (protocol.md 15)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import EA_OPS, Op, Purpose
from bridge_core.protocol.token import parse_ea_record, parse_request
from tests.mql4.build import build
from tests.mql4.core import Core, hexed
from tests.mql4.needs import needs_compiler
from tests.vectors import make, make_mql4

pytestmark = needs_compiler

ROOT = Path(__file__).resolve().parents[2]


def _read(name: str, part: str = "cases") -> list[dict[str, Any]]:
    content: dict[str, list[dict[str, Any]]] = json.loads(
        (make.FOLDER / f"{name}.json").read_bytes()
    )
    return content[part]


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def test_the_macs_of_the_vectors_are_the_advisors(core: Core) -> None:
    cases = _read("macs")
    calls = [("mac", c["key"], c["purpose"], c["head"] or "-", c["body"] or "-") for c in cases]
    assert core.run(calls) == [["1", c["mac"]] for c in cases]


def test_hmac_is_that_of_rfc_4231_but_under_32_bytes_alone(core: Core) -> None:
    calls = [("hmac", key.hex(), data.hex()) for key, data, _ in make_mql4.RFC_4231]
    assert core.run(calls) == [["1", digest] for _, _, digest in make_mql4.RFC_4231]
    sizes = (1, 31, 32, 33, 64, 65)
    refused = core.run([("hmac32", "0b" * size, "00") for size in sizes])
    assert [size for size, answer in zip(sizes, refused, strict=True) if answer[0] == "1"] == [32]


def test_each_request_of_the_vectors_parses_into_its_parts(core: Core) -> None:
    cases = _read("requests")
    answers = core.run([("token", hexed(c["token"].encode())) for c in cases])
    for case, answer in zip(cases, answers, strict=True):
        parts = case["parts"]
        names = ("prefix", "kid", "acct", "op", "rid", "iat", "ttl", "inc", "mac_ea", "mac_srv")
        assert answer[:11] == ["1", *(str(parts[name]) for name in names)]
        assert answer[11] == str(parts["iat"] + parts["ttl"])


def test_mac_ea_and_order_hash_of_each_request_hold(core: Core) -> None:
    cases = [c for c in _read("requests") if c["ea"]]
    assert {c["op"] for c in cases} == EA_OPS
    calls: list[tuple[str, ...]] = []
    for case in cases:
        purpose = Purpose.ADMIN_EA if case["purpose"] == Purpose.ADMIN_SRV else Purpose.ORDER_EA
        kid = case["parts"]["kid"]
        key = derive(make.KIDS[kid], mode=Mode.PAPER, acct=make.ACCT, kid=kid, purpose=purpose)
        token = case["token"]
        head = token[: -(2 * 64 + 1)].encode()
        body = case["body"].encode()
        claimed = case["parts"]["mac_ea"]
        words = (purpose.value, head.hex(), body.hex())
        calls += [
            ("holds", key.hex(), *words, claimed),
            ("holds", "-", *words, claimed),
            ("holds", key.hex(), *words, "-"),
            ("holds", key.hex(), *words, claimed.upper()),
            ("order_hash", head.hex(), body.hex()),
        ]
    answers = core.run(calls)
    for n, case in enumerate(cases):
        assert answers[5 * n : 5 * n + 5] == [
            ["1"], ["0"], ["0"], ["0"], ["1", case["order_hash"]],
        ]  # fmt: skip


def test_a_token_that_must_be_refused_is_refused(core: Core) -> None:
    cases = _read("requests", "refused")
    tokens = [bytes.fromhex(case["token_hex"]) for case in cases]
    answers = core.run([("token", hexed(token)) for token in tokens])
    for case, token, answer in zip(cases, tokens, answers, strict=True):
        assert (answer[0] == "1") == (parse_request(token) is not None), case["why"]


def test_a_body_is_taken_or_refused_as_the_vectors_say(core: Core) -> None:
    good = [c for c in _read("bodies") if c["op"] in EA_OPS]
    bad = [c for c in _read("bodies", "refused") if c["op"] in EA_OPS]
    assert {c["op"] for c in good} == EA_OPS
    calls = [("body", c["op"], hexed(c["body"].encode())) for c in good]
    calls += [("body", c["op"], c["body_hex"] or "-") for c in bad]
    answers = [answer[0] for answer in core.run(calls)]
    assert answers == ["1"] * len(good) + ["0"] * len(bad)


def test_an_operation_that_no_advisor_is_handed_has_no_body_there(core: Core) -> None:
    others = [c for c in _read("bodies") if c["op"] not in EA_OPS]
    assert {Op.CHECK, Op.SETTLE, Op.HELLO} <= {c["op"] for c in others}
    answers = core.run([("body", c["op"], hexed(c["body"].encode())) for c in others])
    assert answers == [["0"]] * len(others)


def test_records_are_written_and_read_as_the_vectors_say(core: Core) -> None:
    cases = _read("records")
    signed = core.run(
        [("sign", c["key"], *(str(part) for part in c["parts"].values())) for c in cases]
    )
    assert signed == [["1", c["record"], c["mac_ea"]] for c in cases]
    refused = [bytes.fromhex(c["record_hex"]) for c in _read("records", "refused")]
    answers = core.run([("record", hexed(record)) for record in refused])
    for record, answer in zip(refused, answers, strict=True):
        assert (answer[0] == "1") == (parse_ea_record(record) is not None)


def test_decimals_are_read_as_a_request_may_have_them(core: Core) -> None:
    cases = [(c["text"], c["request"]) for c in _read("decimals")]
    cases += [(c["text"], False) for c in _read("decimals", "refused")]
    answers = core.run([("decimal", hexed(text.encode())) for text, _ in cases])
    for (text, request), answer in zip(cases, answers, strict=True):
        assert (answer[0] == "1") == request, text


def test_tags_and_child_rids_are_those_of_the_vectors(core: Core) -> None:
    cases = _read("tags")
    calls: list[tuple[str, ...]] = []
    for c in cases:
        calls += [("tag", c["acct"], c["rid"]), ("child", c["rid"], str(c["child_ticket"]))]
    answers = core.run(calls)
    for n, c in enumerate(cases):
        assert answers[2 * n] == ["1", str(c["mt4_magic"]), c["comment"]]
        assert answers[2 * n + 1] == ["1", c["child_rid"]]


def test_the_header_of_vectors_is_current() -> None:
    assert make_mql4.PATH.read_bytes().replace(b"\r\n", b"\n") == make_mql4.build(), (
        "run: python -m tests.vectors.make_mql4"
    )


def test_the_self_test_passes_and_says_so_group_by_group(core: Core) -> None:
    passed, *report = core.one("self_test")
    assert passed == "1"
    vectors = list(make_mql4.lines())
    groups = {vector[0] for vector in vectors}
    assert {line.split(":")[0] for line in report[:-1]} == {f"PASS {group}" for group in groups}
    assert report[-1] == f"PASS: {len(vectors)} vectors, 0 failures"


@pytest.mark.parametrize("damage", ["none", pytest.param("vector", marks=pytest.mark.long)])
def test_the_script_prints_a_line_per_group_and_fails_on_one_wrong_digit(
    tmp_path: Path, damage: str
) -> None:
    shutil.copytree(ROOT / "mql4", tmp_path / "mql4")
    vectors = tmp_path / "mql4" / "Include" / "Bridge" / "Vectors.mqh"
    text = vectors.read_text("ascii")
    digest = make_mql4.RFC_4231[0][2]
    changed = text.replace(digest[:8], "00000000", 1) if damage == "vector" else text
    assert (changed != text) == (damage == "vector")
    vectors.write_text(changed, "ascii")
    program = build(tmp_path / "mql4" / "Scripts" / "BridgeSelfTest.mq4", sanitize=False)
    ended = subprocess.run(
        [str(program)], input=f"folder {tmp_path}\ninit\nquit\n", capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    prints = [event["text"] for event in said if event["event"] == "print"]
    alerts = [event["text"] for event in said if event["event"] == "alert"]
    assert len(prints) == len({vector[0] for vector in make_mql4.lines()}) + 1
    failed = [line for line in prints if "FAIL" in line]
    if damage == "none":
        assert not failed
        assert not alerts
        assert prints[-1].startswith("self-test PASS")
    else:
        assert failed == ["self-test FAIL hmac: 5 of 6", prints[-1]]
        assert len(alerts) == 1
