"""The rehearsal: the terminal's prices, the paper broker's fills, and no trade call by anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from bridge_core.host.clock import SystemClock
from bridge_core.host.ledger import read_ledger
from bridge_core.protocol import limits
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_server.backends.ea_feed import EaFeed
from bridge_server.backends.ea_hop import make_head
from bridge_server.backends.ea_link import TRADING_VERBS, Call
from bridge_server.backends.rehearsal import Rehearsal
from tests.support.ea_account import EaHouse, EaServer
from tests.support.raw_client import RawClient
from tests.support.running import wait_until


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[EaHouse]:
    """A paper account beside a terminal, nothing started."""
    with EaHouse(tmp_path, mode="paper") as one:
        yield one


def _feed_of(server: EaServer) -> EaFeed:
    assert isinstance(server.backend, Rehearsal)
    assert isinstance(server.backend.feed, EaFeed)
    return server.backend.feed


def _zone_of(server: EaServer) -> int | None:
    beat = _feed_of(server).link.status.beat
    return beat.zone_ms if beat is not None else None


def _ready(house: EaHouse) -> tuple[EaServer, RawClient]:
    house.ea.start()
    server = house.serve()
    house.ea.wait_welcome()
    client = server.ready()
    wait_until(lambda: client.query(Op.GET_QUOTE).total == 1)
    house.broker.price("EURUSD", "1.08600", "1.08612")
    wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].bid == "1.08600")
    return server, client


def test_an_order_fills_on_paper_at_the_terminals_price_and_the_ea_is_asked_for_nothing(
    rehearsal: EaHouse,
) -> None:
    asked: list[str] = []
    server, client = _ready(rehearsal)
    original = rehearsal.ea._body

    def listen(ask: object, number: int) -> object:
        asked.append(ask.word)  # type: ignore[attr-defined]
        return original(ask, number)  # type: ignore[arg-type]

    rehearsal.ea._body = listen  # type: ignore[method-assign]
    hello = client.hello()
    assert (hello.attests, hello.mode, hello.account.kind) == (False, "paper", "paper")
    view = client.open().order()
    assert (view.status, view.price, view.ea) == ("FILLED", "1.08612", "")
    rehearsal.broker.price("EURUSD", "1.08700", "1.08712")
    wait_until(lambda: client.query(Op.GET_POSITIONS).positions[0].current_price == "1.08700")
    closed = client.close_position(view.ticket).order()
    assert (closed.status, closed.close_price) == ("FILLED", "1.08700")
    client.stop(Op.HALT)
    assert rehearsal.ea.desk.state.state == "ACTIVE"
    assert not set(asked) & TRADING_VERBS
    assert not rehearsal.broker.begun()
    lines = read_ledger(rehearsal.account.state / "ledger.jsonl")
    assert [line.op for line in lines if line.phase == "begin"] == ["OPEN", "CLOSE"]
    assert server.alive


def test_the_link_of_a_rehearsal_cannot_send_what_trades(rehearsal: EaHouse) -> None:
    server, _ = _ready(rehearsal)
    feed = _feed_of(server)
    for verb in sorted(TRADING_VERBS):
        call = Call(lambda n, verb=verb: make_head(verb, n, 0), Frames(b"t", b"b"), 1000)  # type: ignore[misc]
        reply = feed.link.hand_over(call, verb).wait()
        assert (reply.sent, reply.body) == (False, None)


def test_a_stop_of_the_terminals_price_closes_the_paper_position(rehearsal: EaHouse) -> None:
    _, client = _ready(rehearsal)
    ticket = client.opened(sl="1.08500")
    rehearsal.broker.price("EURUSD", "1.08400", "1.08412")
    wait_until(lambda: not client.query(Op.GET_POSITIONS).positions)
    deal = next(one for one in client.query(Op.GET_HISTORY).deals if one.entry == "OUT")
    assert (deal.ticket, deal.reason) == (ticket, "SL")


def test_without_the_terminal_it_starts_serves_and_begins_later(rehearsal: EaHouse) -> None:
    server = rehearsal.serve()
    client = server.client()
    assert client.hello().account.kind == "paper"
    assert client.open().code == "BROKER_DOWN"
    rehearsal.ea.start()
    rehearsal.ea.wait_welcome()
    wait_until(lambda: client.query(Op.GET_QUOTE).total == 1, 8)


def test_when_the_terminal_goes_nothing_fills_and_it_goes_on_with_its_account_afterwards(
    rehearsal: EaHouse,
) -> None:
    server, client = _ready(rehearsal)
    ticket = client.opened()
    rehearsal.ea.stop()
    wait_until(lambda: client.open().code == "BROKER_DOWN", 12)
    server.stop()
    rehearsal.ea.start()
    fresh = rehearsal.serve().client()
    wait_until(lambda: [p.ticket for p in fresh.query(Op.GET_POSITIONS).positions] == [ticket], 8)


def test_a_symbol_without_ticks_is_closed(
    rehearsal: EaHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = _ready(rehearsal)
    monkeypatch.setattr(limits, "EA_SESSION_SILENCE_MS", 0)
    answer = client.open()
    assert (answer.status, answer.code) == ("REJECTED", "MARKET_CLOSED")


def test_changed_terms_of_a_symbol_do_not_lock_the_account_out(rehearsal: EaHouse) -> None:
    from msgspec import structs

    server, client = _ready(rehearsal)
    ticket = client.opened()
    server.stop()
    terms = rehearsal.broker.terms
    spec = structs.replace(terms.symbols[0], stops_level=7)
    rehearsal.broker.terms = structs.replace(terms, symbols=(spec,))
    rehearsal.broker.market.specs["EURUSD"] = spec
    fresh = rehearsal.serve().client()
    wait_until(lambda: [p.ticket for p in fresh.query(Op.GET_POSITIONS).positions] == [ticket], 8)
    assert fresh.query(Op.GET_SYMBOL).symbols[0].stops_level == 7


def test_while_the_brokers_zone_is_unknown_market_time_stands(rehearsal: EaHouse) -> None:
    """The EA then says the broker's own time: taken for UTC it would run hours ahead for good."""
    known = rehearsal.broker.terms
    rehearsal.broker.terms = structs.replace(known, zone_ms=None)
    server, client = _ready(rehearsal)
    assert server.backend.snapshot().market_ms == 0
    rehearsal.broker.terms = known
    wait_until(lambda: _zone_of(server) == known.zone_ms)
    rehearsal.broker.price("EURUSD", "1.08700", "1.08712")
    wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].bid == "1.08700")
    market_ms = server.backend.snapshot().market_ms
    assert abs(market_ms - SystemClock().wall_ms()) < 60_000
