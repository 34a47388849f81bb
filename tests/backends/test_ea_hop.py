"""The hop's grammar: what is a message of the EA, and what is nothing at all."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol import limits
from bridge_server.backends.ea_books import deals_of, ended_of, scan_of
from bridge_server.backends.ea_hop import (
    Beat,
    Closed,
    Position,
    Rows,
    make_head,
    parse_from_ea,
    read_body,
)

RID = b"0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def _parts(head: bytes, *more: bytes, body: bytes = b"{}") -> list[bytes]:
    return [b"", b"ZTH5", head, body, *more]


@pytest.mark.parametrize(
    ("head", "verb", "parts"),
    [
        (b"HELLO:" + b"a" * 16, "HELLO", ("a" * 16,)),
        (b"BEAT:0123456789abcdef", "BEAT", ("0123456789abcdef",)),
        (b"BYE:" + b"0" * 16, "BYE", ("0" * 16,)),
        (b"BUSY:12:" + RID, "BUSY", ("12", RID.decode())),
        (b"BUSY:0:" + RID, "BUSY", ("0", RID.decode())),
        (b"ANSWER:7", "ANSWER", ("7",)),
        (b"TICK:EURUSD:1.1:1.2:5", "TICK", ("EURUSD", "1.1", "1.2", "5")),
        (b"TICK:US 30.x:1:2:0", "TICK", ("US 30.x", "1", "2", "0")),
    ],
)
def test_each_head_is_read(head: bytes, verb: str, parts: tuple[str, ...]) -> None:
    message = parse_from_ea(_parts(head))
    assert message is not None
    assert (message.verb, message.parts) == (verb, parts)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"", b"ZTH5", b"ANSWER:7"],
        [b"x", b"ZTH5", b"ANSWER:7", b"{}"],
        [b"", b"ZTB5", b"ANSWER:7", b"{}"],
        _parts(b"ANSWER:7", b"more"),
        _parts(b"ANSWER:07"),
        _parts(b"ANSWER:-1"),
        _parts(b"ANSWER:7\n"),
        _parts(b"ANSWER:" + b"9" * 19),
        _parts(b"HELLO:" + b"A" * 16),
        _parts(b"HELLO:" + b"a" * 15),
        _parts(b"HELLO:" + b"a" * 17),
        _parts(b"BUSY:1:" + b"0" * 32),
        _parts(b"BUSY:1:" + RID + b":x"),
        _parts(b"TICK:EUR:USD:1:2:3"),
        _parts(b"TICK:EURUSD:1e5:2:3"),
        _parts(b"TICK:EURUSD:-1:2:3"),
        _parts(b"EXEC:1:0"),
        _parts(b"EVENT"),
        _parts(b"EVENT", b"ZTB5", b"t"),
        _parts(b"EVENT", b"ZTH5", b"t", b"b"),
        _parts(b"EVENT", b"ZTB5", b"t" * 513, b"b"),
        _parts(b"EVENT", b"ZTB5", b"t", b"b" * 16_385),
        _parts(b"ANSWER:7", body=b"x" * (limits.HOP_BODY_BYTES_MAX + 1)),
        _parts(b"TICK:EURUSD:1:2:3" + b" " * 200),
    ],
)
def test_anything_else_is_no_message(parts: list[bytes]) -> None:
    assert parse_from_ea(parts) is None


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_from_the_wire_make_it_raise(parts: list[bytes]) -> None:
    parse_from_ea(parts)
    parse_from_ea([b"", b"ZTH5", *parts])


@given(st.binary(max_size=200))
def test_no_body_makes_it_raise(body: bytes) -> None:
    for kind in (Beat, Rows, Position):
        read_body(kind, body)


@pytest.mark.parametrize(
    "body", [b'{"instance":"a","clock":-1}', b"[]", b"nonsense", b"", b"[" * 100_000, b"\xff"]
)
def test_a_beat_that_is_none_is_none(body: bytes) -> None:
    assert read_body(Beat, body) is None


def test_a_body_may_have_fields_of_a_later_version() -> None:
    raw = {
        "instance": "a" * 16, "clock": 1, "account": 1, "server": "S", "kind": "demo", "new": [1],
    }  # fmt: skip
    assert read_body(Beat, msgspec.json.encode(raw)) is not None


@pytest.mark.parametrize("zone", [7_200_000, 0, -18_000_000, 19_800_000, None])
def test_a_beat_names_the_brokers_zone_or_none(zone: int | None) -> None:
    raw = {"instance": "a" * 16, "clock": 1, "account": 1, "server": "S", "kind": "demo"}
    if zone is not None:
        raw["zone_ms"] = zone
    beat = read_body(Beat, msgspec.json.encode(raw))
    assert beat is not None
    assert beat.zone_ms == zone


@pytest.mark.parametrize("zone", [50_400_001, -43_200_001, "7200000", 1.5])
def test_a_zone_that_no_clock_has_is_no_beat(zone: object) -> None:
    raw = {"instance": "a" * 16, "clock": 1, "account": 1, "server": "S", "kind": "demo",
           "zone_ms": zone}  # fmt: skip
    assert read_body(Beat, msgspec.json.encode(raw)) is None


@pytest.mark.parametrize("price", ["1e5", "-0", "NaN", "1.", ".5", "0x1", "", "1" * 16])
def test_a_number_that_is_no_decimal_of_the_protocol_is_refused(price: str) -> None:
    raw = {
        "ticket": 1, "symbol": "EURUSD", "type": "BUY", "volume": "0.1", "open_price": price,
        "current_price": "1",
    }  # fmt: skip
    assert read_body(Position, msgspec.json.encode(raw)) is None


def test_a_head_is_bounded() -> None:
    assert make_head("STATUS", 7, "ab") == b"STATUS:7:ab"
    with pytest.raises(ValueError, match="too long"):
        make_head("QUOTE", "x" * 200)


def _closed(ticket: int, type_: str, reason: str, **over: object) -> Closed:
    fields: dict[str, object] = {
        "ticket": ticket, "symbol": "EURUSD", "type": type_, "volume": "0.04",
        "open_price": "1.1", "close_price": "1.2", "magic": 9, "opened_ms": 10, "closed_ms": 20,
        "reason": reason,
    }  # fmt: skip
    return Closed(**fields | over)  # type: ignore[arg-type]


def test_a_partly_closed_position_shows_the_whole_volume_that_its_order_opened() -> None:
    rest = Position(
        ticket=2, symbol="EURUSD", type="BUY", volume="0.06", open_price="1.1",
        current_price="1.2", magic=9, opened_ms=10,
    )  # fmt: skip
    deals = deals_of([_closed(1, "BUY", "OURS")], [rest])
    assert [(d.entry, d.ticket) for d in deals] == [("IN", 1), ("IN", 2), ("OUT", 1)]
    assert sum(d.volume for d in deals if d.entry == "IN") == Decimal("0.10")


def test_money_that_came_or_went_is_no_trade() -> None:
    assert not deals_of([_closed(1, "BALANCE", "BALANCE")], [])


def test_what_became_of_pending_orders_is_told_by_their_tickets() -> None:
    rows = Rows(
        closed=[
            _closed(1, "BUY_LIMIT", "CANCELLED"),
            _closed(2, "SELL_STOP", "EXPIRED"),
            _closed(3, "BUY", "TP"),
            _closed(4, "BUY_LIMIT", "MANUAL"),
        ]
    )
    lives = {one.ticket: one.life for one in ended_of(rows.closed, [])}
    assert lives == {1: "CANCELLED", 2: "BROKER_EXPIRED", 3: "FILLED"}
    assert not scan_of(rows, 0, 0).complete
