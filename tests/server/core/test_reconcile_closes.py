"""A CLOSE of all of a position names no volume: the order's own record and the deals tell."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Close
from bridge_server.core.ports import EndedOrder, Executed
from bridge_server.core.reconcile import Absence, Finding, Suspect, find
from tests.support.builders import RID, TAG, close_order, deal, ended, position, scan

_D = Decimal
_MAGIC = TAG.mt5_magic(7)
_NOT_YET = Absence(counts=False)


def _found(body: Close, **records: Any) -> Finding | Absence:
    suspect = Suspect(rid=RID, tag=TAG, magic=_MAGIC, body=body)
    return find(suspect, scan(**{"orders_kept": True} | records))


def _end(**over: Any) -> EndedOrder:
    """Return the market order of the close as the history shows it."""
    fields: dict[str, Any] = {"volume": _D("0.10"), "filled": _D("0.10"), "magic": _MAGIC}
    return ended(11, "FILLED", **{"type": "SELL", "state": "FILLED"} | fields | over)


def _deal(number: int = 1, entry: str = "IN", volume: str = "0.10", **over: Any) -> Any:
    return deal(number, entry, volume=_D(volume), **{"magic": _MAGIC, "reason": "OURS"} | over)


def _other(number: int, volume: str) -> Any:
    """Return a deal of another's that entered the position 11."""
    return _deal(number, "IN", volume, ticket=11, magic=5)


@pytest.mark.parametrize(("filled", "concluded"), [("0.04", True), ("0.10", False), (None, False)])
def test_a_close_of_all_needs_the_orders_record_for_it_names_no_volume(
    filled: str | None, *, concluded: bool
) -> None:
    ends = (_end(filled=_D(filled)),) if filled else ()
    found = _found(close_order(11), deals=(_deal(1, "OUT", "0.04"),), ended=ends)
    assert isinstance(found, Finding) == concluded
    if not concluded:
        assert found == _NOT_YET


@pytest.mark.parametrize(
    ("asked", "records", "wanted"),
    [
        # As it was before: the deal is shown, and the position not yet without it.
        ("0.10", {"positions": (position(11),)}, None),
        ("0.10", {"positions": (position(11),), "deals": (_other(2, "0.10"),)}, None),
        # It had grown by another's deal, and so much is left.
        (
            "0.10",
            {
                "positions": (position(11, volume=_D("0.03")),),
                "deals": (_other(2, "0.10"), _other(3, "0.03")),
            },
            "0.03",
        ),
        # The broker did less than it was asked for.
        ("0.30", {"positions": (position(11, volume=_D("0.20")),)}, "0.20"),
    ],
)
@pytest.mark.parametrize("netting", [False, True])
def test_a_close_of_all_that_did_all_is_told_by_no_picture_from_before_it(
    asked: str, records: dict[str, Any], wanted: str | None, *, netting: bool
) -> None:
    out = _deal(9, "OUT", type="SELL", ticket=11, order=11)
    deals = (*records.get("deals", ()), out)
    ends = (_end(volume=_D(asked), filled=_D("0.10")),)
    found = _found(close_order(11), netting=netting, **{**records, "deals": deals, "ended": ends})
    if wanted is None:
        assert found == _NOT_YET
    else:
        assert isinstance(found, Finding), found
        assert isinstance(found.outcome, Executed), found
        left = found.outcome.facts.remaining_volume
        assert (found.outcome.status, left) == (Status.PARTIAL, _D(wanted))
