"""The rehearsal beside MetaTrader 5: its prices and terms, paper fills, and no order sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bridge_core.host.bundles import load_server_keys
from bridge_core.host.clock import Clock, SystemClock
from bridge_core.host.ledger import read_ledger
from bridge_core.protocol import limits
from bridge_core.protocol.deadline import Deadline
from bridge_core.protocol.operations import Op
from bridge_server.backends.mt5_feed import Mt5Feed
from bridge_server.backends.mt5_link import Mt5Link
from bridge_server.backends.mt5_settings import Mt5Served
from bridge_server.backends.rehearsal import Place, Rehearsal
from bridge_server.core.ports import Backend
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import Hop, Server, build_backend, build_server, link_spec
from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.broker import Broker, SymbolTerms, Terms
from tests.support.mt5_account import make_mt5_account
from tests.support.raw_client import RawClient
from tests.support.running import Account, Running, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a Unix socket")

E = "EURUSD"


class Rehearsing(Running):
    """A server as its configuration says, but for the module that its worker loads."""

    def _build(self, account: Account, backend: Backend | None, clock: Clock | None) -> Server:
        settings, base = load_settings(account.config, Overrides()), account.config.parent
        clock = SystemClock()
        spec = link_spec(settings, base, trading=False, load=load)
        self.link = Mt5Link(spec, clock)
        served = Mt5Served(
            acct=settings.account, symbols=tuple(settings.allowed_symbols), pins=spec.pins,
            settings=settings.mt5,
        )  # fmt: skip
        place = Place(folder=base / settings.state, base=base)
        chosen = Rehearsal(Mt5Feed(self.link, served, clock), settings.paper, place, clock)
        return build_server(settings, base, make_backend=lambda *_: chosen)


class House:
    """A paper account beside a terminal; each is started as far as a test wants it."""

    def __init__(self, folder: Path) -> None:
        self.terms = Terms(symbols=(SymbolTerms(selected=False),))
        self.broker = Broker(self.terms)
        self.broker.price(E, "1.08500", "1.08512")
        self.terminal = FakeTerminal(folder, self.broker, scale=0.02)
        self.account = make_mt5_account(folder / "account", self.terminal.path, mode="paper")
        self._servers: list[Rehearsing] = []

    def serve(self) -> Rehearsing:
        """Start a server."""
        server = Rehearsing(self.account)
        self._servers.append(server)
        return server.__enter__()

    def _ticks(self) -> bool:
        self.broker.price(E, "1.08500", "1.08512")
        return True

    def ready(self) -> tuple[Rehearsing, RawClient]:
        """Start both; return once a price has come from the terminal."""
        self.terminal.start()
        server = self.serve()
        client = server.ready()
        wait_until(lambda: client.query(Op.GET_QUOTE).total == 1)
        # Market time, and with it the broker's day, is known once the ticks have told the zone.
        wait_until(lambda: self._ticks() and server.server.service.keeper.known is not None)
        wait_until(lambda: server.server.service.keeper.state.realised is not None)
        self.price("1.08600", "1.08612")
        wait_until(lambda: client.query(Op.GET_QUOTE).quotes[0].bid == "1.08600")
        return server, client

    def price(self, bid: str, ask: str) -> None:
        """Let the terminal's price move."""
        self.broker.price(E, bid, ask)

    def close(self) -> None:
        """End what was started; no test of a rehearsal may have sent anything."""
        for server in self._servers:
            server.__exit__(None, None, None)
        self.terminal.close()
        assert self.terminal.count("order_send") == 0
        assert self.broker.begun() == 0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_orders_fill_on_paper_at_the_terminals_price_and_none_is_sent(house: House) -> None:
    _, client = house.ready()
    hello = client.hello()
    assert (hello.attests, hello.mode, hello.account.kind) == (False, "paper", "paper")
    view = client.open(sl="1.08400").order()
    assert (view.status, view.price) == ("FILLED", "1.08612")
    house.price("1.08700", "1.08712")
    wait_until(lambda: client.query(Op.GET_POSITIONS).positions[0].current_price == "1.08700")
    closed = client.close_position(view.ticket).order()
    assert (closed.status, closed.close_price) == ("FILLED", "1.08700")
    stopped = client.opened(sl="1.08600")
    house.price("1.08500", "1.08512")
    wait_until(lambda: not client.query(Op.GET_POSITIONS).positions)
    deal = next(
        one for one in client.query(Op.GET_HISTORY).deals
        if one.ticket == stopped and one.entry == "OUT"
    )  # fmt: skip
    assert deal.reason == "SL"
    lines = read_ledger(house.account.state / "ledger.jsonl")
    assert [line.op for line in lines if line.phase == "begin"] == ["OPEN", "CLOSE", "OPEN"]
    assert house.terminal.count("order_check") == 0


def test_the_terms_are_the_terminals(house: House) -> None:
    spec = house.terms.symbols[0]
    spec.stops_level, spec.volume_step, spec.volume_min = 50, Decimal("0.1"), Decimal("0.1")
    _, client = house.ready()
    shown = client.query(Op.GET_SYMBOL).symbols[0]
    assert (shown.stops_level, shown.volume_step, shown.filling, shown.trade_mode) == (
        50, "0.1", "IOC", "FULL",
    )  # fmt: skip
    assert client.open(volume="0.15").code == "VOLUME_GRID"


def test_a_symbol_that_may_only_be_closed_takes_no_entry(house: House) -> None:
    house.terms.symbols[0].trade_mode = 3
    _, client = house.ready()
    answer = client.open()
    assert (answer.status, answer.code) == ("DENIED", "SESSION_CLOSED")


def test_a_symbol_without_ticks_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = house.ready()
    monkeypatch.setattr(limits, "EA_SESSION_SILENCE_MS", 0)
    wait_until(lambda: client.open().code == "SESSION_CLOSED")  # at the next look
    assert client.open().status == "DENIED"


def test_without_the_terminal_it_serves_and_begins_later(house: House) -> None:
    house.terminal.launch.refuse = True
    house.terminal.install()
    client = house.serve().client()
    assert client.hello().account.kind == "paper"
    assert client.open().code == "BROKER_DOWN"
    house.terminal.start()
    wait_until(lambda: client.query(Op.GET_QUOTE).total == 1, 10)


def test_when_the_terminal_goes_nothing_fills(house: House) -> None:
    _, client = house.ready()
    ticket = client.opened()
    house.terminal.launch.refuse = True
    house.terminal.stop()
    wait_until(lambda: client.open().code == "BROKER_DOWN", 10)
    assert ticket in {one.ticket for one in client.query(Op.GET_POSITIONS).positions}


def test_the_link_of_a_rehearsal_sends_no_order(house: House) -> None:
    server, _ = house.ready()
    clock = SystemClock()
    deadline = Deadline.at(clock.wall_ms() + 5_000, clock.wall_ms(), clock.mono_ms())
    sent = server.link.trade({"action": 1, "symbol": E, "volume": 0.1, "type": 0}, deadline)
    assert (sent.begun, sent.answer) == (False, None)
    assert sent.refusal is not None
    assert (sent.refusal.code, sent.refusal.value) == ("BROKER_DOWN", "a rehearsal sends no orders")
    refused = server.link.call("order_send", {"action": 1})
    assert not refused.ok


def test_the_wiring_of_a_paper_account_gives_a_link_that_may_not_trade(house: House) -> None:
    settings, base = load_settings(house.account.config, Overrides()), house.account.config.parent
    own = load_server_keys(base / settings.keys / "server.key")
    backend = build_backend(settings, base, SystemClock(), Hop(own, "0" * 16, lambda: None))
    assert isinstance(backend, Rehearsal)
    assert isinstance(backend.feed, Mt5Feed)
    assert not backend.feed.link._spec.trading
