"""Mixed orders under random faults, through the Advisor's real source: S1 to S7 hold."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Cancel, Close
from tests.mql4.house import House
from tests.mql4.mixed_orders import Storm
from tests.mql4.needs import needs_compiler
from tests.support.oracles import Broken, Evidence, broken_promises

_SHORT: Final = 30
_LONG: Final = 1_000
_SOAK: Final = 10_000
_DID: Final = (Status.FILLED, Status.PARTIAL, Status.WORKING, Status.DONE)


def _by_hand(broken: Broken, evidence: Evidence, storm: Storm) -> bool:
    """Whether a person ended the very ticket whose CLOSE or CANCEL was lost (protocol.md 14).

    MetaTrader 4 does not mark who did it; the ticket is gone, as it was asked.
    """
    order = evidence.signed.get(broken.offender)
    body = order.body if order is not None else None
    gone = isinstance(body, Close | Cancel) and body.ticket in storm.by_hand
    return gone and broken.why.endswith("and the broker did not do it")


def _weather(folder: Path, orders: int, seed: int) -> None:
    needs_compiler()
    with House(folder, inputs={"SettleSeconds": 1}, server="tests.mql4.quick_server") as house:
        storm = Storm(house, seed)
        storm.run(orders)
        house.close()
        said = house.terminal.violations
        # How long a handler takes on a crowded machine, under sanitizers, is not the question here.
        said[:] = [one for one in said if " was busy for " not in one]
        house.terminal.stop()  # no violation, no leak, no sanitizer report, over all restarts
        evidence = house.evidence()
    found = [one for one in broken_promises(evidence) if not _by_hand(one, evidence, storm)]
    assert found == [], house.folder
    views = [one.view for one in evidence.told]
    assert len(views) >= orders
    assert all(view.final and view.attested for view in views if view.by != "connector")
    did = sum(view.status in _DID for view in views)
    ends = Counter(f"{view.status} {view.code} by {view.by or 'broker'}" for view in views)
    print(f"\nstorm seed {seed}: {len(views)} orders, {did} done, faults {dict(storm.faults)}")
    print(*(f"  {n:5} {what}" for what, n in ends.most_common()), sep="\n")
    assert did > orders / 4


def test_in_a_short_storm_every_order_ends_and_the_promises_hold(tmp_path: Path) -> None:
    _weather(tmp_path, _SHORT, seed=7)


@pytest.mark.long
def test_in_a_long_storm_every_order_ends_and_the_promises_hold(tmp_path: Path) -> None:
    _weather(tmp_path, _SOAK if os.environ.get("ZTB_SOAK") else _LONG, seed=11)
