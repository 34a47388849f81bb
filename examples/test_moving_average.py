"""A test of moving_average.py that you can copy: `pip install zero-trust-bridge pytest`, `pytest`.

`paper_bridge` starts a real server with a paper broker; each price comes when the strategy asks
for its next event. docs/testing-your-strategy.md names every fault.
"""

from collections.abc import Callable
from math import sin

import pytest
from moving_average import LOTS, run

from bridge_client.testing import BrokerAct, PaperBridge

WAVE = [1.10 + 0.01 * sin(n / 12) for n in range(120)]


def opened(bridge: PaperBridge) -> list[BrokerAct]:
    """Return the market orders that the broker filled."""
    filled = [act for act in bridge.ledger() if act.op == "OPEN" and act.outcome == "EXECUTED"]
    return [act for act in filled if act.type in ("BUY", "SELL")]


def test_it_turns_round_with_the_wave_and_never_trades_without_a_stop(
    paper_bridge: Callable[..., PaperBridge],
) -> None:
    """A whole run: what reached the broker, in the broker's own words."""
    bridge = paper_bridge(prices=WAVE, limits={"max_volume": LOTS, "max_positions": 4})
    run(bridge, "EURUSD")
    orders = opened(bridge)
    assert [order.type for order in orders] == ["BUY", "SELL", "BUY", "SELL"]
    assert all(order.sl > 0 and order.tp > 0 for order in orders)


FAULTS: dict[str, Callable[[PaperBridge], None]] = {
    "the broker's answer is lost": lambda bridge: bridge.lose_next_answer(seconds=0.5),
    "the order is lost on its way": lambda bridge: bridge.lose_next_answer(executed=False),
    "the reply is lost on its way": lambda bridge: bridge.drop_next_reply(),
    "the broker hangs": lambda bridge: bridge.hang_broker(0.5),
    "the broker has no money for us": lambda bridge: bridge.reject_next("NO_MONEY"),
    "the server dies before its first order": lambda bridge: bridge.before(
        25, bridge.restart_server
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_it_survives(
    paper_bridge: Callable[..., PaperBridge], fault: Callable[[PaperBridge], None]
) -> None:
    """Whatever goes wrong with one order, no order is sent twice and the run goes on."""
    bridge = paper_bridge(prices=WAVE[:70], limits={"max_volume": LOTS, "max_positions": 4})
    fault(bridge)
    run(bridge, "EURUSD")
    ids = [act.client_order_id for act in bridge.ledger()]
    assert len(ids) == len(set(ids)), "an order reached the broker twice"
    assert len(bridge.get_positions()) <= 4
    assert not bridge.unfinished(), "an order was left without an outcome"
