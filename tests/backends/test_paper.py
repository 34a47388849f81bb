"""The paper backend keeps the contract, its own rules, and its word about time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.messages import DECIMAL_PATTERN
from bridge_server.backends.paper import PaperBackend, PaperSettings, SymbolTerms
from bridge_server.core.ports import Executed, NotBegun, Rejected
from tests.backends.contract import BackendContract
from tests.support.clock import FakeClock
from tests.support.paper import (
    World,
    bar,
    cancel,
    close,
    modify,
    open_order,
    paper_world,
    write_bars,
)

FLAT = ("1.10000",) * 4


class TestPaperKeepsTheContract(BackendContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        world = paper_world(tmp_path)
        world.next_prices()
        yield world
        world.backend.close()


def test_every_fill_says_that_it_is_paper_and_where_its_price_came_from(tmp_path: Path) -> None:
    world = paper_world(tmp_path, source_note="one fixing a day")
    world.next_prices()
    outcome = world.do(open_order())
    assert outcome.facts.comment == "paper: synthetic price, spread 10 points"
    assert world.backend.scan(0).deals[0].comment.endswith(" paper")
    assert len(world.backend.scan(0).deals[0].comment) <= 31
    identity = world.backend.snapshot().identity
    assert (identity.kind, identity.server, identity.login) == ("paper", "ztb-paper", 1)
    note = world.backend.snapshot().note
    for said in ("paper", "synthetic", "10 points", "one fixing a day", "stop-out", "10000 USD"):
        assert said in note
    world.backend.close()


def test_rejections_carry_metatraders_return_codes(tmp_path: Path) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT)])
    world = paper_world(tmp_path, prices="p.csv")
    assert world.do(open_order()).facts.retcode == 10018  # before the first price
    world.next_prices()
    cases: dict[int, list[dict[str, Any]]] = {
        10014: [{"volume": "0.011"}, {"volume": "0"}, {"volume": "100.01"}],
        10015: [
            {"type_": "BUY_LIMIT", "price": "1.10010"},  # equal to the ask
            {"type_": "BUY_STOP", "price": "1.10010"},
            {"type_": "SELL_LIMIT", "price": "1.09999"},
            {"type_": "SELL_STOP", "price": "1.10000"},
            {"type_": "BUY_LIMIT", "price": "1.099995"},
            {"type_": "BUY_STOP", "price": "0"},
        ],
        10016: [
            {"sl": "1.10000"},  # a BUY's sl must be below the bid
            {"tp": "1.10000"},
            {"type_": "SELL", "sl": "1.10010"},
            {"sl": "1.099995"},
            {"type_": "BUY_LIMIT", "price": "1.09000", "sl": "1.09000"},
        ],
        10019: [{"volume": "50"}],
        10022: [{"type_": "BUY_LIMIT", "price": "1.09000", "expiration": 1_704_153_600_000}],
        10013: [{"symbol": "GBPUSD"}],
    }
    for retcode, wrong in cases.items():
        for over in wrong:
            outcome = world.do(open_order(**over))
            assert isinstance(outcome, Rejected), over
            assert outcome.facts.retcode == retcode, over
    assert not world.backend.scan(0).deals
    world.backend.close()


def test_market_time_and_wall_time_never_mix(tmp_path: Path) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT), bar(1, *FLAT), bar(2, *FLAT)])
    world = paper_world(tmp_path, prices="p.csv")
    world.next_prices()
    start = world.backend.snapshot().market_ms
    order = world.do(
        open_order("BUY_LIMIT", price="1.05000", expiration=start + 120_000)
    ).facts.ticket
    assert [e.type for e in world.backend.pump()] == ["order_placed"]
    for _ in range(500):
        world.clock.advance(1)  # less than the pace: no row, whatever the wall clock says
        world.clock.step_wall(3_600_000)
        assert not world.backend.pump()
    assert world.backend.snapshot().market_ms == start
    world.next_prices()
    assert order in world.backend.snapshot().orders
    events = world.next_prices()
    assert [e.type for e in events] == ["order_expired", "tick"]
    assert events[0].time == start + 120_000
    ended = world.backend.scan(0).ended[0]
    assert (ended.life, ended.time_ms) == ("BROKER_EXPIRED", start + 120_000)
    world.backend.close()


def test_a_synthetic_price_number_n_is_the_same_in_every_life(tmp_path: Path) -> None:
    def walk(folder: Path, prices: int, *, restart: bool) -> list[tuple[str, int]]:
        folder.mkdir(parents=True)
        world, seen = paper_world(folder), []
        for n in range(prices):
            if restart and n == prices // 2:
                world.backend.close()
                world = paper_world(folder, world.clock)
                assert len(world.next_prices()) == 1  # the quote once again, not a new one
            seen += [(e.bid, e.time) for e in world.next_prices()]
        world.backend.close()
        return seen

    once = walk(tmp_path / "a", 40, restart=False)
    again = walk(tmp_path / "b", 40, restart=True)
    assert len(once) == 40
    assert len({bid for bid, _ in once}) > 10
    assert once == again


def test_a_restart_keeps_positions_orders_balance_and_publishes_the_quote_once_again(
    tmp_path: Path,
) -> None:
    write_bars(tmp_path / "p.csv", [bar(n, *FLAT) for n in range(5)])
    world = paper_world(tmp_path, prices="p.csv")
    world.next_prices()
    ticket = world.do(open_order(sl="1.05000")).facts.ticket
    world.do(open_order("SELL_LIMIT", price="1.20000", tp="1.15000"))
    world.do(close(ticket, "0.03"))
    before = world.backend.snapshot()
    world.backend.close()
    world = paper_world(tmp_path, world.clock, prices="p.csv")
    after = world.backend.snapshot()
    assert (after.positions, after.orders, after.account) == (
        before.positions, before.orders, before.account,
    )  # fmt: skip
    assert after.market_ms == before.market_ms
    assert [(e.type, e.time) for e in world.next_prices()] == [("tick", before.market_ms)]
    assert [(e.type, e.time) for e in world.next_prices()] == [("tick", before.market_ms + 60_000)]
    world.backend.close()


def test_the_file_that_has_ended_leaves_the_last_quote_standing_and_says_so(tmp_path: Path) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT).rstrip("\n")])
    world = paper_world(tmp_path, prices="p.csv")
    assert len(world.next_prices(3)) == 1
    assert "ended" in world.backend.snapshot().note
    assert world.do(open_order()).status is Status.FILLED
    world.backend.close()


def test_modifying_a_pending_order_moves_it_and_price_zero_keeps_price_and_expiration(
    tmp_path: Path,
) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    far = world.backend.snapshot().market_ms + 10_000_000
    ticket = world.do(open_order("BUY_LIMIT", price="1.05000", expiration=far)).facts.ticket
    assert world.do(modify(ticket, sl="1.04000", expiration=7)).status is Status.DONE
    order = world.backend.snapshot().orders[ticket]
    assert (order.price, order.sl, order.expiration_ms) == (Decimal("1.05"), Decimal("1.04"), far)
    moved = modify(ticket, price="1.06000", sl="1.04000", old_sl="1.04", expiration=0)
    assert world.do(moved).status is Status.DONE
    order = world.backend.snapshot().orders[ticket]
    assert (order.price, order.expiration_ms) == (Decimal("1.06"), 0)
    assert isinstance(world.do(modify(ticket, price="1.50000", old_sl="1.04")), Rejected)
    world.backend.close()


def test_cancel_refuses_a_position_and_close_refuses_a_pending_order(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    position = world.do(open_order()).facts.ticket
    order = world.do(open_order("BUY_LIMIT", price="1.05000")).facts.ticket
    for body in (cancel(position), close(order)):
        outcome = world.do(body)
        assert isinstance(outcome, Rejected)
        assert outcome.code is ReasonCode.INVALID_TICKET
    world.backend.close()


def test_the_broker_takes_no_more_orders_than_its_own_bound(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    for _ in range(200):
        assert isinstance(world.do(open_order("BUY_LIMIT", price="1.05000")), Executed)
    assert world.do(open_order()).code is ReasonCode.TOO_MANY_ORDERS
    world.backend.close()


def test_event_numbers_are_legal_on_the_wire(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    ticket = world.do(open_order(sl="1.05000")).facts.ticket
    world.do(close(ticket))
    signed = re.compile(DECIMAL_PATTERN.replace(r"\A", r"\A-?", 1))
    events = world.next_prices()
    assert {e.type for e in events} >= {"position_opened", "position_closed", "account_update"}
    for event in events:
        for name in ("bid", "volume", "open_price", "close_price", "sl", "profit", "balance"):
            text = getattr(event, name)
            assert signed.match(text), (event.type, name, text)
            assert not text.startswith("-") or Decimal(text) < 0
    world.backend.close()


# --- currencies ----------------------------------------------------------------------------


def test_yen_profit_is_divided_by_the_closing_price_when_dollars_are_the_base(
    tmp_path: Path,
) -> None:
    flat, up = ("150.000",) * 4, ("151.000",) * 4
    write_bars(tmp_path / "p.csv", [bar(0, *flat), bar(1, *up)])
    world = paper_world(tmp_path, prices="p.csv", spread_points=0, symbols_allowed=("USDJPY",))
    world.next_prices()
    ticket = world.do(open_order(volume="1", symbol="USDJPY")).facts.ticket
    assert world.backend.snapshot().account.margin == Decimal("1000.00")
    world.next_prices()
    facts = world.do(close(ticket, symbol="USDJPY")).facts
    assert facts.profit == Decimal("662.25")  # 100000 yen / 151
    world.backend.close()


def test_a_cross_is_converted_through_another_symbol_and_waits_for_its_price(
    tmp_path: Path,
) -> None:
    write_bars(tmp_path / "eg.csv", [bar(0, *("0.85000",) * 4), bar(2, *("0.86000",) * 4)])
    write_bars(tmp_path / "gu.csv", [bar(1, *("1.25000",) * 4)])
    world = paper_world(
        tmp_path,
        prices={"EURGBP": "eg.csv", "GBPUSD": "gu.csv"},
        spread_points=0,
        symbols_allowed=("EURGBP", "GBPUSD"),
    )
    world.next_prices()
    assert world.do(open_order(symbol="EURGBP")).code is ReasonCode.MARKET_CLOSED
    world.next_prices()
    ticket = world.do(open_order(volume="1", symbol="EURGBP")).facts.ticket
    world.next_prices()
    assert world.do(close(ticket, symbol="EURGBP")).facts.profit == Decimal("1250.00")
    world.backend.close()


@pytest.mark.parametrize(
    ("symbols", "settings", "says"),
    [
        (("EURGBP",), {}, "GBPUSD"),
        (("GOLD",), {}, "currency_base"),
        (("EURUSD", "GBPUSD"), {"prices": "a.csv"}, "serves one symbol"),
        (("EURUSD",), {"prices": {"GBPUSD": "a.csv"}}, "lacks EURUSD"),
        (("EURUSD",), {"prices": "absent.csv"}, "absent.csv"),
        (("EURUSD",), {"symbols": {"USDJPY": SymbolTerms()}}, "allowed_symbols"),
        (("EURUSD",), {"symbols": {"EURUSD": SymbolTerms(volume_step=Decimal(0))}}, "volume_step"),
        (("EURUSD",), {"balance": Decimal(0)}, "balance"),
    ],
)
def test_settings_that_cannot_work_stop_the_start_and_name_the_fix(
    tmp_path: Path, symbols: tuple[str, ...], settings: dict[str, Any], says: str
) -> None:
    backend = PaperBackend(
        PaperSettings(**settings),
        symbols=symbols,
        folder=tmp_path,
        base=tmp_path,
        clock=FakeClock(),
    )
    with pytest.raises(ConfigError, match=says):
        backend.start()


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"currency": "EUR"}, "currency"), ({"login": 2}, "login"), ({"prices": "p.csv"}, "source")],
)
def test_an_account_is_never_served_under_other_terms_than_it_began_with(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    write_bars(tmp_path / "p.csv", [bar(0, *FLAT)])
    paper_world(tmp_path).backend.close()
    with pytest.raises(ConfigError, match=says):
        paper_world(tmp_path, **changed)
    paper_world(tmp_path).backend.close()  # and nothing of the refusal sticks


def test_a_symbol_that_joins_later_begins_where_the_market_is(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices(30)
    now = world.backend.snapshot().market_ms
    world.backend.close()
    world = paper_world(tmp_path, world.clock, symbols_allowed=("EURUSD", "USDJPY"))
    world.next_prices(2)
    quotes = world.backend.snapshot().quotes
    assert quotes["USDJPY"].time_ms >= now
    world.backend.close()


def test_two_servers_cannot_share_one_paper_account(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    with pytest.raises(ConfigError):
        paper_world(tmp_path)
    world.backend.close()


def test_a_store_that_fails_gives_lost_and_the_file_decides_what_happened(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    backend = world.backend
    assert isinstance(backend, PaperBackend)
    backend._store._conn.execute("PRAGMA max_page_count = 1")  # the disk is full, to sqlite
    outcomes = [world.do(open_order()) for _ in range(60)]
    lost = [each for each in outcomes if type(each).__name__ == "Lost"]
    filled = [each for each in outcomes if isinstance(each, Executed)]
    assert len(lost) == 1
    assert not backend.snapshot().connected
    assert not backend.scan(0).complete
    assert isinstance(outcomes[-1], NotBegun)
    assert outcomes[-1].refusal.code is ReasonCode.BROKER_DOWN
    alerts = [e for e in backend.pump() if e.type == "alert"]
    assert len(alerts) == 1
    world.next_prices(2)
    assert backend.snapshot().connected
    assert len(backend.snapshot().positions) == len(filled)
    backend.close()


def test_a_scan_asks_by_wall_time_and_history_by_market_time(tmp_path: Path) -> None:
    world = paper_world(tmp_path)
    world.next_prices()
    deal = world.do(open_order()).facts.deal
    order = world.do(open_order("BUY_LIMIT", price="1.05000")).facts.ticket
    world.do(cancel(order))
    wall = world.clock.wall_ms()
    assert [d.deal for d in world.backend.scan(wall).deals] == [deal]
    assert [e.ticket for e in world.backend.scan(wall).ended] == [order]
    assert world.backend.scan(wall + 1).deals == ()
    assert world.backend.scan(wall + 1).ended == ()
    world.backend.close()
