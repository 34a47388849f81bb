"""A restart forgets nothing: neither an ordinary one nor SIGKILL, whatever was being counted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.errors import ConfigError
from tests.support.money_backend import MoneyBackend
from tests.support.risk_house import (
    causes,
    kept_state,
    limit,
    resume,
    wait_cause,
    wait_known,
    write_state,
)
from tests.support.running import Account, Process, Running, wait_until
from tests.support.scripted_backend import rejects

_D = Decimal


def test_the_days_base_is_not_begun_anew_by_a_restart(account: Account) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        wait_known(server)
        broker.price -= _D("0.00060")
        wait_until(lambda: server.server.service.keeper.state.lost() == 60)
    with Running(account, broker) as server:
        client = wait_known(server)
        assert server.server.service.keeper.state.lost() == 60
        broker.price -= _D("0.00040")
        wait_cause(client, "DAILY_LOSS")


def test_what_was_lost_while_the_server_was_away_counts_at_its_start(account: Account) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    held = broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        wait_known(server)
    broker.price -= _D("0.00100")
    broker.stop_out(held.ticket)
    with Running(account, broker) as server:
        client = server.client()
        wait_cause(client, "DAILY_LOSS")
        assert client.open().code == "REDUCE_ONLY"


def test_the_peak_of_the_equity_outlives_a_restart(account: Account) -> None:
    limit(account, "max_drawdown = 300")
    broker = MoneyBackend()
    broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        wait_known(server)
        broker.price += _D("0.00250")
        wait_until(lambda: server.server.service.keeper.state.peak_equity == 10_250)
        wait_until(lambda: not server.server.service.keeper._dirty)
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.price -= _D("0.00299")
        wait_until(lambda: server.server.service.keeper.state.fallen() == 299)
        assert "DRAWDOWN" not in causes(client)
        broker.price -= _D("0.00001")
        wait_cause(client, "DRAWDOWN")
        assert client.hello().state == "HALTED"
    with Running(account, broker) as server:
        assert "DRAWDOWN" in causes(server.client())
        assert resume(server, "DRAWDOWN").status == "DONE"
        wait_until(lambda: "DRAWDOWN" not in causes(server.client()))
        assert server.server.service.keeper.state.fallen() == 0


def test_trades_of_the_day_are_counted_over_restarts(account: Account) -> None:
    limit(account, "max_trades_per_day = 3")
    broker = MoneyBackend()
    for passing in (2, 1):
        with Running(account, broker) as server:
            client = wait_known(server)
            assert [client.open().status for _ in range(passing)] == ["FILLED"] * passing
    with Running(account, broker) as server:
        assert wait_known(server).open().code == "MAX_TRADES"


def test_rejections_in_a_row_are_counted_over_restarts_and_a_fill_ends_the_row(
    account: Account,
) -> None:
    limit(account, "max_rejections = 3")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        for outcome in ("REJECTED", "FILLED", "REJECTED", "REJECTED"):
            if outcome == "REJECTED":
                broker.plan.append(rejects())
            assert client.open().status == outcome
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.plan.append(rejects())
        assert client.open().status == "REJECTED"
        wait_cause(client, "BREAKER")
        assert client.open().code == "REDUCE_ONLY"
    with Running(account, broker) as server:
        assert "BREAKER" in causes(server.client())
        assert resume(server, "BREAKER").status == "DONE"
        assert wait_known(server).open().status == "FILLED"


def test_fills_of_a_strategy_are_counted_over_restarts(account: Account) -> None:
    limit(account, "max_fills = 4, fills_window_s = 3600")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        assert [client.open(strategy=7).status for _ in range(3)] == ["FILLED"] * 3
        assert [client.open(strategy=8).status for _ in range(3)] == ["FILLED"] * 3
    with Running(account, broker) as server:
        client = wait_known(server)
        assert client.open(strategy=7).status == "FILLED"
        wait_cause(client, "BREAKER")


def test_a_repeat_is_known_for_one_after_a_restart(account: Account) -> None:
    limit(account, "duplicate_window_s = 3600")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        assert wait_known(server).open().status == "FILLED"
    with Running(account, broker) as server:
        client = wait_known(server)
        assert client.open().code == "DUPLICATE_INTENT"
        assert client.open(volume="0.02").status == "FILLED"


def test_a_kill_between_two_orders_loses_no_count(account: Account) -> None:
    limit(account, "max_trades_per_day = 2, max_fills = 100, duplicate_window_s = 600")
    with Process(account) as server:
        assert server.ready().open(strategy=3).status == "FILLED"
        server.kill()
    state = kept_state(account)
    assert (state.trades, len(state.fills), len(state.sent)) == (1, 1, 1)
    assert (state.fills[0].strategy, state.peak_equity > 0) == (3, True)
    with Process(account) as server:
        client = server.ready()
        assert client.open().code == "DUPLICATE_INTENT"
        assert client.open(type="SELL").status == "FILLED"
        assert client.open(volume="0.02").code == "MAX_TRADES"
        server.kill()
    assert kept_state(account).trades == 2


@pytest.mark.parametrize("raw", ["", "{}", '{"state": {"day": "x"}}', "[1"])
def test_a_state_that_cannot_be_read_stops_the_start_and_is_not_begun_anew(
    account: Account, raw: str
) -> None:
    with Running(account, MoneyBackend()) as server:
        wait_known(server)
    write_state(account, raw)
    with pytest.raises(ConfigError) as caught:
        Running(account, MoneyBackend())
    assert "risk state" in caught.value.detail
