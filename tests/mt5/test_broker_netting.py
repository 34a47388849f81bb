"""The stand-in's broker on netting and exchange accounts: one position for each symbol."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mt5.asking import EVER, broker_of, buy, limit, sell
from tests.support.fake_metatrader5.broker import Broker


@pytest.fixture(params=["netting", "exchange"])
def broker(request: pytest.FixtureRequest) -> Broker:
    return broker_of(margin_mode=request.param)


def _deal(broker: Broker) -> dict[str, Any]:
    return dict(broker.history_deals(*EVER)[-1])


def test_the_account_says_what_it_is(broker: Broker) -> None:
    assert (
        broker.account()["margin_mode"] == {"netting": 0, "exchange": 1}[broker.terms.margin_mode]
    )


def test_a_second_order_merges_into_the_position_at_the_mean_price(broker: Broker) -> None:
    first = broker.send(buy(magic=1, comment="ZONE"))
    broker.price("EURUSD", "1.10020", "1.10030")
    second = broker.send(buy(magic=2, comment="ZTWO", volume=0.3))
    (position,) = broker.positions()
    assert position["ticket"] == position["identifier"] == first["order"]
    assert (position["volume"], position["price_open"]) == (0.4, 1.10025)
    assert (position["magic"], position["comment"]) == (2, "ZTWO")
    deal = _deal(broker)
    assert (deal["order"], deal["magic"], deal["entry"]) == (second["order"], 2, 0)
    assert deal["position_id"] == first["order"]


def test_the_first_magic_may_stay() -> None:
    broker = broker_of(margin_mode="netting", netting_magic="first")
    broker.send(buy(magic=1))
    broker.send(buy(magic=2))
    assert broker.positions()[0]["magic"] == 1


def test_the_stops_are_those_of_the_last_request_none_included(broker: Broker) -> None:
    broker.send(buy(sl=1.09))
    broker.send(buy())
    assert broker.positions()[0]["sl"] == 0.0


def test_an_opposite_order_reduces_and_closes(broker: Broker) -> None:
    broker.send(buy(sl=1.09))
    broker.send(sell(volume=0.04))
    (position,) = broker.positions()
    assert (position["volume"], position["sl"]) == (0.06, 1.09)
    assert (_deal(broker)["entry"], _deal(broker)["profit"]) == (1, -0.4)
    broker.send(sell(volume=0.06))
    assert broker.positions() == ()


def test_a_larger_opposite_order_turns_the_position_in_one_deal(broker: Broker) -> None:
    first = broker.send(buy())
    turn = broker.send(sell(volume=0.3, magic=5))
    (position,) = broker.positions()
    assert (position["type"], position["volume"], position["magic"]) == (1, 0.2, 5)
    assert position["identifier"] == first["order"]
    assert position["ticket"] == turn["order"], "the ticket changes, the identifier stays"
    deal = _deal(broker)
    assert (deal["entry"], deal["volume"], deal["profit"]) == (2, 0.3, -1.0)
    assert deal["position_id"] == first["order"]


def test_a_close_that_comes_twice_opens_the_opposite_side(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    broker.send(sell(position=ticket))
    assert broker.send(sell(position=ticket))["retcode"] == 10009
    assert broker.positions()[0]["type"] == 1


def test_unless_the_server_looks_at_the_ticket() -> None:
    broker = broker_of(margin_mode="netting", netting_by_ticket=True)
    ticket = broker.send(buy())["order"]
    broker.send(sell(position=ticket))
    assert broker.send(sell(position=ticket))["retcode"] == 10036


def test_stops_are_set_by_symbol_or_by_ticket(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    assert broker.send({"action": 6, "symbol": "EURUSD", "sl": 1.09})["retcode"] == 10009
    by_ticket = {"action": 6, "symbol": "EURUSD", "position": ticket, "sl": 1.08}
    assert broker.send(by_ticket)["retcode"] == 10009
    assert broker.positions()[0]["sl"] == 1.08


def test_a_pending_order_merges_when_it_fills(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    broker.send(limit(volume=0.2))
    broker.price("EURUSD", "1.08990", "1.09000")
    (position,) = broker.positions()
    assert (position["ticket"], position["volume"]) == (ticket, 0.3)


def test_a_stop_loss_closes_all_of_it(broker: Broker) -> None:
    broker.send(buy(volume=0.2, sl=1.095))
    broker.price("EURUSD", "1.09400", "1.09410")
    assert broker.positions() == ()
    assert (_deal(broker)["reason"], _deal(broker)["comment"]) == (4, "[sl 1.09500]")


def test_positions_are_not_closed_by_each_other(broker: Broker) -> None:
    ticket = broker.send(buy())["order"]
    assert broker.send({"action": 10, "position": ticket, "position_by": 5})["retcode"] == 10013


def test_a_turn_needs_margin_only_for_what_is_new() -> None:
    broker = broker_of(margin_mode="netting")
    broker.send(buy(volume=8.0))
    assert broker.account()["margin_free"] < 1_300
    assert broker.send(sell(volume=16.0))["retcode"] == 10009


def test_where_only_closing_is_allowed_a_position_is_reduced_but_not_turned() -> None:
    broker = broker_of(margin_mode="netting")
    broker.send(buy())
    broker.terms.symbols[0].trade_mode = 3
    assert broker.send(sell(volume=0.2))["retcode"] == 10044
    assert broker.send(sell(volume=0.1))["retcode"] == 10009
    assert broker.send(sell(volume=0.1))["retcode"] == 10044
