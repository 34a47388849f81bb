"""The MetaTrader 5 path as a whole: connector, server process, worker process, terminal."""

from __future__ import annotations

from pathlib import Path

from bridge_client import Status
from tests.mt5.house import House, terms_of
from tests.support.running import wait_until


def test_a_strategys_day_on_a_hedging_account_keeps_every_promise(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        with house.connector() as bridge:
            eu = bridge.get_symbol("EURUSD")
            quote = bridge.get_quote("EURUSD")
            opened = bridge.buy(
                "EURUSD", 0.10, sl=eu.price(quote.bid - 0.005, "down"), comment="Strategy_v1"
            )
            assert opened.status is Status.FILLED, opened
            assert opened.price == 1.08512
            moved = bridge.modify_position(opened, sl=eu.price(quote.bid - 0.004, "down"))
            assert moved.status is Status.DONE, moved
            part = bridge.close_position(opened, volume=0.04)
            assert part.status is Status.FILLED, part
            resting = bridge.buy_limit("EURUSD", 0.10, price=1.07)
            assert resting.status is Status.WORKING, resting
            assert bridge.cancel_order(resting).status is Status.DONE
            sold = bridge.sell("USDJPY", 0.20)
            assert sold.status is Status.FILLED, sold
            assert sold.price == 150.1
            flat = bridge.flatten("the day is over")
            assert flat.status is Status.DONE, flat
            wait_until(lambda: not bridge.get_positions())
        house.close()
        assert not house.broker.positions()
        house.judge()


def test_a_strategys_day_on_a_netting_account_keeps_every_promise(tmp_path: Path) -> None:
    with House(tmp_path, terms=terms_of(margin_mode="netting")) as house:
        with house.connector() as bridge:
            first = bridge.buy("EURUSD", 0.10)
            assert first.status is Status.FILLED, first
            assert bridge.buy("EURUSD", 0.05).status is Status.FILLED
            (position,) = bridge.get_positions()
            assert position.volume == 0.15
            assert bridge.sell("EURUSD", 0.20).status is Status.FILLED
            wait_until(lambda: [one.type for one in bridge.get_positions()] == ["SELL"])
            (position,) = bridge.get_positions()
            assert position.volume == 0.05
            assert bridge.close_position(position).status is Status.FILLED
        house.close()
        house.judge()
