"""The day's loss on the server: it sees what floats, what was closed, and no transfer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.operations import Op
from tests.support.clock import SlidingClock
from tests.support.money_backend import MoneyBackend
from tests.support.raw_client import open_body
from tests.support.risk_house import HOUR_MS, causes, limit, resume, wait_cause, wait_known
from tests.support.running import Account, Running, wait_until

_D = Decimal
_DAY_MS = 24 * HOUR_MS
# With one lot every 0.00100 is 100 of account currency.
_START = _D("1.10000")


def _ahead(broker: MoneyBackend, zone_ms: int, before_midnight_ms: int) -> None:
    """Let market time be so long before the broker's midnight."""
    now = broker.clock.wall_ms()
    midnight = (now + zone_ms) // _DAY_MS * _DAY_MS + _DAY_MS - zone_ms
    broker.ahead_ms = midnight - before_midnight_ms - now


def test_a_floating_loss_alone_latches_and_everything_that_reduces_still_works(
    account: Account,
) -> None:
    limit(account, 'max_daily_loss = "2%"')
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        ticket = client.opened(volume="1")
        broker.price = _START - _D("0.00199")
        assert client.open(volume="0.01").status == "FILLED"
        broker.price = _START - _D("0.00200")
        wait_cause(client, "DAILY_LOSS")
        refused = client.open(volume="0.01")
        assert (refused.code, refused.order().limit) == ("REDUCE_ONLY", "DAILY_LOSS")
        broker.price = _START
        assert "DAILY_LOSS" in causes(client), "a latch does not end because the price came back"
        assert client.close_position(ticket).status == "FILLED"


def test_a_loss_that_a_stop_took_counts_even_before_its_deal_is_shown(account: Account) -> None:
    limit(account, "max_daily_loss = 200")
    broker = MoneyBackend()
    held = broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.deals_hidden = True
        broker.price = _START - _D("0.00150")
        wait_until(lambda: server.server.service.keeper.state.floating == -150)
        broker.stop_out(held.ticket)
        asked = len(broker.asked_since)
        wait_until(lambda: len(broker.asked_since) > asked)
        keeper = server.server.service.keeper
        assert keeper.state.lost() == 150, "no deal shows it, and it is charged all the same"
        broker.put_position(volume=_D("0.5"))
        broker.price -= _D("0.00100")
        wait_cause(client, "DAILY_LOSS")
        broker.deals_hidden = False
        wait_until(lambda: keeper.state.realised == -150)
        assert keeper.state.lost() == 200, "and not twice once it shows"


def test_gains_pay_for_losses_of_the_same_day(account: Account) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        first = client.opened(volume="1")
        broker.price = _START + _D("0.00150")
        wait_until(lambda: server.server.service.keeper.state.floating == 150)
        assert client.close_position(first).status == "FILLED"
        wait_until(lambda: server.server.service.keeper.state.realised == 150)
        broker.put_position(volume=_D(1))
        broker.price -= _D("0.00249")
        wait_until(lambda: server.server.service.keeper.state.lost() == 99)
        assert "DAILY_LOSS" not in causes(client)
        broker.price -= _D("0.00001")
        wait_cause(client, "DAILY_LOSS")


def test_neither_a_deposit_nor_a_withdrawal_is_a_profit_or_a_loss(account: Account) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    with Running(account, broker) as server:
        client = wait_known(server)
        for move in (_D(-6_000), _D(50_000)):
            broker.balance += move
            wait_until(lambda: server.server.service.keeper.state.equity == broker.balance)
            assert client.open(volume="0.01").status == "FILLED"
            assert server.server.service.keeper.state.lost() == 0


@pytest.mark.parametrize("zone_h", [0, 2, 3, -5])
def test_the_latch_ends_at_the_brokers_midnight_and_not_before(
    account: Account, zone_h: int
) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    broker.zone_ms = zone_h * HOUR_MS
    _ahead(broker, broker.zone_ms, 2 * HOUR_MS)
    held = broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        client = wait_known(server)
        day = server.server.service.keeper.state.day
        assert broker.asked_since[-1] == day * _DAY_MS - broker.zone_ms
        broker.price -= _D("0.00120")
        wait_cause(client, "DAILY_LOSS")
        broker.stop_out(held.ticket)
        wait_until(lambda: server.server.service.keeper.state.realised == -120)
        _ahead(broker, broker.zone_ms, 60_000)
        assert client.open().code == "REDUCE_ONLY"
        broker.ahead_ms += 61_000
        wait_until(lambda: "DAILY_LOSS" not in causes(client))
        wait_until(lambda: server.server.service.keeper.state.realised == 0)
        assert server.server.service.keeper.state.day == day + 1
        assert client.open().status == "FILLED"
    assert "trading_day" in account.log


def test_with_the_operators_word_alone_the_next_day_ends_nothing(account: Account) -> None:
    limit(account, 'max_daily_loss = 100, daily_loss_ends = "operator"')
    broker = MoneyBackend()
    _ahead(broker, 0, HOUR_MS)
    broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.price -= _D("0.00120")
        wait_cause(client, "DAILY_LOSS")
        day = server.server.service.keeper.state.day
        broker.ahead_ms += 2 * HOUR_MS
        wait_until(lambda: server.server.service.keeper.state.day == day + 1)
        assert "DAILY_LOSS" in causes(client)
        assert resume(server, "DAILY_LOSS").status == "DONE"
        wait_until(lambda: client.open().status == "FILLED")


def test_an_operator_who_resumes_begins_a_new_base_and_not_an_endless_loss(
    account: Account,
) -> None:
    limit(account, "max_daily_loss = 100")
    broker = MoneyBackend()
    broker.put_position(volume=_D(1))
    with Running(account, broker) as server:
        client = wait_known(server)
        broker.price -= _D("0.00120")
        wait_cause(client, "DAILY_LOSS")
        assert resume(server, "DAILY_LOSS").status == "DONE"
        assert client.open().status == "FILLED"
        broker.price -= _D("0.00101")
        wait_cause(client, "DAILY_LOSS")


def test_while_the_days_deals_cannot_be_read_no_entry_passes(account: Account) -> None:
    broker = MoneyBackend()
    broker.history_down = True
    ticket = broker.put_position().ticket
    with Running(account, broker) as server:
        client = server.ready()
        refused = client.open()
        assert (refused.code, refused.order().value) == ("NO_ACCOUNT", "closed today")
        assert client.close_position(ticket).status == "FILLED"
        broker.history_down = False
        wait_until(lambda: client.open().status == "FILLED")


def test_deals_that_were_not_read_for_long_are_not_known_any_more(account: Account) -> None:
    broker = MoneyBackend(clock := SlidingClock())
    with Running(account, broker, clock) as server:
        client = wait_known(server)
        broker.history_down = True
        clock.advance(121_000)
        wait_until(lambda: server.server.service.keeper.state.realised is None)
        late = client.do(Op.OPEN, open_body(), iat=clock.wall_ms())
        assert late.code == "NO_ACCOUNT"


def test_no_entry_passes_before_the_brokers_day_is_known(account: Account) -> None:
    broker = MoneyBackend()
    broker.zone_ms = None
    with Running(account, broker) as server:
        client = server.ready()
        assert client.open().code == "NO_ACCOUNT"
        broker.zone_ms = 2 * HOUR_MS
        wait_until(lambda: client.open().status == "FILLED")
        broker.zone_ms = None
        keeper = server.server.service.keeper
        assert keeper.known is not None, "what was confirmed once stays"
        day = keeper.state.day
        broker.ahead_ms += _DAY_MS  # times that are not UTC begin no day, which would end a latch
        wait_until(lambda: server.server.context.snapshot is not None)
        assert client.open().status == "FILLED"
        assert keeper.state.day == day
        broker.zone_ms = 2 * HOUR_MS
        wait_until(lambda: keeper.state.day == day + 1)
