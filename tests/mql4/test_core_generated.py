"""Python and MQL4 take and refuse the same messages, and read the same values from them.

1 000 messages a kind; with ZTB_SOAK 10 000.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bridge_core.protocol import messages as m
from bridge_core.protocol.messages import DECIMAL_PATTERN, decode_body, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op
from bridge_core.protocol.signing import mac, mac_input
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_core.protocol.token import (
    EaRecord,
    RequestToken,
    parse_ea_record,
    parse_request,
)
from tests.mql4.core import Core, hexed
from tests.mql4.generated import Maker, mutations
from tests.mql4.needs import needs_compiler

pytestmark = needs_compiler

COUNT: Final = 10_000 if os.environ.get("ZTB_SOAK") else 1_000
CHUNK: Final = 2_000
TEXTS: Final = (
    "client_order_id", "client", "symbol", "type", "stops_fail", "comment", "scope", "reason",
    "rid", "inc", "cause",
)  # fmt: skip
DECIMALS: Final = ("volume", "price", "sl", "tp", "old_sl", "old_tp")
NUMBERS: Final = ("ticket", "expiration", "iat", "sequence", "deviation", "strategy")

Call = tuple[str, ...]


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def _run(core: Core, calls: Sequence[Call]) -> list[list[str]]:
    answers: list[list[str]] = []
    for at in range(0, len(calls), CHUNK):
        answers += core.run(calls[at : at + CHUNK])
    assert len(answers) == len(calls)
    return answers


def _units(text: str) -> int:
    return int(Decimal(text) * 10**8)


def _body_words(request: m.Request | None) -> list[str]:
    """Return what the Advisor must say of a body."""
    if request is None:
        return ["0"]
    values = {name: getattr(request, name, None) for name in (*TEXTS, *DECIMALS, *NUMBERS)}
    words = [str(values[name] or "") for name in TEXTS]
    words += [f"{Decimal(values[name] or '0'):.8f}" for name in DECIMALS]
    return ["1", *words, *(str(values[name] or 0) for name in NUMBERS)]


def _agree(calls: Iterable[Call], wanted: Iterable[list[str]], got: Iterable[list[str]]) -> None:
    for call, expected, answer in zip(calls, wanted, got, strict=True):
        assert answer == expected, bytes.fromhex(call[-1] if call[-1] != "-" else "")


def test_generated_bodies_are_read_as_python_reads_them(core: Core) -> None:
    maker = Maker(5)
    bodies: list[tuple[Op, bytes]] = []
    for n in range(COUNT):
        op = maker.ops()[n % len(maker.ops())]
        bodies.append((op, encode_body(maker.body(op))))
    calls = [("body", op.value, hexed(raw)) for op, raw in bodies]
    wanted = [_body_words(decode_body(OPERATIONS[op].body, raw)) for op, raw in bodies]
    assert all(words[0] == "1" for words in wanted)
    _agree(calls, wanted, _run(core, calls))


def test_changed_bodies_are_taken_and_refused_as_python_does(core: Core) -> None:
    maker = Maker(6)
    bodies: list[tuple[Op, bytes]] = []
    while len(bodies) < COUNT:
        op = maker.random.choice(maker.ops())
        raw = encode_body(maker.body(op))
        other = maker.random.choice(maker.ops())
        bodies += [(op, changed) for changed in mutations(maker, raw)] + [(other, raw)]
    calls = [("body", op.value, hexed(raw)) for op, raw in bodies]
    wanted = [_body_words(decode_body(OPERATIONS[op].body, raw)) for op, raw in bodies]
    taken = sum(words[0] == "1" for words in wanted)
    assert 0 < taken < len(wanted) // 2
    _agree(calls, wanted, _run(core, calls))


def test_a_field_of_another_type_is_refused_by_both(core: Core) -> None:
    """Each value of each operation is replaced by what JSON readers often let through."""
    odd = (
        b"null", b"true", b"[]", b"{}", b"-1", b"-0", b"1.0", b"1e2", b"01", b'""', b'"0"', b'"-0"',
        b'" "', b'"1."', b'".5"', b'"0.123456789"', b'"1234567890"', b"9223372036854775807",
        b"9223372036854775808", b"18446744073709551616", b'"\x7f"', b'"a|b"', b'"BUY|SELL"', b"1 ",
        b'"' + b"x" * 37 + b'"', b'"' + b"x" * 129 + b'"', b'"00000000000000000000000000000000"',
    )  # fmt: skip
    maker = Maker(7)
    bodies: list[tuple[Op, bytes]] = []
    for op in maker.ops():
        fields = msgspec.json.decode(encode_body(maker.body(op)))
        for name in fields:
            for value in odd:
                parts = [
                    b'"%s":%s' % (n.encode(), value if n == name else msgspec.json.encode(v))
                    for n, v in fields.items()
                ]
                bodies.append((op, b"{" + b",".join(parts) + b"}"))
    calls = [("body", op.value, hexed(raw)) for op, raw in bodies]
    wanted = [_body_words(decode_body(OPERATIONS[op].body, raw)) for op, raw in bodies]
    _agree(calls, wanted, _run(core, calls))


def _token_words(parts: RequestToken | None, token: bytes) -> list[str]:
    if parts is None:
        return ["0"]
    head = len(token) - len(parts.mac_ea) - 1 - 64
    return ["1", *(str(part) for part in parts), str(parts.deadline_ms), str(head)]


def test_generated_and_changed_tokens_are_read_as_python_reads_them(core: Core) -> None:
    maker = Maker(8)
    tokens: list[bytes] = []
    while len(tokens) < COUNT:
        token = maker.token()
        tokens += [token, *mutations(maker, token)]
    calls = [("token", hexed(token)) for token in tokens]
    wanted = [_token_words(parse_request(token), token) for token in tokens]
    assert sum(words[0] == "1" for words in wanted) >= COUNT // 8
    _agree(calls, wanted, _run(core, calls))


def test_generated_macs_are_those_of_python(core: Core) -> None:
    maker = Maker(9)
    draw = maker.random
    calls: list[Call] = []
    wanted: list[list[str]] = []
    while len(calls) < COUNT:
        key, purpose = draw.randbytes(32), draw.choice(("order>ea", "admin>ea", "reply<ea"))
        head, body = draw.randbytes(draw.randint(0, 300)), draw.randbytes(draw.randint(0, 700))
        good = mac(key, purpose, head, body)
        bad = bytearray(good)
        bad[draw.randrange(32)] ^= 1 << draw.randrange(8)
        words = (key.hex(), purpose, hexed(head), hexed(body))
        calls += [("mac", *words), ("holds", *words, good.hex()), ("holds", *words, bad.hex())]
        wanted += [["1", good.hex()], ["1"], ["0"]]
    assert mac_input("order", b"", b"")  # P of two empty parts is no empty message
    assert _run(core, calls) == wanted


def test_decimals_are_read_as_python_reads_them(core: Core) -> None:
    maker = Maker(10)
    pattern = msgspec.json.Decoder(m.DecimalText)
    texts: list[bytes] = []
    while len(texts) < COUNT:
        text = maker.decimal().encode()
        texts += [text, *mutations(maker, text)]
    calls = [("decimal", hexed(text)) for text in texts]
    answers = _run(core, calls)
    for text, answer in zip(texts, answers, strict=True):
        try:
            legal = pattern.decode(b'"' + text + b'"') == text.decode("ascii")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            legal = False
        assert (answer[0] == "1") == legal, (text, DECIMAL_PATTERN)
        if legal:
            shown = text.decode("ascii")
            assert int(answer[1]) == _units(shown)
            assert Decimal(answer[2]) == Decimal(shown)
            assert "." not in answer[2] or not answer[2].endswith("0")


def test_a_decimal_survives_the_way_through_a_double(core: Core) -> None:
    """What is signed is what OrderSend gets: text -> units -> double -> units."""
    maker = Maker(11)
    calls: list[Call] = []
    wanted: list[int] = []
    for _ in range(COUNT):
        digits = maker.random.choice((0, 1, 2, 3, 5))
        text = f"{maker.random.randint(0, 10**9 - 1) / 10**digits:.{digits}f}"
        wanted.append(_units(text))
        calls.append(("from_double", text, str(digits)))
    answers = _run(core, calls)
    for call, units, answer in zip(calls, wanted, answers, strict=True):
        assert answer == ["1", str(units), call[1]], call


@pytest.mark.parametrize(
    ("value", "digits", "wanted"),
    [
        ("-0.00000000001", "2", ["1", "0", "0.00"]),
        ("-0.004", "2", ["1", "0", "0.00"]),
        ("-51.2", "2", ["1", "-5120000000", "-51.20"]),
        ("1.0851251", "5", ["1", "108513000", "1.08513"]),
        ("1000000000", "2", ["0", "0", "1000000000.00"]),
        ("1e16", "2", ["0", "0", "0"]),
        ("5", "0", ["1", "500000000", "5"]),
    ],
)
def test_a_double_is_rounded_once_and_never_shown_oddly(
    core: Core, value: str, digits: str, wanted: list[str]
) -> None:
    answer = core.one("from_double", value, digits)
    assert answer == wanted


def test_grids_are_exact(core: Core) -> None:
    maker = Maker(12)
    calls: list[Call] = []
    for _ in range(COUNT):
        step = maker.random.choice((10**6, 10**7, 10**8, 25 * 10**5, 1))
        units = maker.random.randint(0, 10**12)
        if maker.random.random() < 0.5:
            units -= units % step
        calls.append(("grid", str(units), str(step)))
    for call, answer in zip(calls, _run(core, calls), strict=True):
        units, step = int(call[1]), int(call[2])
        below = units - units % step
        above = below if units == below else below + step
        assert answer == [str(int(units == below)), str(below), str(above)]
    assert core.one("grid", "100", "0") == ["0", "100", "100"]
    assert core.run([("digits", "108512000", "5"), ("digits", "108512300", "5")]) == [["1"], ["0"]]


def test_generated_tags_comments_and_child_rids_are_those_of_python(core: Core) -> None:
    maker = Maker(13)
    calls: list[Call] = []
    wanted: list[list[str]] = []
    while len(calls) < COUNT:
        acct = maker.text("abcXYZ019_-", 1, 24)
        rid = maker.hex(32)
        ticket = maker.number(2**31 - 1, 1)
        tag = make_tag(acct, rid)
        comment = maker.text("ab c._", 0, 64)
        calls += [
            ("tag", acct, rid),
            ("child", rid, str(ticket)),
            ("comment", tag.comment, comment),
        ]
        wanted += [
            [str(int(tag.mt4_magic != 0)), str(tag.mt4_magic), tag.comment],
            ["1", child_rid(rid, ticket)],
            [tag.broker_comment(comment, 31)],
        ]
    assert _run(core, calls) == wanted


def _record(maker: Maker) -> EaRecord:
    return EaRecord(
        kid=maker.text("ab9-", 2, 16),
        acct=maker.text("aZ9_", 1, 24),
        rid=maker.hex(32),
        op="OPEN",
        order_hash=maker.hex(64),
        status="FILLED",
        code=maker.random.choice(("-", "STOPS_NOT_SET")),
        ticket=maker.number(2**31 - 1),
        volume=maker.decimal(),
        price=maker.decimal(),
        sl=maker.decimal(),
        tp=maker.decimal(),
        time=maker.random.randint(10**12, 10**13 - 1),
    )


def test_generated_records_are_signed_and_read_as_python_does(core: Core) -> None:
    maker = Maker(14)
    records = [_record(maker) for _ in range(COUNT // 4)]
    key = bytes(range(32))
    signed = _run(core, [("sign", key.hex(), *(str(part) for part in r)) for r in records])
    for record, answer in zip(records, signed, strict=True):
        text = record.text()
        assert answer == ["1", text.decode(), mac(key, "reply<ea", text, b"").hex()]
    texts = [changed for record in records for changed in mutations(maker, record.text())]
    for text, answer in zip(texts, _run(core, [("record", hexed(t)) for t in texts]), strict=True):
        parsed = parse_ea_record(text)
        assert (answer[0] == "1") == (parsed is not None), text
        if parsed is not None:
            assert answer[1] == text.decode("ascii")


@pytest.mark.parametrize(
    ("index", "value"),
    [(4, "0" * 32), (5, "open"), (7, "filled"), (8, ""), (9, "-1"), (10, "-1"), (11, "1e5"),
     (12, "nan"), (13, "1234567890"), (14, "1"), (2, "a"), (3, "a b")],
)  # fmt: skip
def test_nothing_that_a_reader_would_refuse_is_signed(core: Core, index: int, value: str) -> None:
    words = ["sign", bytes(range(32)).hex(), "t1-ab12", "demo", "1" * 32, "OPEN", "2" * 64,
             "FILLED", "-", "4711", "0.10", "1.08512", "0", "0", "1767225600000"]  # fmt: skip
    assert core.one(*words)[0] == "1"
    words[index] = value
    assert core.one(*words) == ["0", "", ""]


def test_json_is_ascii_and_reads_back(core: Core) -> None:
    maker = Maker(15)
    texts = ["", 'a"b\\c', "\u00e9\u4e2d", "line\nfeed\ttab\x01", "\U0001f600"]
    texts += [maker.text(' aZ"\\\u00ff\u20ac\x1f', 0, 60) for _ in range(50)]
    answers = _run(core, [("json_quote", text.encode("utf-16-be").hex()) for text in texts])
    for text, (same, raw) in zip(texts, answers, strict=True):
        assert same == "1"
        assert raw.isascii()
        decoded = msgspec.json.decode(raw)
        assert decoded == {"a": text, "n": -7}
    (nested,) = core.one("json")
    assert msgspec.json.decode(nested) == {
        "n": 1,
        "rows": [{"price": "1.10000", "open": True}, {"price": "2.10000", "open": False}],
        "none": [],
        "raw": [1],
    }


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", '{"a"}', '{"a":}', '{"a":"x"', '{"a":"x"}}', '{"a":"\\q"}', '{"a":"\\u00g0"}',
     '{"a":1,}', '{,"a":1}', '[{"a":1}]', '{"a":"x\n"}', '{"a":{"b":1}}', '{"a":"\\'],
)  # fmt: skip
def test_what_is_no_flat_object_is_not_read_back(core: Core, text: str) -> None:
    assert core.one("flat", text.encode("utf-16-be").hex() or "-", "a")[0] == "0"
