"""Reply and event bodies: readers ignore what they do not know and guess nothing."""

from __future__ import annotations

import math
import time
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import events, replies, views
from bridge_core.protocol.codes import FINAL, Status
from bridge_core.protocol.errors import LocalProtocolError, RemoteProtocolError
from bridge_core.protocol.events import EventBody, event_topic, tick_stream, tick_topic
from bridge_core.protocol.replies import OrderView, Page, dec, decode_reply, encode_reply, text_of

REPLIES = [
    kind
    for module in (views, replies, events)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, views.Reply) and kind is not views.Reply
]


@pytest.mark.parametrize("kind", REPLIES)
def test_fields_of_a_later_version_are_ignored(kind: type[views.Reply]) -> None:
    required = {
        field.encode_name: {str: "x", int: 1}.get(field.type, {})
        for field in msgspec.structs.fields(kind)
        if field.required
    }
    if kind is replies.HelloReply:
        required["account"] = {
            "login": 1, "server": "s", "kind": "paper", "currency": "USD", "margin_mode": "hedging",
        }  # fmt: skip
    if kind is replies.StatusReply:
        required["order"] = {"rid": "x"}
    plain = decode_reply(kind, msgspec.json.encode(required))
    later = {**required, "from_the_future": [{"deep": [1, 2]}], "zz": None}
    assert decode_reply(kind, msgspec.json.encode(later)) == plain
    assert decode_reply(kind, encode_reply(plain)) == plain


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"0", b'"x"', b"{", b'{"rid":1}', b'{"rid":null}',
     b'{"rid":"a","ticket":"1"}',
     b'{"rid":"a","nearest":"x"}', b"\xff", b'{"rid":"\xff"}', b'{"rid":"a"}x', b'{"op":"OPEN"}'],
)  # fmt: skip
def test_what_is_no_reply_is_the_peers_fault(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="REPLY_BODY: kind=OrderView"):
        decode_reply(OrderView, raw)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"rid":[', b'{"children":['])
def test_nesting_of_any_depth_is_refused_at_once(opening: bytes) -> None:
    began = time.process_time()
    with pytest.raises(RemoteProtocolError):
        decode_reply(OrderView, opening * 100_000)
    assert time.process_time() - began < 0.5


def test_deep_nesting_in_an_unknown_field_does_not_kill_the_reader() -> None:
    raw = b'{"rid":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    began = time.process_time()
    with pytest.raises(RemoteProtocolError):
        decode_reply(OrderView, raw)
    assert time.process_time() - began < 0.5


def test_an_order_nobody_described_is_unknown_and_not_final() -> None:
    order = decode_reply(OrderView, b'{"rid":"a"}')
    assert order.status == Status.UNKNOWN
    assert not order.final


def test_unknown_and_pending_are_the_only_states_that_are_not_final() -> None:
    assert set(Status) - FINAL == {Status.PENDING, Status.UNKNOWN}


def test_defaults_are_not_sent_and_not_shared() -> None:
    assert encode_reply(Page()) == b"{}"
    one, other = Page(), Page()
    assert one.positions is not other.positions


# --- decimals --------------------------------------------------------------------------------

GOOD = ["0", "0.00", "1", "-1", "-0.01", "123456789012345.12345678", "1.08500", "-5.4"]
BAD = [
    "", "-0", "-0.00", "+1", "01", "-01", "1.", ".5", "1e5", "1E+5", "NaN", "Infinity", "--1",
    "1 ", " 1", "1\n", "1_0", "1.123456789", "1234567890123456", "１", "0x1", "1,5", "None",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_decimal_text_keeps_its_digits(text: str) -> None:
    assert text_of(dec(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_a_text_that_is_no_decimal_is_the_peers_fault(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="DECIMAL"):
        dec(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [("-0", "0"), ("-0.00", "0.00"), ("1E+3", "1000"), ("1E-3", "0.001"), ("-1.50", "-1.50")],
)
def test_a_number_is_written_plainly_and_zero_has_no_sign(value: str, text: str) -> None:
    assert text_of(Decimal(value)) == text


@pytest.mark.parametrize(
    "value", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+15", "1E-9", "0.123456789"]
)
def test_a_number_the_wire_cannot_carry_is_our_fault(value: str) -> None:
    with pytest.raises(LocalProtocolError, match="DECIMAL"):
        text_of(Decimal(value))


@given(st.decimals(min_value=-(10**15) + 1, max_value=10**15 - 1, places=8))
def test_every_decimal_of_the_wire_goes_there_and_back(value: Decimal) -> None:
    assert dec(text_of(value)) == value


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_a_float_shown_to_the_user_is_its_own_shortest_text(value: float) -> None:
    rounded = round(value, 8)
    back = float(dec(text_of(Decimal(repr(rounded)).quantize(Decimal("1e-8")))))
    assert math.isclose(back, rounded, abs_tol=1e-8)


# --- where events go -------------------------------------------------------------------------


def test_topics_and_streams_name_account_run_and_symbol() -> None:
    assert event_topic("demo") == b"demo.event"
    assert tick_topic("demo", "EURUSD") == b"demo.tick.EURUSD"
    assert len(tick_topic("a" * 24, "E" * 31)) <= 64
    assert tick_stream("0" * 16, "EURUSD") == "tick-0000000000000000-EURUSD"
    assert set(events.EVENT_TYPES) >= {"tick", "heartbeat", "order_final"}
    assert encode_reply(EventBody(type="heartbeat")) == b'{"type":"heartbeat"}'
