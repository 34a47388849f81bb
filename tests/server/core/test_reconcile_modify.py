"""What became of a MODIFY whose pending order rests no more, or cannot be read whole."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Request
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import Executed
from bridge_server.core.reconcile import Absence, Finding, Suspect, find
from tests.support.builders import NOW, RID, TAG, ended, modify_order, pending, position, scan

_MODIFY = modify_order(11, sl="1.09000", tp="1.20000")


def _suspect(body: Request) -> Suspect:
    return Suspect(rid=RID, tag=TAG, magic=TAG.mt5_magic(7), body=body)


def test_a_position_cannot_prove_a_modify_that_set_a_price_nor_that_it_never_ran() -> None:
    # Moved to the market and filled there: the position has the ticket, and the same stops.
    body = modify_order(11, price="1.08000")
    assert find(_suspect(body), scan(positions=(position(),))) == Absence(counts=False)


@pytest.mark.parametrize("life", ["FILLED", "CANCELLED", "BROKER_EXPIRED"])
@pytest.mark.parametrize("price", ["1.08", "1.09"])
def test_the_end_of_a_pending_order_shows_whether_its_price_was_modified(
    life: str, price: str
) -> None:
    body = modify_order(11, price="1.08000", sl="1.07000", old_sl="1.07000")
    last = pending(11, price=Decimal(price), sl=Decimal("1.07"))
    held = (position(sl=Decimal("1.07")),) if life == "FILLED" else ()
    found = find(_suspect(body), scan(positions=held, ended=(ended(11, life, last=last),)))
    if price == "1.09":
        assert found == Absence(counts=True)
        return
    assert isinstance(found, Finding)
    assert isinstance(found.outcome, Executed)
    assert (found.outcome.status, found.evidence) == (Status.DONE, Evidence.SHAPE)


@pytest.mark.parametrize(("life", "counts"), [("FILLED", False), ("CANCELLED", True)])
def test_stops_of_an_order_that_filled_may_have_been_modified_on_its_position(
    life: str, *, counts: bool
) -> None:
    end = ended(11, life, last=pending(11))
    assert find(_suspect(_MODIFY), scan(ended=(end,))) == Absence(counts=counts)


def test_an_expiration_that_cannot_be_read_does_not_prove_that_no_modify_happened() -> None:
    body = modify_order(22, price="1.08000", expiration=NOW)
    moved, where_it_was = pending(price=Decimal("1.08")), pending(price=Decimal("1.09"))
    for held, counts in ((moved, False), (where_it_was, True)):
        found = find(_suspect(body), scan(orders=(held,), zone_known=False))
        assert found == Absence(counts=counts)
