"""Whatever is asked of it, and by how many at once, the broker's books add up."""

from __future__ import annotations

import random
import threading
from decimal import Decimal
from typing import Any

import pytest

from tests.mt5.asking import EVER, NOON, broker_of, buy, limit, sell
from tests.support.clock import FakeClock
from tests.support.fake_metatrader5.broker import Broker

MODES = ("hedging", "netting")


def _dec(value: Any) -> Decimal:
    return Decimal(str(value))


def _random_act(broker: Broker, chance: random.Random, magic: int) -> None:
    volume = chance.randint(1, 30) / 100
    positions, orders = broker.positions(), broker.orders()
    kind = chance.randrange(9)
    tagged: dict[str, Any] = {"magic": magic, "volume": volume}
    if kind == 0:
        broker.fill_next(*[_dec(volume) / 4] * chance.randint(1, 4), gap_ms=chance.choice((0, 20)))
    elif kind == 1:
        broker.place_next(chance.choice(("fill", "reject", "cancel")), after_ms=30)
    elif kind == 2:
        middle = 1.1 + chance.randint(-500, 500) / 100_000
        broker.price("EURUSD", f"{middle:.5f}", f"{middle + 0.0001:.5f}")
    elif kind == 3 and positions:
        held = chance.choice(positions)
        make = sell if held["type"] == 0 else buy
        whole = chance.random() < 0.5
        part = {"volume": held["volume"]} if whole else {}
        broker.send(make(position=held["ticket"]) | tagged | part)
    elif kind == 4 and positions:
        held = chance.choice(positions)
        ask = {"action": 6, "symbol": "EURUSD", "position": held["ticket"]}
        away = 0.002 if held["type"] == 0 else -0.002
        broker.send({**ask, "sl": round(held["price_current"] - away, 5), "magic": magic})
    elif kind == 5:
        broker.send(limit(price=1.099, **tagged))
    elif kind == 6 and orders:
        broker.send({"action": 8, "order": chance.choice(orders)["ticket"], "magic": magic})
    else:
        broker.send(chance.choice((buy, sell))(**tagged))


def _check_sums(broker: Broker) -> None:
    deals = broker.history_deals(*EVER)
    money = sum(_dec(d["profit"]) + _dec(d["swap"]) + _dec(d["commission"]) for d in deals)
    assert _dec(broker.account()["balance"]) == money
    signed: dict[int, Decimal] = {}
    for deal in deals[1:]:
        sign = 1 if deal["type"] == 0 else -1
        at = deal["position_id"]
        signed[at] = signed.get(at, Decimal(0)) + sign * _dec(deal["volume"])
    held = {
        p["identifier"]: _dec(p["volume"]) * (1 if p["type"] == 0 else -1)
        for p in broker.positions()
    }
    assert {at: volume for at, volume in signed.items() if volume} == held
    filled: dict[int, Decimal] = {}
    for deal in deals[1:]:
        filled[deal["order"]] = filled.get(deal["order"], Decimal(0)) + _dec(deal["volume"])
    rows = (*broker.orders(), *broker.history_orders(*EVER))
    for row in rows:
        done = _dec(row["volume_initial"]) - _dec(row["volume_current"])
        assert filled.pop(row["ticket"], Decimal(0)) == done
    assert not filled, "a deal without its order"
    tickets = [row["ticket"] for row in rows] + [deal["ticket"] for deal in deals]
    assert len(tickets) == len(set(tickets))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(6))
def test_deals_orders_positions_and_money_agree_whatever_happens(seed: int, mode: str) -> None:
    chance, clock = random.Random(seed), FakeClock(wall=NOON)
    symbol = {"commission": Decimal(7), "exemode": 3}
    broker = broker_of(clock, symbol=symbol, margin_mode=mode, balance=Decimal(100_000))
    for magic in range(120):
        _random_act(broker, chance, magic)
        clock.advance(chance.choice((0, 10, 50)))
        _check_sums(broker)


@pytest.mark.parametrize("mode", MODES)
def test_many_threads_at_once_leave_the_books_in_order(mode: str) -> None:
    broker = broker_of(margin_mode=mode, balance=Decimal(100_000))
    failed: list[BaseException] = []

    def trade(number: int) -> None:
        chance = random.Random(number)
        try:
            for magic in range(40):
                broker.send(chance.choice((buy, sell))(volume=0.01, magic=magic))
                broker.positions()
                broker.history_deals(*EVER)
        except BaseException as error:  # noqa: BLE001  told below
            failed.append(error)

    threads = [threading.Thread(target=trade, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    _check_sums(broker)
    assert broker.begun() == 160


def test_a_repeated_request_is_executed_again_where_nothing_forbids_it() -> None:
    # What makes a blind retry dangerous: the broker knows no idempotence.
    broker = broker_of()
    for _ in range(2):
        broker.fail_next(10012, executed=True)
        broker.send(buy())
    assert len(broker.positions()) == 2


def test_ten_thousand_positions_are_shown_at_once() -> None:
    broker = broker_of(balance=Decimal(10_000_000))
    for _ in range(10_000):
        broker.manual_buy("EURUSD", "0.01")
    assert len(broker.positions()) == 10_000
    assert len(broker.history_deals(*EVER)) == 10_001
