"""The hop itself: who is there, whose account it is, what it shows, and what it says by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from bridge_core.host.sockets import unknown_key_refused
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.messages import Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import SyncReply
from bridge_core.protocol.views import AccountView
from tests.support.ea_account import EaHouse
from tests.support.fake_ea_checks import EaInputs
from tests.support.listener import Listener
from tests.support.raw_client import RawClient, decode, now_ms, open_body
from tests.support.running import wait_until


def _causes(client: RawClient) -> set[str]:
    return {cause.cause for cause in client.health().causes}


def _sync(client: RawClient) -> SyncReply:
    body = Query(symbol="", since=0, until=0, first=0, count=0)
    return decode(SyncReply, client.do(Op.SYNC_ALL, body))


# --- nobody there ------------------------------------------------------------------------------


def test_a_server_starts_and_serves_without_an_ea_and_takes_orders_once_it_comes(
    house: EaHouse,
) -> None:
    server = house.serve()
    client = server.client()
    hello = client.hello()
    assert (hello.account.login, hello.account.server, hello.account.kind) == (
        22437, "Fake-Demo", "demo",
    )  # fmt: skip
    assert hello.attests
    assert "ea" in hello.features
    assert hello.state == "REDUCE_ONLY"
    answer = client.do(Op.GET_ACCOUNT, Query(symbol="", since=0, until=0, first=0, count=0))
    assert (answer.status, answer.code) == ("DENIED", "BROKER_DOWN")
    assert client.open().code == "BROKER_DOWN"
    hop = next(one for one in client.health().hops if one.hop == "server to EA")
    assert (hop.state, hop.why) == ("down", "no EA has connected yet")
    assert client.stop(Op.REDUCE_ONLY).status == "OK"  # the stop lane works
    house.ea.start()
    house.ea.wait_welcome()
    wait_until(lambda: client.query(Op.GET_POSITIONS).time > 0)
    wait_until(lambda: house.ea.desk.state.state == "REDUCE_ONLY")


# --- whose account -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms", [{"account": 999}, {"server": "Other-Demo"}, {"kind": "real"}], ids=str
)
def test_another_account_in_the_terminal_halts_and_nothing_is_sent(
    house: EaHouse, terms: dict[str, Any]
) -> None:
    _, client = house.ready()
    house.broker.terms = _with(house, **terms)
    wait_until(lambda: "IDENTITY" in _causes(client), 12)
    assert client.open().code == "HALTED"
    closing = client.close_position(1)
    assert closing.code in ("ACCOUNT_MISMATCH", "BROKER_DOWN", "TICKET_UNKNOWN")
    assert not house.broker.begun()
    assert decode(AccountView, client.do(Op.GET_ACCOUNT, _all())).login == 22437


def _with(house: EaHouse, **terms: Any) -> Any:
    return structs.replace(house.broker.terms, **terms)


def _all() -> Query:
    return Query(symbol="", since=0, until=0, first=0, count=0)


def test_a_key_that_the_ea_does_not_hold_is_denied_before_the_intent(house: EaHouse) -> None:
    server, client = house.ready()
    kid = client.bundle.kid
    house.ea.keys.sets.pop(kid)
    wait_until(lambda: kid not in server.ea.about().kids, 12)
    answer = client.open(volume="0.01")
    assert (answer.code, answer.order().value) == ("EA_KEY", kid)
    assert not house.broker.begun()


def test_a_terminal_without_its_broker_denies_before_anything_is_sent(house: EaHouse) -> None:
    _, client = house.ready()
    house.broker.connected = False
    wait_until(lambda: "BROKER_LINK" in _causes(client), 12)
    assert client.open().code == "BROKER_DOWN"
    assert "EA_STALE" not in _causes(client)

    def told() -> bool:
        hop = next(one for one in client.health().hops if one.hop == "server to EA")
        return hop.state == "degraded" and "broker" in hop.why

    wait_until(told)


# --- what it shows -----------------------------------------------------------------------------


def test_health_and_limits_name_the_ea_and_its_caps(house: EaHouse) -> None:
    _, client = house.ready()
    health = client.health()
    assert house.ea.instance in health.backend
    hop = next(one for one in health.hops if one.hop == "server to EA")
    assert hop.state == "up"
    assert float(hop.ms) > 0
    rows = {row.name: row.value for row in client.query(Op.GET_LIMITS).limits}
    assert (rows["ea_max_lots"], rows["ea_symbols"], rows["ea_state"]) == (
        "100", "EURUSD", "ACTIVE",
    )  # fmt: skip


def test_history_shows_both_ends_of_a_closed_trade(house: EaHouse) -> None:
    _, client = house.ready()
    ticket = client.opened()
    client.close_position(ticket)
    deals = client.query(Op.GET_HISTORY).deals
    assert {(deal.entry, deal.ticket) for deal in deals} == {("IN", ticket), ("OUT", ticket)}
    assert next(deal for deal in deals if deal.entry == "OUT").reason == "OURS"


@pytest.mark.parametrize("zone", [7_200_000, -18_000_000, None])
def test_a_scan_asks_in_utc_whatever_the_brokers_clock_says(
    house: EaHouse, zone: int | None
) -> None:
    """While the zone is unknown the EA's times are the broker's, which may be 12 h behind UTC."""
    house.broker.terms = structs.replace(house.broker.terms, zone_ms=zone)
    asked: list[int] = []
    original = house.ea._body

    def listen(ask: Any, number: int) -> Any:
        if ask.word == "HISTORY":
            asked.append(int(ask.parts[1]))
        return original(ask, number)

    house.ea._body = listen  # type: ignore[method-assign]
    server, _ = house.ready()
    asked.clear()
    since = now_ms() - 3 * 86_400_000
    server.backend.scan(since)
    most_h = 2 if zone is not None else 14
    assert since - most_h * 3_600_000 <= asked[-1] <= since - (most_h - 1) * 3_600_000


def test_an_expiration_goes_to_the_broker_and_comes_back_as_signed(house: EaHouse) -> None:
    _, client = house.ready()
    until = now_ms() // 1000 * 1000 + 60_000  # sooner than the broker's clock is ahead of UTC
    answer = client.open(type="BUY_LIMIT", price="1.00000", expiration=until)
    assert answer.status == "WORKING", answer.order()
    assert client.query(Op.GET_ORDERS).orders[0].expiration == until


def test_an_expiration_is_denied_by_the_ea_while_the_zone_is_unknown(house: EaHouse) -> None:
    server, client = house.ready()
    # The server keeps the zone that it knew, for the day's sake; the EA must not guess.
    house.broker.terms = structs.replace(house.broker.terms, zone_ms=None)
    wait_until(lambda: server.ea.snapshot().zone_ms is None)
    until = now_ms() // 1000 * 1000 + 60_000
    view = client.open(type="BUY_LIMIT", price="1.00000", expiration=until).order()
    assert (view.status, view.code, house.broker.begun()) == ("DENIED", "NO_QUOTE", 0)
    assert house.record_of(view).status == "DENIED"
    assert client.open(type="BUY_LIMIT", price="1.00000").status == "WORKING"


def test_check_estimates_through_the_ea_and_sends_nothing(house: EaHouse) -> None:
    _, client = house.ready()
    answer = client.do(Op.CHECK, open_body())
    assert (answer.status, Decimal(answer.order().margin) > 0) == ("OK", True)
    assert not house.broker.begun()


def test_more_orders_than_a_page_holds_are_all_there(house: EaHouse) -> None:
    house.ea.inputs = EaInputs(max_positions=1000)
    _, client = house.ready()

    def place() -> bool:  # faster than the rate that the server allows
        return client.open(type="BUY_LIMIT", price="1.00000").status == "WORKING"

    for _ in range(103):
        wait_until(place)
    page = client.query(Op.GET_ORDERS)
    assert (page.total, len(page.orders)) == (103, 103)


# --- what it says by itself ----------------------------------------------------------------------


def test_the_eas_own_events_are_relayed_unopened_and_its_stream_is_listed(
    house: EaHouse,
) -> None:
    _, client = house.ready()
    with Listener(house.account) as listener:
        listener.wait_for("heartbeat")
        ticket = client.opened()
        event = listener.wait_for("position_opened")  # verified under the EA's own event key
        assert (event.body.ticket, event.topic) == (ticket, b"demo.event")
        stream, seq = event.token.stream, event.token.seq
        assert stream == f"ea-{house.ea.instance}"

        def listed() -> bool:
            beat = listener.wait_for("heartbeat")
            points = {point.stream: point.seq for point in beat.body.streams}
            return beat.token.stream.startswith("srv-") and points.get(stream, 0) >= seq

        wait_until(listed)
    wait_until(lambda: {p.stream: p.seq for p in _sync(client).streams}.get(stream, 0) >= seq)
    assert [one.ticket for one in _sync(client).positions] == [ticket]


def test_an_event_that_is_not_of_the_eas_own_stream_is_not_passed_on(house: EaHouse) -> None:
    server, client = house.ready()
    other = house.another_ea()
    other.instance = "f" * 16
    forged = other.sign_event(1, EventBody(type="position_closed", ticket=7))
    house.ea._link.say("EVENT", None, forged)
    wait_until(lambda: server.ea.link.counters["ea_malformed"] > 0)
    streams = {point.stream for point in _sync(client).streams}
    assert f"ea-{'f' * 16}" not in streams


def test_a_pending_order_that_fills_or_ends_is_followed_without_any_event(house: EaHouse) -> None:
    _, client = house.ready()
    filled = client.open(type="BUY_LIMIT", price="1.08000").order()
    gone = client.open(type="BUY_LIMIT", price="1.07000").order()
    house.ea.faults.drop("EVENT", 1000)
    house.broker.price("EURUSD", "1.07990", "1.08000")
    wait_until(lambda: client.status(filled.rid).subject().life == "FILLED", 8)
    assert client.cancel(gone.ticket).status == "DONE"
    wait_until(lambda: client.status(gone.rid).subject().life == "CANCELLED", 8)


def test_ticks_are_published_by_the_server_and_show_in_quotes(house: EaHouse) -> None:
    _, client = house.ready()
    house.broker.price("EURUSD", "1.09000", "1.09010")
    wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].bid == "1.09000")


def test_the_port_of_the_ea_lets_in_nobody_but_the_ea(house: EaHouse) -> None:
    server, client = house.ready()
    public = server.ea.link._spec.keys.public
    assert unknown_key_refused(server.ea.link.address, public)
    assert client.open().status == "FILLED"
