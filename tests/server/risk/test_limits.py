"""Limits that only the account knows: the server refuses what a connector let pass, and jointly."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from bridge_core.host.settings import load_toml
from bridge_core.protocol.operations import Op
from bridge_server.core.trading_state import Cause
from bridge_server.policy import limits_digest
from bridge_server.settings import ServerSettings, make_policy
from tests.support.clock import SlidingClock
from tests.support.money_backend import MoneyBackend
from tests.support.raw_client import close_body, open_body
from tests.support.risk_house import HOUR_MS, limit, wait_known
from tests.support.running import Account, Running, wait_until
from tests.support.scripted_backend import loses

_D = Decimal


# --- what a connector with other limits, or with none, let pass ------------------------------


@pytest.mark.parametrize(
    ("risk", "symbol", "order", "code"),
    [
        ("", "max_volume = 0.05", {"volume": "0.06"}, "MAX_VOLUME"),
        ("", "max_deviation = 10", {"deviation": 11}, "MAX_DEVIATION"),
        ("", "max_net_volume = 0.05", {"volume": "0.06"}, "MAX_NET_VOLUME"),
        ("", "max_gross_volume = 0.05", {"volume": "0.06"}, "MAX_GROSS_VOLUME"),
        ("", 'trading_hours = "Mon 00:00-00:01"', {}, "TRADING_HOURS"),
        ("", "max_sl_distance = 100", {"sl": "1.09"}, "SL_DISTANCE"),
        ("", "price_collar = 1.0", {"type": "BUY_LIMIT", "price": "1.05"}, "PRICE_COLLAR"),
        ('require_sl = true, max_risk_per_trade = "1%"', "", {}, "SL_REQUIRED"),
        ('max_risk_per_trade = "1%"', "", {"volume": "1", "sl": "1.09800"}, "MAX_RISK"),
        ("max_order_value = 5000", "", {"volume": "0.05"}, "MAX_ORDER_VALUE"),
        ("max_total_exposure = 5000", "", {"volume": "0.05"}, "MAX_EXPOSURE"),
        ("max_currency_exposure = 5000", "", {"volume": "0.05"}, "CURRENCY_EXPOSURE"),
        ("max_leverage = 0.5", "", {"volume": "0.05"}, "MAX_LEVERAGE"),
        ("min_margin_level = 1000000", "", {"volume": "0.05"}, "MARGIN_LEVEL"),
        ("min_equity = 10000.01", "", {}, "MIN_EQUITY"),
        ("max_open_orders = 0", "", {}, "MAX_OPEN_ORDERS"),
        ('margin_mode = "netting"', "", {}, "MARGIN_MODE"),
        ('allowed_types = ["BUY_LIMIT"]', "", {}, "TYPE_NOT_ALLOWED"),
        (
            'strategies.7.allowed_symbols = ["GBPUSD"]', "", {"strategy": 7},
            "SYMBOL_NOT_ALLOWED",
        ),
    ],
)  # fmt: skip
def test_the_server_refuses_by_its_own_limits_what_a_connector_let_pass(
    account: Account, risk: str, symbol: str, order: dict[str, Any], code: str
) -> None:
    limit(account, risk, symbol)
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        for op in (Op.CHECK, Op.OPEN):
            assert client.do(op, open_body(**order)).code == code
        assert broker.ledger == []


def test_own_tickets_alone_may_be_managed_where_it_is_said(account: Account) -> None:
    limit(account, 'manage = "own"')
    broker = MoneyBackend()
    foreign = broker.put_position()
    with Running(account, broker) as server:
        client = wait_known(server)
        own = client.opened()
        assert client.close_position(foreign.ticket).code == "NOT_OURS"
        assert client.modify(foreign.ticket, sl="1.05").code == "NOT_OURS"
        assert client.modify(own, sl="1.05").status == "DONE"
        assert client.close_position(own).status == "FILLED"
        assert client.flatten().status == "DONE", "the emergency exit asks nobody whose it is"


def test_a_market_that_moves_too_fast_takes_no_entry_until_it_is_calm(account: Account) -> None:
    limit(account, "", "max_move = 1.0\nmove_window_s = 2")
    broker = MoneyBackend()
    ticket = broker.put_position(volume=_D("0.01")).ticket
    with Running(account, broker) as server:
        client = wait_known(server)
        wait_until(lambda: client.open().status == "FILLED")
        for price in ("1.11200", "1.10000"):
            broker.price = _D(price)
            _wait_price(server, broker.price)
        assert client.open().code == "MAX_MOVE"
        assert client.close_position(ticket).status == "FILLED"
        wait_until(lambda: client.open().status == "FILLED", 10)


def _taken(server: Running) -> int:
    shot = server.server.context.snapshot
    return shot.taken_wall_ms if shot is not None else 0


def _wait_price(server: Running, price: Decimal) -> None:
    def shown() -> bool:
        shot = server.server.context.snapshot
        return shot is not None and shot.quotes["EURUSD"].bid == price

    wait_until(shown)


# --- jointly ---------------------------------------------------------------------------------


def test_of_two_orders_sent_at_once_that_jointly_pass_a_limit_exactly_one_passes(
    account: Account,
) -> None:
    limit(account, "", "max_gross_volume = 0.15")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        wait_known(server)
        clients = [server.client() for _ in range(2)]
        for _ in range(15):
            sent = [(one, one.sign(Op.OPEN, open_body(volume="0.1"))) for one in clients]
            for one, frames in sent:
                one.send(frames)
            answers = [one.answers([frames])[0] for one, frames in sent]
            assert sorted(one.status for one in answers) == ["DENIED", "FILLED"]
            assert {one.code for one in answers} == {"-", "MAX_GROSS_VOLUME"}
            assert sum((one.volume for one in broker.positions.values()), _D(0)) == _D("0.1")
            filled = next(one for one in answers if one.status == "FILLED")
            assert clients[0].close_position(filled.order().ticket).status == "FILLED"


def test_what_waits_or_hangs_at_the_broker_counts_as_filled(account: Account) -> None:
    limit(account, "", "max_net_volume = 0.25")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        hang = broker.hang()
        client.send(client.sign(Op.OPEN, open_body(volume="0.1")))
        hang.wait_entered()
        client.send(client.sign(Op.OPEN, open_body(volume="0.1")))
        other = server.client()
        wait_until(lambda: other.health().open_orders == 2)
        refused = other.open(volume="0.1")
        assert (refused.code, refused.order().headroom) == ("MAX_NET_VOLUME", "0.05")
        hang.release()
        wait_until(lambda: len(broker.positions) == 2)
        assert other.open(volume="0.1").code == "MAX_NET_VOLUME"
        assert other.open(volume="0.05").status == "FILLED"


def test_an_order_whose_outcome_nobody_knows_counts_at_its_worst(account: Account) -> None:
    limit(account, "max_open_orders = 1")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.scan_complete = False
        broker.plan.append(loses(executed=False))
        assert client.open().status == "UNKNOWN"
        shot = server.server.context.snapshot
        assert shot is not None
        (flying,) = server.server.service.picturing.flying(shot)
        assert (flying.symbol, flying.volume) == ("EURUSD", _D("0.01"))
        page = client.query(Op.GET_LIMITS)
        (row,) = [one for one in page.limits if one.name == "max_open_orders"]
        assert (row.used, row.headroom, row.by) == ("1", "0", "server")
        broker.scan_complete = True
        wait_until(lambda: not server.server.service.orders.flights)


def test_a_fill_that_the_terminal_does_not_show_yet_counts_until_it_does(account: Account) -> None:
    limit(account, "max_open_orders = 2")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.frozen = broker.snapshot()
        assert [client.open().status for _ in range(2)] == ["FILLED"] * 2
        assert client.open().code == "MAX_OPEN_ORDERS"
        broker.frozen = None
        wait_until(lambda: server.server.service.keeper.landing() == ())
        assert client.open().code == "MAX_OPEN_ORDERS"
        for ticket in list(broker.positions):
            assert client.close_position(ticket).status == "FILLED"
        assert client.open().status == "FILLED"


def test_what_a_commit_did_not_keep_is_not_counted(account: Account) -> None:
    limit(account, "max_trades_per_day = 2")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        wait_known(server)
        keeper = server.server.service.keeper
        before = keeper.state.trades
        keeper._stage()
        keeper.state.trades += 1
        keeper.undone()
        assert keeper.state.trades == before
        keeper.undone()
        assert keeper.state.trades == before


# --- old data --------------------------------------------------------------------------------


def test_an_account_that_was_read_long_ago_takes_no_entry_and_every_reduction(
    account: Account,
) -> None:
    broker = MoneyBackend(clock := SlidingClock())
    ticket = broker.put_position().ticket
    with Running(account, broker, clock) as server:
        client = wait_known(server)
        broker.frozen = broker.snapshot()
        raised = server.server.context.guard.causes
        clock.advance(11_000)
        wait_until(lambda: raised.get(Cause.STALE_ACCOUNT) is not None)
        late = client.do(Op.OPEN, open_body(), iat=clock.wall_ms())
        assert (late.code, late.order().limit) == ("REDUCE_ONLY", "STALE_ACCOUNT")
        closed = client.do(Op.CLOSE, close_body(ticket), iat=clock.wall_ms())
        assert closed.status == "FILLED"
        broker.frozen = None
        wait_until(lambda: [one.gone_ms for one in raised if one.gone_ms is not None] != [])
        clock.advance(30_000)
        wait_until(lambda: raised.get(Cause.STALE_ACCOUNT) is None)


@pytest.mark.parametrize("real", [True, False])
def test_a_real_market_without_a_tick_grows_old_and_a_files_does_not(
    account: Account, *, real: bool
) -> None:
    broker = MoneyBackend(clock := SlidingClock())
    broker.last_tick_ms = broker.market_ms()
    with Running(account, broker, clock) as server:
        server.server.service.picturing._real = real  # as a terminal's server has it
        client = wait_known(server)
        assert client.open().status == "FILLED"
        clock.advance(61_000)
        asked = clock.wall_ms()
        wait_until(lambda: _taken(server) >= asked)
        late = client.do(Op.OPEN, open_body(), iat=clock.wall_ms())
        assert (late.code, late.order().limit) == (("STALE_QUOTE", "60s") if real else ("-", ""))


def test_a_market_that_was_shut_when_the_server_began_is_old_at_once(account: Account) -> None:
    broker = MoneyBackend()
    broker.last_tick_ms = broker.market_ms() - 40 * HOUR_MS
    with Running(account, broker) as server:
        server.server.service.picturing._real = True
        assert wait_known(server).open().code == "STALE_QUOTE"


# --- what is told ----------------------------------------------------------------------------


def test_a_missing_limit_does_not_stop_the_start_and_names_its_line(account: Account) -> None:
    text = account.config.read_text("utf-8")
    account.config.write_text(
        "\n".join(one for one in text.splitlines() if not one.startswith("risk =")), "utf-8"
    )
    broker = MoneyBackend()
    ticket = broker.put_position().ticket
    with Running(account, broker) as server:
        client = wait_known(server)
        refused = client.open()
        assert (refused.code, refused.order().limit) == (
            "NO_LIMIT", '[risk] max_daily_loss = "2%"',
        )  # fmt: skip
        assert client.close_position(ticket).status == "FILLED"
    assert "not_tradable symbols=EURUSD" in account.log
    assert "max_daily_loss" in account.log


def test_the_record_says_by_which_limits_the_server_began(account: Account) -> None:
    digests = []
    for volume in ("0.5", "0.5", "0.6"):
        limit(account, "", f"max_volume = {volume}")
        settings = load_toml(account.config, ServerSettings)
        wanted = limits_digest(make_policy(settings, account.config.parent), settings.rates)
        with Running(account, MoneyBackend()) as server:
            wait_known(server)
        digests.append(wanted)
        assert f'"limits":"{wanted}"' in _starts(account)[-1]
    assert digests[0] == digests[1] != digests[2]


def test_rows_of_the_limits_say_whose_they_are_and_what_is_used(account: Account) -> None:
    limit(account, "max_total_exposure = 50000", "max_gross_volume = 0.5")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        assert client.open(volume="0.1").status == "FILLED"
        rows = {(one.symbol, one.name): one for one in client.query(Op.GET_LIMITS).limits}
    assert {one.by for one in rows.values()} == {"server"}
    assert rows["EURUSD", "max_gross_volume"].headroom == "0.4"
    assert (rows["", "max_total_exposure"].used, rows["", "account_entry_per_s"].value) == (
        "11000.00", "100",
    )  # fmt: skip
    assert rows["", "min_equity"].value == ""


def _starts(account: Account) -> list[str]:
    with closing(sqlite3.connect(account.state / "journal.db")) as db:
        found = [raw.decode() for (raw,) in db.execute("SELECT record FROM log ORDER BY n")]
    return [one for one in found if '"kind":"START"' in one]
