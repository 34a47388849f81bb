"""Request bodies: one encoding per request, and nothing else is one (protocol.md 5)."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_core.protocol.errors import LocalProtocolError
from bridge_core.protocol.messages import (
    Close,
    GetStatus,
    Modify,
    Open,
    Request,
    decode_body,
    encode_body,
)
from tests.support import independent
from tests.support.strategies import BODIES, bodies

OPEN = Open(
    client_order_id="atlas-1", client="atlas", symbol="EURUSD", type="BUY", volume="0.10",
    price="1.08500", sl="1.08000", tp="0", deviation=20, expiration=0, stops_fail="CLOSE",
    strategy=1, comment="Strategy_v1",
)  # fmt: skip
RAW = encode_body(OPEN)


def field_names(kind: type[Request]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("kind", BODIES)
def test_every_body_is_read_back_as_it_was(kind: type[Request]) -> None:
    @given(bodies(kind))
    def run(body: Request) -> None:
        raw = encode_body(body)
        assert decode_body(kind, raw) == body
        assert len(raw) <= limits.BODY_BYTES_MAX
        fields = independent.legal_json(raw, field_names(kind))
        assert fields is not None
        assert list(fields.values()) == list(msgspec.structs.astuple(body))

    run()


@pytest.mark.parametrize("kind", BODIES)
def test_a_change_of_any_byte_never_reads_as_the_same_request(kind: type[Request]) -> None:
    @given(bodies(kind), st.data())
    def run(body: Request, data: st.DataObject) -> None:
        raw = bytearray(encode_body(body))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255).filter(lambda value: value != raw[at]))
        changed = decode_body(kind, bytes(raw))
        assert changed != body
        assert changed is None or encode_body(changed) == bytes(raw)

    run()


@given(st.one_of([bodies(kind).map(lambda body: body) for kind in BODIES]), st.data())
def test_both_readers_agree_on_changed_bodies(body: Request, data: st.DataObject) -> None:
    raw = bytearray(encode_body(body))
    at = data.draw(st.integers(0, len(raw)))
    piece = data.draw(st.sampled_from([b"", b" ", b'"', b"\\", b"0", b"-", b",", b"{}", b"\x00"]))
    cut = data.draw(st.integers(0, 2))
    raw[at : at + cut] = piece
    if decode_body(type(body), bytes(raw)) is not None:
        assert independent.legal_json(bytes(raw), field_names(type(body))) is not None


def test_every_truncation_of_a_body_is_refused() -> None:
    for cut in range(len(RAW)):
        assert decode_body(Open, RAW[:cut]) is None
        assert decode_body(Open, RAW[cut + 1 :]) is None


def _with(name: str, value: str) -> bytes:
    """Return the body with one field's JSON text replaced."""
    texts = {key: json.dumps(item) for key, item in json.loads(RAW).items()}
    texts[name] = value
    return ("{" + ",".join(f'"{key}":{text}' for key, text in texts.items()) + "}").encode(
        "utf-8", "surrogatepass"
    )


DECIMALS = [
    "NaN", "Infinity", "-Infinity", "1e400", "1e-400", "1E+400", "9" * 4000, "-0", "-0.0", "+1",
    "01", "00", ".5", "1.", "0x10", "1_0", "-1", "-0.01", " 1", "1 ", "1,0", "", "1.123456789",
    "1234567890", "１.０", "0.1\\n", "null", "true", "1e2", "0.30000000000000004",
]  # fmt: skip


@pytest.mark.parametrize("field", ["volume", "price", "sl", "tp"])
def test_a_decimal_has_one_plain_form_and_no_sign(field: str) -> None:
    for text in DECIMALS:
        assert decode_body(Open, _with(field, f'"{text}"')) is None, text
        assert decode_body(Open, _with(field, text)) is None, text
    for text in ("0", "0.10", "0.1", "123456789.12345678", "1.08500"):
        assert decode_body(Open, _with(field, f'"{text}"')) is not None


@pytest.mark.parametrize("name", field_names(Open))
@pytest.mark.parametrize(
    "value",
    ["null", "true", "false", "[]", "{}", '["EURUSD"]', '{"a":1}', "1.5", "-1", "1e3", '"\\u0041"',
     "NaN", "Infinity", "18446744073709551616", "1" * 400, "01", '"é"', '"\x7f"', '"\x00"'],
)  # fmt: skip
def test_a_value_of_another_type_or_outside_its_bound_is_refused(name: str, value: str) -> None:
    assert decode_body(Open, _with(name, value)) is None


@pytest.mark.parametrize("name", ["deviation", "expiration", "strategy"])
def test_a_number_in_quotes_is_not_a_number(name: str) -> None:
    assert decode_body(Open, _with(name, '"1"')) is None


@pytest.mark.parametrize("name", ["symbol", "volume", "client_order_id", "comment"])
def test_a_number_is_not_a_text(name: str) -> None:
    assert decode_body(Open, _with(name, "1")) is None


@pytest.mark.parametrize(
    "symbol",
    ["", " EURUSD", "EURUSD ", "EURUSD\n", "EUR\r\nUSD", "EUR\x00USD", "\x1b[31m", "EUR\u202eUSD",
     "EUR\u200dUSD", "\uff25URUSD", "\u0415URUSD", "EUR:USD", 'EUR"USD', "EUR\\USD", "E" * 32,
     "\ud800", "EURUSD\u0000"],
)  # fmt: skip
def test_a_symbol_that_could_be_mistaken_for_another_is_refused(symbol: str) -> None:
    texts = json.dumps(symbol), '"' + symbol + '"'
    for text in texts:
        assert decode_body(Open, _with("symbol", text)) is None
    with pytest.raises(LocalProtocolError, match="BODY"):
        encode_body(msgspec.structs.replace(OPEN, symbol=symbol))


@pytest.mark.parametrize("symbol", ["E", "EURUSD.m", "US 500", "#AAPL", "[SP500]", "E" * 31, "a/b"])
def test_a_brokers_own_spelling_passes(symbol: str) -> None:
    assert decode_body(Open, _with("symbol", json.dumps(symbol))) is not None


def test_the_layout_of_a_body_is_fixed() -> None:
    fields = json.loads(RAW)
    pretty = json.dumps(fields, separators=(", ", ": ")).encode()
    moved = json.dumps(dict(reversed(fields.items())), separators=(",", ":")).encode()
    for bad in (
        pretty, moved, b" " + RAW, RAW + b" ", RAW + b"\n", b"\xef\xbb\xbf" + RAW, RAW + RAW,
        b"[" + RAW + b"]", RAW.replace(b'"volume"', b'"Volume"'),
        RAW.replace(b'"volume"', b'"vol\\u0075me"'), RAW.replace(b"{", b'{"x":1,'),
        RAW[:-1] + b',"x":1}', RAW[:-1] + b',"volume":"0.20"}',
        RAW.replace(b'"volume":"0.10",', b""), RAW.replace(b'"volume":"0.10"', b'"volume":"0.10",'),
        RAW.replace(b'"volume":"0.10"', b'"volume":"0.10","vol\\u0075me":"9.99"'),
        RAW.replace(b"Strategy_v1", b"Strategy\\u005fv1"), RAW.replace(b"S", b"\xc0\x93"),
        RAW.replace(b"S", b"\xff"), RAW.replace(b"S", b"\xed\xa0\x80"),
        RAW.replace(b"S", b"\xe2\x82"),
        b"", b"{}", b"null", b"0", b'""', b"[]",
    ):  # fmt: skip
        assert decode_body(Open, bad) is None, bad


def test_a_body_beyond_its_bound_is_refused_unread() -> None:
    assert decode_body(Open, b" " * (limits.BODY_BYTES_MAX + 1)) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"symbol":[', b'{"a":[{"b":'])
def test_nesting_of_any_depth_is_refused_at_once(opening: bytes) -> None:
    for depth in (1, 1_000, 100_000):
        for raw in (opening * depth, opening * (4096 // len(opening))):
            began = time.process_time()
            assert decode_body(Open, raw) is None
            assert time.process_time() - began < 0.25


WRONG: list[tuple[str, Any]] = [
    ("ticket", 2**63), ("ticket", 2**70), ("ticket", 0), ("ticket", -1), ("ticket", True),
    ("ticket", 1.0), ("ticket", "1"), ("symbol", b"EURUSD"), ("symbol", None), ("symbol", 5),
    ("symbol", object()), ("volume", 0.1), ("volume", Decimal("0.1")), ("volume", float("nan")),
    ("volume", "1.0\n"), ("client", ""), ("client", "a b"), ("client_order_id", "x" * 37),
    ("client_order_id", "naïve"), ("deviation", limits.DEVIATION_POINTS_MAX + 1), ("deviation", -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_nothing_illegal_or_silently_altered_is_ever_encoded(name: str, value: Any) -> None:
    good = Close(
        client_order_id="a", client="c", ticket=1, symbol="EURUSD", volume="0.1", deviation=2
    )
    with pytest.raises(LocalProtocolError, match=r"BODY: op=Close why="):
        encode_body(msgspec.structs.replace(good, **{name: value}))


def test_a_status_question_names_exactly_one_order() -> None:
    rid = "0123456789abcdef0123456789abcdef"
    for legal in (("", "a-1"), (rid, "")):
        body = GetStatus(rid=legal[0], client_order_id=legal[1])
        assert decode_body(GetStatus, encode_body(body)) == body
    for both in (("", ""), (rid, "a-1")):
        with pytest.raises(ValueError, match="exactly one"):
            GetStatus(rid=both[0], client_order_id=both[1])
        raw = f'{{"rid":"{both[0]}","client_order_id":"{both[1]}"}}'.encode()
        assert decode_body(GetStatus, raw) is None


def test_a_body_of_one_operation_is_not_a_body_of_another() -> None:
    close = encode_body(
        Close(client_order_id="a", client="c", ticket=1, symbol="E", volume="0", deviation=0)
    )
    assert decode_body(Modify, close) is None
    assert decode_body(Open, close) is None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    for kind in BODIES:
        assert decode_body(kind, raw) is None
