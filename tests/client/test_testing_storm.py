"""Any faults in any order: every order ends, once, and what was told of it is what happened."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bridge_client import BridgeError, OrderResult, ReasonCode, Status
from bridge_client.evidence import judge_all
from bridge_client.testing import PaperBridge, paper_bridge
from bridge_client.testing.judgement import signed_in

SEEDS = range(60 if os.environ.get("ZTB_SOAK") else 2)
ORDERS, LEAST = 20, 4
SYMBOL = "EURUSD"

Fault = Callable[[PaperBridge, random.Random], object]
FAULTS: tuple[Fault, ...] = (
    lambda bridge, _: bridge.kill_server(),
    lambda bridge, _: bridge.start_server(),
    lambda bridge, _: bridge.restart_server(),
    lambda bridge, dice: bridge.drop_next_reply(dice.randint(1, 4)),
    lambda bridge, dice: bridge.hang_broker(dice.choice((0.02, 0.2, 1.2))),
    lambda bridge, _: bridge.release_broker(),
    lambda bridge, dice: bridge.lose_next_answer(
        executed=dice.random() < 0.5, seconds=dice.choice((0, 0.1))
    ),
    lambda bridge, dice: bridge.reject_next(dice.choice(("NO_MONEY", "REQUOTE", "MARKET_CLOSED"))),
    lambda bridge, _: bridge.partial_next("0.01"),
    lambda bridge, dice: bridge.gap(dice.choice((-0.003, 0.003))),
    lambda bridge, dice: bridge.spread(dice.randint(0, 30)),
    lambda bridge, dice: bridge.clock_step(dice.choice((-2, 2))),
)


def _order(bridge: PaperBridge, dice: random.Random, number: int) -> OrderResult:
    name = f"storm-{number}"
    held = [act.ticket for act in bridge.ledger() if act.op == "OPEN" and act.ticket]
    if held and dice.random() < 0.3:
        return bridge.close_position(dice.choice(held), client_order_id=name)
    if dice.random() < 0.2:
        return bridge.buy_limit(SYMBOL, "0.02", price="1.05", client_order_id=name)
    side = bridge.buy if dice.random() < 0.5 else bridge.sell
    return side(SYMBOL, "0.02", client_order_id=name)


def _calm(bridge: PaperBridge) -> None:
    bridge.start_server()
    bridge.clear_faults()
    until = time.monotonic() + 40
    while bridge.unfinished() or bridge.health().unknown_orders:
        assert time.monotonic() < until, bridge.unfinished()
        time.sleep(0.02)


def _storm(bridge: PaperBridge, dice: random.Random) -> dict[str, OrderResult]:
    told: dict[str, OrderResult] = {}
    for number in range(ORDERS):
        dice.choice(FAULTS)(bridge, dice)
        # A question before the order may have no answer: then nothing was signed.
        with suppress(BridgeError):
            result = _order(bridge, dice, number)
            told[result.client_order_id] = result
        if dice.random() < 0.3:
            _calm(bridge)
    _calm(bridge)
    return told


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_every_promise_holds(seed: int, tmp_path: Path) -> None:
    with paper_bridge([1.1], ttl_ms=1000, patience=0.15, folder=tmp_path) as bridge:
        told = _storm(bridge, random.Random(seed))
        final = {name: result for name, result in told.items() if result.final}
        for name, first in final.items():
            if first.by != "connector":
                assert bridge.wait(name, 1).status == first.status, "a final word is final"
                known = bridge.order_status(name)
                # A refusal is in the server's log, and in its memory of this run only.
                forgotten = known.code == ReasonCode.NOT_SEEN and first.status is Status.DENIED
                assert forgotten or known.status == first.status, "it contradicts itself"
        bridge.flatten("the storm is over", wait=10)
        _calm(bridge)
        assert bridge.get_positions() == []
    # With the server stopped and both records complete: S1 to S6, not only what the kit judges.
    signed = signed_in(bridge.config.parent)
    assert len(signed) >= LEAST, "a storm in which nobody traded proves nothing"
    promises = judge_all(signed, bridge._house.ledger, "paper")
    assert [one for one in promises if one.held < one.total] == [], (seed, promises)
