"""Orders through the EA: passed through unchanged, at most once, believed only with its record."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames, order_hash
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import RequestToken, parse_request
from tests.support.ea_account import EaHouse
from tests.support.raw_client import open_body


def _hash(frames: Frames) -> str:
    token = parse_request(frames.token)
    assert isinstance(token, RequestToken)
    return order_hash(frames, token)


def test_an_order_is_filled_and_carries_the_record_of_the_very_bytes_it_was_signed_with(
    house: EaHouse,
) -> None:
    _, client = house.ready()
    frames = client.sign(Op.OPEN, open_body())
    answer = client.ask(frames)
    assert answer.status == "FILLED", answer.order()
    view = answer.order()
    record = house.record_of(view)
    assert record.order_hash == _hash(frames)
    assert (view.evidence, view.ticket, view.volume) == ("EA", record.ticket, record.volume)
    assert (view.price, record.price) == ("1.08512", "1.08512")
    assert answer.token.mac_ea == view.ea_mac
    tag = make_tag("demo", view.rid)
    assert view.magic == tag.mt4_magic
    line = next(one for one in house.broker.lines() if one.phase == "begin")
    assert (line.magic, line.comment) == (tag.mt4_magic, tag.comment)


def test_every_later_reply_about_an_order_carries_the_same_record(house: EaHouse) -> None:
    _, client = house.ready()
    frames = client.sign(Op.OPEN, open_body())
    first = client.ask(frames).order()
    again = client.ask(frames).order()
    asked = client.status(first.rid)
    assert (again.ea, again.ea_mac) == (first.ea, first.ea_mac)
    assert (asked.subject().ea, asked.token.mac_ea) == (first.ea, first.ea_mac)
    assert house.broker.begun() == 1


def test_a_whole_trade_runs_through_the_ea(house: EaHouse) -> None:
    _, client = house.ready()
    opened = client.open(volume="0.10").order()
    moved = client.modify(opened.ticket, sl="1.08000")
    assert moved.status == "DONE", moved.order()
    part = client.close_position(opened.ticket, volume="0.04").order()
    assert (part.status, part.remaining_volume) == ("FILLED", "0.06")
    pending = client.open(type="BUY_LIMIT", price="1.08000").order()
    assert pending.status == "WORKING"
    assert client.cancel(pending.ticket).status == "DONE"
    rest = client.close_position(part.remaining_ticket).order()
    assert rest.status == "FILLED", rest
    for view in (opened, moved.order(), part, pending, rest):
        house.record_of(view)
    assert not client.query(Op.GET_POSITIONS).positions


def test_the_brokers_no_is_rejected_with_the_eas_record(house: EaHouse) -> None:
    _, client = house.ready()
    house.broker.refuse("NO_MONEY")
    answer = client.open()
    assert (answer.status, answer.code) == ("REJECTED", "NO_MONEY")
    assert house.record_of(answer.order()).status == "REJECTED"


def test_a_price_that_moved_is_denied_by_the_ea_with_its_record(house: EaHouse) -> None:
    _, client = house.ready()
    answer = client.open(price="1.08000", deviation=1)
    assert (answer.status, answer.code) == ("DENIED", "PRICE_MOVED")
    assert house.record_of(answer.order()).code == "PRICE_MOVED"
    assert not house.broker.begun()


def test_a_partial_fill_is_partial_by_record_volume(house: EaHouse) -> None:
    _, client = house.ready()
    house.broker.partly = Decimal("0.02")
    view = client.open(volume="0.05").order()
    assert (view.status, view.volume) == ("PARTIAL", "0.02")


@pytest.mark.parametrize("kind", ["GET_POSITIONS", "GET_ORDERS", "GET_QUOTE", "GET_SYMBOL"])
def test_queries_are_answered_from_the_terminal(house: EaHouse, kind: str) -> None:
    _, client = house.ready()
    client.open()
    client.open(type="BUY_LIMIT", price="1.08000")
    page = client.query(Op(kind))
    assert page.total == 1
