"""Mixed orders under random faults, through the Advisor's real source: S1 to S7 hold."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from bridge_core.protocol.messages import Cancel, Close
from tests.mql4.house import House
from tests.mql4.mixed_orders import EaStorm
from tests.mql4.needs import needs_compiler
from tests.support.oracles import Broken, Evidence, broken_promises
from tests.support.storm import report

pytestmark = needs_compiler

_SHORT: Final = 30
# A thousand in the long run, by four seeds side by side; in one house in the soak, and more.
_STORMS: Final = (
    ((10_000, 11), (1_000, 11))
    if os.environ.get("ZTB_SOAK")
    else ((250, 11), (250, 12), (250, 13), (250, 14))
)


def _by_hand(broken: Broken, evidence: Evidence, storm: EaStorm) -> bool:
    """Whether a person ended the very ticket whose CLOSE or CANCEL was lost (protocol.md 14).

    MetaTrader 4 does not mark who did it; the ticket is gone, as it was asked.
    """
    order = evidence.signed.get(broken.offender)
    body = order.body if order is not None else None
    gone = isinstance(body, Close | Cancel) and body.ticket in storm.by_hand
    return gone and broken.why.endswith("and the broker did not do it")


def _weather(folder: Path, orders: int, seed: int) -> None:
    with House(folder, inputs={"SettleSeconds": 1}, server="tests.mql4.quick_server") as house:
        storm = EaStorm(house, seed)
        storm.run(orders)
        house.end_untimed()  # no violation, no leak, no sanitizer report, over all restarts
        evidence = house.evidence()
    found = [one for one in broken_promises(evidence) if not _by_hand(one, evidence, storm)]
    assert found == [], house.folder
    views = [one.view for one in evidence.told]
    assert len(views) >= orders, Counter(
        f"{one.status} {one.code} by {one.by}" for one in storm.results
    )
    assert all(view.final and view.attested for view in views if view.by != "connector")
    did = report(storm, seed, views)
    assert did > orders / 4


def test_in_a_short_storm_every_order_ends_and_the_promises_hold(tmp_path: Path) -> None:
    _weather(tmp_path, _SHORT, seed=7)


@pytest.mark.long
@pytest.mark.parametrize(("orders", "seed"), _STORMS)
def test_in_a_long_storm_every_order_ends_and_the_promises_hold(
    tmp_path: Path, orders: int, seed: int
) -> None:
    _weather(tmp_path, orders, seed)
