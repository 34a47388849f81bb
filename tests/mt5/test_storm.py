"""A storm of mixed orders at a MetaTrader 5 terminal: every order ends, S1 to S7 hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from bridge_client import Connector
from bridge_core.protocol.operations import Op
from tests.mt5.house import House, terms_of
from tests.mt5.storm import Mt5Storm
from tests.support.fake_metatrader5.codes import State
from tests.support.oracles import Broken, Evidence, broken_promises
from tests.support.running import wait_until
from tests.support.storm import report

Removed = frozenset[int]
# In the soak ten thousand in one house.
_STORMS: Final = (
    (("hedging", 10_000, 11), ("netting", 10_000, 12))
    if os.environ.get("ZTB_SOAK")
    else (("hedging", 250, 11), ("netting", 250, 12))
)


def _by_another(broken: Broken, evidence: Evidence, removed: Removed) -> bool:
    """Whether somebody else removed the very order whose CANCEL was lost (protocol.md 7.3).

    A broker does not mark who did it: the order is cancelled, as it was asked, and the evidence
    says SHAPE. The lost one may have come as far as the broker or not.
    """
    row = evidence.rows.get(broken.offender)  # a child of a FLATTEN has one, too
    if row is None or row.op != Op.CANCEL or row.evidence != "SHAPE" or row.ticket not in removed:
        return False
    return broken.why.endswith(("and the broker did not do it", "and the broker was never asked"))


def _removed(house: House) -> Removed:
    """Return the pending orders that were cancelled, by whomever."""
    rows = [line["row"] for line in house.broker.lines() if line["at"] == "order"]
    return frozenset(row["ticket"] for row in rows if row["state"] == State.CANCELED)


def _told(broken: Broken, evidence: Evidence) -> str:
    """Return what is known of an offender."""
    signed, row = evidence.signed.get(broken.offender), evidence.rows.get(broken.offender)
    return f"{broken}\n  signed {signed}\n  journal {row}"


def _weather(folder: Path, margin_mode: str, orders: int, seed: int, **more: str) -> None:
    terms, shorter = terms_of(margin_mode=margin_mode), {"ZTB_TEST_TRADE_MS": "1000", **more}
    with House(folder, terms=terms, environment=shorter) as house:
        storm = Mt5Storm(house, seed)
        storm.run(orders)
        house.close()
        evidence = house.evidence()
    found = [
        one for one in broken_promises(evidence) if not _by_another(one, evidence, _removed(house))
    ]
    assert found == [], "\n".join([str(house.folder), *(_told(one, evidence) for one in found)])
    views = [one.view for one in evidence.told]
    assert len(views) >= orders
    assert all(view.final for view in views)
    assert report(storm, seed, views) > orders / 4


@pytest.mark.parametrize(("margin_mode", "seed"), [("hedging", 7), ("netting", 8)])
def test_in_a_short_storm_every_order_ends_and_the_promises_hold(
    tmp_path: Path, margin_mode: str, seed: int
) -> None:
    _weather(tmp_path, margin_mode, 30, seed)


class _Alone(Mt5Storm):
    """Nobody else trades the account."""

    @property
    def troubles(self) -> Sequence[Callable[[], None]]:
        return [one for one in super().troubles if one.__name__ != "_by_hand"]


def _flat(bridge: Connector) -> bool:
    """Close everything; the first try may meet a trouble that the storm has left."""
    bridge.flatten("make room", wait=5)
    return not bridge.get_positions()


@pytest.mark.parametrize(("margin_mode", "seed"), [("hedging", 21), ("netting", 22)])
def test_in_a_storm_of_our_own_orders_no_ticket_is_called_an_orphan(
    tmp_path: Path, margin_mode: str, seed: int
) -> None:
    terms, extra = terms_of(margin_mode=margin_mode), "exclusive = true\n"
    shorter = {"ZTB_TEST_TRADE_MS": "1000"}
    with House(tmp_path, terms=terms, extra=extra, environment=shorter) as house:
        storm = _Alone(house, seed)
        storm.run(40)
        with house.connector("looker") as bridge:
            assert "COUNTER" not in [one.cause for one in bridge.health().causes]
            # ... and a hand is. On a netting account it must not go into a position of ours.
            wait_until(partial(_flat, bridge), 60)
            house.broker.manual_buy("EURUSD", "0.01")
            wait_until(lambda: "COUNTER" in [one.cause for one in bridge.health().causes], 15)


@pytest.mark.long
@pytest.mark.parametrize(("margin_mode", "orders", "seed"), _STORMS)
def test_in_a_long_storm_every_order_ends_and_the_promises_hold(
    tmp_path: Path, margin_mode: str, orders: int, seed: int
) -> None:
    # A worker that is forked is back at once: the day is trading, and not waiting for restarts.
    warm = {"ZTB_TEST_WARM": "1"} if sys.platform == "linux" else {}
    _weather(tmp_path, margin_mode, orders, seed, **warm)
