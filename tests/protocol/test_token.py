"""The token grammar under attack: one text per token, and everything else is nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.token import (
    NO_INCARNATION,
    EaRecord,
    EventToken,
    ReplyToken,
    RequestToken,
    parse_ea_record,
    parse_event,
    parse_reply,
    parse_request,
)
from tests.support import independent
from tests.support.strategies import event_tokens, reply_tokens, request_tokens

RID = "0123456789abcdef0123456789abcdef"
INC = "00112233445566ff"
MAC = "ab" * 32
REQUEST = f"RISK_PASS:5:k1:demo:OPEN:{RID}:1767225600000:5000:{INC}:-:{MAC}"
REPLY = f"RISK_ACK:5:k1:demo:{RID}:1767225600000:FILLED:-:{MAC}:{INC}:7:{MAC}:-:{MAC}"
EVENT = f"RISK_EVENT:5:ev1:demo:srv-{INC}:1:1767225600000:{MAC}"
RECORD = f"EA_REC:5:k1:demo:{RID}:OPEN:{MAC}:FILLED:-:12:0.10:1.08500:0:0:1767225600000"

BAD_NUMBERS = [
    "", "0", "-1", "+1", " 1", "1 ", "1_0", "01", "1.0", "1e3", "0x1", "１２３", "١٢٣", "nan",
    "inf",
]  # fmt: skip
# What a 13-digit time must not be.
BAD_TIMES = [
    *BAD_NUMBERS, "176722560000", "17672256000000", "0767225600000", "+767225600000",
    "-767225600000", " 767225600000", "176722560000 ", "1_67225600000", "1767225600.00",
    "1767225６00000", "2026-01-15T02:08:33Z", "20260115T020833Z",
]  # fmt: skip
BAD_MACS = [
    "", "a", "ab" * 4, "ab" * 16, "ab" * 31 + "a", "ab" * 32 + "a", "ab" * 64, "AB" * 32,
    "ab" * 31 + "aB", "ab" * 31 + "ag", "ab" * 31 + " a", "ab" * 31 + "a\n", "--", "=" * 64,
    "q83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=", "0x" + "ab" * 31, "ａｂ" * 32,
]  # fmt: skip
BAD_RIDS = [
    "", "0" * 32, RID[:-1], RID + "0", RID.upper(), RID[:-1] + "g", RID[:-1] + " ", RID[:-1] + "０",
    "{" + RID[1:], RID[:8] + "-" + RID[9:],
]  # fmt: skip
BAD_NAMES = ["", "k", "K1", "k_1", "k 1", "k.1", "k" * 17, "k\n", "ｋ1", "k\x00", "k1\r"]
BAD_ACCTS = ["", "a" * 25, "a b", "a.b", "a\n", "é", "a\x00", "ａ", "a/b", "a%"]
BAD_OPS = ["", "open", "Open", "OPEN ", " OPEN", "OPEN1", "O" * 17, "ОPEN", "OPEN\n", "OPEN;"]
BAD_TTLS = [*BAD_NUMBERS, "199", "10001", "99999", "100000", "00500", "5 000", "5_000", "５０００"]
BAD_INCS = ["", INC[:-1], INC + "0", INC.upper(), "-", "0" * 15, "g" * 16, INC[:-1] + "\n"]
PREFIXES = ["", "RISK_FAIL", "risk_pass", "RISK_PASS ", " RISK_PASS", "RISK_ACK", "AUTH-PASS"]
VERSIONS = ["", "0", "1", "3", "4", "6", "05", "5 ", "5.0", "５", "v5"]


def _replaced(text: str, index: int, value: str) -> bytes:
    parts = text.split(":")
    parts[index] = value
    return ":".join(parts).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("index", "values"),
    [(0, PREFIXES), (1, VERSIONS), (2, BAD_NAMES), (3, BAD_ACCTS), (4, BAD_OPS), (5, BAD_RIDS),
     (6, BAD_TIMES), (7, BAD_TTLS), (8, BAD_INCS), (9, BAD_MACS), (10, ["-", *BAD_MACS])],
)  # fmt: skip
def test_no_field_of_a_request_has_a_second_spelling(index: int, values: list[str]) -> None:
    for value in values:
        assert parse_request(_replaced(REQUEST, index, value)) is None, value


@pytest.mark.parametrize(
    ("index", "values"),
    [(0, ["", "RISK_PASS", "RISK_EVENT", "risk_ack"]), (1, VERSIONS), (2, BAD_NAMES),
     (3, BAD_ACCTS), (4, BAD_RIDS), (5, BAD_TIMES), (6, ["", "-", "filled", "1X", "A" * 33]),
     (7, ["", "--", "code", "A" * 33, "A-B"]), (8, [*BAD_MACS, "-"]), (9, BAD_INCS),
     (10, [n for n in BAD_NUMBERS if n != "0"] + ["1" * 19]), (11, [*BAD_MACS, "-"]),
     (12, BAD_MACS), (13, [*BAD_MACS, "-"])],
)  # fmt: skip
def test_no_field_of_a_reply_has_a_second_spelling(index: int, values: list[str]) -> None:
    for value in values:
        assert parse_reply(_replaced(REPLY, index, value)) is None, value


@pytest.mark.parametrize(
    ("index", "values"),
    [(0, ["", "RISK_ACK", "risk_event"]), (1, VERSIONS), (2, BAD_NAMES), (3, BAD_ACCTS),
     (4, ["", " a", "a ", "a\n", "a\x7f", "é", "a" * 65]),
     (5, [n for n in BAD_NUMBERS if n != "0"] + ["1" * 19]),
     (6, BAD_TIMES), (7, [*BAD_MACS, "-"])],
)  # fmt: skip
def test_no_field_of_an_event_has_a_second_spelling(index: int, values: list[str]) -> None:
    for value in values:
        assert parse_event(_replaced(EVENT, index, value)) is None, value


BAD_DECIMALS = [
    "", "-1", "+1", "01", "00", ".5", "1.", "1e5", "1E+5", "0x1", "1_0", " 1", "1 ", "nan", "NaN",
    "Infinity", "1,5", "1.123456789", "1234567890", "１", "--1", "1.2.3", "1.5\n",
]  # fmt: skip


@pytest.mark.parametrize(
    ("index", "values"),
    [(0, ["", "EA_rec", "RISK_ACK"]), (1, VERSIONS), (2, BAD_NAMES), (3, BAD_ACCTS), (4, BAD_RIDS),
     (5, BAD_OPS), (6, [*BAD_MACS, "-"]), (7, ["", "-", "filled"]), (8, ["", "code"]),
     (9, [n for n in BAD_NUMBERS if n != "0"] + ["1" * 19]), (10, BAD_DECIMALS),
     (11, BAD_DECIMALS), (12, BAD_DECIMALS), (13, BAD_DECIMALS), (14, BAD_TIMES)],
)  # fmt: skip
def test_no_field_of_an_ea_record_has_a_second_spelling(index: int, values: list[str]) -> None:
    for value in values:
        assert parse_ea_record(_replaced(RECORD, index, value)) is None, value


Parser = Callable[[bytes], object]
KINDS: list[tuple[str, Parser]] = [
    (REQUEST, parse_request), (REPLY, parse_reply), (EVENT, parse_event), (RECORD, parse_ea_record),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parse"), KINDS)
def test_nothing_may_stand_before_after_or_between_the_parts(text: str, parse: Parser) -> None:
    good = text.encode()
    assert parse(good) is not None
    for bad in (
        b"", b":", b"\n" + good, good + b"\n", good + b"\r\n", good + b"\x00", b" " + good,
        good + b" ", good + b":", b":" + good, good + b":HS256", good + good,
        b"\xef\xbb\xbf" + good,
        good.replace(b":", b"::", 1), good.replace(b":", b";"), good.replace(b":5:", b":"),
        good[:-1], good.lower(), good.upper(), good.decode().encode("utf-16"), good + b"\xff",
    ):  # fmt: skip
        assert parse(bad) is None, bad
    for cut in range(len(good)):
        assert parse(good[:cut]) is None or (text is RECORD and good[:cut].count(b":") == 14)


@pytest.mark.parametrize(("text", "parse"), KINDS)
def test_one_kind_is_never_read_as_another(text: str, parse: Parser) -> None:
    for other, reader in KINDS:
        if reader is not parse:
            assert reader(text.encode()) is None
            assert parse(other.encode()) is None


@pytest.mark.parametrize(
    "old",
    [
        b"RISK_PASS:7a3f9e8b:2026-01-15T02:08:33Z",
        b"RISK_PASS:00000000:20260115T020833Z",
        b"RISK_PASS:7a3f9e8b:2026-01-15T02:08:33Z:" + MAC.encode(),
        b"RISK_PASS:5:7a3f9e8b:2026-01-15T02:08:33Z",
    ],
)
def test_a_token_of_version_4_3_is_no_token(old: bytes) -> None:
    for _, parse in KINDS:
        assert parse(old) is None


@given(request_tokens)
def test_every_legal_request_token_is_read_back_as_it_was(token: RequestToken) -> None:
    raw = token.head() + f"{token.mac_ea}:{token.mac_srv}".encode()
    assert parse_request(raw) == token
    assert independent.request_parts(raw) == raw.decode().split(":")
    assert token.deadline_ms == token.iat + token.ttl
    assert len(raw) <= 270


@given(reply_tokens)
def test_every_legal_reply_token_is_read_back_as_it_was(token: ReplyToken) -> None:
    raw = token.head() + f"{token.mac_ea}:{token.mac_srv}".encode()
    assert parse_reply(raw) == token
    assert len(raw) <= 461


@given(event_tokens)
def test_every_legal_event_token_is_read_back_as_it_was(token: EventToken) -> None:
    raw = token.head() + token.mac.encode()
    assert parse_event(raw) == token
    assert len(raw) <= 217


def test_every_legal_ea_record_is_read_back_as_it_was() -> None:
    number = "123456789.12345678"
    record = EaRecord(
        "k" * 16, "a" * 24, RID, "O" * 16, MAC, "S" * 32, "C" * 32, 10**18 - 1,
        number, number, number, number, 9_999_999_999_999,
    )  # fmt: skip
    assert parse_ea_record(record.text()) == record
    assert len(record.text()) == 340 <= limits.EA_RECORD_BYTES_MAX
    assert parse_ea_record(RECORD.encode()).text() == RECORD.encode()  # type: ignore[union-attr]


def test_a_text_beyond_its_bound_is_not_even_matched() -> None:
    for _, parse in KINDS:
        assert parse(b"RISK_PASS:" * 200_000) is None


def test_no_incarnation_is_a_legal_incarnation_for_hello() -> None:
    assert parse_request(_replaced(REQUEST, 8, NO_INCARNATION)) is not None


@given(st.data())
def test_both_readers_agree_on_every_single_byte_change(data: st.DataObject) -> None:
    raw = bytearray(REQUEST.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    parsed = parse_request(bytes(raw))
    assert (parsed is None) == (independent.request_parts(bytes(raw)) is None)


@given(st.binary(max_size=600))
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    for _, parse in KINDS:
        assert parse(raw) is None
